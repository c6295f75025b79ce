// Removal of tombstones that are causally stable (core/stability.hpp).
#pragma once

#include "core/hlc.hpp"
#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// Advisory lock of the database, shared by the connections that copy rows to or from this node: nothing is dropped
/// meanwhile.
inline constexpr std::int64_t copy_lock = 0x4D45524945;

/// Keeper task: lays down and drops a bounded number of the tombstones that are stable here.
void drop_stable_tombstones();

/// Up to which stamp this node has laid down the tombstones of its lww() tables, in this generation; for the keeper.
Hlc laid_down_here();

}  // namespace meridian::pg
