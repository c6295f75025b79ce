// What the prober reads from the tables of its database, and writes there. Glue lane: each function is one transaction.
#pragma once

#include "pg/home_lease.hpp"

namespace meridian::pg {

/// Rows of a query as text, null for NULL: row by row.
struct TextRows {
  int rows;
  int columns;
  const char** values;

  [[nodiscard]] const char* at(int row, int column) const { return values[row * columns + column]; }
};

struct ProberTables {
  bool installed;    ///< the extension is there, and this database is a member
  TextRows targets;  ///< meridian.probe_targets()
  TextRows members;  ///< meridian.probe_context()
  TextRows self;     ///< meridian.answer_probe() of this server
  LeaseTerms lease;
};

/// Everything is allocated in the current context. `with_report`: also this server's report.
void read_prober_tables(bool with_report, ProberTables* tables);

/// Keeps a copy of a member's servers: rows of meridian.own_servers().
void store_servers(int member, const TextRows& servers);

/// Remembers under what a member was seen to write.
void store_reign(int member, std::uint64_t system_id, std::uint32_t timeline, std::uint32_t epoch);

/// Ends a transaction in which one of these failed.
void abandon_prober_transaction();

}  // namespace meridian::pg
