// How far this server's physical replicas are behind: those of the walsenders, and of the replication slots.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// What all connected standbys have replayed, and all physical slots have received; UINT64_MAX if there are none. A
/// standby without a slot counts only while it is connected.
XLogRecPtr passed_by_all();

/// Takes a sample of the replay lag of each connected standby. For one worker, about once a second.
void sample_replica_lag();

struct ReplicaLag {
  std::uint64_t samples;  ///< of the last hour
  std::int64_t p99_us;    ///< that 99 % of them did not exceed; 0 if there are none
};
ReplicaLag replica_lag();

/// Shared memory, for the hooks in module.cpp.
Size replica_lag_shmem_size();
void replica_lag_shmem_init();

}  // namespace meridian::pg
