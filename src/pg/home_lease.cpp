// The prober asks (prober.cpp), on every member, with each probe of another; acknowledge_home_lease() answers, within
// meridian.answer_probe(). The prober also sets the lease; writers read it.
//
// Two orders matter:
//   promise, then look at the voters       here; the taker looks at promises when its change is committed. So either
//                                          the change is seen here and nothing is acknowledged, or the promise there.
//   look at `changes`, then at the voters  in the prober; a commit that changes the voters first shows them, then
//                                          counts `changes` up and drops the lease. So a lease of older voters is not
//                                          set, or dropped.
//
// The lock guards promises, and setting and dropping of the lease.
#include "pg/home_lease.hpp"

#include "pg/errors.hpp"
#include "pg/registry.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/function.hpp"
#include "pg/support/monotonic.hpp"

namespace meridian::pg {

int home_lease_ms;

namespace {

struct Shared {
  LWLock lock;
  pg_atomic_uint64 until;  ///< lease_clock_us(); 0: none since the start, or since the voters changed
  pg_atomic_uint64 changes;
  ConditionVariable was_set;
  std::int64_t promising_since;
  LeasePromises promises;
  int voters;
  int needed;
  int answers;
  bool votes;
};

Shared* shared = nullptr;

/// This transaction has written under the lease.
bool leased_here = false;

constexpr long patience_ms = 5000;

bool holds() { return lease_clock_us() < static_cast<std::int64_t>(pg_atomic_read_u64(&shared->until)); }

[[noreturn]] void report_ended() {
  ereport(ERROR, (errcode(errcode_home_lease_ended), errmsg("the lease of region \"%s\" has ended", own_region().text),
                  errdetail("Too few members have answered it lately; others may take its keys."),
                  errhint("Try again when the network is back, or write in another region; see "
                          "meridian.home_lease_status.")));
  pg_unreachable();
}

/// Only a server that has had none yet waits: it will get it in a moment.
void await_lease() {
  const TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), patience_ms);
  ConditionVariablePrepareToSleep(&shared->was_set);
  while (!holds()) {
    const long left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
    if (left_ms <= 0 || pg_atomic_read_u64(&shared->until) != 0) break;
    ConditionVariableTimedSleep(&shared->was_set, left_ms, PG_WAIT_EXTENSION);
  }
  ConditionVariableCancelSleep();
  if (!holds()) report_ended();
}

void on_transaction_event(XactEvent event) {
  if (event == XACT_EVENT_PRE_COMMIT && leased_here && home_lease_ms > 0 && !holds()) report_ended();
  if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT) leased_here = false;
}

extern "C" void meridian_lease_at_transaction_event(XactEvent event, void*) {
  guarded([event] { on_transaction_event(event); });
}

std::int64_t outwait() { return outwait_us(std::int64_t{home_lease_ms} * 1000); }

}  // namespace

void require_home_lease() {
  if (home_lease_ms == 0 || shared == nullptr) return;
  if (!holds()) await_lease();
  leased_here = true;
}

LeaseTerms read_lease_terms() {
  LeaseTerms terms{};
  if (shared == nullptr || RecoveryInProgress()) return terms;
  terms.changes = pg_atomic_read_u64(&shared->changes);
  pg_memory_barrier();
  terms.voters = find_voters();
  terms.self = terms.voters.self;
  return terms;
}

void set_home_lease(const LeaseTerms& terms, std::int64_t until, int answers) {
  if (shared == nullptr) return;
  LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
  const bool set = pg_atomic_read_u64(&shared->changes) == terms.changes;
  if (set) {
    if (until != 0) pg_atomic_write_u64(&shared->until, static_cast<std::uint64_t>(until));
    shared->voters = terms.voters.now.count;
    shared->votes = terms.voters.now.has(terms.self);
    shared->needed =
        static_cast<int>(acknowledgements_needed(static_cast<std::size_t>(terms.voters.now.count), shared->votes));
    shared->answers = answers;
  }
  LWLockRelease(&shared->lock);
  if (set && until != 0) ConditionVariableBroadcast(&shared->was_set);
}

void drop_home_lease() {
  if (shared == nullptr) return;
  LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
  pg_atomic_fetch_add_u64(&shared->changes, 1);
  pg_atomic_write_u64(&shared->until, 0);
  LWLockRelease(&shared->lock);
}

void begin_promising() {
  if (shared == nullptr) return;
  LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
  shared->promising_since = lease_clock_us();
  LWLockRelease(&shared->lock);
}

void register_home_lease_callbacks() { RegisterXactCallback(meridian_lease_at_transaction_event, nullptr); }

Size home_lease_shmem_size() { return MAXALIGN(sizeof(Shared)); }

