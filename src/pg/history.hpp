// The conflict history: concurrent writes that met on this node.
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
  const char* kind;    ///< insert_insert, update_update, update_delete (local update, incoming delete), delete_update
  const char* winner;  ///< local, incoming, merged
  const char* rule;
  ConflictSide local;
  ConflictSide remote;
};

/// Writes one row of meridian.conflict_history and counts it. The rows are stored without the state column.
void record_conflict(Relation relation, const RowPlan* plan, const Conflict& conflict);

}  // namespace meridian::pg
