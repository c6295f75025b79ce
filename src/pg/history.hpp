// The conflict history: concurrent writes that met on this node.
//
// meridian.conflict_history is partitioned by time. The keeper makes partitions ahead and drops old ones
// (history_retention.cpp, sql/52_history.sql); a row for which there is none goes into the default partition.
#pragma once

#include "pg/row_values.hpp"

namespace meridian::pg {

/// One side of a conflict. `row` is null for a delete.
struct ConflictSide {
  const RowValues* row;
  std::int64_t stamp;
  std::int64_t actor;
};

struct Conflict {
  const char*
      kind;  ///< insert_insert, update_update, update_delete (local update, incoming delete), delete_update, unique
  const char* winner;  ///< local, incoming, merged
  const char* rule;
  ConflictSide local;
  ConflictSide remote;
};

/// Counts the conflict and writes one row of meridian.conflict_history, unless the cap on its write rate is reached.
/// The rows are stored without the state column.
void record_conflict(Relation relation, const RowPlan* plan, const Conflict& conflict);

}  // namespace meridian::pg
