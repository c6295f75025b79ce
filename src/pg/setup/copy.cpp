#include "pg/setup/copy.hpp"

namespace meridian::pg::setup {
namespace {

constexpr const char* deadlock_detected = "40P01";
constexpr int most_attempts = 5;

// The hash depends on the node: the trigger computes it anew.
constexpr const char* sent_tombstones = "SELECT table_id, key, floor, stamp, actor, seen, 0 FROM ";
constexpr const char* received_tombstones = "meridian.tombstone (table_id, key, floor, stamp, actor, seen, key_hash)";

Selection everything(const Table& table) { return {true, "true", "ONLY " + table.name}; }

// Rows of `row=lww(column)` tables are stamped by users, and their deletes by the same clock.
Selection since(Connection& source, const Table& table, std::int64_t stamp) {
  const bool stamped = source
                           .query(
                               "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = $1::regclass AND attname = "
                               "'_meridian' AND NOT attisdropped)",
                               {table.name})
                           .boolean(0, 0);
  if (stamp <= 0 || !stamped) return everything(table);
  const std::string from = std::to_string(stamp);
  return {true, "stamp >= " + from, "ONLY " + table.name + " WHERE meridian.knows_since(_meridian, " + from + ")"};
}

Selection of_keys(Connection& source, const Table& table, const std::string& keys) {
  const std::string literal = source.literal(keys);
  return {false, "key_hash = ANY (meridian.key_hashes(" + source.literal(table.name) + ", " + literal + "))",
          "meridian.rows_of_keys(NULL::" + table.name + ", " + literal + ")"};
}

}  // namespace

std::vector<Table> read_tables(Connection& db) {
  const Rows rows = db.query(
      "SELECT t.id, format('%I.%I', n.nspname, c.relname), t.rules, t.ids, t.keys FROM meridian.replicated_table t "
      "JOIN pg_class c ON c.oid = t.rel JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY t.id");
  std::vector<Table> tables;
  for (int i = 0; i < rows.count(); ++i) {
    tables.push_back({rows.integer(i, 0), rows.text(i, 1), rows.text(i, 2), rows.text(i, 3), rows.text(i, 4)});
  }
  return tables;
}

Connection& Copier::connection(Node& node) {
  std::unique_ptr<Connection>& kept = connections_[&node];
  if (!kept) {
    kept = std::make_unique<Connection>(session_, node.db.label(), node.dsn);
    // One encoding between any two databases; triggers and foreign keys as in an apply worker.
    kept->query("SET client_encoding = 'UTF8'");
    kept->query("SET session_replication_role = replica");
    kept->query("SET statement_timeout = 0");
    // A row that an application holds is waited for. Commits are made durable together, by flush().
    kept->query("SET lock_timeout = 0");
    kept->query("SET synchronous_commit = off");
    kept->query("SELECT meridian.begin_apply()");
  }
  return *kept;
}

std::int64_t Copier::copy(Node& source, Node& target, const std::vector<Table>& tables) {
  return copy_since(source, target, tables, 0);
}

std::int64_t Copier::copy_since(Node& source, Node& target, const std::vector<Table>& tables, std::int64_t stamp) {
  std::int64_t copied = 0;
  for (const Table& table : tables) {
    copied += copy_table(source, target, table, since(connection(source), table, stamp));
  }
  return copied;
}

std::int64_t Copier::copy_keys(Node& source, Node& target, const Table& table, const std::string& keys) {
  return copy_table(source, target, table, of_keys(connection(source), table, keys));
}

std::int64_t Copier::copy_table(Node& source, Node& target, const Table& table, const Selection& selection) {
  for (int attempt = 1;; ++attempt) {
    try {
      return copy_selected(connection(source), connection(target), table, selection);
    } catch (const SetupError& error) {
      if (error.sqlstate() != deadlock_detected || attempt == most_attempts) throw;
    }
    // Applications lock rows in their own order. New connections, because the old ones stand in the middle of a COPY.
    connections_.clear();
  }
}

std::int64_t Copier::copy_selected(Connection& from, Connection& to, const Table& table, const Selection& selection) {
  const std::string columns = from.query("SELECT meridian.copied_columns($1)", {table.name}).text(0, 0);
  const std::string image = table.name + " (" + columns + ")";
  const std::string of_table = " WHERE table_id = " + std::to_string(table.id);
  std::int64_t copied = 0;
  from.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  if (selection.parked) {
    copied += to.copy_from(from, "SELECT " + columns + " FROM meridian.parked_images(NULL::" + table.name + ")", image);
    copied +=
        to.copy_from(from, std::string(sent_tombstones) + "meridian.parked_images(NULL::meridian.tombstone)" + of_table,
                     received_tombstones);
  }
  copied += to.copy_from(
      from, std::string(sent_tombstones) + "meridian.tombstone" + of_table + " AND " + selection.tombstones,
      received_tombstones);
  copied += to.copy_from(from, "SELECT " + columns + " FROM " + selection.rows, image);
  from.query("COMMIT");
  return copied;
}

void Copier::flush() {
  for (const auto& [node, connection] : connections_) node->db.query("SELECT meridian.mark_position()");
}

}  // namespace meridian::pg::setup
