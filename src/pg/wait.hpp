// Waiting until this server has what a token speaks of.
#pragma once

#include "pg/support/postgres.hpp"
#include "pg/token_check.hpp"

namespace meridian::pg {

struct WaitOutcome {
  Verdict verdict;     ///< not_yet: the time was over, or the wait was given up
  bool delays_replay;  ///< given up: replay waits for a lock that this transaction holds
};

/// Waits until the verdict on the token is final, at most `timeout_ms`. Holds no snapshot of its own while it sleeps,
/// and no lock. Answers interrupts; an error or the end of the process ends the wait cleanly. Without shared memory,
/// without a dispatcher or when all places are taken it polls.
WaitOutcome wait_until_here(const Wanted& wanted, int timeout_ms);

/// The longest wait that may be asked for.
inline constexpr int longest_wait_ms = 3'600'000;

/// Milliseconds of an argument that says how long to wait; raises 22023 unless between 0 and the longest wait.
int checked_timeout(const Interval* timeout);

/// The end of a wait as SQL functions say it: `reached`, `timeout`, or the verdict.
const char* outcome_name(Verdict verdict);

// --- for the dispatcher ---

/// Says where the dispatcher is to be woken, or with `false` that it has gone.
void attach_dispatcher(bool attached);
/// Whether anybody waits.
bool anybody_waits();
/// Whether anybody waits for changes of peers.
bool anybody_waits_for_peers();
/// The nearest position that somebody waits for; UINT64_MAX if there is none.
std::uint64_t nearest_target();
/// Wakes who waits for a position at or below.
void wake_reached(std::uint64_t position);
/// Wakes who waits for changes of peers.
void wake_peer_waiters();

/// Wakes the dispatcher if somebody waits for changes of peers. Raises nothing: for a commit callback.
void note_peer_commit();

/// Shared memory, for the hooks in module.cpp.
Size wait_shmem_size();
void wait_shmem_init();

}  // namespace meridian::pg
