// Each backend has a place of its own, so there is always one. States of a place:
//
//   idle -> asked (the backend) -> taken (the worker) -> answered or failed (the worker)
//
// A backend that asks again, or another that has its number later, sets its place to asked; the one worker answers what
// it took before it takes anything again, so that an answer to an older request finds no place in state taken and is
// dropped. A wait that ends early leaves nothing to clean up: at worst the worker asks once for nobody, and sets a
// latch for nothing.
//
// One lock guards everything but the worker's number. It is held while keys and answers are copied, never across I/O.
#include "pg/session_requests.hpp"

#include "pg/support/compat.hpp"
#include "pg/support/guard.hpp"

namespace meridian::pg {
namespace {

constexpr std::uint32_t nobody_here = UINT32_MAX;

enum class State : std::uint32_t { idle, asked, taken, answered, failed };

struct Place {
  State state;
  int count;
  SessionKey keys[most_keys_asked];
  SessionPosition answers[most_keys_asked];
};

struct Requests {
  LWLock lock;
  pg_atomic_uint32 worker;  ///< its number among the processes; nobody_here if it does not run
  RequestCounts counts;
  Place places[FLEXIBLE_ARRAY_MEMBER];
};

Requests* requests = nullptr;

std::uint32_t my_number() { return static_cast<std::uint32_t>(compat::backend_index()); }

void set_latch_of(std::uint32_t process) { SetLatch(&ProcGlobal->allProcs[process].procLatch); }

/// Ends the requests of a batch in that state, and wakes their backends.
void finish(const RequestBatch& batch, State state, const SessionPosition* answers) {
  LWLockAcquire(&requests->lock, LW_EXCLUSIVE);
  for (int i = 0; i < batch.requests; ++i) {
    Place* const place = &requests->places[batch.taken[i].backend];
    if (place->state != State::taken) continue;
    place->state = state;
    if (answers != nullptr) std::copy_n(answers + batch.taken[i].first, batch.taken[i].count, place->answers);
  }
  LWLockRelease(&requests->lock);
  for (int i = 0; i < batch.requests && state != State::asked; ++i) set_latch_of(batch.taken[i].backend);
}

}  // namespace

void post_request(const SessionKey* keys, int count) {
  LWLockAcquire(&requests->lock, LW_EXCLUSIVE);
  Place* const place = &requests->places[my_number()];
  place->state = State::asked;
  place->count = count;
  std::copy_n(keys, count, place->keys);
  ++requests->counts.requests;
  LWLockRelease(&requests->lock);
  const std::uint32_t worker = pg_atomic_read_u32(&requests->worker);
  if (worker != nobody_here) set_latch_of(worker);
}

RequestOutcome look_at_request(SessionPosition* answers) {
  LWLockAcquire(&requests->lock, LW_SHARED);
  const Place* const place = &requests->places[my_number()];
  const State state = place->state;
  if (state == State::answered) std::copy_n(place->answers, place->count, answers);
  LWLockRelease(&requests->lock);
  if (state == State::answered) return RequestOutcome::answered;
  return state == State::failed ? RequestOutcome::failed : RequestOutcome::waiting;
}

int session_worker_pid() {
  const std::uint32_t worker = requests == nullptr ? nobody_here : pg_atomic_read_u32(&requests->worker);
  return worker == nobody_here ? 0 : ProcGlobal->allProcs[worker].pid;
}

void attach_session_worker(bool attached) {
  if (attached) {
    LWLockAcquire(&requests->lock, LW_EXCLUSIVE);
    for (int i = 0; i < MaxBackends; ++i) {
      if (requests->places[i].state == State::taken) requests->places[i].state = State::asked;
    }
    LWLockRelease(&requests->lock);
  }
  pg_atomic_write_u32(&requests->worker, attached ? my_number() : nobody_here);
}

void take_requests(RequestBatch* batch) {
  batch->requests = 0;
  batch->count = 0;
  LWLockAcquire(&requests->lock, LW_EXCLUSIVE);
  for (int i = 0; i < MaxBackends; ++i) {
    Place* const place = &requests->places[i];
    if (place->state != State::asked || batch->count + place->count > RequestBatch::most_keys) continue;
    place->state = State::taken;
    batch->taken[batch->requests++] = {static_cast<std::uint32_t>(i), batch->count, place->count};
    std::copy_n(place->keys, place->count, batch->keys + batch->count);
    batch->count += place->count;
  }
  LWLockRelease(&requests->lock);
}

void answer_requests(const RequestBatch& batch, const SessionPosition* answers) {
  finish(batch, State::answered, answers);
}

void fail_requests(const RequestBatch& batch) { finish(batch, State::failed, nullptr); }

void return_requests(const RequestBatch& batch) { finish(batch, State::asked, nullptr); }

void note_query() {
  LWLockAcquire(&requests->lock, LW_EXCLUSIVE);
  ++requests->counts.queries;
  LWLockRelease(&requests->lock);
}

void note_query_failure(const char* reason) {
  LWLockAcquire(&requests->lock, LW_EXCLUSIVE);
  ++requests->counts.failures;
  if (requests->counts.failing_since == 0) requests->counts.failing_since = GetCurrentTimestamp();
  strlcpy(requests->counts.reason, reason, sizeof requests->counts.reason);
  LWLockRelease(&requests->lock);
}

void note_query_success() {
  LWLockAcquire(&requests->lock, LW_EXCLUSIVE);
  requests->counts.failing_since = 0;
  LWLockRelease(&requests->lock);
}

bool count_requests(RequestCounts* counts) {
  if (requests == nullptr) return false;
  LWLockAcquire(&requests->lock, LW_SHARED);
  *counts = requests->counts;
  LWLockRelease(&requests->lock);
  return true;
}

Size session_requests_shmem_size() {
  return offsetof(Requests, places) + sizeof(Place) * static_cast<Size>(MaxBackends);
}

void session_requests_shmem_init() {
  bool found;
  requests =
      static_cast<Requests*>(ShmemInitStruct("meridian session requests", session_requests_shmem_size(), &found));
  if (!found) {
    MemSet(requests, 0, session_requests_shmem_size());
    LWLockInitialize(&requests->lock, LWLockNewTrancheId());
    pg_atomic_init_u32(&requests->worker, nobody_here);
  }
  LWLockRegisterTranche(requests->lock.tranche, "MeridianSessionRequests");
}

}  // namespace meridian::pg
