// One child per sink that is to run (meridian.sinks_to_run()).
//
// A child that ends is started again after 1 s, 2 s, ... 60 s; who ran for a minute begins with 1 s. One that was not
// heard of for two minutes is killed. A sink that is dropped, paused or stopped is told so by the database, not by
// signals, so it ends or rests between two batches. Nothing here waits.
//
// The children are this process's, and get SIGTERM when it ends. If it is killed instead, they go on until they lose
// the database; a new keeper does not start a second one while the slot of a sink is in use.
//
// Their descriptors: standard error is the server's log. Nothing else of the server is left open in them.
#include "pg/sink_supervisor.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "core/dsn.hpp"
#include "pg/settings.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/guard.hpp"

namespace meridian::pg {

char* sink_program;
char* sink_dsn;
char* sink_directory;
char* sink_hosts;

namespace {

constexpr int most_sinks = 64;
constexpr int shortest_backoff_ms = 1000;
constexpr int longest_backoff_ms = 60'000;

struct Child {
  char sink[NAMEDATALEN];
  pid_t pid;  ///< 0: it does not run
  bool wanted;
  int backoff_ms;
  TimestampTz started_at;
  TimestampTz due;
};

Child children[most_sinks];
int child_count = 0;
bool ends_children = false;

void end_children(int, Datum) {
  for (int i = 0; i < child_count; ++i) {
    if (children[i].pid != 0) kill(children[i].pid, SIGTERM);
  }
}

/// Of a setting that lists several, the first.
char* first_of(const char* list) {
  char* const copy = pstrdup(list);
  List* elements = NIL;
  if (!SplitDirectoriesString(copy, ',', &elements) || elements == NIL) return nullptr;
  return static_cast<char*>(linitial(elements));
}

char* own_dsn() {
  if (*sink_dsn != '\0') return pstrdup(sink_dsn);
  const char* const directory = first_of(GetConfigOption("unix_socket_directories", false, false));
  const char* const keywords[][2] = {
      {"host", directory != nullptr && *directory != '\0' ? directory : "localhost"},
      {"port", GetConfigOption("port", false, false)},
      {"dbname", database_name},
      {"user", GetUserNameFromId(BOOTSTRAP_SUPERUSERID, false)},
  };
  return guarded([&keywords] {
    std::string dsn;
    for (const auto& [keyword, value] : keywords) append_dsn_keyword(dsn, keyword, value);
    const char* const text = dsn.c_str();
    return call([text] { return pstrdup(text); });
  });
}

char* program_path() {
  if (*sink_program != '\0') return pstrdup(sink_program);
  char* const path = static_cast<char*>(palloc(MAXPGPATH));
  strlcpy(path, my_exec_path, MAXPGPATH);
  get_parent_directory(path);
  join_path_components(path, path, "meridian-sink");
  return path;
}

/// The connection string is in the environment, which only the server's user can read, unlike arguments.
pid_t spawn(const char* sink) {
  char* const path = program_path();
  char* const variable = psprintf("MERIDIAN_SINK_DSN=%s", own_dsn());
  char* const arguments[] = {path, pstrdup("--sink"), pstrdup(sink), nullptr};
  char* const home = getenv("HOME") != nullptr ? psprintf("HOME=%s", getenv("HOME")) : nullptr;
  char* const environment[] = {variable, pstrdup("LC_ALL=C"), home, nullptr};

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t all;
  sigset_t none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);

  pid_t pid = 0;
  const int error = posix_spawn(&pid, path, &files, &attributes, arguments, environment);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error == 0) return pid;
  errno = error;
  ereport(LOG, (errcode_for_file_access(), errmsg("meridian: sink \"%s\" cannot be started: %m", sink),
                errhint("The setting meridian.sink_program names the program; make install puts it beside postgres.")));
  return 0;
}

