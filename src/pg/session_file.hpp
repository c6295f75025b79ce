// The table of sessions over a clean restart: core/session_file.hpp as a file of the data directory.
#pragma once

#include "core/session_table.hpp"
#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// Fills the table from the file if that belongs to the very checkpoint from which the server starts, and removes the
/// file. Returns the redo position of that checkpoint. For the postmaster, before it starts any process.
XLogRecPtr load_session_file(SessionTable& table);

/// on_shmem_exit callback of the postmaster; `table` points to the table. Writes the file if the server was shut down
/// cleanly as a primary.
extern "C" void meridian_save_sessions(int code, Datum table);

}  // namespace meridian::pg
