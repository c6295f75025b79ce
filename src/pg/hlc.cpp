// The shared clock: three words of shared memory.
//
//   now       the newest stamp issued or observed; moved by compare-and-swap, only forward
//   bound     durable limit: now < bound always, because bound is on disk before now passes it
//   database  the database whose meridian.clock was loaded; InvalidOid until then
//
// After a crash or a promotion the clock starts at the stored bound, which no stamp has reached, so it never goes back.
// Nothing is loaded during recovery: a standby takes the bound that its primary's WAL has brought it, when it is
// promoted.
//
// Distance. A restart puts the clock up to `lead` before physical time, so lead stays within half of
// meridian.max_clock_skew: peers accept the first stamps. A clock that is ahead already (it saw a peer's) is given only
// `slack` more; so a server that crashes in a loop does not drift away.

#include "pg/hlc.hpp"

#include "pg/hlc_store.hpp"
#include "pg/settings.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg {
namespace {

struct ClockState {
  pg_atomic_uint64 now;
  pg_atomic_uint64 bound;
  pg_atomic_uint32 database;
};
static_assert(std::is_trivially_copyable_v<ClockState>);

ClockState* clock_state = nullptr;

/// Two seconds: the keeper stores a new bound every second, and may be late by one.
constexpr std::uint64_t longest_lead_ms = 2000;
/// 6.5 million stamps.
constexpr std::uint64_t slack_ms = 100;
/// Stamps are shown as bigint, so they end before its sign bit, with room for a bound above the last one.
constexpr Hlc end_of_time = Hlc::from_parts((std::uint64_t{1} << 47) - 1000, 0);

constexpr std::uint64_t unix_epoch_ms = std::uint64_t{POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE} * SECS_PER_DAY * 1000;

/// Raises an atomic to at least `value`.
void advance(pg_atomic_uint64* clock, std::uint64_t value) {
  std::uint64_t seen = pg_atomic_read_u64(clock);
  while (seen < value && !pg_atomic_compare_exchange_u64(clock, &seen, value)) {
  }
}

/// The bound to store for a clock that stands at `stamp`.
std::uint64_t bound_for(Hlc stamp) {
  const std::uint64_t lead_ms = std::min<std::uint64_t>(longest_lead_ms, static_cast<unsigned>(max_clock_skew_ms) / 2);
  return std::max(Hlc::from_parts(physical_ms() + lead_ms, 0).value, stamp.value + Hlc::from_parts(slack_ms, 0).value);
}

/// Makes a bound above `stamp` durable. Whoever comes second finds the first one's bound and only waits for its flush.
void extend_bound(Hlc stamp) { advance(&clock_state->bound, store_bound(stamp.value + 1, bound_for(stamp))); }

void require_replicated_database() {
  const char* const name = get_database_name(MyDatabaseId);
  if (name != nullptr && std::strcmp(name, database_name) == 0) return;
  ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                  errmsg("database \"%s\" is not the replicated database of this server", name == nullptr ? "" : name),
                  errhint("Connect to database \"%s\", or change meridian.database in postgresql.conf and restart.",
                          database_name)));
}

/// Starts the clock from the stored bound. Several backends may do so at once.
void load_clock() {
  if (RecoveryInProgress()) {
    ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION), errmsg("the clock does not move during recovery"),
                    errhint("Write on the primary.")));
  }
  require_replicated_database();

  // The bound in memory is larger than the stored one only if the table is younger than this server process: the
  // extension or the whole database was created again. The promise already made to stamps goes over to the new table.
  const std::uint64_t promised = pg_atomic_read_u64(&clock_state->bound);
  const std::uint64_t stored = store_bound(promised, promised);

  // Only the first one moves the clock: for the others the stored bound may be one that this clock itself stored ahead.
  std::uint64_t fresh = 0;
  const std::uint64_t start = std::max<std::uint64_t>(stored, 1);
  if (!pg_atomic_compare_exchange_u64(&clock_state->now, &fresh, start) &&
      pg_atomic_read_u32(&clock_state->database) != InvalidOid)
    advance(&clock_state->now, stored);
  advance(&clock_state->bound, stored);

  pg_write_barrier();
  pg_atomic_write_u32(&clock_state->database, MyDatabaseId);
}

void require_representable(Hlc stamp) {
  if (stamp < end_of_time) return;
  ereport(ERROR, (errcode(ERRCODE_DATETIME_FIELD_OVERFLOW), errmsg("stamp is beyond the end of the clock")));
}

}  // namespace

bool clock_available() { return clock_state != nullptr; }

void require_clock() {
  if (clock_state == nullptr) {
    ereport(ERROR,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("meridian must be loaded at server start"),
             errhint("Add meridian to shared_preload_libraries in postgresql.conf and restart the server.")));
  }
  if (pg_atomic_read_u32(&clock_state->database) != MyDatabaseId) load_clock();
}

