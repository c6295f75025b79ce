#include "pg/setup/copy.hpp"

namespace meridian::pg::setup {
namespace {

constexpr const char* deadlock_detected = "40P01";
constexpr int most_attempts = 5;

/// Columns of a tombstone; the hash depends on the node, so the trigger computes it anew.
constexpr const char* tombstone_columns = "table_id, key, floor, stamp, actor, seen, written, laid_down, key_hash";
constexpr const char* tombstone_values = "table_id, key, floor, stamp, actor, seen, written, laid_down, 0";

std::string column_list(Connection& db, const std::string& table) {
  return db.query("SELECT meridian.copied_columns($1)", {table}).text(0, 0);
}

std::string parked_columns(Connection& db, const std::string& table) {
  return db.query("SELECT meridian.parked_columns($1)", {table}).text(0, 0);
}

/// A partitioned table is read through its root.
std::string only(Connection& db, const std::string& table) {
  return db.query("SELECT CASE relkind WHEN 'p' THEN '' ELSE 'ONLY ' END FROM pg_class WHERE oid = to_regclass($1)", {table})
      .text(0, 0);
}

bool tells_who_wrote(const Table& table) { return table.rules.find("row=lww(") == std::string::npos; }

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

void Copier::copy(Node& source, Node& target, const std::vector<Table>& tables, const Selection& selection) {
  for (const Table& table : tables) {
    for (int attempt = 1;; ++attempt) {
      try {
        copy_table(source, target, table, selection);
        break;
      } catch (const SetupError& error) {
        if (error.sqlstate() != deadlock_detected || attempt == most_attempts) throw;
      }
      // Applications lock rows in their own order. New connections, because the old ones stand in the middle of a COPY.
      connections_.clear();
    }
  }
}

// Tombstones arrive first, so that nothing that they are about comes alive for a moment. All is read in one snapshot: a
// parked change that is applied meanwhile would otherwise be missed both as parked and in its row.
void Copier::copy_table(Node& source, Node& target, const Table& table, const Selection& selection) {
  Connection& from = connection(source);
  Connection& to = connection(target);
  const std::string id = std::to_string(table.id);
  const std::string columns = column_list(from, table.name);
  std::string of_graves;
  std::string of_rows;
  if (selection.member != 0 && tells_who_wrote(table)) {
    const std::string member = std::to_string(selection.member);
    const std::string since = std::to_string(selection.since);
    of_graves = " AND actor & 65535 = " + member + " AND written > " + since;
    of_rows = " WHERE meridian.last_write(_meridian, " + member + ") > " + since;
  }
  const std::string into_graves = std::string("meridian.tombstone (") + tombstone_columns + ")";
  const std::string into_rows = table.name + " (" + columns + ")";

  from.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  to.copy_from(
      from, std::string("SELECT ") + tombstone_values + " FROM meridian.tombstone WHERE table_id = " + id + of_graves,
      into_graves);
  // What is parked is kept as the texts of its columns, which is what travels.
  const std::string parked_tombstones = parked_columns(from, "meridian.tombstone");
  to.copy_from(from,
               "SELECT " + parked_tombstones +
                   " FROM meridian.parked_image p WHERE p.rel = 'meridian.tombstone'::regclass AND "
                   "(p.image ->> 'table_id')::integer = " +
                   id,
               "meridian.tombstone (" + column_list(from, "meridian.tombstone") + ")");
  to.copy_from(from,
               "SELECT " + parked_columns(from, table.name) +
                   " FROM meridian.parked_image p JOIN meridian.replicated_table t ON t.rel = p.rel WHERE t.id = " + id,
               into_rows);
  to.copy_from(from, "SELECT " + columns + " FROM " + only(from, table.name) + table.name + of_rows, into_rows);
  from.query("COMMIT");
}

void Copier::flush() {
  for (const auto& [node, connection] : connections_) node->db.query("SELECT meridian.mark_position()");
}

}  // namespace meridian::pg::setup
