// Background workers of this library.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// A worker that runs `function` of this library, as the caller may complete and register it: without a database, and
/// with the times and the argument still to be set.
inline BackgroundWorker make_worker(const char* name, const char* function) {
  BackgroundWorker worker{};
  worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
  strlcpy(worker.bgw_library_name, "meridian", sizeof worker.bgw_library_name);
  strlcpy(worker.bgw_function_name, function, sizeof worker.bgw_function_name);
  strlcpy(worker.bgw_name, name, sizeof worker.bgw_name);
  strlcpy(worker.bgw_type, name, sizeof worker.bgw_type);
  return worker;
}

/// Begins the session of a worker in this database, as the bootstrap superuser. It commits without waiting for
/// standbys: a promoted server whose standbys are gone must still get its work done.
inline void begin_worker_session(const char* database, const char* lock_timeout) {
  pqsignal(SIGHUP, SignalHandlerForConfigReload);
  pqsignal(SIGTERM, die);
  BackgroundWorkerUnblockSignals();
  BackgroundWorkerInitializeConnection(database, nullptr, 0);
  SetConfigOption("synchronous_commit", "local", PGC_USERSET, PGC_S_OVERRIDE);
  SetConfigOption("lock_timeout", lock_timeout, PGC_USERSET, PGC_S_OVERRIDE);
  SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_OVERRIDE);
  // Short queries, asked again and again; the planner's guesses about tables that were never analyzed make them look
  // long.
  SetConfigOption("jit", "off", PGC_USERSET, PGC_S_OVERRIDE);
}

}  // namespace meridian::pg
