// Why background workers of replication failed last: apply workers of subscriptions, and our own.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// Installs the hook that notes failures, and the callback that notes success. Called once, by `_PG_init`, while
/// shared_preload_libraries is loaded.
void watch_worker_failures();

/// To be called by a worker of ours that has done its work once: its failures are over.
void note_worker_success();

/// Shared memory, for the hooks in module.cpp.
Size worker_failures_shmem_size();
void worker_failures_shmem_init();

}  // namespace meridian::pg
