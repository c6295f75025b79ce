// join(): this database becomes a member of an existing mesh.
//
// Phases, and what a failure in each leaves:
//   check    everything is looked at on every node; nothing is left
//   prepare  member rows on the others, then here; publication, triggers, slots, disabled subscriptions; undone
//   link     subscriptions are enabled: rows begin to flow, which cannot be taken back. From here on a failed join is
//            completed by repeating it (the member's state is `joining`), or given up with drop_node()
//   copy     rows, tombstones and parked changes of `via` to here, and of here to everyone
//
// No gap: M's slot for us begins at some position of M. What M committed earlier reaches us through the copy of `via`,
// which begins only when `via` has applied all that M had written by then. With several streams each has a position of
// its own; the copy begins behind the last.

#include <algorithm>
#include <limits>

#include "pg/setup/copy.hpp"
#include "pg/setup/mesh.hpp"
#include "pg/setup/tasks.hpp"

namespace meridian::pg::setup {
namespace {

void add_member(Node& to, const Member& member) {
  to.db.query("SELECT meridian.add_member($1, $2, $3, $4, $5, $6, $7, $8)",
              {std::to_string(member.id), member.name, member.region, member.dsn, member.system_id, member.joined_at,
               member.state, std::to_string(member.streams)});
}

class Join {
 public:
  explicit Join(Session& session) : session_(session), undo_(session) {}

  std::string run() {
    check();
    undo_.guard([this] {
      prepare();
      undo_.forget();
      completing([this] { link(); });
    });
    return std::to_string(me_.id);
  }

 private:
  void check();
  void check_newcomer();
  void check_settings();
  void check_tables();
  void check_table(const Table& table);
  void clear_leftovers();
  void check_generation();
  void prepare();
  void become_member();
  void attach_tables();
  void connect_slots();
  void link();
  void completing(const std::function<void()>& work);

  [[nodiscard]] const std::string& argument(std::size_t i) const { return session_.request().arguments.at(i); }

