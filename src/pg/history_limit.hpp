// The cap on the write rate of the conflict history, one for all processes of the server.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// True if one more entry may be written now (meridian.conflict_rate_limit); it then counts. Without preload there is
/// no limit.
bool may_write_history();

Size history_limit_shmem_size();
void history_limit_shmem_init();

}  // namespace meridian::pg
