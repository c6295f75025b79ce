// What happens when PostgreSQL loads meridian.so.
//
// At server start (shared_preload_libraries) the module claims shared memory and registers the keeper. In a backend
// that loads it later there is neither: settings exist, plain functions and lww triggers work, and whatever needs the
// clock says that meridian must be loaded at server start.

#include "pg/catalog.hpp"
#include "pg/dispatcher.hpp"
#include "pg/heartbeat.hpp"
#include "pg/history_limit.hpp"
#include "pg/hlc.hpp"
#include "pg/home_lease.hpp"
#include "pg/home_map.hpp"
#include "pg/identity.hpp"
#include "pg/keeper.hpp"
#include "pg/key_counts.hpp"
#include "pg/late_insert.hpp"
#include "pg/peer_lag.hpp"
#include "pg/prober.hpp"
#include "pg/read_after.hpp"
#include "pg/receive.hpp"
#include "pg/registry.hpp"
#include "pg/replica_lag.hpp"
#include "pg/rights_queue.hpp"
#include "pg/row_access.hpp"
#include "pg/row_plan.hpp"
#include "pg/row_slots.hpp"
#include "pg/session_requests.hpp"
#include "pg/session_table.hpp"
#include "pg/session_worker.hpp"
#include "pg/settings.hpp"
#include "pg/slot_watch.hpp"
#include "pg/stat_tables.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/guard.hpp"
#include "pg/token.hpp"
#include "pg/wait.hpp"
#include "pg/worker_failures.hpp"

MERIDIAN_MODULE_MAGIC("meridian")

extern "C" PGDLLEXPORT void _PG_init(void);

namespace meridian::pg {
namespace {

struct SharedMemory {
  Size (*size)();
  void (*init)();
};

constexpr SharedMemory shared_memory[] = {
    {clock_shmem_size, clock_shmem_init},
    {identity_shmem_size, identity_shmem_init},
    {keeper_shmem_size, keeper_shmem_init},
    {stat_tables_shmem_size, stat_tables_shmem_init},
    {late_insert_shmem_size, late_insert_shmem_init},
    {history_limit_shmem_size, history_limit_shmem_init},
    {token_shmem_size, token_shmem_init},
    {wait_shmem_size, wait_shmem_init},
    {heartbeat_shmem_size, heartbeat_shmem_init},
    {rights_queue_shmem_size, rights_queue_shmem_init},
    {session_table_shmem_size, session_table_shmem_init},
    {session_requests_shmem_size, session_requests_shmem_init},
    {replica_lag_shmem_size, replica_lag_shmem_init},
    {registry_shmem_size, registry_shmem_init},
    {peer_lag_shmem_size, peer_lag_shmem_init},
    {worker_failures_shmem_size, worker_failures_shmem_init},
    {slot_watch_shmem_size, slot_watch_shmem_init},
    {home_map_shmem_size, home_map_shmem_init},
    {home_lease_shmem_size, home_lease_shmem_init},
    {key_counts_shmem_size, key_counts_shmem_init},
};

shmem_request_hook_type next_shmem_request_hook = nullptr;
shmem_startup_hook_type next_shmem_startup_hook = nullptr;

void request_shared_memory() {
  if (next_shmem_request_hook != nullptr) next_shmem_request_hook();
  for (const SharedMemory& part : shared_memory) RequestAddinShmemSpace(part.size());
}

void init_shared_memory() {
  if (next_shmem_startup_hook != nullptr) next_shmem_startup_hook();
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  for (const SharedMemory& part : shared_memory) part.init();
  LWLockRelease(AddinShmemInitLock);
}

extern "C" void meridian_shmem_request() {
  guarded([] { request_shared_memory(); });
}

extern "C" void meridian_shmem_startup() {
  guarded([] { init_shared_memory(); });
}

void init_module() {
  define_settings();
  register_home_callbacks();
  register_home_lease_callbacks();
  register_identity_callbacks();
  register_catalog_callbacks();
  register_plan_callbacks();
  register_write_callbacks();
  register_slot_callbacks();
  register_token_callbacks();
  register_heartbeat_callbacks();
  install_read_after_hooks();
  if (!process_shared_preload_libraries_in_progress) return;
  next_shmem_request_hook = shmem_request_hook;
  shmem_request_hook = meridian_shmem_request;
  next_shmem_startup_hook = shmem_startup_hook;
  shmem_startup_hook = meridian_shmem_startup;
  register_keeper();
  register_dispatcher();
  register_session_worker();
  register_prober();
  watch_receiving();
  watch_worker_failures();
}

}  // namespace
}  // namespace meridian::pg

void _PG_init(void) {
  meridian::pg::guarded([] { meridian::pg::init_module(); });
}
