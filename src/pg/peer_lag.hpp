// How long commits of this server take to be visible on those that read from it: members of the mesh, and standbys.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// Looks at the end of this server's log and at what every reader has confirmed. For one worker, every
/// `peer_lag_interval_ms`.
void sample_peer_lag();
inline constexpr int peer_lag_interval_ms = 100;

/// Shared memory, for the hooks in module.cpp.
Size peer_lag_shmem_size();
void peer_lag_shmem_init();

}  // namespace meridian::pg
