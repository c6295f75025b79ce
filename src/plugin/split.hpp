// Which of a receiver's streams a change leaves through. The stream that this process sends is named by its slot
// (core/stream.hpp).
//
//   row of a replicated table     that of its primary key's hash (pg/key_hash.hpp)
//   row of meridian.tombstone     the same: the tombstone has the hash that was taken from the row's key
//   row of meridian.progress      every stream
//   row of meridian.heartbeat     every stream
//   any other                     the first
//
// A change must travel in one stream at least, and every sender decides by itself. So the decision depends on nothing
// but the WAL: the row, and the catalog as it was when the row was written.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// Whether the table has a trigger of that name (pg/trigger_names.hpp).
bool has_trigger(Relation relation, const char* name);

/// Which stream this process sends from now on. A slot with a name of another kind has everything.
void begin_stream(const char* slot_name);

/// Whether the row leaves through this stream.
bool travels_here(Relation relation, HeapTuple row);

}  // namespace meridian::pg
