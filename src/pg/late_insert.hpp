// Local INSERTs that come after a delete of their key, but were stamped before it.
//
// An INSERT is stamped by a BEFORE trigger, a DELETE by an AFTER trigger, at the end of its statement. So an INSERT
// that waits for another session's DELETE of the same key, or one in the same statement (a common table expression, a
// row that moves to another partition), or in a trigger of the DELETE, has the smaller stamp although it is the later
// write: the tombstone would bury it everywhere. Therefore every new key is looked at once more when it is in the
// table, before anybody else sees it, and is stamped again if a tombstone that is known by now kills it.
//
// Only this makes an INSERT cost a look-up of tombstones, so it is skipped while this server has recorded none since
// the transaction's first INSERT was stamped: a counter in shared memory tells.
#pragma once

#include "pg/row_values.hpp"

namespace meridian::pg {

/// Before a new key is stamped.
void begin_insert();

/// A tombstone is about to be stored, and the clock has passed its stamp.
void note_tombstone();

/// True if this transaction has inserted rows of replicated tables.
bool has_inserted();

/// A new key is in the table: stamps it again if a delete that came before it would bury it. `key`: any row with it.
void outlive_deletes(Relation relation, RowPlan* plan, const RowValues& key);

/// False if no tombstone was recorded since this transaction's first INSERT, so that there is nothing to outlive.
bool may_be_late(const RowPlan* plan);

/// Shared memory of the counter, for the hooks in module.cpp.
Size late_insert_shmem_size();
void late_insert_shmem_init();

}  // namespace meridian::pg
