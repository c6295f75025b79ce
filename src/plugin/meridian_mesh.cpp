// Output plugin of the mesh: pgoutput with four differences.
//
//  1. Only changes that were made here leave this server, so that a mesh of any shape does not loop, also on
//     PostgreSQL 15, which has no `origin = none`.
//  2. An UPDATE leaves as an INSERT of the whole new row. The stock apply worker skips an UPDATE whose row it does not
//     find; an INSERT always reaches the receiver's BEFORE INSERT trigger, which merges it with what is there.
//  3. DELETE and TRUNCATE do not leave. A deletion travels as the INSERT of a tombstone, which the table's
//     trigger wrote.
//  4. If the slot is one of several streams of a member, only its share leaves (split.hpp).
//
// Everything else (protocol, options, publications, row filters, column lists, schema messages) is pgoutput's own code:
// its callbacks stay in the table that the server gave us.
//
// Memory: a change belongs to the reorder buffer and is never modified. The rewritten change is a copy on the stack; a
// tuple that had to be formed anew is freed before the callback returns. Callbacks may be left by longjmp at any point
// (pgoutput sends to the network), so no frame here holds an object with a destructor.
#include "pg/support/postgres.hpp"

#include "pg/support/compat.hpp"
#include "pg/support/guard.hpp"
#include "pg/trigger_names.hpp"
#include "plugin/split.hpp"

MERIDIAN_MODULE_MAGIC("meridian_mesh")

extern "C" {
PGDLLEXPORT void _PG_output_plugin_init(OutputPluginCallbacks* callbacks);
}

namespace meridian::pg {
namespace {

/// pgoutput's own callbacks, which ours end in. Written once, when the library is loaded into a process.
LogicalDecodeStartupCB base_startup = nullptr;
LogicalDecodeChangeCB base_change = nullptr;
LogicalDecodeStreamChangeCB base_stream_change = nullptr;

/// Tables this process has already warned about; lives in TopMemoryContext.
List* warned_relations = NIL;

/// A table with the trigger that completes rows before they are logged leaves out a value only where the receiver is
/// not to take it; without the trigger the receiver would read the gap as NULL, so somebody has to hear of it.
void warn_of_gap(Relation relation) {
  const Oid relid = RelationGetRelid(relation);
  if (list_member_oid(warned_relations, relid) || has_trigger(relation, stamp_trigger_name)) {
    return;
  }
  MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
  warned_relations = lappend_oid(warned_relations, relid);
  MemoryContextSwitchTo(caller);
  ereport(WARNING, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("an update of table \"%s\" leaves without an unchanged large value",
                           RelationGetRelationName(relation)),
                    errdetail("Table \"%s\" lacks trigger \"%s\"; the receiver sees NULL in place of the value.",
                              RelationGetRelationName(relation), stamp_trigger_name),
                    errhint("Run SELECT meridian.replicate('%s') or take the table out of the publication.",
                            RelationGetRelationName(relation))));
}

bool is_unlogged_value(const FormData_pg_attribute* attribute, Datum value, bool is_null) {
  return !is_null && !attribute->attisdropped && attribute->attlen == -1 &&
         VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value));
}

/// Completes the new row of an UPDATE. An out-of-line value that the UPDATE did not touch is not in WAL, but the old
/// tuple has it in full where the column is part of the replica identity (heapam.c, ExtractReplicaIdentity).
/// Returns `new_row` itself if nothing was to be done, else a palloc'd tuple.
HeapTuple complete_row(Relation relation, HeapTuple new_row, HeapTuple old_row) {
  if (!HeapTupleHasExternal(new_row)) {
    return new_row;
  }
  TupleDesc desc = RelationGetDescr(relation);
  auto* values = static_cast<Datum*>(palloc(sizeof(Datum) * desc->natts));
  auto* nulls = static_cast<bool*>(palloc(sizeof(bool) * desc->natts));
  heap_deform_tuple(new_row, desc, values, nulls);
  bool filled = false;
  bool gap = false;
  for (int i = 0; i < desc->natts; ++i) {
    if (!is_unlogged_value(TupleDescAttr(desc, i), values[i], nulls[i])) {
      continue;
    }
    bool old_null = true;
    const Datum old_value = old_row != nullptr ? heap_getattr(old_row, i + 1, desc, &old_null) : Datum{0};
    if (old_null || is_unlogged_value(TupleDescAttr(desc, i), old_value, old_null)) {
      gap = true;
      continue;
    }
    values[i] = old_value;
    filled = true;
  }
  HeapTuple result = filled ? heap_form_tuple(desc, values, nulls) : new_row;
  pfree(values);
  pfree(nulls);
  if (gap) {
    warn_of_gap(relation);
  }
  return result;
}

