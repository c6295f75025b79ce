// The programs of sinks, as child processes of the keeper: started, reaped, started again.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// Settings.
extern char* sink_program;    ///< empty: meridian-sink beside the server's own program
extern char* sink_dsn;        ///< empty: this server's socket, as the bootstrap superuser
extern char* sink_directory;  ///< where sinks of kind file write
extern char* sink_hosts;      ///< where sinks may connect to

/// Task of the keeper.
void watch_sinks();

}  // namespace meridian::pg
