// How far the writes of other members can be read here.
#pragma once

#include "core/stream.hpp"
#include "core/token_check.hpp"
#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// The verdict on a position of another system; foreign if no peer has it. Takes no lock and holds no snapshot when it
/// returns. Needs a transaction.
Verdict judge_by_peer(const Position& position);

/// To be called by an apply worker, in a transaction, before it reads a stream from a server of this system and
/// timeline: what it will apply may not be of the timeline that was told last.
void begin_reading(const StreamName& from, std::uint64_t system_id, std::uint32_t timeline);

/// Keeper task: tells the peers where this server's WAL stands, if somebody may hold a token that they do not know yet.
void publish_heartbeat();

/// Tells it in the running transaction: a transaction that raises the epoch, so that peers hear of the new timeline
/// before anything that is written on it. SPI must not be connected.
void write_heartbeat(std::int32_t member);

/// Grows when a change of a peer becomes visible on this primary.
std::uint64_t peer_commits();

/// Registers the apply worker's commit callback. Called once, by `_PG_init`.
void register_heartbeat_callbacks();

/// Shared memory, for the hooks in module.cpp.
Size heartbeat_shmem_size();
void heartbeat_shmem_init();

}  // namespace meridian::pg
