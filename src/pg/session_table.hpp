// The table of sessions in shared memory: core/session_table.hpp with a lock per partition.
#pragma once

#include "core/session_table.hpp"
#include "core/token.hpp"
#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// `meridian.session`, and its hooks.
extern char* session_setting;
extern "C" bool meridian_check_session_name(char** value, void** extra, GucSource source);
extern "C" void meridian_assign_session_name(const char* value, void* extra);

/// `meridian.max_sessions`; 0 switches the table off.
extern int max_sessions;

/// Whether there is a table.
bool tracks_sessions();

/// This process has committed a write that ends at `end`: notes it for its session, if it has one. For the commit
/// callback: raises nothing.
void note_session_commit(XLogRecPtr end) noexcept;

// --- on a primary; there must be a table ---

/// At or above every write of the session on this server that its client knows of.
LastWrite last_write_of(const SessionKey& key);

// --- on a standby: what the primary has said; nothing without a table ---

/// Notes an answer. Nothing happens once recovery has ended.
void mirror_session(const SessionKey& key, const Position& position, TimestampTz time);
/// Copies what was noted; false if nothing was.
bool mirrored_session(const SessionKey& key, Position* position);

// --- on both ---

/// Makes this server the authority for all partitions, if it is a primary.
void own_all_sessions();
/// Drops a session. False if it was not there.
bool forget_session(const SessionKey& key);
/// Drops expired sessions, a bounded number for each call. `progress` has SessionTable::max_partitions numbers that
/// begin as 0, and belongs to these calls.
void sweep_sessions(const SessionExpiry& expiry, std::uint32_t* progress);
/// Copies the sessions of a partition to `entries`, which has places for session_partition_capacity(); returns how many
/// there are.
std::uint32_t copy_sessions(std::uint32_t partition, SessionEntry* entries);
std::uint32_t session_partitions();
std::uint32_t session_partition_capacity();

struct SessionCounts {
  std::uint64_t sessions;
  std::uint64_t gave_way;  ///< sessions that were dropped because the table was full, since server start
  std::uint64_t expired;
};
SessionCounts count_sessions();

/// Shared memory, for the hooks in module.cpp.
Size session_table_shmem_size();
void session_table_shmem_init();

}  // namespace meridian::pg
