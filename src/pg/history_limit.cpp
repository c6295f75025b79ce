#include "pg/history_limit.hpp"

#include "core/rate_limit.hpp"
#include "pg/settings.hpp"

namespace meridian::pg {
namespace {

/// State of core/rate_limit.hpp, changed by compare-and-swap only.
pg_atomic_uint64* bucket = nullptr;

/// Since the machine started: unlike wall time this never goes back.
std::uint64_t monotonic_ns() {
  instr_time now;
  INSTR_TIME_SET_CURRENT(now);
  return static_cast<std::uint64_t>(INSTR_TIME_GET_MICROSEC(now)) * 1000;
}

}  // namespace

bool may_write_history() {
  if (bucket == nullptr || conflict_rate_limit == 0) return true;
  const std::uint64_t now = monotonic_ns();
  std::uint64_t seen = pg_atomic_read_u64(bucket);
  for (;;) {
    const auto next = take_token(seen, now, static_cast<std::uint32_t>(conflict_rate_limit));
    if (!next) return false;
    if (pg_atomic_compare_exchange_u64(bucket, &seen, *next)) return true;
  }
}

Size history_limit_shmem_size() { return MAXALIGN(sizeof(pg_atomic_uint64)); }

void history_limit_shmem_init() {
  bool found = false;
  bucket =
      static_cast<pg_atomic_uint64*>(ShmemInitStruct("meridian history limit", history_limit_shmem_size(), &found));
  if (!found) pg_atomic_init_u64(bucket, 0);
}

}  // namespace meridian::pg
