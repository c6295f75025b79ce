// What an apply worker of the mesh receives is looked at before PostgreSQL applies it, so that no row can stop the
// stream.
//
// The worker raises an error when a table or a column is missing, when a type does not take a value, or when no
// partition does, and brings the same row again for ever. Such a row never reaches our trigger. So the library that
// receives (libpqwalreceiver) is loaded at server start, and its function `walrcv_receive` is replaced by one that
// passes every message on, but keeps a row that does not fit: it is brought or parked (misfit.hpp) in the transaction
// that the worker is about to apply, and in its place the worker sees a message that it ignores.
//
// What can be seen beforehand (tables and columns) is never tried. The rest shows in an error of the worker, which ends
// once; then the table is careful for some minutes (refusal.hpp), and every row of it is brought here.
//
// Only apply workers of subscriptions named meridian_<number> are concerned. All others, and physical standbys, pay for
// a test of one flag. Without preload nothing of this happens.
#pragma once

namespace meridian::pg {

/// Called once, from _PG_init, while shared_preload_libraries is loaded.
void watch_receiving();

}  // namespace meridian::pg
