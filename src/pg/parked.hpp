// Parked images: changes of a peer that cannot be applied yet. A parked image is a message still in flight: applying it
// later is an ordinary merge, so nothing that happens meanwhile can make it wrong.
#pragma once

#include "pg/row_values.hpp"

namespace meridian::pg {

/// Parks a row of `relation` (a replicated table, or meridian.tombstone) whose newest stamp lies too far in the future;
/// it is retried when physical time has come near.
void park_image(Relation relation, const RowValues& row, Hlc newest);

/// Keeper task: applies the parked images whose time has come.
void retry_parked();

}  // namespace meridian::pg
