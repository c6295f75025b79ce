// The keeper: the one maintenance worker of a server. It is connected to the database meridian.database, runs only
// on a primary, and does nothing while the extension is not installed there.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// Registers the worker. Called once, by `_PG_init`, while shared_preload_libraries is loaded.
void register_keeper();

/// Makes the keeper run all its tasks now rather than at the end of the second. False if it is not running, or is
/// the caller.
bool wake_keeper();

/// Shared memory of its status, for the hooks in module.cpp.
Size keeper_shmem_size();
void keeper_shmem_init();

}  // namespace meridian::pg
