// Writing one row of a user table, without SQL. Finding it is in row_lookup.hpp.
//
// Updating is optimistic: nothing is locked beforehand, and a row that changed meanwhile is reported, for the
// caller to read it again under a fresh snapshot. Writes fire the triggers of others that an apply worker would fire,
// and never run ours; the caller has become the table's owner before, so that no code of the table's owner (triggers,
// defaults, operators) runs with more rights. A RowWriter lives in the memory context it was begun in.
#pragma once

#include "pg/row_plan.hpp"

namespace meridian::pg {

/// True while a RowWriter writes a row of any table: whoever writes another one then is a trigger of a user.
bool writing_any_row();
/// True while a RowWriter writes a row of this table, so that our own BEFORE triggers let it pass.
bool writing_merged_row(Oid relation);
/// Registers the callbacks that end a write with its (sub)transaction. Called once, from _PG_init.
void register_write_callbacks();

/// Who we were before become_owner(). An error restores it with the transaction.
struct OwnerSwitch {
  Oid user;
  int context;
  int settings;  ///< what the owner's code sets ends with it
};
OwnerSwitch become_owner(const RowPlan* plan);
void become_caller(const OwnerSwitch& caller);

enum class WriteResult { done, changed_meanwhile };

struct RowWriter {
  Relation relation;
  RowPlan* plan;
  EState* estate;  ///< made when first needed
  ResultRelInfo* target;
  bool indexes_open;
  bool complete;       ///< the row to write has passed check_row()
  Oid outer_relation;  ///< of the write that this one is nested in, by way of a user trigger
  int outer_level;
};

void begin_write(RowWriter* writer, Relation relation, RowPlan* plan);
void end_write(RowWriter* writer);

/// The table as a target of writes, and the same with all its indexes open.
ResultRelInfo* open_target(RowWriter* writer);
ResultRelInfo* open_indexes(RowWriter* writer);

/// Computes the generated columns of `row` and raises what CHECK and NOT NULL constraints say, ahead of the write.
void check_row(RowWriter* writer, TupleTableSlot* row, CmdType command);
/// The first NOT NULL column that has no value in `row`, or null.
const char* missing_value(Relation relation, const RowPlan* plan, TupleTableSlot* row);

/// Waits for other transactions that are inserting this key. False if a committed row has it now (look again).
bool key_is_free(RowWriter* writer, TupleTableSlot* key_source);

/// Inserts speculatively, with the primary key as arbiter. `changed_meanwhile`: somebody else has the key (look again).
WriteResult insert_row(RowWriter* writer, TupleTableSlot* row);
/// Replaces the row version that `found` holds.
WriteResult update_row(RowWriter* writer, TupleTableSlot* found, TupleTableSlot* row);
/// Replaces the version of a row that this transaction has inserted, as an UPDATE of it would: with every trigger that
/// fires in this session but ours.
void rewrite_row(RowWriter* writer, TupleTableSlot* found, TupleTableSlot* row);
WriteResult delete_row(RowWriter* writer, TupleTableSlot* found);

}  // namespace meridian::pg
