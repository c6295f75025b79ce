// Parked rows: states that a peer sent, or that another row displaced, and that the table does not hold now. A parked
// row is a message still in flight: applying it later is an ordinary merge, so nothing that happens meanwhile can make
// it wrong.
//
// Who writes meridian.parked_image: apply workers only add rows to it, so two of them never clash. The keeper, or a
// caller of retry_parked(), takes rows away, joins rows of one key and buries what tombstones kill, one of them at a
// time (lock_parked_rows). A row that is added while they do so is seen by their next pass.
#pragma once

#include "pg/refusal.hpp"
#include "pg/row_values.hpp"

namespace meridian::pg {

/// A parked row that is tried again: what its successor inherits if it is refused once more.
struct ParkedHistory {
  std::int64_t id;
  TimestampTz parked_at;
  std::int32_t attempts;
  std::int32_t images;  ///< how many images have been merged into it
};

/// Parks a row of `relation` (a replicated table, or meridian.tombstone) whose newest stamp lies too far in the future;
/// it is retried when physical time has come near.
void park_future(Relation relation, const RowPlan* plan, const RowValues& row, Hlc newest);

/// Parks a row that its table refuses. `history`: null if it was not parked before.
void park_refused(Relation relation, const RowPlan* plan, const RowValues& row, const Refusal& refusal,
                  const ParkedHistory* history);

/// Second look of a tombstone (tombstone_apply.cpp): kills in parked rows of its key what it kills in the table.
void bury_parked(Relation relation, const RowPlan* plan, const RowValues& key, const TombstoneData& tombstone);

/// Keeper task: tries the parked rows whose time has come.
void retry_parked();

}  // namespace meridian::pg