/// A program that could not say itself what happened to it.
void report_end(const Child& child, pid_t pid, int status) {
  char* const how = WIFSIGNALED(status)
                        ? psprintf("its program was ended by signal %d", WTERMSIG(status))
                        : psprintf("its program ended with status %d; the server's log has more", WEXITSTATUS(status));
  ereport(LOG, (errmsg("meridian: sink \"%s\": %s", child.sink, how),
                errhint("The view meridian.sinks shows its last error.")));
  Oid types[] = {TEXTOID, INT4OID, TEXTOID};
  Datum values[] = {CStringGetTextDatum(child.sink), Int32GetDatum(pid), CStringGetTextDatum(how)};
  const int outcome =
      SPI_execute_with_args("SELECT meridian.sink_ended($1, $2, $3)", 3, types, values, nullptr, false, 0);
  if (outcome != SPI_OK_SELECT) elog(ERROR, "SPI_execute_with_args returned %s", SPI_result_code_string(outcome));
}

void reap(Child* child) {
  int status = 0;
  const pid_t pid = child->pid;
  if (pid == 0 || waitpid(pid, &status, WNOHANG) != pid) return;
  const TimestampTz now = GetCurrentTimestamp();
  child->pid = 0;
  if (TimestampDifferenceExceeds(child->started_at, now, longest_backoff_ms)) child->backoff_ms = shortest_backoff_ms;
  child->due = TimestampTzPlusMilliseconds(now, child->backoff_ms);
  child->backoff_ms = std::min(2 * child->backoff_ms, longest_backoff_ms);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) report_end(*child, pid, status);
}

Child* find_child(const char* sink) {
  for (int i = 0; i < child_count; ++i) {
    if (strcmp(children[i].sink, sink) == 0) return &children[i];
  }
  if (child_count == most_sinks) {
    ereport(WARNING, (errmsg("meridian: sink \"%s\" does not run: a server runs %d at most", sink, most_sinks)));
    return nullptr;
  }
  Child* const child = &children[child_count++];
  *child = {};
  strlcpy(child->sink, sink, sizeof child->sink);
  child->backoff_ms = shortest_backoff_ms;
  return child;
}

void watch(const char* sink, bool is_silent, bool is_busy) {
  Child* const child = find_child(sink);
  if (child == nullptr) return;
  child->wanted = true;
  const TimestampTz now = GetCurrentTimestamp();
  if (child->pid == 0) {
    if (is_busy || child->due > now) return;
    child->started_at = now;
    child->pid = spawn(sink);
    if (child->pid == 0) child->due = TimestampTzPlusMilliseconds(now, longest_backoff_ms);
  } else if (is_silent && TimestampDifferenceExceeds(child->started_at, now, 2 * longest_backoff_ms)) {
    ereport(LOG, (errmsg("meridian: the program of sink \"%s\" was not heard of for two minutes and is killed", sink)));
    kill(child->pid, SIGKILL);
  }
}

void forget_unwanted() {
  int kept = 0;
  for (int i = 0; i < child_count; ++i) {
    if (children[i].wanted || children[i].pid != 0) children[kept++] = children[i];
  }
  child_count = kept;
}

}  // namespace

void watch_sinks() {
  if (!ends_children) {
    before_shmem_exit(end_children, 0);
    ends_children = true;
  }
  SPI_connect();
  for (int i = 0; i < child_count; ++i) {
    children[i].wanted = false;
    reap(&children[i]);
  }
  const int outcome = SPI_execute("SELECT name, silent, busy FROM meridian.sinks_to_run()", true, 0);
  if (outcome != SPI_OK_SELECT) elog(ERROR, "SPI_execute returned %s", SPI_result_code_string(outcome));
  for (uint64 row = 0; row < SPI_processed; ++row) {
    const HeapTuple tuple = SPI_tuptable->vals[row];
    bool is_null = false;
    const Datum silent = SPI_getbinval(tuple, SPI_tuptable->tupdesc, 2, &is_null);
    const bool is_silent = !is_null && DatumGetBool(silent);
    const Datum busy = SPI_getbinval(tuple, SPI_tuptable->tupdesc, 3, &is_null);
    watch(SPI_getvalue(tuple, SPI_tuptable->tupdesc, 1), is_silent, !is_null && DatumGetBool(busy));
  }
  SPI_finish();
  forget_unwanted();
}

}  // namespace meridian::pg
