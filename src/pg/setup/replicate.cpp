// replicate() and unreplicate(): one table, on every member.
//
// replicate, in this order on every node before the next step on any:
//   check    nothing changes
//   attach   one transaction per node, all open at once behind the table's lock, then committed; undone on failure
//   publish  only now, because a node that lacks the row state's column could not apply an image
//   refresh  every subscription learns of the table; changes before this are in nobody's stream, but in the copy
//   copy     every node to every other
// A failure up to `refresh` is undone by the steps of unreplicate; one in `copy` is completed by repeating the call.
//
// unreplicate: unpublish, refresh, then wait until every stream has passed that point, because an image that is still
// under way could not be applied to a table without its column, then detach.

#include <algorithm>

#include "pg/setup/copy.hpp"
#include "pg/setup/mesh.hpp"
#include "pg/setup/tasks.hpp"

namespace meridian::pg::setup {
namespace {

/// Name of the table, quoted and with its schema, by the oid that the caller gave.
std::string table_name(Node& here, Oid relation) {
  const Rows rows = here.db.query(
      "SELECT format('%I.%I', n.nspname, c.relname), c.relpersistence FROM pg_class c JOIN pg_namespace n ON n.oid = "
      "c.relnamespace "
      "WHERE c.oid = $1",
      {std::to_string(relation)});
  if (rows.count() > 0) return rows.text(0, 0);
  throw SetupError("42P01", "there is no table with oid " + std::to_string(relation));
}

void refresh_all(Mesh& mesh) {
  for (const auto& node : mesh.nodes()) {
    for (const auto& peer : mesh.nodes()) {
      if (peer == node) continue;
      for (const std::string& name : subscriptions_of(node->member, peer->member.id))
        node->db.query("ALTER SUBSCRIPTION " + name + " REFRESH PUBLICATION WITH (copy_data = false)");
    }
  }
}

/// Takes a table from every node. Repeatable; leaves nodes alone that do not have it.
void withdraw(Session& session, Mesh& mesh, int table_id) {
  const std::string id = std::to_string(table_id);
  for (const auto& node : mesh.nodes()) {
    node->db.recover();
    node->db.query("SELECT meridian.unpublish_table($1)", {id});
  }
  refresh_all(mesh);
  for (const auto& writer : mesh.nodes()) {
    for (const auto& reader : mesh.nodes()) {
      if (reader != writer) drain(session, *writer, reader->member.id);
    }
  }
  for (const auto& node : mesh.nodes()) node->db.query("SELECT meridian.detach_table($1)", {id});
}

class Replicate {
 public:
  explicit Replicate(Session& session) : session_(session), undo_(session) {}

  void run() {
    const auto& arguments = session_.request().arguments;
    here_ = connect_here(session_, arguments.at(0), Connection::Origin::mesh);
    table_.name = table_name(*here_, session_.request().relation);
    // What speaks against the table itself is said without asking the others.
    check(*here_, array_literal({arguments.begin() + 1, arguments.end()}), session_.request().caller);
    mesh_ = std::make_unique<Mesh>(session_, *here_);
    mesh_->require_agreement();
    for (const auto& node : mesh_->nodes()) check_peer(*node);
    if (table_.id == 0) table_.id = mesh_->next_table_id();

    undo_.guard([this] {
      if (!repeated_) undo_.add([this] { withdraw(session_, *mesh_, table_.id); });
      attach();
      for (const auto& node : mesh_->nodes())
        node->db.query("SELECT meridian.publish_table($1)", {std::to_string(table_.id)});
      refresh_all(*mesh_);
      undo_.forget();
    });
    copy();
  }

 private:
  void check(Node& node, const std::string& rules, const std::string& caller);
  void check_peer(Node& node);
  void attach();
  void copy();
  void set_filled(bool filled);

