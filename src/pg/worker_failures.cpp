// PostgreSQL counts the failures of subscriptions, and writes the reasons into its log only. The hook of the log copies
// the message of every error by which an apply worker, or a worker of ours that is restarted, ends. A commit of an
// apply worker forgets the failures of its subscription, a round of the keeper those of the keeper, and five minutes
// without one those of anybody.
//
// The hook runs inside error handling: it allocates nothing, raises nothing, and holds a spinlock for a copy. Errors
// that the server does not log (log_min_messages above ERROR) are not noted.
#include "pg/worker_failures.hpp"

#include "pg/support/compat.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg {
namespace {

constexpr int most_workers = 128;
constexpr int forget_after_ms = 5 * 60 * 1000;

struct WorkerFailure {
  char worker[BGW_MAXLEN];  ///< empty: free, unless there is a subscription
  Oid subscription;
  std::int64_t failures;  ///< since the last success; 0: forgotten
  TimestampTz first_at;
  TimestampTz last_at;
  int sqlstate;
  int encoding;  ///< of the message
  char message[512];
};

struct FailureState {
  slock_t lock;
  WorkerFailure workers[most_workers];
};

FailureState* state = nullptr;
emit_log_hook_type next_log_hook = nullptr;

bool is_worker_of_ours() {
  return MyBgworkerEntry != nullptr && strcmp(MyBgworkerEntry->bgw_library_name, "meridian") == 0 &&
         MyBgworkerEntry->bgw_restart_time != BGW_NEVER_RESTART;
}

/// The place of this process's worker: its own, or one that may be taken. Null if all are in use. Under the lock.
WorkerFailure* find_place(Oid subscription, const char* worker) {
  WorkerFailure* empty = nullptr;
  for (WorkerFailure& each : state->workers) {
    if (each.failures == 0) {
      if (empty == nullptr) empty = &each;
    } else if (OidIsValid(subscription) ? each.subscription == subscription : strcmp(each.worker, worker) == 0) {
      return &each;
    }
  }
  return empty;
}

void note_failure(const ErrorData& error) {
  const Oid subscription = IsLogicalWorker() && MyLogicalRepWorker != nullptr ? MyLogicalRepWorker->subid : InvalidOid;
  if (!OidIsValid(subscription) && !is_worker_of_ours()) return;
  const char* const worker = OidIsValid(subscription) ? "" : MyBgworkerEntry->bgw_name;
  const TimestampTz now = GetCurrentTimestamp();
  SpinLockAcquire(&state->lock);
  if (WorkerFailure* const place = find_place(subscription, worker)) {
    if (place->failures > 0 && TimestampDifferenceExceeds(place->last_at, now, forget_after_ms)) place->failures = 0;
    if (place->failures++ == 0) place->first_at = now;
    place->last_at = now;
    place->subscription = subscription;
    place->sqlstate = error.sqlerrcode;
    place->encoding = GetDatabaseEncoding();
    strlcpy(place->worker, worker, sizeof place->worker);
    strlcpy(place->message, error.message == nullptr ? "" : error.message, sizeof place->message);
  }
  SpinLockRelease(&state->lock);
}

extern "C" void meridian_emit_log(ErrorData* error) {
  const bool ended_by_request =
      error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN || error->sqlerrcode == ERRCODE_CRASH_SHUTDOWN;
  if (error->elevel >= ERROR && !ended_by_request && state != nullptr) note_failure(*error);
  if (next_log_hook != nullptr) next_log_hook(error);
}

template <typename Predicate>
void forget_failures(Predicate is_own) noexcept {
  for (WorkerFailure& each : state->workers) {
    // Without the lock for the common case: who wrote this worker's place was its predecessor.
    if (each.failures == 0 || !is_own(each)) continue;
    SpinLockAcquire(&state->lock);
    if (is_own(each)) each.failures = 0;
    SpinLockRelease(&state->lock);
  }
}

void note_success(XactEvent event) noexcept {
  if (event != XACT_EVENT_COMMIT || state == nullptr || !IsLogicalWorker() || MyLogicalRepWorker == nullptr ||
      XLogRecPtrIsInvalid(replorigin_session_origin_lsn))
    return;
  forget_failures([](const WorkerFailure& each) { return each.subscription == MyLogicalRepWorker->subid; });
}

extern "C" void meridian_failures_at_transaction_event(XactEvent event, void*) { note_success(event); }

/// A message of another database may not be text here, and is cut anywhere: what is not text becomes '?'.
Datum readable(WorkerFailure* failure) {
  const int size = static_cast<int>(std::strlen(failure->message));
  const bool same = failure->encoding == GetDatabaseEncoding();
  const int good = same ? pg_mbcliplen(failure->message, size, size) : 0;
  if (same && pg_verifymbstr(failure->message, good, true)) {
    failure->message[good] = '\0';
  } else {
    for (char* c = failure->message; *c != '\0'; ++c) {
      if (IS_HIGHBIT_SET(*c)) *c = '?';
    }
  }
  return CStringGetTextDatum(failure->message);
}

}  // namespace

void watch_worker_failures() {
  next_log_hook = emit_log_hook;
  emit_log_hook = meridian_emit_log;
  RegisterXactCallback(meridian_failures_at_transaction_event, nullptr);
}

void note_worker_success() {
  if (state == nullptr || MyBgworkerEntry == nullptr) return;
  forget_failures([](const WorkerFailure& each) {
    return each.subscription == InvalidOid && strcmp(each.worker, MyBgworkerEntry->bgw_name) == 0;
  });
}

Size worker_failures_shmem_size() { return MAXALIGN(sizeof(FailureState)); }

void worker_failures_shmem_init() {
  bool found;
  state = static_cast<FailureState*>(ShmemInitStruct("meridian worker failures", worker_failures_shmem_size(), &found));
  if (found) return;
  std::memset(static_cast<void*>(state), 0, sizeof *state);
  SpinLockInit(&state->lock);
}

}  // namespace meridian::pg

/// meridian.read_worker_failures() returns set of (worker text, subscription oid, failures bigint, first_at
/// timestamptz, last_at timestamptz, sqlstate text, message text)
MERIDIAN_FUNCTION(meridian_read_worker_failures)
{
  using namespace meridian::pg;
  InitMaterializedSRF(fcinfo, 0);
  auto* const result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  if (state == nullptr) PG_RETURN_NULL();
  for (const WorkerFailure& each : state->workers) {
    WorkerFailure failure;
    SpinLockAcquire(&state->lock);
    failure = each;
    SpinLockRelease(&state->lock);
    if (failure.failures == 0) continue;
    const bool is_subscription = OidIsValid(failure.subscription);
    const Datum values[] = {CStringGetTextDatum(failure.worker),
                            ObjectIdGetDatum(failure.subscription),
                            Int64GetDatum(failure.failures),
                            TimestampTzGetDatum(failure.first_at),
                            TimestampTzGetDatum(failure.last_at),
                            CStringGetTextDatum(unpack_sql_state(failure.sqlstate)),
                            readable(&failure)};
    const bool nulls[] = {is_subscription, !is_subscription, false, false, false, false, false};
    tuplestore_putvalues(result->setResult, result->setDesc, const_cast<Datum*>(values), const_cast<bool*>(nulls));
  }
  PG_RETURN_NULL();
}