void home_lease_shmem_init() {
  bool found;
  shared = static_cast<Shared*>(ShmemInitStruct("meridian home lease", home_lease_shmem_size(), &found));
  if (!found) {
    LWLockInitialize(&shared->lock, LWLockNewTrancheId());
    pg_atomic_init_u64(&shared->until, 0);
    pg_atomic_init_u64(&shared->changes, 0);
    ConditionVariableInit(&shared->was_set);
    shared->promising_since = lease_clock_us();
    shared->promises = {};
    shared->voters = 0;
    shared->needed = 0;
    shared->answers = 0;
    shared->votes = false;
  }
  LWLockRegisterTranche(shared->lock.tranche, "MeridianHomeLease");
}

namespace {

/// The lease that a member which knows these voters gets here, milliseconds; 0: none, -1: it was given up.
int acknowledge(std::int32_t member, std::uint64_t electorate) {
  if (shared == nullptr || !homes_confirmed()) return 0;
  const auto answer = [member, electorate] {
    const Voters voters = find_voters();
    if (voters.electorate.number == electorate) return home_lease_ms;
    return voters.electorate.number > electorate && voters.now.fits() && !voters.now.has(member) ? -1 : 0;
  };
  const int before = answer();
  if (before <= 0) return before;
  LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
  const bool promised = shared->promises.note(member, lease_clock_us() + outwait());
  LWLockRelease(&shared->lock);
  pg_memory_barrier();
  return promised ? answer() : 0;
}

void require_minority(const Voters::List& voters, std::span<const std::int32_t> lost) {
  const auto among = static_cast<std::size_t>(
      std::count_if(lost.begin(), lost.end(), [&voters](std::int32_t member) { return voters.has(member); }));
  if (voters.fits() && can_outwait(static_cast<std::size_t>(voters.count), among)) return;
  ereport(
      ERROR,
      (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
       errmsg("%d of the %d members that vote about leases cannot be reached", static_cast<int>(among), voters.count),
       errdetail("They may go on by themselves, so their keys cannot be taken by waiting."),
       errhint("If they are down, and stay so, set meridian.home_lease to 0 on the members that are left.")));
}

}  // namespace
}  // namespace meridian::pg

/// meridian.acknowledge_home_lease(integer, bigint) returns integer
MERIDIAN_FUNCTION(meridian_acknowledge_home_lease)
{ PG_RETURN_INT32(meridian::pg::acknowledge(PG_GETARG_INT32(0), static_cast<std::uint64_t>(PG_GETARG_INT64(1)))); }

/// meridian.home_lease_wait(integer[]) returns bigint
MERIDIAN_FUNCTION(meridian_home_lease_wait)
{
  using namespace meridian::pg;
  if (shared == nullptr || home_lease_ms == 0) PG_RETURN_NULL();
  Datum* elements = nullptr;
  int count = 0;
  deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), INT4OID, 4, true, TYPALIGN_INT, &elements, nullptr, &count);
  auto* const lost = static_cast<std::int32_t*>(palloc(sizeof(std::int32_t) * static_cast<Size>(count + 1)));
  for (int i = 0; i < count; ++i) lost[i] = DatumGetInt32(elements[i]);
  const std::span<const std::int32_t> members{lost, static_cast<std::size_t>(count)};
  const Voters voters = find_voters();
  require_minority(voters.now, members);
  require_minority(voters.next, members);
  pg_memory_barrier();
  LWLockAcquire(&shared->lock, LW_SHARED);
  const std::int64_t until = shared->promises.latest(members, shared->promising_since + outwait());
  LWLockRelease(&shared->lock);
  PG_RETURN_INT64(std::max<std::int64_t>(0, (until - lease_clock_us()) / 1000 + 1));
}

/// meridian.read_home_lease() returns (lease interval, held boolean, ends_in interval, votes boolean, voters integer,
/// needed integer, answers integer)
MERIDIAN_FUNCTION(meridian_read_home_lease)
{
  using namespace meridian::pg;
  if (shared == nullptr || home_lease_ms == 0 || RecoveryInProgress()) PG_RETURN_NULL();
  const auto until = static_cast<std::int64_t>(pg_atomic_read_u64(&shared->until));
  const std::int64_t left = until - lease_clock_us();
  LWLockAcquire(&shared->lock, LW_SHARED);
  Datum values[] = {Datum{0},
                    BoolGetDatum(left > 0),
                    Datum{0},
                    BoolGetDatum(shared->votes),
                    Int32GetDatum(shared->voters),
                    Int32GetDatum(shared->needed),
                    Int32GetDatum(shared->answers)};
  LWLockRelease(&shared->lock);
  values[0] = interval_of_us(std::int64_t{home_lease_ms} * 1000);
  const bool unlimited = until == std::numeric_limits<std::int64_t>::max();
  values[2] = interval_of_us(left);
  bool nulls[] = {false, false, until == 0 || unlimited, false, false, false, false};
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(result_row_type(fcinfo), values, nulls)));
}
