// How far the writes of other members can be read here.
#pragma once

#include "core/token_check.hpp"
#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// How far the writes of a peer can be read on this server; false if no peer has this system identifier. To be called
/// in a transaction; takes no lock and holds no snapshot when it returns. `ancestors` is palloc'd.
bool peer_reach(std::uint64_t system_id, Reach* reach);

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
