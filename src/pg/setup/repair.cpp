// repair(), resend() and heal().
//
// What they bring merges and is not sent on by the node that gets it, as with every copy: in a mesh of more than two
// nodes each pair is repaired by itself.
#include "pg/setup/repair.hpp"

#include <functional>

#include "pg/setup/compare.hpp"
#include "pg/setup/tasks.hpp"

namespace meridian::pg::setup {

namespace {

void set_filled(Node& node, const Table& table, bool filled) {
  node.db.query("SELECT meridian.set_filled($1, $2)", {std::to_string(table.id), filled ? "true" : "false"});
}

/// While rows travel outside the streams, neither node may forget a delete of these tables: a row that was read before
/// the delete may arrive after it. A table whose first copy was cut off stays as it is.
void keeping_tombstones(Session& session, const std::vector<Node*>& nodes, const std::vector<Table>& tables,
                        const std::function<void()>& work) {
  Undo restore(session);
  restore.guard([&] {
    std::vector<std::function<void()>> steps;
    for (Node* node : nodes) {
      for (const Table& table : tables) {
        const Rows rows =
            node->db.query("SELECT filled FROM meridian.replicated_table WHERE id = $1", {std::to_string(table.id)});
        if (rows.count() == 0 || !rows.boolean(0, 0)) continue;
        restore.add([node, &table] {
          node->db.recover();
          set_filled(*node, table, true);
        });
        steps.emplace_back([node, &table] { set_filled(*node, table, true); });
        set_filled(*node, table, false);
      }
    }
    work();
    for (const auto& step : steps) step();
    restore.forget();
  });
}

}  // namespace

std::int64_t heal(Session& session, Node& left, Node& right, const std::vector<Table>& tables) {
  std::int64_t sent = 0;
  keeping_tombstones(session, {&left, &right}, tables, [&] {
    Copier copier(session);
    sent += copier.copy(left, right, tables);
    sent += copier.copy(right, left, tables);
    copier.flush();
  });
  return sent;
}

std::string repair(Session& session) {
  Pair pair(session);
  const Table table = paired_table(session, pair);
  std::size_t rows = 0;
  keeping_tombstones(session, {&pair.here(), &pair.there()}, {table}, [&] {
    Copier copier(session);
    Comparison comparison(session, pair, table, [&](const std::vector<Difference>& differences) {
      const Selection selection = {0, 0, keys_literal(differences)};
      copier.copy(pair.here(), pair.there(), {table}, selection);
      copier.copy(pair.there(), pair.here(), {table}, selection);
      rows += differences.size();
    });
    comparison.run();
    copier.flush();
  });
  return std::to_string(rows);
}

std::string resend(Session& session) {
  Pair pair(session);
  const std::int64_t stamp = std::stoll(session.request().arguments.at(2));
  const std::vector<Table> tables = read_tables(pair.here().db);
  std::int64_t sent = 0;
  keeping_tombstones(session, {&pair.here(), &pair.there()}, tables, [&] {
    Copier copier(session);
    sent = copier.copy(pair.here(), pair.there(), tables, {0, stamp, {}});
    copier.flush();
  });
  return std::to_string(sent);
}

std::string heal(Session& session) {
  Pair pair(session);
  return std::to_string(heal(session, pair.here(), pair.there(), read_tables(pair.here().db)));
}

}  // namespace meridian::pg::setup
