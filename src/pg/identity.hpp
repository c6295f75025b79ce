// Who this server is in the mesh: member and epoch, from meridian.local_member, checked against the running server
// by the rules of core/identity_rules.hpp and cached in shared memory.
#pragma once

#include "core/actor.hpp"
#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// The name under which this server stamps its writes. Two atomic reads unless the cache was dropped. Right after a
/// promotion it waits for the keeper to raise the epoch.
/// Raises MD020 if this server is not a member, MD010 if it is not the server that the mesh knows (with a hint),
/// 55000 if meridian was not loaded at server start or this is another database, 25006 during recovery.
Actor local_actor();

/// True if create_node() or join() was done in this database. Raises nothing of its own.
bool is_member();

/// True if this server is a member and the one that writes for it. Raises nothing of its own; not for a standby.
bool is_confirmed_member();

/// Drops the cached identity: for this transaction now, for everybody when it commits. The trigger on
/// meridian.local_member calls it, so code that changes that table through SQL need not.
void forget_identity();

/// Keeper task: raises the epoch of a server that was promoted, upgraded or restored.
void confirm_promoted_identity();

/// Registers the transaction callback of forget_identity(). Called once, by `_PG_init`.
void register_identity_callbacks();

/// Shared memory of the cache, for the hooks in module.cpp.
Size identity_shmem_size();
void identity_shmem_init();

}  // namespace meridian::pg
