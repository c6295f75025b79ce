// The waiters' side: a place in a heap in shared memory, a latch, and another look at every wake-up.
//
// A place is taken for one wait and given back by the backend that took it: at the end of the wait, when an error
// leaves it, or at the exit of the process. The spinlock guards the heap and the array beside it; nothing is called
// while it is held. A waiter enters the heap before it looks, so what happens after the look wakes it. Latches may be
// set for nothing.
//
// Only the dispatcher watches replay. Backends that slept on its condition variable would each be woken by every
// record: 64 of them slowed replay a hundredfold.
#include "pg/wait.hpp"

#include "core/wait_heap.hpp"
#include "pg/settings.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg {
namespace {

constexpr std::uint32_t nobody_here = UINT32_MAX;

struct WaitState {
  slock_t lock;
  pg_atomic_uint32 dispatcher;  ///< its number among the processes; nobody_here if it does not run
  pg_atomic_uint32 peer_waiters;
  pg_atomic_uint64 waits;     ///< that had to sleep
  pg_atomic_uint64 polled;    ///< of these, without a place or a dispatcher
  pg_atomic_uint64 timeouts;  ///< of these, ended by the time or given up
};

WaitState* state = nullptr;
/// In shared memory, behind `state`.
WaitHeap heap;
/// Per place: the process, if it waits for peers; else nobody_here.
std::uint32_t* peer_owners = nullptr;

/// The place of this process; nobody_here if it has none.
std::uint32_t my_place = nobody_here;
bool exit_registered = false;

constexpr long safety_ms = 50;
constexpr long first_poll_ms = 1;
constexpr long last_poll_ms = 10;
constexpr long connection_check_ms = 500;

Size heap_offset() { return MAXALIGN(sizeof(WaitState)); }
Size owners_offset() { return heap_offset() + MAXALIGN(WaitHeap::bytes(static_cast<std::uint32_t>(max_waiters))); }

void set_latch_of(std::uint32_t process) { SetLatch(&ProcGlobal->allProcs[process].procLatch); }

void wake_dispatcher() {
  const std::uint32_t dispatcher = pg_atomic_read_u32(&state->dispatcher);
  if (dispatcher != nobody_here) set_latch_of(dispatcher);
}

/// False if there is no place or no dispatcher: the caller polls.
bool take_place() {
  if (state == nullptr || pg_atomic_read_u32(&state->dispatcher) == nobody_here) return false;
  SpinLockAcquire(&state->lock);
  my_place = heap.take(static_cast<std::uint32_t>(compat::backend_index())).value_or(nobody_here);
  SpinLockRelease(&state->lock);
  return my_place != nobody_here;
}

void give_place_back() {
  if (my_place == nobody_here) return;
  SpinLockAcquire(&state->lock);
  const bool waited_for_peers = peer_owners[my_place] != nobody_here;
  peer_owners[my_place] = nobody_here;
  heap.give_back(my_place);
  SpinLockRelease(&state->lock);
  my_place = nobody_here;
  if (waited_for_peers) pg_atomic_fetch_sub_u32(&state->peer_waiters, 1);
}

void give_place_back_at_exit(int, Datum) { give_place_back(); }

/// Says what would change the verdict.
void enter_heap(const Judgement& judgement) {
  if (my_place == nobody_here) return;
  SpinLockAcquire(&state->lock);
  if (judgement.target != 0) {
    heap.wait_for(my_place, judgement.target);
  } else {
    heap.leave(my_place);
  }
  const bool waited_for_peers = peer_owners[my_place] != nobody_here;
  peer_owners[my_place] = judgement.peers ? static_cast<std::uint32_t>(compat::backend_index()) : nobody_here;
  SpinLockRelease(&state->lock);
  if (judgement.peers && !waited_for_peers) pg_atomic_fetch_add_u32(&state->peer_waiters, 1);
  if (!judgement.peers && waited_for_peers) pg_atomic_fetch_sub_u32(&state->peer_waiters, 1);
  wake_dispatcher();
}

/// The server notices a client that has gone only when it writes to it; a wait writes nothing.
void check_connection() {
  if (MyProcPort == nullptr || pq_check_connection()) return;
  ClientConnectionLost = true;
  InterruptPending = true;
}

/// Replay may have met a snapshot of this transaction, one that it had before the wait or that a look at peers takes
/// for a moment; it would wait for the end of the transaction, and so for this wait, which waits for replay.
void let_replay_pass() {
  if (RecoveryInProgress() && IsTransactionState() && !TransactionIdIsValid(MyProc->xmin))
    compat::renew_virtual_transaction();
}

/// One wait from the first sleep to its end. May raise: the caller gives the place back.
WaitOutcome sleep_until_final(const Wanted& wanted, Judgement judgement, TimestampTz deadline) {
  static uint32 event = 0;
  if (event == 0) event = compat::wait_event("MeridianToken");
  const MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "meridian wait", ALLOCSET_SMALL_SIZES);
  const MemoryContext caller = MemoryContextSwitchTo(scratch);
  long poll_ms = first_poll_ms;
  WaitOutcome outcome{Verdict::not_yet, false};
  TimestampTz checked = GetCurrentTimestamp();
  for (;;) {
    enter_heap(judgement);
    judgement = judge_here(wanted);
    MemoryContextReset(scratch);
    outcome.verdict = judgement.verdict;
    const TimestampTz now = GetCurrentTimestamp();
    const long left_ms = TimestampDifferenceMilliseconds(now, deadline);
    if (is_final(judgement.verdict) || left_ms <= 0) break;
    outcome.delays_replay = RecoveryInProgress() && compat::delays_others();
    if (outcome.delays_replay) break;
    if (TimestampDifferenceExceeds(checked, now, connection_check_ms)) {
      check_connection();
      checked = now;
    }
    let_replay_pass();
    const long step_ms = my_place != nobody_here ? safety_ms : poll_ms;
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, std::min(left_ms, step_ms), event);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
    poll_ms = std::min(2 * poll_ms, last_poll_ms);
  }
  MemoryContextSwitchTo(caller);
  MemoryContextDelete(scratch);
  return outcome;
}

