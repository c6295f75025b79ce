// The keeper's process and its tasks.
//
// A pass runs the tasks that are due, each in a transaction of its own with an active snapshot. An error ends only that
// task's transaction; it is logged, and the task is tried again after 1 s, 2 s, ... 60 s. Shared memory tells what the
// keeper did (meridian.keeper_status), so that people and tests can wait for it instead of sleeping.
//
// Settings of its session: synchronous_commit = local, because a promoted server whose standbys are gone must still get
// its new epoch; lock_timeout, because one task that waits for a lock holds up all the others.

#include "pg/keeper.hpp"

#include "pg/applying.hpp"
#include "pg/bounded.hpp"
#include "pg/heartbeat.hpp"
#include "pg/history_retention.hpp"
#include "pg/hlc.hpp"
#include "pg/home_map.hpp"
#include "pg/identity.hpp"
#include "pg/parked.hpp"
#include "pg/progress.hpp"
#include "pg/settings.hpp"
#include "pg/setup/membership.hpp"
#include "pg/sink_supervisor.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/function.hpp"
#include "pg/support/worker.hpp"
#include "pg/tombstone.hpp"
#include "pg/tombstone_removal.hpp"
#include "pg/worker_failures.hpp"

namespace meridian::pg {
namespace {

struct Task {
  const char* name;
  int interval_ms;
  /// Runs inside a transaction with an active snapshot, as the bootstrap superuser.
  void (*run)();
};

/// Identity comes first: the others may need it.
constexpr Task tasks[] = {
    {"identity", 1000, confirm_promoted_identity},
    {"clock", 1000, keep_clock_ahead},
    {"tombstones", 1000, settle_tombstones},
    {"parked", 1000, retry_parked},
    {"removal", 1000, drop_stable_tombstones},
    {"progress", 1000, publish_progress},
    {"rights", 1000, move_wanted_rights},
    {"membership", 5000, setup::watch_membership},
    {"homes", 1000, setup::watch_homes},
    {"heartbeat", 250, publish_heartbeat},
    {"history", 60'000, keep_history},
    {"sinks", 1000, watch_sinks},
};
constexpr std::size_t task_count = std::size(tasks);

/// Everything is written by the keeper only.
struct TaskState {
  pg_atomic_uint64 runs;
  pg_atomic_uint64 failures;
  /// End of the last run, failed or not, as TimestampTz.
  pg_atomic_uint64 last_run;
  /// SQLSTATE of the last run; 0 if it succeeded.
  pg_atomic_uint32 sqlstate;
};

struct KeeperState {
  /// 0 if it is not running.
  pg_atomic_uint32 pid;
  TaskState tasks[task_count];
};
static_assert(std::is_trivially_copyable_v<KeeperState>);

KeeperState* keeper_state = nullptr;

/// When a task runs next; process-local.
struct Schedule {
  TimestampTz due;
  int backoff_ms;
};

constexpr int shortest_backoff_ms = 1000;
constexpr int longest_backoff_ms = 60'000;

void run_in_transaction(const Task& task) {
  SetCurrentStatementStartTimestamp();
  StartTransactionCommand();
  PushActiveSnapshot(GetTransactionSnapshot());
  pgstat_report_activity(STATE_RUNNING, task.name);
  if (OidIsValid(get_extension_oid("meridian", true)))
    task.run();
  else {
    forget_identity();  // DROP EXTENSION fires no trigger on meridian.local_member
    forget_homes();
  }
  PopActiveSnapshot();
  CommitTransactionCommand();
}

/// Ends the failed transaction and logs why. Returns the SQLSTATE.
int give_up(const Task& task, const ErrorData* error) {
  const int sqlstate = error != nullptr ? error->sqlerrcode : ERRCODE_OUT_OF_MEMORY;
  AbortCurrentTransaction();
  leave_apply_mode();
  ereport(LOG, (errcode(sqlstate),
                errmsg("meridian keeper: task \"%s\" failed: %s", task.name,
                       error != nullptr && error->message != nullptr ? error->message : "out of memory"),
                error != nullptr && error->detail != nullptr ? errdetail_internal("%s", error->detail) : 0,
                error != nullptr && error->hint != nullptr ? errhint("%s", error->hint) : 0));
  return sqlstate;
}

/// Runs one task; an error in it stays here. Returns its SQLSTATE, 0 for success.
int run_task(const Task& task) {
  ErrorData* error = nullptr;
  bool failed = false;
  try {
    call([&task] { run_in_transaction(task); });
  } catch (const PgError& raised) {
    error = raised.data();
    failed = true;
  } catch (const std::bad_alloc&) {
    failed = true;
  }
  return failed ? give_up(task, error) : 0;
}

void run_and_report(std::size_t index, Schedule* schedule) {
  const Task& task = tasks[index];
  TaskState* const state = &keeper_state->tasks[index];
  const int sqlstate = run_task(task);
  if (sqlstate == 0) {
    schedule->backoff_ms = shortest_backoff_ms;
    schedule->due = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), task.interval_ms);
  } else {
    schedule->due = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), schedule->backoff_ms);
    schedule->backoff_ms = std::min(2 * schedule->backoff_ms, longest_backoff_ms);
    pg_atomic_fetch_add_u64(&state->failures, 1);
  }
  pg_atomic_write_u32(&state->sqlstate, static_cast<std::uint32_t>(sqlstate));
  pg_atomic_write_u64(&state->last_run, static_cast<std::uint64_t>(GetCurrentTimestamp()));
  pg_atomic_fetch_add_u64(&state->runs, 1);
}

