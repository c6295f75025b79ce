#include "pg/setup/copy.hpp"

#include "pg/tombstone_removal.hpp"

namespace meridian::pg::setup {
namespace {

constexpr const char* deadlock_detected = "40P01";
constexpr int most_attempts = 5;

/// Columns of a tombstone; the hash depends on the node, so the trigger computes it anew.
constexpr const char* sent_tombstone = "SELECT table_id, key, floor, stamp, actor, seen, written, laid_down, 0 FROM ";
constexpr const char* received_tombstone =
    "meridian.tombstone (table_id, key, floor, stamp, actor, seen, written, laid_down, key_hash)";

// Rows of `row=lww(column)` tables are stamped by users, and their deletes by the same clock.
bool has_states(const Table& table) { return table.rules.find("row=lww(") == std::string::npos; }

/// A selection in SQL.
struct Parts {
  std::string tombstones;  ///< further condition
  std::string rows;        ///< what follows FROM
};

Parts parts_of(Connection& source, const Table& table, const Selection& selection) {
  if (!selection.keys.empty()) {
    const std::string keys = source.literal(selection.keys);
    return {" AND key_hash = ANY (meridian.key_hashes(" + source.literal(table.name) + ", " + keys + "))",
            "meridian.rows_of_keys(NULL::" + table.name + ", " + keys + ")"};
  }
  // A partitioned table is read through its root.
  const std::string only =
      source
          .query("SELECT CASE relkind WHEN 'p' THEN '' ELSE 'ONLY ' END FROM pg_class WHERE oid = to_regclass($1)",
                 {table.name})
          .text(0, 0);
  const std::string all = only + table.name;
  if (!has_states(table)) return {"", all};
  const std::string since = std::to_string(selection.since);
  if (selection.member != 0) {
    const std::string member = std::to_string(selection.member);
    return {" AND actor & 65535 = " + member + " AND written > " + since,
            all + " WHERE meridian.last_write(_meridian, " + member + ") > " + since};
  }
  if (selection.since <= 0) return {"", all};
  return {" AND stamp >= " + since, all + " WHERE meridian.knows_since(_meridian, " + since + ")"};
}

/// Misfits are copied as they wait: what they are to the other node, it finds out when it tries them.
std::string misfits_of(Connection& source, const Table& table) {
  return "SELECT 0, 0, image, reason, sqlstate, detail, images, sent_schema, sent_table FROM meridian.parked_image "
         "WHERE quote_ident(sent_schema) || '.' || quote_ident(sent_table) = " +
         source.literal(table.name);
}
constexpr const char* received_misfit =
    "meridian.parked_image (rel, key_hash, image, reason, sqlstate, detail, images, sent_schema, sent_table)";

/// In one snapshot of the source. Tombstones arrive first, so that nothing that they are about comes alive for a
/// moment.
std::int64_t copy_parts(Connection& from, Connection& to, const Table& table, const Selection& selection) {
  const std::string columns = from.query("SELECT meridian.copied_columns($1)", {table.name}).text(0, 0);
  const std::string image = table.name + " (" + columns + ")";
  const std::string of_table = " WHERE table_id = " + std::to_string(table.id);
  const Parts parts = parts_of(from, table, selection);
  std::int64_t copied = 0;
  from.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  // Built with += : g++ 12 sees an overrun in std::string(sent_tombstone) + "...".
  std::string tombstones = sent_tombstone;
  tombstones += "meridian.tombstone";
  tombstones += of_table + parts.tombstones;
  copied += to.copy_from(from, tombstones, received_tombstone);
  if (selection.keys.empty()) {
    std::string parked = sent_tombstone;
    parked += "meridian.parked_images(NULL::meridian.tombstone)";
    parked += of_table;
    copied += to.copy_from(from, parked, received_tombstone);
    copied += to.copy_from(from, "SELECT " + columns + " FROM meridian.parked_images(NULL::" + table.name + ")", image);
    copied += to.copy_from(from, misfits_of(from, table), received_misfit);
  }
  copied += to.copy_from(from, "SELECT " + columns + " FROM " + parts.rows, image);
  from.query("COMMIT");
  return copied;
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
    // As long as the connection lives, the node forgets no delete that a row of the copy may have missed.
    kept->query("SELECT pg_advisory_lock_shared($1)", {std::to_string(copy_lock)});
  }
  return *kept;
}

std::int64_t Copier::copy(Node& source, Node& target, const std::vector<Table>& tables, const Selection& selection) {
  std::int64_t copied = 0;
  for (const Table& table : tables) copied += copy_table(source, target, table, selection);
  return copied;
}

std::int64_t Copier::copy_table(Node& source, Node& target, const Table& table, const Selection& selection) {
  for (int attempt = 1;; ++attempt) {
    try {
      return copy_parts(connection(source), connection(target), table, selection);
    } catch (const SetupError& error) {
      if (error.sqlstate() != deadlock_detected || attempt == most_attempts) throw;
    }
    // Applications lock rows in their own order. New connections, because the old ones stand in the middle of a COPY.
    connections_.clear();
  }
}

void Copier::flush() {
  for (const auto& [node, connection] : connections_) node->db.query("SELECT meridian.mark_position()");
}

}  // namespace meridian::pg::setup