std::uint64_t physical_ms_of(TimestampTz time) { return static_cast<std::uint64_t>(time) / 1000 + unix_epoch_ms; }

std::uint64_t physical_ms() { return physical_ms_of(GetCurrentTimestamp()); }

Hlc tick(Hlc above) {
  require_clock();
  require_representable(above);
  std::uint64_t seen = pg_atomic_read_u64(&clock_state->now);
  for (;;) {
    const Hlc stamp = next_stamp(std::max(Hlc{seen}, above), physical_ms());
    if (stamp.value >= pg_atomic_read_u64(&clock_state->bound)) {
      require_representable(stamp);
      extend_bound(stamp);
      seen = pg_atomic_read_u64(&clock_state->now);
    } else if (pg_atomic_compare_exchange_u64(&clock_state->now, &seen, stamp.value)) {
      return stamp;
    }
  }
}

Hlc clock_now() {
  require_clock();
  return Hlc{pg_atomic_read_u64(&clock_state->now)};
}

void observe(Hlc seen) {
  require_clock();
  if (seen.value <= pg_atomic_read_u64(&clock_state->now)) return;
  require_representable(seen);
  while (seen.value >= pg_atomic_read_u64(&clock_state->bound)) extend_bound(seen);
  advance(&clock_state->now, seen.value);
}

void keep_clock_ahead() {
  // A clock that nobody has read since the last visit needs no new bound, so an idle server writes no WAL.
  static std::uint64_t last_visit = 0;
  require_clock();
  const Hlc now{pg_atomic_read_u64(&clock_state->now)};
  const std::uint64_t promised = pg_atomic_read_u64(&clock_state->bound);
  const std::uint64_t target = now.value == last_visit ? promised : std::max(promised, bound_for(now));
  last_visit = now.value;
  advance(&clock_state->bound, store_bound(target, target));
}

Size clock_shmem_size() { return MAXALIGN(sizeof(ClockState)); }

void clock_shmem_init() {
  bool found;
  clock_state = static_cast<ClockState*>(ShmemInitStruct("meridian clock", clock_shmem_size(), &found));
  if (found) return;
  pg_atomic_init_u64(&clock_state->now, 0);
  pg_atomic_init_u64(&clock_state->bound, 0);
  pg_atomic_init_u32(&clock_state->database, InvalidOid);
}

namespace {

/// The stamp in an SQL argument; raises 22008 if it is negative.
Hlc stamp_argument(std::int64_t argument) {
  if (argument < 0)
    ereport(ERROR, (errcode(ERRCODE_DATETIME_FIELD_OVERFLOW), errmsg("a stamp of the clock is not negative")));
  return Hlc{static_cast<std::uint64_t>(argument)};
}

}  // namespace

/// meridian.hlc_now() returns bigint
MERIDIAN_FUNCTION(meridian_hlc_now)
{ PG_RETURN_INT64(static_cast<std::int64_t>(tick().value)); }

/// meridian.hlc_time(bigint) returns timestamptz
MERIDIAN_FUNCTION(meridian_hlc_time)
{
  const auto unix_ms = static_cast<std::int64_t>(stamp_argument(PG_GETARG_INT64(0)).milliseconds());
  PG_RETURN_TIMESTAMPTZ((unix_ms - static_cast<std::int64_t>(unix_epoch_ms)) * 1000);
}

/// meridian.advance_clock(bigint) returns bigint
MERIDIAN_FUNCTION(meridian_advance_clock)
{
  const Hlc target = stamp_argument(PG_GETARG_INT64(0));
  if (too_far_ahead(target, physical_ms(), static_cast<unsigned>(max_clock_skew_ms))) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("stamp lies more than %d ms in the future", max_clock_skew_ms),
                    errhint("Peers refuse such stamps. Wait, or raise meridian.max_clock_skew on every server.")));
  }
  observe(target);
  PG_RETURN_INT64(static_cast<std::int64_t>(pg_atomic_read_u64(&clock_state->now)));
}

/// meridian.clock_status() returns (now bigint, bound bigint, ahead_ms bigint); NULLs if the clock does not run.
MERIDIAN_FUNCTION(meridian_clock_status)
{
  Datum values[3] = {};
  bool nulls[3] = {true, true, true};
  if (clock_state != nullptr && pg_atomic_read_u32(&clock_state->database) != InvalidOid) {
    const Hlc now{pg_atomic_read_u64(&clock_state->now)};
    const auto ahead = static_cast<std::int64_t>(now.milliseconds() - physical_ms());
    values[0] = Int64GetDatum(static_cast<std::int64_t>(now.value));
    values[1] = Int64GetDatum(static_cast<std::int64_t>(pg_atomic_read_u64(&clock_state->bound)));
    values[2] = Int64GetDatum(std::max<std::int64_t>(ahead, 0));
    std::fill(std::begin(nulls), std::end(nulls), false);
  }
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(meridian::pg::result_row_type(fcinfo), values, nulls)));
}

}  // namespace meridian::pg
