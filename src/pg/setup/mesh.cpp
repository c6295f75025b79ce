#include "pg/setup/mesh.hpp"

#include <algorithm>

#include "core/stream.hpp"

namespace meridian::pg::setup {
namespace {

using namespace std::chrono_literals;

/// Key of the advisory lock that a set-up task holds on the member with the smallest id: "MERID".
constexpr std::int64_t mesh_lock = 0x4D45524944;

constexpr auto undo_limit = 30s;
constexpr auto drain_limit = 60s;
constexpr milliseconds drain_poll = 50ms;

SetupError not_installed(const std::string& label) {
  return {
      "55000", "extension meridian is not installed on " + label, {}, "CREATE EXTENSION meridian in that database."};
}

void require_version(Node& node) {
  const Rows rows = node.db.query("SELECT extversion FROM pg_extension WHERE extname = 'meridian'");
  if (rows.count() == 0) throw not_installed(node.db.label());
  if (rows.text(0, 0) == MERIDIAN_VERSION) return;
  throw SetupError("55000",
                   node.db.label() + " has version " + rows.text(0, 0) + " of meridian, this server " MERIDIAN_VERSION,
                   {}, "Install the same version on every server and ALTER EXTENSION meridian UPDATE.");
}

}  // namespace

std::string node_label(const std::string& name) { return "node \"" + name + "\""; }

void Undo::guard(const std::function<void()>& work) {
  std::exception_ptr failure;
  try {
    work();
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure) return;
  run();
  std::rethrow_exception(failure);
}

void Undo::run() {
  const Shield shield(session_, undo_limit);
  for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
    try {
      (*step)();
    } catch (const SetupError& error) {
      session_.warn("a step could not be undone: " + std::string(error.what()), error.detail(),
                    "Repeating the call when the node is back completes it.");
    }
  }
  steps_.clear();
}

std::vector<Member> read_members(Connection& db) {
  const Rows rows =
      db.query("SELECT id, name, region, dsn, system_id, joined_at, state, streams FROM meridian.member ORDER BY id");
  std::vector<Member> members;
  for (int i = 0; i < rows.count(); ++i) {
    members.push_back({rows.integer(i, 0), rows.text(i, 1), rows.text(i, 2), rows.text(i, 3), rows.text(i, 4),
                       rows.text(i, 5), rows.text(i, 6), rows.integer(i, 7)});
  }
  return members;
}

std::vector<std::string> subscriptions_of(const Member& reader, int writer) {
  return stream_names(writer, reader.streams);
}

std::vector<std::string> slots_of(const Member& reader) { return stream_names(reader.id, reader.streams); }

void load_facts(Node& node, const Demand& demand) {
  require_version(node);
  const Rows rows = node.db.query(
      "SELECT system_id, started_at, database_oid, database, in_recovery, superuser, server, mesh, member, "
      "member_state, "
      "publication, last_member, last_table, problems FROM meridian.node_facts($1, $2, $3)",
      {std::to_string(demand.members), std::to_string(demand.readers), std::to_string(demand.subscriptions)});
  node.facts = {rows.text(0, 0),
                std::stoll(rows.text(0, 1)),
                static_cast<unsigned>(std::stoul(rows.text(0, 2))),
                rows.text(0, 3),
                rows.boolean(0, 4),
                rows.boolean(0, 5),
                rows.text(0, 6),
                rows.text(0, 7),
                rows.integer(0, 8),
                rows.text(0, 9),
                rows.boolean(0, 10),
                rows.integer(0, 11),
                rows.integer(0, 12),
                rows.text(0, 13)};
  if (node.facts.in_recovery) {
    throw SetupError("55000", node.db.label() + " is a standby", {}, "Give the connection string of its primary.");
  }
  if (!node.facts.superuser) {
    throw SetupError(
        "42501", "the user by which " + node.db.label() + " is reached is not a superuser", {},
        "Subscriptions, slots and triggers on every table need one: name a superuser in the connection string.");
  }
}

std::unique_ptr<Node> connect_here(Session& session, const std::string& dsn, Connection::Origin origin) {
  const Request& request = session.request();
  auto node = std::make_unique<Node>(session, "this node", dsn, origin);
  const Rows rows = node->db.query(
      "SELECT (SELECT system_identifier FROM pg_control_system()), "
      "(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint, (SELECT oid FROM pg_database WHERE datname "
      "= "
      "current_database()), current_database(), pg_is_in_recovery()");
  const bool here = rows.text(0, 0) == request.system_id &&
                    rows.text(0, 1) == std::to_string(request.server_start_us) &&
                    rows.text(0, 2) == std::to_string(request.database);
  if (!here) {
    throw SetupError("22023", "the connection string does not lead to this database",
                     "It leads to database \"" + rows.text(0, 3) + "\" of the server with system identifier " +
                         rows.text(0, 0) + (rows.boolean(0, 4) ? ", a standby." : "."),
                     "Give the string by which the other nodes reach the database where you call the function.");
  }
  load_facts(*node);
  return node;
}

Mesh::Mesh(Session& session, Node& entry, Absent absent, std::string_view expected_absent)
    : session_(session), entry_(entry) {
  members_ = read_members(entry.db);
  if (members_.empty()) {
    throw SetupError("MD020", entry.db.label() + " is in no mesh", {},
                     "Call meridian.create_node() or meridian.join() there first.");
  }
  take_lock(absent, expected_absent);
  // Another task may have changed them before the lock was ours.
  members_ = read_members(entry.db);
  connect_all(absent, expected_absent);
}