/// A change stays. pgoutput does not see it, so what pgoutput does once in a while is done here: to send a sign of life
/// if one is due, because the receiver would give a sender up that is busy with a large transaction and sends nothing
/// of it.
void leave_out(LogicalDecodingContext* context) {
  constexpr int changes_per_look = 100;
  static int left_out = 0;
  if (++left_out < changes_per_look) return;
  left_out = 0;
  OutputPluginUpdateProgress(context, false);
}

/// Hands `change` to pgoutput in the form in which it travels, if it does.
void send_change(LogicalDecodeChangeCB base, LogicalDecodingContext* context, ReorderBufferTXN* txn, Relation relation,
                 ReorderBufferChange* change) {
  const bool is_row = change->action == REORDER_BUFFER_CHANGE_INSERT || change->action == REORDER_BUFFER_CHANGE_UPDATE;
  HeapTuple logged = is_row ? compat::heap_tuple_of(change->data.tp.newtuple) : nullptr;
  if (change->action == REORDER_BUFFER_CHANGE_DELETE) {
    leave_out(context);
    return;
  }
  if (change->action == REORDER_BUFFER_CHANGE_INSERT && logged != nullptr && !travels_here(relation, logged)) {
    leave_out(context);
    return;
  }
  if (change->action != REORDER_BUFFER_CHANGE_UPDATE || logged == nullptr) {
    base(context, txn, relation, change);
    return;
  }
  HeapTuple row = complete_row(relation, logged, compat::heap_tuple_of(change->data.tp.oldtuple));
  ReorderBufferChange insert = *change;
  compat::ReorderTupleHolder holder{};
  insert.action = REORDER_BUFFER_CHANGE_INSERT;
  insert.data.tp.oldtuple = nullptr;
  insert.data.tp.newtuple = compat::hold_tuple(holder, row);
  if (travels_here(relation, row)) {
    base(context, txn, relation, &insert);
  } else {
    leave_out(context);
  }
  if (row != logged) {
    heap_freetuple(row);
  }
}

}  // namespace
}  // namespace meridian::pg

extern "C" {

/// Only what no origin marks was written here by a user. DoNotReplicateId is an origin too: row copies carry it.
static bool mesh_filter_by_origin(LogicalDecodingContext*, RepOriginId origin) { return origin != InvalidRepOriginId; }

static void mesh_startup(LogicalDecodingContext* context, OutputPluginOptions* options, bool is_init) {
  meridian::pg::guarded([=] {
    meridian::pg::begin_stream(NameStr(context->slot->data.name));
    meridian::pg::base_startup(context, options, is_init);
  });
}

static void mesh_change(LogicalDecodingContext* context, ReorderBufferTXN* txn, Relation relation,
                        ReorderBufferChange* change) {
  meridian::pg::guarded([=] { meridian::pg::send_change(meridian::pg::base_change, context, txn, relation, change); });
}

static void mesh_stream_change(LogicalDecodingContext* context, ReorderBufferTXN* txn, Relation relation,
                               ReorderBufferChange* change) {
  meridian::pg::guarded(
      [=] { meridian::pg::send_change(meridian::pg::base_stream_change, context, txn, relation, change); });
}

/// Called by the server once per process that decodes with this plugin (logical.c, LoadOutputPlugin).
void _PG_output_plugin_init(OutputPluginCallbacks* callbacks) {
  meridian::pg::guarded([=] {
    auto init = reinterpret_cast<LogicalOutputPluginInit>(
        load_external_function("$libdir/pgoutput", "_PG_output_plugin_init", true, nullptr));
    init(callbacks);
    meridian::pg::base_startup = callbacks->startup_cb;
    meridian::pg::base_change = callbacks->change_cb;
    meridian::pg::base_stream_change = callbacks->stream_change_cb;
    callbacks->startup_cb = mesh_startup;
    callbacks->filter_by_origin_cb = mesh_filter_by_origin;
    callbacks->change_cb = mesh_change;
    callbacks->stream_change_cb = mesh_stream_change;
    callbacks->truncate_cb = nullptr;
    callbacks->stream_truncate_cb = nullptr;
  });
}

}  // extern "C"
