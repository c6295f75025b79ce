// repair(), resend() and heal().
//
// What they bring merges and is not sent on by the node that gets it, as with every copy: in a mesh of more than two
// nodes each pair is repaired by itself.
#include "pg/setup/repair.hpp"

#include "pg/setup/compare.hpp"
#include "pg/setup/tasks.hpp"

namespace meridian::pg::setup {

std::int64_t heal(Session& session, Node& left, Node& right, const std::vector<Table>& tables) {
  Copier copier(session);
  std::int64_t sent = copier.copy(left, right, tables);
  sent += copier.copy(right, left, tables);
  copier.flush();
  return sent;
}

std::string repair(Session& session) {
  Pair pair(session);
  const Table table = paired_table(session, pair);
  Copier copier(session);
  std::size_t rows = 0;
  Comparison comparison(session, pair, table, [&](const std::vector<Difference>& differences) {
    const Selection selection = {0, 0, keys_literal(differences)};
    copier.copy(pair.here(), pair.there(), {table}, selection);
    copier.copy(pair.there(), pair.here(), {table}, selection);
    rows += differences.size();
  });
  comparison.run();
  copier.flush();
  return std::to_string(rows);
}

std::string resend(Session& session) {
  Pair pair(session);
  const std::int64_t stamp = std::stoll(session.request().arguments.at(2));
  Copier copier(session);
  const std::int64_t sent = copier.copy(pair.here(), pair.there(), read_tables(pair.here().db), {0, stamp, {}});
  copier.flush();
  return std::to_string(sent);
}

std::string heal(Session& session) {
  Pair pair(session);
  return std::to_string(heal(session, pair.here(), pair.there(), read_tables(pair.here().db)));
}

}  // namespace meridian::pg::setup
