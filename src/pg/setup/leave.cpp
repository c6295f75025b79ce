// leave() and drop_node(): the two ways out of a mesh.
//
// leave() is called on the node that goes. The others must all be reachable and first receive everything it wrote, so
// that nothing is lost and no two of them differ. drop_node() is called on another node, when the one that goes may be
// dead; what it had sent to some and not to others stays so.

#include "pg/setup/mesh.hpp"
#include "pg/setup/tasks.hpp"

namespace meridian::pg::setup {
namespace {

void remove_member(Node& from, int id) {
  from.db.recover();
  from.db.query("SELECT meridian.remove_member($1)", {std::to_string(id)});
}

}  // namespace

std::string leave(Session& session) {
  const std::unique_ptr<Node> here =
      connect_here(session, session.request().arguments.at(0), 2, Connection::Origin::mesh);
  const int id = here->facts.member;
  Mesh mesh(session, *here);
  // Also when others have dropped this node already.
  for (const auto& node : mesh.nodes()) {
    if (node->member.id == id) continue;
    const Rows known = node->db.query("SELECT FROM meridian.member WHERE id = $1", {std::to_string(id)});
    if (known.count() > 0) drain(session, *here, node->member.id);
  }
  // Our apply workers would take the slots on the others again.
  for (const Member& member : mesh.members()) {
    if (member.id != id) here->db.query("SELECT meridian.unsubscribe($1)", {std::to_string(member.id)});
  }
  for (const auto& node : mesh.nodes()) {
    if (node->member.id != id) remove_member(*node, id);
  }
  here->db.query("SELECT meridian.forget_mesh()");
  return {};
}

std::string drop_node(Session& session) {
  const std::string& name = session.request().arguments.at(1);
  const std::unique_ptr<Node> here =
      connect_here(session, session.request().arguments.at(0), 2, Connection::Origin::mesh);
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
  for (const auto& node : mesh.nodes()) remove_member(*node, gone.id);
  for (const std::string& absent : mesh.absent()) {
    session.warn(node_label(absent) + " could not be reached and still knows " + node_label(name), {},
                 "Repeat meridian.drop_node('" + name + "') when it is back.");
  }
  try {
    Node dropped(session, node_label(name), gone.dsn);
    load_facts(dropped, 2);
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