  Session& session_;
  Undo undo_;
  std::unique_ptr<Node> here_;
  std::unique_ptr<Mesh> mesh_;
  Table table_;
  std::string shape_;
  bool repeated_ = false;
};

/// The rules as canonical on the calling node, and how keys are filled, hold for all.
void Replicate::check(Node& node, const std::string& rules, const std::string& caller) {
  const Rows rows =
      node.db.query("SELECT canonical, ids, keys, shape, attached FROM meridian.check_table($1, $2, $3, NULL)",
                    {table_.name, rules, caller});
  table_.rules = rows.text(0, 0);
  table_.ids = rows.text(0, 1);
  table_.keys = rows.text(0, 2);
  shape_ = rows.text(0, 3);
  table_.id = rows.integer(0, 4);
  repeated_ = table_.id != 0;
}

void Replicate::check_peer(Node& node) {
  if (node.db.query("SELECT to_regclass($1)", {table_.name}).null(0, 0)) {
    throw SetupError("42P01", "table " + table_.name + " does not exist on " + node.db.label(), {},
                     "Create it on every node first, with the same definition.");
  }
  const Rows rows = node.db.query("SELECT shape, attached FROM meridian.check_table($1, $2, NULL, $3)",
                                  {table_.name, table_.rules, table_.ids});
  const Rows differences =
      here_->db.query("SELECT code, difference FROM meridian.compare_shapes($1, $2)", {shape_, rows.text(0, 0)});
  if (differences.count() > 0) {
    std::string detail;
    for (int i = 0; i < differences.count(); ++i) detail += (i == 0 ? "" : "\n") + differences.text(i, 1);
    throw SetupError(differences.text(0, 0),
                     "table " + table_.name + " differs between this node and " + node.db.label(), detail,
                     "Give it the same columns and primary key on every node.");
  }
  if (table_.ids == "stepped") node.db.query("SELECT meridian.key_floor($1, $2)", {table_.name, table_.keys});
  const int attached = rows.integer(0, 1);
  if (attached == 0) return;
  if (table_.id != 0 && table_.id != attached) {
    throw SetupError("55000",
                     "table " + table_.name + " has number " + std::to_string(attached) + " on " + node.db.label() +
                         ", " + std::to_string(table_.id) + " elsewhere",
                     {}, "Call meridian.unreplicate() first.");
  }
  table_.id = attached;
  repeated_ = true;
}

void Replicate::attach() {
  std::int64_t above = 0;
  for (const auto& node : mesh_->nodes()) {
    node->db.query("BEGIN");
    node->db.query("SELECT meridian.lock_table($1)", {table_.name});
    if (table_.ids != "stepped") continue;
    const Rows rows = node->db.query("SELECT meridian.key_floor($1, $2)", {table_.name, table_.keys});
    above = std::max(above, static_cast<std::int64_t>(std::stoll(rows.text(0, 0))));
  }
  for (const auto& node : mesh_->nodes()) {
    node->db.query(
        "SELECT meridian.attach_table($1, $2, $3, $4, $5, $6)",
        {std::to_string(table_.id), table_.name, table_.rules, table_.ids, table_.keys, std::to_string(above)});
  }
  for (const auto& node : mesh_->nodes()) node->db.query("COMMIT");
}

/// While rows travel outside the streams, no node may forget a delete of the table.
void Replicate::set_filled(bool filled) {
  for (const auto& node : mesh_->nodes()) {
    node->db.query("SELECT meridian.set_filled($1, $2)", {std::to_string(table_.id), filled ? "true" : "false"});
  }
}

/// The calling node comes last, so what it has meets the others complete.
void Replicate::copy() {
  const int caller = here_->facts.member;
  std::vector<Node*> sources;
  for (const auto& node : mesh_->nodes()) {
    if (node->member.id != caller) sources.push_back(node.get());
  }
  sources.push_back(mesh_->find(caller));
  Copier copier(session_);
  try {
    set_filled(false);
    for (Node* source : sources) {
      for (const auto& target : mesh_->nodes()) {
        if (target.get() != source) copier.copy(*source, *target, {table_});
      }
    }
    copier.flush();
    set_filled(true);
  } catch (SetupError& error) {
    error.add_detail("The table is replicated on every node; rows that were there before have not all been copied.");
    error.suggest("Repeat the call to complete it.");
    throw;
  }
}

}  // namespace

std::string replicate(Session& session) {
  Replicate(session).run();
  return {};
}

std::string unreplicate(Session& session) {
  const std::unique_ptr<Node> here = connect_here(session, session.request().arguments.at(0), Connection::Origin::mesh);
  const std::string name = table_name(*here, session.request().relation);
  const Rows owner =
      here->db.query("SELECT pg_has_role($1::name, relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass($2)",
                     {session.request().caller, name});
  if (owner.count() > 0 && !owner.boolean(0, 0)) throw SetupError("42501", "must be owner of table " + name);

  Mesh mesh(session, *here);
  int id = 0;
  for (const auto& node : mesh.nodes()) {
    const Rows rows = node->db.query("SELECT id FROM meridian.replicated_table WHERE rel = to_regclass($1)", {name});
    if (rows.count() > 0) id = rows.integer(0, 0);
  }
  if (id == 0) throw SetupError("42704", "table " + name + " is not replicated", {}, "See the view meridian.tables.");
  withdraw(session, mesh, id);
  return {};
}

}  // namespace meridian::pg::setup