/// Milliseconds until the next task is due.
long time_to_next(const Schedule (&schedules)[task_count]) {
  TimestampTz next = DT_NOEND;
  for (const Schedule& schedule : schedules) next = std::min(next, schedule.due);
  return TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next);
}

void say_goodbye(int, Datum) { pg_atomic_write_u32(&keeper_state->pid, 0); }

void start_session() {
  begin_worker_session(database_name, "5s");
  // Rows that it brings are a peer's: they fire what an apply worker fires, and no foreign key checks.
  SetConfigOption("session_replication_role", "replica", PGC_SUSET, PGC_S_OVERRIDE);
  before_shmem_exit(say_goodbye, 0);
  pg_atomic_write_u32(&keeper_state->pid, static_cast<std::uint32_t>(MyProcPid));
}

void keep() {
  start_session();
  const MemoryContext context = AllocSetContextCreate(TopMemoryContext, "meridian keeper", ALLOCSET_DEFAULT_SIZES);
  Schedule schedules[task_count];
  for (Schedule& schedule : schedules) schedule = {0, shortest_backoff_ms};
  const uint32 wait_event = compat::wait_event("MeridianKeeper");
  for (;;) {
    for (std::size_t index = 0; index < task_count; ++index) {
      MemoryContextSwitchTo(context);
      if (schedules[index].due <= GetCurrentTimestamp()) run_and_report(index, &schedules[index]);
    }
    MemoryContextReset(context);
    note_worker_success();
    pgstat_report_stat(false);
    pgstat_report_activity(STATE_IDLE, nullptr);

    const int woken =
        WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, time_to_next(schedules), wait_event);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
    if (ConfigReloadPending) {
      ConfigReloadPending = false;
      ProcessConfigFile(PGC_SIGHUP);
    }
    if ((woken & WL_LATCH_SET) != 0)
      for (Schedule& schedule : schedules) schedule.due = 0;
  }
}

}  // namespace

void register_keeper() {
  BackgroundWorker worker = make_worker("meridian keeper", "meridian_keeper_main");
  worker.bgw_flags |= BGWORKER_BACKEND_DATABASE_CONNECTION;
  worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
  worker.bgw_restart_time = 5;
  RegisterBackgroundWorker(&worker);
}

bool wake_keeper() {
  const auto pid = static_cast<int>(keeper_state != nullptr ? pg_atomic_read_u32(&keeper_state->pid) : 0);
  if (pid == 0 || pid == MyProcPid) return false;
  PGPROC* const keeper = BackendPidGetProc(pid);
  if (keeper == nullptr) return false;
  SetLatch(&keeper->procLatch);
  return true;
}

Size keeper_shmem_size() { return MAXALIGN(sizeof(KeeperState)); }

void keeper_shmem_init() {
  bool found;
  keeper_state = static_cast<KeeperState*>(ShmemInitStruct("meridian keeper", keeper_shmem_size(), &found));
  if (found) return;
  pg_atomic_init_u32(&keeper_state->pid, 0);
  for (TaskState& task : keeper_state->tasks) {
    pg_atomic_init_u64(&task.runs, 0);
    pg_atomic_init_u64(&task.failures, 0);
    pg_atomic_init_u64(&task.last_run, 0);
    pg_atomic_init_u32(&task.sqlstate, 0);
  }
}

extern "C" {
PGDLLEXPORT void meridian_keeper_main(Datum argument);
void meridian_keeper_main(Datum) {
  guarded([] { keep(); });
}
}

/// meridian.keeper_status() returns set of (task text, pid integer, runs bigint, failures bigint, last_run timestamptz,
/// sqlstate text)
MERIDIAN_FUNCTION(meridian_keeper_status)
{
  InitMaterializedSRF(fcinfo, 0);
  auto* const result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  if (keeper_state == nullptr) PG_RETURN_NULL();
  const auto pid = static_cast<std::int32_t>(pg_atomic_read_u32(&keeper_state->pid));
  for (std::size_t index = 0; index < task_count; ++index) {
    TaskState* const state = &keeper_state->tasks[index];
    const auto runs = static_cast<std::int64_t>(pg_atomic_read_u64(&state->runs));
    const auto sqlstate = static_cast<int>(pg_atomic_read_u32(&state->sqlstate));
    const Datum values[] = {CStringGetTextDatum(tasks[index].name),
                            Int32GetDatum(pid),
                            Int64GetDatum(runs),
                            Int64GetDatum(static_cast<std::int64_t>(pg_atomic_read_u64(&state->failures))),
                            TimestampTzGetDatum(static_cast<TimestampTz>(pg_atomic_read_u64(&state->last_run))),
                            CStringGetTextDatum(unpack_sql_state(sqlstate))};
    const bool nulls[] = {false, pid == 0, false, false, runs == 0, sqlstate == 0};
    tuplestore_putvalues(result->setResult, result->setDesc, const_cast<Datum*>(values), const_cast<bool*>(nulls));
  }
  PG_RETURN_NULL();
}

}  // namespace meridian::pg
