// Counters per replicated table, in shared memory: what arrived, and what became of it.
//
// A fixed open-addressing table of atomics; a slot, once taken for a table, stays taken until restart. Counting takes
// no lock. Tables that find no slot share one. Without preload nothing is counted.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// The order is that of the columns of meridian.table_counters(). `merge_ns` is a sum of nanoseconds.
enum class Stat {
  stamped,
  applied,
  merged,
  stale,
  insert_insert,
  update_update,
  update_delete,
  delete_update,
  unique_key,
  other_conflicts,
  history_dropped,
  parked,
  tombstones,
  merge_ns,
  count
};

void count_stat(Oid relation, Stat stat, std::uint64_t amount = 1);
/// Adds the time since `start` to Stat::merge_ns.
void count_merge_time(Oid relation, const instr_time& start);

/// A time kept beside a table's counters, see refusal.hpp. 0 if there is none.
void set_careful_until(Oid relation, TimestampTz until);
TimestampTz careful_until(Oid relation);

Size stat_tables_shmem_size();
void stat_tables_shmem_init();

}  // namespace meridian::pg
