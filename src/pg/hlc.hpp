// The shared hybrid logical clock of this server. Rules of the stamps: core/hlc.hpp; storage: pg/hlc_store.hpp.
//
//   Hlc stamp = tick(newest stamp in the old row);   // a local write
//   observe(newest stamp of the image);              // an image of a peer, its skew checked by the caller
//
// All functions that move the clock raise 55000 if meridian was not loaded at server start or this is not the
// database named by meridian.database, and 25006 during recovery. They may write WAL and wait for its flush, about
// once per second; otherwise they take no lock and no memory.
#pragma once

#include <cstdint>

#include "core/hlc.hpp"
#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// True if the clock exists: meridian is in shared_preload_libraries.
bool clock_available();

/// Returns if the clock runs in this database and may move, else raises as said above. One atomic read when it runs.
void require_clock();

/// A new stamp: larger than the clock and than `above`, and not behind physical time.
/// Raises 22008 if `above` is the end of time.
Hlc tick(Hlc above = never);

/// Where the clock stands: the newest stamp issued or seen.
Hlc clock_now();

/// Moves the clock to at least `seen`, so that every later stamp is larger. Raises 22008 if `seen` is the end of time.
void observe(Hlc seen);

/// Physical time of this server: Unix milliseconds.
std::uint64_t physical_ms();
/// The same of a timestamp of PostgreSQL.
std::uint64_t physical_ms_of(TimestampTz time);

/// Keeper task: keeps the stored bound ahead of a clock that is in use, so that backends nearly never have to.
void keep_clock_ahead();

/// Shared memory of the clock, for the hooks in module.cpp.
Size clock_shmem_size();
void clock_shmem_init();

}  // namespace meridian::pg
