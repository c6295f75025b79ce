// Removal of tombstones that are causally stable (core/stability.hpp).
#pragma once

#include "core/hlc.hpp"
#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// Keeper task: lays down and drops a bounded number of the tombstones that are stable here.
void drop_stable_tombstones();

/// Up to which stamp this node has laid down the tombstones of its lww() tables, in this generation; for the keeper.
Hlc laid_down_here();

}  // namespace meridian::pg
