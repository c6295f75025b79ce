// Counters per replicated table, in shared memory: what arrived, and what became of it.
//
// A fixed open-addressing table of atomics; a slot, once taken for a table, stays taken until restart. Counting takes
// no lock. Without preload, or when all slots are taken, nothing is counted.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

enum class Stat { applied, merged, stale, conflicts, parked, tombstones, stamped, count };

void count_stat(Oid relation, Stat stat);

/// A time kept beside a table's counters, see refusal.hpp. 0 if there is none.
void set_careful_until(Oid relation, TimestampTz until);
TimestampTz careful_until(Oid relation);

Size stat_tables_shmem_size();
void stat_tables_shmem_init();

}  // namespace meridian::pg
