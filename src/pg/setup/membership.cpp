// A dropped member that comes back finds its slots gone: its apply workers fail, and nobody asks it for changes. That
// alone says nothing to whoever reads its log, and a peer that is down looks the same. So while a peer does not send, a
// worker asks each peer; if one of the same mesh does not know this member, meridian.note_dropped() says so in the log
// and in meridian.alarms and disables the subscriptions.
//
// The same worker asks what became of the homes of keys while this server was away, and takes over what the others know
// more (home_map.cpp).
//
// The worker is one of its own, because connecting to a server that is down takes its time; there is at most one.

#include "pg/setup/membership.hpp"

#include "pg/home_map.hpp"
#include "pg/identity.hpp"
#include "pg/setup/mesh.hpp"
#include "pg/support/function.hpp"
#include "pg/support/worker.hpp"

namespace meridian::pg::setup {
namespace {

/// Of the keeper: the worker that it started last, or null.
BackgroundWorkerHandle* last_worker = nullptr;

bool ask_sql(const char* question) {
  SPI_connect();
  const int outcome = SPI_execute(question, false, 1);
  if (outcome != SPI_OK_SELECT) elog(ERROR, "SPI_execute returned %s", SPI_result_code_string(outcome));
  bool is_null = false;
  const bool answer = SPI_processed == 1 &&
                      DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null)) &&
                      !is_null;
  SPI_finish();
  return answer;
}

bool peer_is_silent() {
  return ask_sql(
      "SELECT EXISTS (SELECT FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid "
      "WHERE d.datname = current_database() AND (meridian.stream_of(s.subname)).member IS NOT NULL AND s.subenabled "
      "AND NOT EXISTS (SELECT FROM pg_stat_get_subscription(s.oid) w WHERE w.pid IS NOT NULL)) "
      "FROM meridian.local_member l JOIN meridian.member m ON m.id = l.member AND m.state = 'active'");
}

bool worker_runs() {
  if (last_worker == nullptr) return false;
  pid_t pid = 0;
  if (GetBackgroundWorkerPid(last_worker, &pid) != BGWH_STOPPED) return true;
  pfree(last_worker);
  last_worker = nullptr;
  return false;
}

void start_worker() {
  BackgroundWorker worker = make_worker("meridian membership check", "meridian_membership_main");
  worker.bgw_flags |= BGWORKER_BACKEND_DATABASE_CONNECTION;
  worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
  worker.bgw_restart_time = BGW_NEVER_RESTART;
  worker.bgw_main_arg = ObjectIdGetDatum(MyDatabaseId);
  const MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
  // If no worker is free, the next pass tries again.
  if (!RegisterDynamicBackgroundWorker(&worker, &last_worker)) last_worker = nullptr;
  MemoryContextSwitchTo(caller);
}

/// Runs a query in a transaction of its own. Its first column of its first row, in the caller's memory; null for NULL
/// or no row. `argument` may be null.
char* ask_here(const char* query, const char* argument) {
  const MemoryContext context = CurrentMemoryContext;
  StartTransactionCommand();
  PushActiveSnapshot(GetTransactionSnapshot());
  SPI_connect();
  Oid types[] = {TEXTOID};
  Datum values[] = {argument == nullptr ? Datum{0} : CStringGetTextDatum(argument)};
  const int outcome = SPI_execute_with_args(query, argument == nullptr ? 0 : 1, types, values, nullptr, false, 1);
  if (outcome < 0) elog(ERROR, "SPI_execute_with_args returned %s", SPI_result_code_string(outcome));
  const char* text = SPI_processed == 1 ? SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1) : nullptr;
  char* answer = text == nullptr ? nullptr : MemoryContextStrdup(context, text);
  SPI_finish();
  PopActiveSnapshot();
  CommitTransactionCommand();
  return answer;
}

// --- core lane ---

/// As ask_here().
Value here(const char* query, const Value& argument = {}) {
  const char* const text = argument ? argument->c_str() : nullptr;
  const char* const answer = call([query, text] { return ask_here(query, text); });
  return answer == nullptr ? Value() : Value(answer);
}

/// What a peer says of this member.
struct Answer {
  bool heard = false;
  bool forgotten = false;
  bool confirmed = false;  ///< the peer itself knows that its homes are up to date
  Value homes;             ///< what it knows of homes, if that is more than is known here
};

Answer ask(Session& session, const std::string& name, const std::string& dsn, const std::string& self,
           const std::string& mesh) {
  Answer answer;
  const Value epoch = here("SELECT epoch FROM meridian.home_standing()");
  const Value ended = here("SELECT final FROM meridian.home_standing()");
  try {
    Connection there(session, node_label(name), dsn);
    const Rows rows = there.query(
        "SELECT EXISTS (SELECT FROM meridian.member WHERE id = $1), meridian.homes_confirmed(), "
        "meridian.export_homes($3, $4) FROM meridian.local_member WHERE mesh = $2 AND NOT pg_is_in_recovery()",
        {self, mesh, epoch, ended});
    if (rows.count() > 0) answer = {true, !rows.boolean(0, 0), rows.boolean(0, 1), rows.value(0, 2)};
  } catch (const Stopped&) {
    throw;
  } catch (const SetupError&) {
    // It is down, and may yet know us.
  }
  return answer;
}

/// Asks every peer. One that has asked the others itself knows all; else all must have been heard (core/rehome.hpp).
/// What is known here is asked of this process's own database: after a promotion the connection string of the member
/// may still lead to the old primary.
void ask_peers() {
  const Value self = here("SELECT member FROM meridian.local_member");
  const Value mesh = here("SELECT mesh FROM meridian.local_member");
  if (!self || !mesh) return;
  Session session(Request(), nullptr);
  bool all_heard = true;
  bool confirmed = false;
  for (Value id = here("SELECT min(id) FROM meridian.member"); id;
       id = here("SELECT min(id) FROM meridian.member WHERE id > $1::integer", id)) {
    if (id == self) continue;
    const Value name = here("SELECT name FROM meridian.member WHERE id = $1::integer", id);
    const Value dsn = here("SELECT dsn FROM meridian.member WHERE id = $1::integer", id);
    if (!name || !dsn) continue;
    const Answer answer = ask(session, *name, *dsn, *self, *mesh);
    if (answer.forgotten) {
      here("SELECT meridian.note_dropped($1)", name);
      return;
    }
    all_heard = all_heard && answer.heard;
    confirmed = confirmed || answer.confirmed;
    if (answer.homes) here("SELECT meridian.adopt_homes($1::jsonb)", answer.homes);
  }
  if (all_heard || confirmed) here("SELECT meridian.confirm_homes()");
}

void ask_peers_or_say_why() {
  try {
    ask_peers();
  } catch (const Stopped&) {
    // The server is stopping; the next start asks again.
  } catch (const SetupError& error) {
    const char* message = error.what();
    call([message] { ereport(LOG, (errmsg("meridian membership check: %s", message))); });
  }
}

void run_check(Datum database) {
  pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
  BackgroundWorkerUnblockSignals();
  BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(database), InvalidOid, 0);
  SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_OVERRIDE);
  guarded([] { ask_peers_or_say_why(); });
}

}  // namespace

void watch_membership() {
  if (!worker_runs() && peer_is_silent()) start_worker();
}

void watch_homes() {
  if (!homes_confirmed() && is_member() && !worker_runs()) start_worker();
}

}  // namespace meridian::pg::setup

extern "C" {
PGDLLEXPORT void meridian_membership_main(Datum database);
void meridian_membership_main(Datum database) {
  meridian::pg::guarded([database] { meridian::pg::setup::run_check(database); });
}
}
