// Stamping of local writes: what the triggers do when a user, not a peer, writes a row.
#pragma once

#include "pg/rights_ops.hpp"
#include "pg/row_values.hpp"

namespace meridian::pg {

/// resolve(...) tables. Each returns the tuple to write; the update may return `new_tuple` itself.
HeapTuple stamp_state_insert(Relation relation, const RowPlan* plan, HeapTuple tuple);
HeapTuple stamp_state_update(Relation relation, const RowPlan* plan, HeapTuple old_tuple, HeapTuple new_tuple);
void stamp_state_delete(Relation relation, const RowPlan* plan, HeapTuple tuple);

/// A row that this transaction inserted is stamped once more, above a tombstone (late_insert.hpp).
void restamp_state_insert(Relation relation, const RowPlan* plan, const TombstoneData& tombstone, RowValues* row);

/// Writes a move of rights into the state of a row that is there, and nothing else. False if there is nothing to do.
bool stamp_rights(Relation relation, const RowPlan* plan, const RightsMove& move, RowValues* row);

/// lww('column') tables.
HeapTuple stamp_timestamp_insert(Relation relation, const RowPlan* plan, HeapTuple tuple);
HeapTuple stamp_timestamp_update(Relation relation, const RowPlan* plan, HeapTuple old_tuple, HeapTuple new_tuple);
void stamp_timestamp_delete(Relation relation, const RowPlan* plan, HeapTuple tuple);

void restamp_timestamp_insert(Relation relation, const RowPlan* plan, const TombstoneData& tombstone, RowValues* row);

/// The tombstone of a delete in an lww('column') table, at `time` microseconds since 2000.
TombstoneData timestamp_tombstone(std::int64_t time);

}  // namespace meridian::pg