void Mesh::take_lock(Absent absent, std::string_view expected_absent) {
  for (const Member& member : members_) {
    if (member.name == expected_absent) continue;
    try {
      lock_ = std::make_unique<Connection>(session_, node_label(member.name), member.dsn);
    } catch (const Stopped&) {
      throw;
    } catch (const SetupError&) {
      if (absent == Absent::refuse) throw;
      continue;
    }
    break;
  }
  if (!lock_) throw SetupError("08001", "no member of the mesh can be reached");
  try {
    lock_->query("SELECT pg_advisory_lock($1)", {std::to_string(mesh_lock)});
  } catch (const SetupError& error) {
    if (error.sqlstate() != "55P03") throw;
    throw SetupError("55P03", "another set-up function is at work in this mesh", error.detail(),
                     "Repeat the call when it has ended.");
  }
}

void Mesh::connect_all(Absent absent, std::string_view expected_absent) {
  for (const Member& member : members_) {
    if (member.name == expected_absent) continue;
    std::unique_ptr<Node> node;
    try {
      node = std::make_unique<Node>(session_, node_label(member.name), member.dsn);
      node->member = member;
      load_facts(*node);
    } catch (const Stopped&) {
      throw;
    } catch (const SetupError& error) {
      if (absent == Absent::refuse || error.sqlstate() != "08001") throw;
      absent_.push_back(member.name);
      continue;
    }
    const bool stranger = !node->facts.mesh.empty() && node->facts.mesh != entry_.facts.mesh;
    if (stranger || (node->facts.member != 0 && node->facts.member != member.id)) {
      throw SetupError("55000",
                       "the connection string of " + node_label(member.name) + " leads to another member or mesh", {},
                       "Repair the dsn in meridian.member on every node.");
    }
    nodes_.push_back(std::move(node));
  }
  if (nodes_.empty()) throw SetupError("08001", "no member of the mesh can be reached");
}

Node* Mesh::find(int id) {
  const auto found = std::ranges::find_if(nodes_, [id](const auto& node) { return node->member.id == id; });
  return found == nodes_.end() ? nullptr : found->get();
}

void Mesh::require_agreement(int except) {
  const auto known = [except](std::vector<Member> members) {
    std::erase_if(members, [except](const Member& member) { return member.id == except; });
    return members;
  };
  const std::vector<Member> expected = known(members_);
  for (const Member& member : expected) {
    if (member.state == "active") continue;
    throw SetupError("55000", node_label(member.name) + " has not completed its join", {},
                     "Call meridian.join() there again, or meridian.drop_node('" + member.name + "').");
  }
  for (const auto& node : nodes_) {
    if (node->member.id == except) continue;
    if (node->facts.member == node->member.id && known(read_members(node->db)) == expected) continue;
    throw SetupError("55000", node->db.label() + " knows other members than " + entry_.db.label(), {},
                     "A join or drop_node was cut off: repeat it.");
  }
}

int Mesh::next_member_id() const {
  int last = 0;
  for (const Member& member : members_) last = std::max(last, member.id);
  for (const auto& node : nodes_) last = std::max(last, node->facts.last_member);
  return last + 1;
}

int Mesh::next_table_id() const {
  int last = 0;
  for (const auto& node : nodes_) last = std::max(last, node->facts.last_table);
  return last + 1;
}

int Mesh::generation() {
  int last = 0;
  for (const auto& node : nodes_) {
    const Rows rows = node->db.query("SELECT number FROM meridian.generation");
    if (rows.count() > 0) last = std::max(last, rows.integer(0, 0));
  }
  return last;
}

std::string array_literal(const std::vector<std::string>& texts) {
  std::string literal = "{";
  for (const std::string& text : texts) {
    if (literal.size() > 1) literal += ',';
    literal += '"';
    for (const char c : text) {
      if (c == '"' || c == '\\') literal += '\\';
      literal += c;
    }
    literal += '"';
  }
  return literal + "}";
}

void drain(Session& session, Node& writer, int reader) {
  const std::string mark = writer.db.query("SELECT meridian.mark_position()").text(0, 0);
  const auto began = Clock::now();
  auto moved = began;
  std::string position;
  bool told = false;
  for (;;) {
    const Rows rows = writer.db.query("SELECT reached, name, replayed FROM meridian.peer_positions($1) WHERE id = $2",
                                      {mark, std::to_string(reader)});
    if (rows.count() == 0 || rows.boolean(0, 0)) break;
    const std::string peer = node_label(rows.text(0, 1));
    if (rows.text(0, 2) != position) {
      position = rows.text(0, 2);
      moved = Clock::now();
    }
    if (Clock::now() - moved > drain_limit) {
      throw SetupError("55000", peer + " does not catch up with " + writer.db.label(),
                       "Its replication has not moved for a minute; it stands at " +
                           (position.empty() ? "no position" : position) + ".",
                       "See the server log of " + peer + " and pg_stat_subscription there, then repeat the call.");
    }
    if (!told && Clock::now() - began > 1s) {
      session.waiting_for(peer + " to apply what " + writer.db.label() + " has written");
      told = true;
    }
    session.pause(drain_poll);
  }
  if (told) session.waiting_for({});
}

}  // namespace meridian::pg::setup
