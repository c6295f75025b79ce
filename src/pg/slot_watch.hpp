// Since when replication slots have not been used. PostgreSQL tells from 17 on; this is for all versions alike.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// Looks at all slots. For one worker, about once a second.
void watch_slots();

/// Shared memory, for the hooks in module.cpp.
Size slot_watch_shmem_size();
void slot_watch_shmem_init();

}  // namespace meridian::pg
