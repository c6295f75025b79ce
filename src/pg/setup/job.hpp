// A set-up function as two processes: the caller's backend, which waits, and a background worker, which works.
//
// Why: creating a replication slot waits for every open transaction, its caller's included. So the caller takes no xid
// and only waits on its latch; the worker is in no transaction at all and does everything over libpq.
//
// The two share a dynamic shared memory segment: a RequestHeader, the texts of the request, and a message queue from
// the worker to the caller. The segment is the caller's; when it lets go of it, on success, error, cancel or exit, the
// worker is told to stop, undoes what it can, and ends.
//
// A message is one byte, its kind, and then texts, each with its terminating zero.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg::setup {

enum class Task : std::int32_t {
  create_node,
  join,
  leave,
  drop_node,
  replicate,
  unreplicate,
  compare,
  repair,
  resend,
  heal,
  change_registry,
  rehome
};

enum class Message : char {
  waiting = 'W',  ///< what the worker waits for; an empty text: nothing any more
  warning = 'A',  ///< message, detail, hint
  row = 'D',      ///< one row of the result: up to four texts, empty for NULL
  error = 'E',    ///< SQLSTATE, message, detail, hint; the worker has ended
  result = 'R',   ///< a text, empty for none; the worker has ended
};

/// Start of the segment. The queue begins at `queue_offset`, `text_count` zero-terminated texts right behind the
/// header.
struct RequestHeader {
  Task task;
  Oid database;
  Oid relation;              ///< of the tasks for one table
  TimestampTz server_start;  ///< proves, with the system identifier, that a connection leads here
  std::uint64_t system_id;
  std::int32_t lock_timeout_ms;  ///< the caller's lock_timeout, 0 for the default
  std::int32_t caller_is_superuser;
  std::int32_t text_count;  ///< name of the calling role, then the arguments of the task
  Size queue_offset;
};
static_assert(std::is_trivially_copyable_v<RequestHeader>);

/// Takes the rows of a task's result, as they come.
struct RowSink {
  void (*put)(void* context, const char* const* texts);
  void* context;
};

/// Runs a task in a worker and returns its result, or null if it has none. Raises what the worker raised; refuses
/// (25001) if the transaction has an xid. `texts` are the arguments of the task; `sink` is for tasks that send rows.
/// Interruptible.
char* run_task(Task task, Oid relation, const char* const* texts, int text_count, const RowSink* sink = nullptr);

}  // namespace meridian::pg::setup

extern "C" {
/// Entry point of the worker; the argument is the handle of the segment.
PGDLLEXPORT void meridian_setup_main(Datum handle);
}
