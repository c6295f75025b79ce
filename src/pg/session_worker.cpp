// The worker's process. It is connected to no database.
//
// Between the questions it measures: how far readers of this server's log are (peer_lag.hpp), how far its replicas
// (replica_lag.hpp), and which slots nobody uses. While it waits for a primary that does not answer, looks are further
// apart.
//
// Asking: all requests that are there are taken, and asked in one query; those that come meanwhile go with the next. An
// answer therefore always belongs to a query that was sent after its request was made. It is put into the mirror, and
// given to who asked.
//
// When the primary cannot be asked, requests wait a little while it is tried again, because a failover is mostly short.
// After that they fail at once, and one in a second is tried, until it works again. The log tells of the beginning and
// the end of an outage.
#include "pg/session_worker.hpp"

#include "core/session_rule.hpp"
#include "pg/peer_lag.hpp"
#include "pg/replica_lag.hpp"
#include "pg/session_table.hpp"
#include "pg/slot_watch.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/guard.hpp"
#include "pg/support/worker.hpp"
#include "pg/token_check.hpp"
#include "pg/upstream.hpp"

namespace meridian::pg {

int session_expiry_s;

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto tick_interval = 1s;
constexpr auto sample_interval = std::chrono::milliseconds(peer_lag_interval_ms);
constexpr auto patience = 2s;
constexpr auto retry_soon = 250ms;
constexpr auto retry_later = 1s;

/// What every replica has passed needs no entry of its own, but a young session will write again.
constexpr int passed_expiry_ms = 60'000;

struct Outage {
  Clock::time_point began;
  Clock::time_point retry_at;
};

// --- glue lane ---

/// Returns whether the configuration was read again.
bool rest(long ms, uint32 event) {
  WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, event);
  ResetLatch(MyLatch);
  CHECK_FOR_INTERRUPTS();
  if (!ConfigReloadPending) return false;
  ConfigReloadPending = false;
  ProcessConfigFile(PGC_SIGHUP);
  return true;
}

void tick() {
  static std::uint32_t progress[SessionTable::max_partitions];
  const TimestampTz now = GetCurrentTimestamp();
  SessionExpiry expiry{now - std::int64_t{session_expiry_s} * USECS_PER_SEC, 0, 0};
  if (RecoveryInProgress()) {
    // The mirror is asked only about what has not been replayed.
    expiry.passed_before = INT64_MAX;
    expiry.passed = GetXLogReplayRecPtr(nullptr);
  } else {
    own_all_sessions();
    sample_replica_lag();
    expiry.passed_before = now - std::int64_t{passed_expiry_ms} * 1000;
    expiry.passed = passed_by_all();
  }
  sweep_sessions(expiry, progress);
  watch_slots();
}

void tell_outage(const char* reason) {
  ereport(LOG, (errmsg("meridian sessions: the primary cannot be asked: %s", reason)));
}

void tell_end_of_outage() { ereport(LOG, (errmsg("meridian sessions: the primary can be asked again"))); }

/// Whether who answered follows an older timeline than this server: then it was left behind in a failover.
bool left_behind(const SessionPosition& answer) {
  const Reach reach = own_reach();
  return judge_session(reach, answer.position, std::nullopt) == SessionVerdict::refuse;
}

void give_answers(const RequestBatch& batch, const SessionPosition* answers) {
  for (int i = 0; i < batch.count; ++i) mirror_session(batch.keys[i], answers[i].position, answers[i].written_at);
  answer_requests(batch, answers);
}

// --- core lane ---

class Worker {
 public:
  [[noreturn]] void serve();

 private:
  [[nodiscard]] long rest_ms() const;
  void serve_requests();
  bool ask();
  void give_up_for_now(const UpstreamError& error);
  void put_off();

  Upstream upstream_;
  RequestBatch batch_{};
  std::optional<Outage> outage_;
  bool put_off_ = false;  ///< requests wait for the next attempt
  Clock::time_point next_tick_ = Clock::now();
  Clock::time_point next_sample_ = Clock::now();
};

void Worker::serve() {
  const uint32 event = call([] { return compat::wait_event("MeridianSessions"); });
  for (;;) {
    if (Clock::now() >= next_tick_) {
      call([] { tick(); });
      next_tick_ = Clock::now() + tick_interval;
    }
    if (Clock::now() >= next_sample_) {
      call([] { sample_peer_lag(); });
      next_sample_ = Clock::now() + sample_interval;
    }
    const long ms = rest_ms();
    if (call([ms, event] { return rest(ms, event); })) upstream_.close();
    if (call([] { return RecoveryInProgress(); })) {
      serve_requests();
    } else {
      // Backends notice by themselves that there is nobody to ask any more.
      upstream_.close();
      outage_.reset();
      put_off_ = false;
    }
  }
}

long Worker::rest_ms() const {
  Clock::time_point until = std::min(next_tick_, next_sample_);
  if (put_off_) until = std::min(until, outage_->retry_at);
  return std::max<long>(std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count(), 1);
}

void Worker::serve_requests() {
  put_off_ = false;
  do {
    RequestBatch* const batch = &batch_;
    call([batch] { take_requests(batch); });
  } while (batch_.count > 0 && ask());
}

/// False if the primary could not be asked.
bool Worker::ask() {
  const RequestBatch* const batch = &batch_;
  if (outage_ && Clock::now() < outage_->retry_at) {
    put_off();
    return false;
  }
  std::vector<SessionPosition> answers;
  try {
    call([] { note_query(); });
    answers = upstream_.ask(batch_.keys, batch_.count);
  } catch (const UpstreamError& error) {
    give_up_for_now(error);
    return false;
  }
  if (outage_) call([] { tell_end_of_outage(); });
  outage_.reset();
  const SessionPosition* const given = answers.data();
  call([batch, given] {
    note_query_success();
    give_answers(*batch, given);
  });
  if (call([given] { return left_behind(*given); })) upstream_.close();
  return true;
}

void Worker::give_up_for_now(const UpstreamError& error) {
  const auto now = Clock::now();
  const bool first = !outage_;
  if (first) outage_ = Outage{now, now};
  outage_->retry_at =
      now + (now < outage_->began + patience ? Clock::duration(retry_soon) : Clock::duration(retry_later));
  const char* const reason = error.what();
  call([=] {
    note_query_failure(reason);
    if (first) tell_outage(reason);
  });
  put_off();
}

/// What was taken waits for the next attempt while the outage is young, and fails later.
void Worker::put_off() {
  put_off_ = Clock::now() < outage_->began + patience;
  const RequestBatch* const batch = &batch_;
  const bool again = put_off_;
  call([batch, again] { again ? return_requests(*batch) : fail_requests(*batch); });
}

void say_goodbye(int, Datum) { attach_session_worker(false); }

void run() {
  pqsignal(SIGHUP, SignalHandlerForConfigReload);
  pqsignal(SIGTERM, die);
  BackgroundWorkerUnblockSignals();
  before_shmem_exit(say_goodbye, 0);
  attach_session_worker(true);
  guarded([] {
    const auto worker = std::make_unique<Worker>();
    worker->serve();
  });
}

}  // namespace

void register_session_worker() {
  BackgroundWorker worker = make_worker("meridian sessions", "meridian_session_worker_main");
  worker.bgw_start_time = BgWorkerStart_ConsistentState;
  worker.bgw_restart_time = 1;
  RegisterBackgroundWorker(&worker);
}

extern "C" {
PGDLLEXPORT void meridian_session_worker_main(Datum argument);
void meridian_session_worker_main(Datum) {
  guarded([] { run(); });
}
}

}  // namespace meridian::pg