/// Holds the place while an exception may pass. Core lane.
struct PlaceHolder {
  PlaceHolder() = default;
  PlaceHolder(const PlaceHolder&) = delete;
  PlaceHolder& operator=(const PlaceHolder&) = delete;
  ~PlaceHolder() { give_place_back(); }
};

void count(pg_atomic_uint64 WaitState::*counter) {
  if (state != nullptr) pg_atomic_fetch_add_u64(&(state->*counter), 1);
}

}  // namespace

WaitOutcome wait_until_here(const Wanted& wanted, int timeout_ms) {
  const Judgement judgement = judge_here(wanted);
  if (is_final(judgement.verdict) || timeout_ms <= 0) return {judgement.verdict, false};
  if (!exit_registered) {
    before_shmem_exit(give_place_back_at_exit, 0);
    exit_registered = true;
  }
  const TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
  count(&WaitState::waits);
  if (!take_place()) count(&WaitState::polled);
  const WaitOutcome outcome = guarded([&] {
    const PlaceHolder holder;
    return call([&] { return sleep_until_final(wanted, judgement, deadline); });
  });
  if (!is_final(outcome.verdict)) count(&WaitState::timeouts);
  return outcome;
}

int checked_timeout(const Interval* timeout) {
  const bool fits = timeout->month == 0 && timeout->day == 0 && timeout->time >= 0 &&
                    timeout->time <= std::int64_t{longest_wait_ms} * 1000;
  if (!fits) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("timeout must be between 0 and 1 hour"),
                    errhint("Give an interval such as '1s'.")));
  }
  return static_cast<int>(timeout->time / 1000);
}

const char* outcome_name(Verdict verdict) {
  if (verdict == Verdict::yes) return "reached";
  return verdict == Verdict::not_yet ? "timeout" : name_of(verdict);
}

void attach_dispatcher(bool attached) {
  pg_atomic_write_u32(&state->dispatcher, attached ? static_cast<std::uint32_t>(compat::backend_index()) : nobody_here);
}

bool anybody_waits() {
  SpinLockAcquire(&state->lock);
  const bool waits = heap.taken() > 0;
  SpinLockRelease(&state->lock);
  return waits;
}

