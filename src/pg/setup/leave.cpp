// leave() and drop_node(): the two ways out of a mesh.
//
// leave() is called on the node that goes. The others must all be reachable and first receive everything it wrote, so
// that nothing is lost and no two of them differ. drop_node() is called on another node, when the one that goes may be
// dead; those that are left send each other what they have of it.
//
// Either way a new generation of progress begins on all (meridian.generation): what was published before speaks of
// the one that has gone, or of a moment before the others had all that it wrote.

#include <algorithm>
#include <limits>

#include "pg/setup/copy.hpp"
#include "pg/setup/mesh.hpp"
#include "pg/setup/tasks.hpp"

namespace meridian::pg::setup {
namespace {

void remove_member(Node& from, int id, int generation) {
  from.db.recover();
  from.db.query("SELECT meridian.remove_member($1, $2)", {std::to_string(id), std::to_string(generation)});
}

/// Nobody listens to the member any more, and nobody forgets a delete until the next generation. Returns the last stamp
/// of which all are known to have what the member wrote.
std::int64_t cut_off(Mesh& mesh, const Member& gone) {
  const std::string id = std::to_string(gone.id);
  for (const auto& node : mesh.nodes()) {
    node->db.recover();
    node->db.query("SELECT meridian.hold_removal($1)", {"removal of " + node_label(gone.name)});
  }
  std::int64_t since = std::numeric_limits<std::int64_t>::max();
  for (const auto& node : mesh.nodes()) {
    node->db.query("SELECT meridian.unsubscribe($1)", {id});
    node->db.query("SELECT meridian.drop_slots($1)", {id});
    const std::string received = node->db.query("SELECT meridian.received_from($1)", {id}).text(0, 0);
    since = std::min(since, static_cast<std::int64_t>(std::stoll(received)));
  }
  return since;
}

/// What the member wrote and some have, all get. Rows that it had before it joined do not tell whose they are.
void heal(Session& session, Mesh& mesh, const Member& gone, std::int64_t since) {
  const Selection selection = gone.state == "joining" ? Selection{} : Selection{gone.id, since, {}};
  Copier copier(session);
  for (const auto& source : mesh.nodes()) {
    const std::vector<Table> tables = read_tables(source->db);
    for (const auto& target : mesh.nodes()) {
      if (target != source) copier.copy(*source, *target, tables, selection);
    }
  }
  copier.flush();
}

}  // namespace

std::string leave(Session& session) {
  const std::unique_ptr<Node> here = connect_here(session, session.request().arguments.at(0), Connection::Origin::mesh);
  const int id = here->facts.member;
  Mesh mesh(session, *here);
  // Also when others have dropped this node already.
  bool known_somewhere = false;
  for (const auto& node : mesh.nodes()) {
    if (node->member.id == id) continue;
    const Rows known = node->db.query("SELECT FROM meridian.member WHERE id = $1", {std::to_string(id)});
    if (known.count() == 0) continue;
    known_somewhere = true;
    drain(session, *here, node->member.id);
  }
  // Our apply workers would take the slots on the others again.
  for (const Member& member : mesh.members()) {
    if (member.id != id) here->db.query("SELECT meridian.unsubscribe($1)", {std::to_string(member.id)});
  }
  const int generation = mesh.generation() + 1;
  for (const auto& node : mesh.nodes()) {
    if (known_somewhere && node->member.id != id) remove_member(*node, id, generation);
  }
  here->db.query("SELECT meridian.forget_mesh()");
  return {};
}

std::string drop_node(Session& session) {
  const std::string& name = session.request().arguments.at(1);
  const std::unique_ptr<Node> here = connect_here(session, session.request().arguments.at(0), Connection::Origin::mesh);
  Mesh mesh(session, *here, Mesh::Absent::skip, name);

  // A drop that was cut off may have removed the row from this node and not from others.
  Member gone;
  for (const auto& node : mesh.nodes()) {
    for (const Member& member : read_members(node->db)) {
      if (member.name == name) gone = member;
    }
  }
  if (gone.id == 0) {
    throw SetupError("42704", node_label(name) + " is not a member of the mesh", {}, "See the view meridian.nodes.");
  }
  if (gone.id == here->facts.member) {
    throw SetupError("22023", "a node cannot drop itself", {},
                     "Call meridian.leave() here, or meridian.drop_node() on another node.");
  }
  try {
    const std::int64_t since = cut_off(mesh, gone);
    heal(session, mesh, gone, since);
    const int generation = mesh.generation() + 1;
    for (const auto& node : mesh.nodes()) remove_member(*node, gone.id, generation);
  } catch (SetupError& error) {
    error.add_detail("Nodes have cut their links to " + node_label(name) +
                     "; not all have received what others have of it.");
    error.suggest("Repeat meridian.drop_node('" + name + "').");
    throw;
  }
  for (const std::string& absent : mesh.absent()) {
    session.warn(node_label(absent) + " could not be reached and still knows " + node_label(name), {},
                 "Repeat meridian.drop_node('" + name + "') when it is back.");
  }
  try {
    Node dropped(session, node_label(name), gone.dsn);
    load_facts(dropped);
    const bool same = dropped.facts.mesh == here->facts.mesh && dropped.facts.member == gone.id;
    if (same) dropped.db.query("SELECT meridian.forget_mesh()");
  } catch (const Stopped&) {
    throw;
  } catch (const SetupError& error) {
    session.warn(node_label(name) + " itself was not cleaned up: " + error.what(), error.detail(),
                 "If it comes back, call meridian.leave() there.");
  }
  return {};
}

}  // namespace meridian::pg::setup
