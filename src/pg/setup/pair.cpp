#include "pg/setup/pair.hpp"

#include <algorithm>

namespace meridian::pg::setup {
namespace {

using namespace std::chrono_literals;

/// An apply worker that was just restarted gets this long to connect.
constexpr auto connect_limit = 3s;
constexpr milliseconds connect_poll = 50ms;

bool streams_to(Node& writer, int reader) {
  const Rows rows =
      writer.db.query("SELECT complete FROM meridian.peer_positions('0/0') WHERE id = $1", {std::to_string(reader)});
  return rows.count() > 0 && rows.boolean(0, 0);
}

Table find_table(Node& node, const std::string& name) {
  for (Table& table : read_tables(node.db)) {
    if (table.name == name) return std::move(table);
  }
  throw SetupError("42704", "table " + name + " is not replicated on " + node.db.label(), {},
                   "See the view meridian.tables.");
}

}  // namespace

Pair::Pair(Session& session) : session_(session) {
  const auto& arguments = session.request().arguments;
  const std::string& peer = arguments.at(1);
  entry_ = connect_here(session, arguments.at(0), Connection::Origin::mesh);
  mesh_ = std::make_unique<Mesh>(session, *entry_, Mesh::Absent::skip);
  here_ = mesh_->find(entry_->facts.member);
  const auto& members = mesh_->members();
  const auto member = std::ranges::find_if(members, [&peer](const Member& m) { return m.name == peer; });
  if (member == members.end()) {
    throw SetupError("42704", node_label(peer) + " is not a member of the mesh", {}, "See the view meridian.nodes.");
  }
  there_ = mesh_->find(member->id);
  if (there_ != nullptr && there_ == here_) {
    throw SetupError("22023", node_label(peer) + " is this node itself", {}, "Name another member.");
  }
  for (Node* node : {here_, there_}) {
    if (node != nullptr) continue;
    throw SetupError("08001", (node == here_ ? std::string("this node") : node_label(peer)) + " cannot be reached", {},
                     "It must be running and reachable by its connection string from this server.");
  }
  for (const auto& node : mesh_->nodes()) {
    for (Node* reader : {here_, there_}) {
      if (node.get() != reader) streams_.push_back({node.get(), reader});
    }
  }
}

bool Pair::wait(const Stream& stream, Clock::time_point connect_until) {
  const int reader = stream.reader->member.id;
  while (!streams_to(*stream.writer, reader)) {
    if (Clock::now() > connect_until) return false;
    session_.pause(connect_poll);
  }
  try {
    drain(session_, *stream.writer, reader);
  } catch (const SetupError& error) {
    if (error.sqlstate() != "55000") throw;
    return false;
  }
  return true;
}

void Pair::settle() {
  const auto connect_until = Clock::now() + connect_limit;
  std::erase_if(streams_, [this, connect_until](const Stream& stream) {
    if (wait(stream, connect_until)) return false;
    session_.warn("changes of " + stream.writer->db.label() + " do not arrive at " + stream.reader->db.label() + " now",
                  "What is on its way counts as a difference.", "See the view meridian.nodes.");
    return true;
  });
}

Table paired_table(Session& session, Pair& pair) {
  const Rows rows = pair.here().db.query(
      "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
      "WHERE c.oid = $1",
      {std::to_string(session.request().relation)});
  if (rows.count() == 0) throw SetupError("42P01", "there is no such table");
  const Table table = find_table(pair.here(), rows.text(0, 0));
  const Table other = find_table(pair.there(), table.name);
  const std::string shape = pair.there().db.query("SELECT meridian.table_shape($1)", {table.name}).text(0, 0);
  const Rows differences = pair.here().db.query(
      "SELECT code, difference FROM meridian.compare_shapes(meridian.table_shape($1), $2)", {table.name, shape});
  if (other.id != table.id || differences.count() > 0) {
    throw SetupError(differences.count() > 0 ? differences.text(0, 0) : "55000",
                     "table " + table.name + " differs between this node and " + pair.there().db.label(),
                     differences.count() > 0 ? differences.text(0, 1) : "It was replicated at another time.",
                     "Give it the same columns and primary key on every node.");
  }
  return table;
}

}  // namespace meridian::pg::setup
