// Parked rows: states that a peer sent, or that another row displaced, and that the table does not hold now. A parked
// row is a message still in flight: applying it later is an ordinary merge, so nothing that happens meanwhile can make
// it wrong.
//
// A misfit is a row that no definition of a table here could read: the table is missing, or lacks a column or a
// partition, or its types do not take a value. It waits as it was sent (parked_row.hpp), and under the table's name.
// Its key is kept if the table can read that much, so that tombstones reach it; while a misfit waits whose key is
// unknown, this node drops no tombstone at all (tombstone_removal.cpp).
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

/// A table as its sender names it. Null for rows that are no misfits.
struct SentTable {
  const char* schema;
  const char* name;
};

/// Parks a row of `relation` (a replicated table, or meridian.tombstone) whose newest stamp lies too far in the future;
/// it is retried when physical time has come near.
void park_future(Relation relation, const RowPlan* plan, const RowValues& row, Hlc newest);

/// Parks a row that its table refuses. `history`: null if it was not parked before.
void park_refused(Relation relation, const RowPlan* plan, const RowValues& row, const Refusal& refusal,
                  const ParkedHistory* history);

/// Brings a row that arrived in the form of sent_to_texts(), as the trigger of its table would have. Raises if the row
/// does not fit the table; what the table refuses is parked. A row of meridian.tombstone is brought as a tombstone.
void bring_sent(const SentTable& table, Datum texts);
/// Parks it, after bring_sent() has failed and been rolled back. A row that is known to be dead is dropped.
void park_misfit(const SentTable& table, Datum texts, const Refusal& refusal);

/// Second look of a tombstone (tombstone_apply.cpp): kills in parked rows of its key what it kills in the table.
void bury_parked(Relation relation, const RowPlan* plan, const RowValues& key, const TombstoneData& tombstone);

/// Keeper task: tries the parked rows whose time has come.
void retry_parked();

}  // namespace meridian::pg
