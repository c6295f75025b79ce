// This region's lease of the keys that it is home of, and what this member has promised others of theirs
// (core/home_lease.hpp), in shared memory.
#pragma once

#include "pg/home_map.hpp"

namespace meridian::pg {

/// `meridian.home_lease`, milliseconds; 0: no leases.
extern int home_lease_ms;

/// To be called before a row is written whose key has its home here. With leases on, raises MD053 if this region's has
/// ended; the commit looks again. One atomic read and one of the clock.
void require_home_lease();

// --- for the prober ---

/// What a member asks the others with.
struct LeaseTerms {
  std::int32_t self;      ///< 0: nothing is asked
  std::uint64_t changes;  ///< of the voters, as far as this server has seen them
  Voters voters;
};

/// In a transaction.
LeaseTerms read_lease_terms();

/// Sets the lease, unless the voters have changed since the terms were read. `answers`: so many have acknowledged and
/// count now.
void set_home_lease(const LeaseTerms& terms, std::int64_t until, int answers);

// --- for home_map.cpp ---

/// The voters have changed, visibly to all: what was acknowledged does not count any more.
void drop_home_lease();

/// From now on this server acknowledges; whoever did before may have promised something.
void begin_promising();

/// Registers the callback. Called once, by `_PG_init`.
void register_home_lease_callbacks();

/// Shared memory, for the hooks in module.cpp.
Size home_lease_shmem_size();
void home_lease_shmem_init();

}  // namespace meridian::pg