bool anybody_waits_for_peers() { return pg_atomic_read_u32(&state->peer_waiters) > 0; }

std::uint64_t nearest_target() {
  SpinLockAcquire(&state->lock);
  const std::uint64_t nearest = heap.nearest().value_or(UINT64_MAX);
  SpinLockRelease(&state->lock);
  return nearest;
}

void wake_reached(std::uint64_t position) {
  constexpr std::size_t batch = 16;
  std::uint32_t owners[batch];
  std::size_t found;
  do {
    found = 0;
    SpinLockAcquire(&state->lock);
    while (found < batch) {
      const std::optional<std::uint32_t> owner = heap.pop(position);
      if (!owner) break;
      owners[found++] = *owner;
    }
    SpinLockRelease(&state->lock);
    std::for_each(owners, owners + found, set_latch_of);
  } while (found == batch);
}

void wake_peer_waiters() {
  constexpr std::uint32_t batch = 64;
  for (std::uint32_t begin = 0; begin < heap.capacity(); begin += batch) {
    std::uint32_t owners[batch];
    const std::uint32_t count = std::min(batch, heap.capacity() - begin);
    SpinLockAcquire(&state->lock);
    std::copy_n(peer_owners + begin, count, owners);
    SpinLockRelease(&state->lock);
    for (std::uint32_t i = 0; i < count; ++i) {
      if (owners[i] != nobody_here) set_latch_of(owners[i]);
    }
  }
}

void note_peer_commit() {
  if (state != nullptr && anybody_waits_for_peers()) wake_dispatcher();
}

Size wait_shmem_size() { return owners_offset() + MAXALIGN(sizeof(std::uint32_t) * static_cast<Size>(max_waiters)); }

void wait_shmem_init() {
  bool found;
  char* const memory = static_cast<char*>(ShmemInitStruct("meridian waits", wait_shmem_size(), &found));
  const auto capacity = static_cast<std::uint32_t>(max_waiters);
  state = reinterpret_cast<WaitState*>(memory);
  heap = WaitHeap(memory + heap_offset(), capacity);
  peer_owners = reinterpret_cast<std::uint32_t*>(memory + owners_offset());
  if (found) return;
  SpinLockInit(&state->lock);
  pg_atomic_init_u32(&state->dispatcher, nobody_here);
  pg_atomic_init_u32(&state->peer_waiters, 0);
  pg_atomic_init_u64(&state->waits, 0);
  pg_atomic_init_u64(&state->polled, 0);
  pg_atomic_init_u64(&state->timeouts, 0);
  heap.reset(capacity);
  std::fill_n(peer_owners, capacity, nobody_here);
}

/// meridian.read_wait_status() returns (places integer, waiting integer, dispatcher_pid integer, waits bigint, polled
/// bigint, timeouts bigint)
MERIDIAN_FUNCTION(meridian_read_wait_status)
{
  Datum values[6] = {};
  bool nulls[6] = {true, true, true, true, true, true};
  if (state != nullptr) {
    SpinLockAcquire(&state->lock);
    const std::uint32_t taken = heap.taken();
    SpinLockRelease(&state->lock);
    const std::uint32_t dispatcher = pg_atomic_read_u32(&state->dispatcher);
    values[0] = Int32GetDatum(max_waiters);
    values[1] = Int32GetDatum(static_cast<std::int32_t>(taken));
    values[2] = Int32GetDatum(dispatcher == nobody_here ? 0 : ProcGlobal->allProcs[dispatcher].pid);
    values[3] = Int64GetDatum(static_cast<std::int64_t>(pg_atomic_read_u64(&state->waits)));
    values[4] = Int64GetDatum(static_cast<std::int64_t>(pg_atomic_read_u64(&state->polled)));
    values[5] = Int64GetDatum(static_cast<std::int64_t>(pg_atomic_read_u64(&state->timeouts)));
    std::fill(std::begin(nulls), std::end(nulls), false);
    nulls[2] = dispatcher == nobody_here;
  }
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(meridian::pg::result_row_type(fcinfo), values, nulls)));
}

}  // namespace meridian::pg
