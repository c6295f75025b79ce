// Questions of a standby's backends to the primary, and the answers, in shared memory between them and the worker.
#pragma once

#include "core/session_table.hpp"
#include "core/token.hpp"
#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// Most sessions that one backend can ask about at a time.
inline constexpr int most_keys_asked = 16;

/// What the primary says of a session: on its timeline all that the session wrote ends at `position` at the latest.
struct SessionPosition {
  Position position;
  TimestampTz written_at;
};

enum class RequestOutcome { waiting, answered, failed };

// --- for a backend ---

/// Asks. What this backend asked before is forgotten.
void post_request(const SessionKey* keys, int count);
/// Whether there is an answer; copies it.
RequestOutcome look_at_request(SessionPosition* answers);
/// The worker's process; 0 if there is none.
int session_worker_pid();

// --- for the worker ---

/// Requests taken together.
struct RequestBatch {
  static constexpr int most_keys = 256;

  struct Taken {
    std::uint32_t backend;
    int first;  ///< of its keys
    int count;
  };
  int requests;
  Taken taken[most_keys];
  int count;
  SessionKey keys[most_keys];
};

/// Says where the worker is to be woken, or with `false` that it has gone. What a worker before it took is asked again.
void attach_session_worker(bool attached);
/// Takes what is asked, as many as there is room for.
void take_requests(RequestBatch* batch);
/// Gives each backend its answers and wakes it. `answers` has one for each key.
void answer_requests(const RequestBatch& batch, const SessionPosition* answers);
/// Tells each backend that there will be no answer.
void fail_requests(const RequestBatch& batch);
/// Puts them back to be taken again.
void return_requests(const RequestBatch& batch);
/// A query to the primary, and whether it failed; `reason` has no secret.
void note_query();
void note_query_failure(const char* reason);
void note_query_success();

struct RequestCounts {
  std::uint64_t requests;  ///< of backends
  std::uint64_t queries;   ///< to the primary
  std::uint64_t failures;
  TimestampTz failing_since;  ///< 0: the last query succeeded, or there was none
  char reason[256];           ///< of the last failure
};
/// False without shared memory.
bool count_requests(RequestCounts* counts);

/// Shared memory, for the hooks in module.cpp.
Size session_requests_shmem_size();
void session_requests_shmem_init();

}  // namespace meridian::pg
