// Where the clock's bound lives: one bigint in the one row of meridian.clock.
//
// It is changed in place, outside any transaction, under generic WAL: no dead row versions, no transaction id, and
// standbys, pg_basebackup and pg_upgrade carry it like any other page. The page's content lock orders the writers, and
// the value only grows.
#pragma once

#include <cstdint>

namespace meridian::pg {

/// Makes a bound durable that is at least `needed`: stores `target` (>= needed) if the stored one is smaller. Returns
/// the durable bound. With (0, 0) it only reads. Raises 55000 if the extension is not installed in this database and
/// XX001 if meridian.clock does not hold its one row.
std::uint64_t store_bound(std::uint64_t needed, std::uint64_t target);

}  // namespace meridian::pg