  Session& session_;
  Undo undo_;
  std::unique_ptr<Node> here_;
  std::unique_ptr<Node> via_;
  std::unique_ptr<Mesh> mesh_;
  Member me_;
  bool resumed_ = false;
  std::vector<Table> tables_;
};

void Join::check() {
  here_ = connect_here(session_, argument(2), Connection::Origin::caller);
  via_ = std::make_unique<Node>(session_, "the node given as via", argument(3), Connection::Origin::caller);
  load_facts(*via_);
  if (via_->facts.system_id == here_->facts.system_id && via_->facts.started_at == here_->facts.started_at) {
    throw SetupError("22023", "via leads to this server itself", {},
                     "Give the connection string of a member of the mesh to join.");
  }
  if (via_->facts.mesh.empty()) {
    throw SetupError("55000", "the node given as via is in no mesh", {}, "Call meridian.create_node() there first.");
  }
  if (!here_->facts.mesh.empty() && here_->facts.mesh != via_->facts.mesh) {
    throw SetupError("55000", "this database is a member of another mesh",
                     "It is member " + std::to_string(here_->facts.member) + " there.", "Call meridian.leave() first.");
  }
  // A join that was cut off may have left this node's own name among the members.
  mesh_ = std::make_unique<Mesh>(session_, *via_, Mesh::Absent::refuse, argument(0));
  check_newcomer();
  clear_leftovers();
  mesh_->require_agreement(me_.id);
  check_generation();
  check_tables();
}

/// Decides who this node will be: a new member, or the one whose join was cut off.
void Join::check_newcomer() {
  me_ = {0, argument(0), argument(1), argument(2), here_->facts.system_id, {}, "joining", std::stoi(argument(4))};
  for (const Member& member : mesh_->members()) {
    const bool same_name = member.name == me_.name;
    const bool same_server = member.system_id == me_.system_id;
    const bool unfinished_here = here_->facts.member == member.id && here_->facts.member_state == "joining";
    if (same_name && same_server && (member.state == "joining" || unfinished_here)) {
      me_.id = member.id;
      me_.joined_at = member.joined_at;
      resumed_ = here_->facts.member == member.id;
      if (resumed_ && member.streams != me_.streams) {
        throw SetupError("22023", "this node began to join with " + std::to_string(member.streams) + " streams", {},
                         "Repeat the call with streams => " + std::to_string(member.streams) + ".");
      }
    } else if (same_server) {
      throw SetupError("42710", "this server is a member of the mesh already",
                       "It is " + node_label(member.name) + ", by its system identifier.",
                       "A copy of a member's server cannot join: initdb a new one. To join under another name call "
                       "meridian.leave() first.");
    } else if (same_name) {
      throw SetupError("42710", node_label(me_.name) + " is a member of the mesh already", {}, "Choose another name.");
    }
  }
  if (!here_->facts.mesh.empty() && !resumed_) {
    throw SetupError("42710", "this database is a member of the mesh already",
                     "It is member " + std::to_string(here_->facts.member) + ".",
                     "If that member was dropped, call meridian.leave() here first.");
  }
  if (!resumed_ && here_->facts.publication) {
    throw SetupError("42710", "publication \"meridian\" exists already", {},
                     "DROP PUBLICATION meridian; Meridian creates its own.");
  }
  if (me_.id == 0) me_.id = mesh_->next_member_id();
  here_->member = me_;
  here_->db.set_label(node_label(me_.name));
  check_settings();
}

/// Whether every server is made for one more member.
void Join::check_settings() {
  std::vector<Node*> all = {here_.get()};
  for (const auto& node : mesh_->nodes()) all.push_back(node.get());
  const int size = static_cast<int>(all.size());
  int streams = 0;
  for (const Node* node : all) streams += node->member.streams;
  for (Node* node : all) {
    load_facts(*node, {size, streams - node->member.streams, (size - 1) * node->member.streams});
    if (node->facts.problems.empty()) continue;
    throw SetupError(
        "55000", "settings of " + node->db.label() + " do not suffice for a mesh of " + std::to_string(size),
        node->facts.problems,
        "Put these lines into its postgresql.conf and restart it; meridian.check_config() shows them all.");
  }
}

/// What a join that died with its server has left on members while this node knows nothing of it.
void Join::clear_leftovers() {
  const bool known =
      std::ranges::any_of(mesh_->members(), [this](const Member& member) { return member.id == me_.id; });
  if (!known || resumed_) return;
  for (const auto& node : mesh_->nodes()) node->db.query("SELECT meridian.remove_member($1)", {std::to_string(me_.id)});
}

/// A member that was removed from some nodes only leaves them in different generations; and who holds its tombstones
/// has something to mend first.
void Join::check_generation() {
  const std::string expected = std::to_string(mesh_->generation());
  for (const auto& node : mesh_->nodes()) {
    const Rows rows = node->db.query("SELECT number = $1, held FROM meridian.generation", {expected});
    const bool is_same = rows.count() > 0 && rows.boolean(0, 0);
    if (is_same && rows.null(0, 1)) continue;
    if (is_same) {
      throw SetupError("55000", node->db.label() + " holds its tombstones: " + rows.text(0, 1), {},
                       "Finish what they are held for: repeat a drop_node that was cut off, or call "
                       "meridian.begin_generation() on every member after a repair.");
    }
    throw SetupError("55000", node->db.label() + " has not heard of the removal of a member", {},
                     "A drop_node was cut off or did not reach every member: repeat it.");
  }
}

void Join::check_tables() {
  tables_ = read_tables(via_->db);
  for (const auto& node : mesh_->nodes()) {
    if (read_tables(node->db) == tables_) continue;
    throw SetupError("55000", node->db.label() + " does not replicate the same tables as the node given as via", {},
                     "A replicate or unreplicate was cut off: repeat it.");
  }
  for (const Table& table : tables_) check_table(table);
}

void Join::check_table(const Table& table) {
  const std::string hint =
      "Create the tables first: pg_dump --schema-only --no-publications --no-subscriptions of any member, restored "
      "here.";
  if (here_->db.query("SELECT to_regclass($1)", {table.name}).null(0, 0)) {
    throw SetupError("42P01", "replicated table " + table.name + " does not exist on this node", {}, hint);
  }
  here_->db.query("SELECT meridian.refuse_table($1)", {table.name});
  here_->db.query("SELECT meridian.canonical_rules($1, $2)", {table.name, table.rules});
  const std::string there = via_->db.query("SELECT meridian.table_shape($1)", {table.name}).text(0, 0);
  const Rows differences = here_->db.query(
      "SELECT code, difference FROM meridian.compare_shapes(meridian.table_shape($1), $2)", {table.name, there});
  if (differences.count() > 0) {
    std::string detail;
    for (int i = 0; i < differences.count(); ++i) detail += (i == 0 ? "" : "\n") + differences.text(i, 1);
    throw SetupError(differences.text(0, 0),
                     "replicated table " + table.name + " differs between this node and the mesh", detail, hint);
  }
  if (table.ids == "stepped") here_->db.query("SELECT meridian.key_floor($1, $2)", {table.name, table.keys});
}

void Join::prepare() {
  const std::string id = std::to_string(me_.id);
  if (me_.joined_at.empty()) me_.joined_at = here_->db.query("SELECT now()").text(0, 0);
  if (!resumed_) {
    undo_.add([this] {
      here_->db.recover();
      here_->db.query("SELECT meridian.forget_mesh()");
    });
  }
  for (const auto& member : mesh_->nodes()) {
    Node* node = member.get();
    if (!resumed_) {
      undo_.add([node, id] {
        node->db.recover();
        node->db.query("SELECT meridian.remove_member($1)", {id});
      });
    }
    add_member(*node, me_);
  }
  become_member();
  connect_slots();
}

/// From here on this node stamps what is written. Everybody knows it by now, so no tombstone is dropped any more that
/// it has not heard of. Those that some have dropped before and others still hold were applied by all, so they lie
/// below the clock of every member; and so this node's stamps lie above them.
void Join::become_member() {
  std::int64_t clock = std::numeric_limits<std::int64_t>::max();
  for (const auto& node : mesh_->nodes()) {
    const std::string there = node->db.query("SELECT meridian.hlc_now()").text(0, 0);
    clock = std::min(clock, static_cast<std::int64_t>(std::stoll(there)));
  }
  here_->db.query("SELECT meridian.advance_clock($1)", {std::to_string(clock)});

  const std::string id = std::to_string(me_.id);
  here_->db.query("BEGIN");
  here_->db.query("SELECT meridian.become_member($1, $2)", {mesh_->id(), id});
  here_->db.query("SELECT meridian.begin_generation($1)", {std::to_string(mesh_->generation())});
  for (const Member& member : mesh_->members()) add_member(*here_, member);
  add_member(*here_, me_);
  attach_tables();
  here_->db.query("SELECT meridian.adopt_homes($1)",
                  {mesh_->nodes().front()->db.query("SELECT meridian.export_homes(-1, false)").text(0, 0)});
  here_->db.query("COMMIT");
}

void Join::attach_tables() {
  for (const Table& table : tables_) {
    std::int64_t above = 0;
    if (table.ids == "stepped") {
      above = std::stoll(here_->db.query("SELECT meridian.key_floor($1, $2)", {table.name, table.keys}).text(0, 0));
      for (const auto& node : mesh_->nodes()) {
        const std::string there =
            node->db.query("SELECT meridian.key_floor($1, $2)", {table.name, table.keys}).text(0, 0);
        above = std::max(above, static_cast<std::int64_t>(std::stoll(there)));
      }
    }
    const std::string id = std::to_string(table.id);
    here_->db.query("SELECT meridian.attach_table($1, $2, $3, $4, $5, $6)",
                    {id, table.name, table.rules, table.ids, table.keys, std::to_string(above)});
    here_->db.query("SELECT meridian.publish_table($1)", {id});
  }
}

/// Slots first: a subscription made without creating one expects it there.
void Join::connect_slots() {
  const auto create_slots = [](Node& on, const Member& reader) {
    for (const std::string& slot : slots_of(reader)) {
      on.db.query_patiently(
          "SELECT pg_create_logical_replication_slot($1, 'meridian_mesh') "
          "WHERE NOT EXISTS (SELECT FROM pg_replication_slots r WHERE r.slot_name = $1)",
          {slot});
    }
  };
  for (const auto& node : mesh_->nodes()) {
    create_slots(*node, me_);
    create_slots(*here_, node->member);
  }
  for (const auto& node : mesh_->nodes()) {
    here_->db.query("SELECT meridian.subscribe($1)", {std::to_string(node->member.id)});
    node->db.query("SELECT meridian.subscribe($1)", {std::to_string(me_.id)});
  }
}

void Join::link() {
  // The first row that arrives anywhere may carry our number: from now on it is spent.
  const std::string spend = "SELECT meridian.note_issued('member', $1)";
  here_->db.query(spend, {std::to_string(me_.id)});
  for (const auto& node : mesh_->nodes()) node->db.query(spend, {std::to_string(me_.id)});
  const auto enable = [](Node& reader, int writer) {
    for (const std::string& name : subscriptions_of(reader.member, writer))
      reader.db.query("ALTER SUBSCRIPTION " + name + " ENABLE");
  };
  for (const auto& node : mesh_->nodes()) {
    enable(*here_, node->member.id);
    enable(*node, me_.id);
  }
  const int via = via_->facts.member;
  for (const auto& node : mesh_->nodes()) {
    if (node->member.id != via) drain(session_, *node, via);
  }
  Copier copier(session_);
  copier.copy(*via_, *here_, tables_);
  for (const auto& node : mesh_->nodes()) copier.copy(*here_, *node, tables_);
  copier.flush();

  for (const Table& table : tables_) {
    here_->db.query("SELECT meridian.set_filled($1, true)", {std::to_string(table.id)});
  }
  // This node last: as long as it says `joining`, a repeat completes the join.
  const std::string activate = "UPDATE meridian.member SET state = 'active' WHERE id = $1";
  for (const auto& node : mesh_->nodes()) node->db.query(activate, {std::to_string(me_.id)});
  here_->db.query(activate, {std::to_string(me_.id)});
}

void Join::completing(const std::function<void()>& work) {
  try {
    work();
  } catch (SetupError& error) {
    error.add_detail("The nodes are linked already; rows have not all been copied.");
    error.suggest("Repeat the call to complete the join, or give it up with meridian.drop_node('" + me_.name +
                  "') on another node.");
    throw;
  }
}

}  // namespace

std::string join(Session& session) { return Join(session).run(); }

}  // namespace meridian::pg::setup
