#include "pg/setup/copy.hpp"

namespace meridian::pg::setup {
namespace {

constexpr const char* deadlock_detected = "40P01";
constexpr int most_attempts = 5;

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

void Copier::copy(Node& source, Node& target, const std::vector<Table>& tables) {
  for (const Table& table : tables) {
    for (int attempt = 1;; ++attempt) {
      try {
        copy_table(source, target, table);
        break;
      } catch (const SetupError& error) {
        if (error.sqlstate() != deadlock_detected || attempt == most_attempts) throw;
      }
      // Applications lock rows in their own order. New connections, because the old ones stand in the middle of a COPY.
      connections_.clear();
    }
  }
}

void Copier::copy_table(Node& source, Node& target, const Table& table) {
  Connection& from = connection(source);
  Connection& to = connection(target);
  // The hash depends on the node: the trigger computes it anew.
  to.copy_from(from,
               "SELECT table_id, key, floor, stamp, actor, seen, 0 FROM meridian.tombstone WHERE table_id = " +
                   std::to_string(table.id),
               "meridian.tombstone (table_id, key, floor, stamp, actor, seen, key_hash)");
  const Rows shape = from.query(
      "SELECT meridian.copied_columns(oid), CASE relkind WHEN 'p' THEN '' ELSE 'ONLY ' END FROM pg_class WHERE oid = "
      "to_regclass($1)",
      {table.name});
  const std::string columns = shape.text(0, 0);
  to.copy_from(from, "SELECT " + columns + " FROM " + shape.text(0, 1) + table.name, table.name + " (" + columns + ")");
}

void Copier::flush() {
  for (const auto& [node, connection] : connections_) node->db.query("SELECT meridian.mark_position()");
}

}  // namespace meridian::pg::setup
