// Tokens of this server's commits, and the SQL functions on tokens.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// What PostgreSQL stores as `meridian.last_write`: always empty. The value is what the hook shows.
extern char* last_write_setting;

/// Shows `meridian.last_write`: the token of the last commit of this session that wrote; empty if there was none.
extern "C" const char* meridian_show_last_write();

/// The session has written in another region, with this token: the setting speaks of that as well from now on.
void merge_last_write(const char* token);

/// COMMIT PREPARED has written its commit record: the transaction that is running will end with a token although it has
/// no transaction id.
void note_commit_prepared();

/// End of the last commit on this server for which some client holds a token; 0 if there was none since server start.
XLogRecPtr last_issued();

/// Registers the commit callback. Called once, by `_PG_init`.
void register_token_callbacks();

/// Shared memory of last_issued(), for the hooks in module.cpp.
Size token_shmem_size();
void token_shmem_init();

}  // namespace meridian::pg
