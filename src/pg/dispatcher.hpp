// The dispatcher: one worker per server, on standbys too, that wakes those who wait for a token.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// Registers the worker. Called once, by `_PG_init`, while shared_preload_libraries is loaded.
void register_dispatcher();

}  // namespace meridian::pg
