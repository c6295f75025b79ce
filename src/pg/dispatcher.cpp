// The dispatcher's process. It is connected to no database. While nobody waits it sleeps on its latch.
//
// While somebody waits it looks where replay stands, wakes whose position is reached, and sleeps until it may be worth
// another look: on 16 and later on replay's own condition variable while the nearest position is close, because that is
// woken by every record; otherwise for a time that doubles while nothing moves. A change of role or timeline
// (promotion) wakes everybody: they judge anew. Who waits for changes of peers is woken by every one of them.
#include "pg/dispatcher.hpp"

#include "pg/heartbeat.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/guard.hpp"
#include "pg/support/worker.hpp"
#include "pg/wait.hpp"

namespace meridian::pg {
namespace {

/// Positions nearer than this are worth being woken by every record.
constexpr std::uint64_t near_bytes = 65536;
constexpr long shortest_us = 200;
/// While the newest waiter is young, and later.
constexpr long patient_us = 1000;
constexpr long longest_us = 10'000;
constexpr int young_ms = 1000;
constexpr long replay_sleep_ms = 10;

/// What the dispatcher saw.
struct View {
  bool in_recovery;
  TimeLineID timeline;
  XLogRecPtr replayed;
  std::uint64_t peer_commits;
};

View look() {
  View view{RecoveryInProgress(), 0, InvalidXLogRecPtr, peer_commits()};
  if (view.in_recovery) view.replayed = GetXLogReplayRecPtr(&view.timeline);
  return view;
}

void wake_for(const View& now, const View& before) {
  const bool changed = now.in_recovery != before.in_recovery || now.timeline != before.timeline;
  // On a standby peers' changes come by replay.
  if (anybody_waits_for_peers() &&
      (changed || now.replayed != before.replayed || now.peer_commits != before.peer_commits))
    wake_peer_waiters();
  wake_reached(changed ? UINT64_MAX : now.replayed);
}

void sleep_us(long us, uint32 event) {
  if (us < 1000) {
    pg_usleep(us);
  } else {
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, us / 1000, event);
  }
}

void serve_interrupts() {
  ResetLatch(MyLatch);
  CHECK_FOR_INTERRUPTS();
  if (ConfigReloadPending) {
    ConfigReloadPending = false;
    ProcessConfigFile(PGC_SIGHUP);
  }
}

/// Serves until nobody waits.
void serve_waiters(View* view, uint32 event) {
  long pause_us = shortest_us;
  TimestampTz moved = GetCurrentTimestamp();
  std::uint64_t nearest = 0;
  while (anybody_waits()) {
    const View now = look();
    wake_for(now, *view);
    const std::uint64_t target = nearest_target();
    const TimestampTz time = GetCurrentTimestamp();
    if (now.replayed != view->replayed || target != nearest) {
      pause_us = shortest_us;
      moved = time;
    }
    nearest = target;
    *view = now;
    const bool close = now.in_recovery && target != UINT64_MAX && target - now.replayed <= near_bytes;
    if (!close || !compat::sleep_until_replay(replay_sleep_ms, event)) {
      const bool young = !TimestampDifferenceExceeds(moved, time, young_ms);
      sleep_us(pause_us, event);
      pause_us = std::min(2 * pause_us, young ? patient_us : longest_us);
    }
    serve_interrupts();
  }
}

void say_goodbye(int, Datum) { attach_dispatcher(false); }

void dispatch() {
  pqsignal(SIGHUP, SignalHandlerForConfigReload);
  pqsignal(SIGTERM, die);
  BackgroundWorkerUnblockSignals();
  const uint32 event = compat::wait_event("MeridianDispatcher");
  before_shmem_exit(say_goodbye, 0);
  attach_dispatcher(true);
  View view = look();
  for (;;) {
    serve_waiters(&view, event);
    WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, -1, event);
    serve_interrupts();
  }
}

}  // namespace

void register_dispatcher() {
  BackgroundWorker worker = make_worker("meridian dispatcher", "meridian_dispatcher_main");
  worker.bgw_start_time = BgWorkerStart_ConsistentState;
  worker.bgw_restart_time = 1;
  RegisterBackgroundWorker(&worker);
}

extern "C" {
PGDLLEXPORT void meridian_dispatcher_main(Datum argument);
void meridian_dispatcher_main(Datum) {
  guarded([] { dispatch(); });
}
}

}  // namespace meridian::pg
