// The worker `meridian sessions`: one per server, on standbys too. On a standby it asks the primary for the backends;
// on a primary it measures the lag of the replicas; on both it drops sessions that have expired.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// `meridian.session_expiry`, seconds.
extern int session_expiry_s;

/// Registers the worker. Called once, by `_PG_init`, while shared_preload_libraries is loaded.
void register_session_worker();

}  // namespace meridian::pg
