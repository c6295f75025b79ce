// Applying what arrives from a peer: row images and tombstones.
#pragma once

#include "pg/parked.hpp"
#include "pg/row_values.hpp"

namespace meridian::pg {

/// Merges an incoming row image into the table. Returns when the row (or its absence) reflects it, or it is parked.
void apply_image(Relation relation, RowPlan* plan, HeapTuple image);

/// The same for a row that was parked; the caller has become the table's owner.
void apply_row(Relation relation, RowPlan* plan, const RowValues& row, const ParkedHistory* history);

/// At the second look a row that outlives the tombstone is no news: the conflict was recorded at the first.
enum class Look { first, second };

/// Brings a tombstone to the row it is about, if the row is there.
void apply_delete(Relation relation, RowPlan* plan, const RowValues& key, const TombstoneData& tombstone, Look look);

}  // namespace meridian::pg
