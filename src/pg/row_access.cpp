#include "pg/row_access.hpp"

#include "pg/support/compat.hpp"

namespace meridian::pg {
namespace {

// The table whose row a RowWriter is writing, and the subtransaction level it does so at; an abort of that level ends
// it.
Oid written_relation = InvalidOid;
int written_level = 0;

void start_writing(RowWriter* writer) {
  writer->outer_relation = written_relation;
  writer->outer_level = written_level;
  written_relation = RelationGetRelid(writer->relation);
  written_level = GetCurrentTransactionNestLevel();
}

void stop_writing(const RowWriter* writer) {
  written_relation = writer->outer_relation;
  written_level = writer->outer_level;
}

void forget_writing() { written_relation = InvalidOid; }

void transaction_ended(XactEvent, void*) { forget_writing(); }

void subtransaction_ended(SubXactEvent event, SubTransactionId, SubTransactionId, void*) {
  if (event == SUBXACT_EVENT_ABORT_SUB && GetCurrentTransactionNestLevel() <= written_level) forget_writing();
}

// A merged row sets every column, as a row of stock apply does: the UPDATE OF triggers of others fire.
void add_range_table(RowWriter* writer) {
  auto* entry = makeNode(RangeTblEntry);
  entry->rtekind = RTE_RELATION;
  entry->relid = RelationGetRelid(writer->relation);
  entry->relkind = writer->relation->rd_rel->relkind;
  entry->rellockmode = RowExclusiveLock;
  Bitmapset* updated = nullptr;
  const TupleDesc descriptor = RelationGetDescr(writer->relation);
  for (int i = 0; i < descriptor->natts; ++i) {
    const Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
    if (attribute->attisdropped || attribute->attgenerated != '\0') continue;
    updated = bms_add_member(updated, attribute->attnum - FirstLowInvalidHeapAttributeNumber);
  }
  compat::exec_init_range_table(writer->estate, entry, updated);
  writer->target->ri_RangeTableIndex = 1;
}

void need_target(RowWriter* writer) {
  if (writer->estate != nullptr) return;
  writer->estate = CreateExecutorState();
  writer->target = makeNode(ResultRelInfo);
  InitResultRelInfo(writer->target, writer->relation, 0, nullptr, 0);
  if (writer->plan->others_see_update) add_range_table(writer);
  writer->estate->es_output_cid = GetCurrentCommandId(true);
  // AFTER triggers look their table up here.
  writer->estate->es_opened_result_relations = list_make1(writer->target);
}

void need_indexes(RowWriter* writer) {
  need_target(writer);
  if (writer->indexes_open) return;
  ExecOpenIndices(writer->target, true);
  writer->indexes_open = true;
}

// Values that the table derives from the row, and what it demands of it. Executor state costs as much as the rest of an
// update, so a row that meets every NOT NULL is not shown to the executor.
void complete_row(RowWriter* writer, TupleTableSlot* row, CmdType command) {
  const TupleConstr* constraints = RelationGetDescr(writer->relation)->constr;
  if (constraints == nullptr || writer->complete) return;
  if (constraints->has_generated_stored) {
    need_target(writer);
    ExecComputeStoredGenerated(writer->target, writer->estate, row, command);
  }
  if (constraints->num_check > 0 ||
      (constraints->has_not_null && missing_value(writer->relation, writer->plan, row) != nullptr)) {
    need_target(writer);
    ExecConstraints(writer->target, row, writer->estate);
  }
}

// The slow way, when triggers of others must see the write: the row is locked first, as stock apply does.
WriteResult lock_row(RowWriter* writer, TupleTableSlot* found) {
  TM_FailureData failure;
  ItemPointerData tid = found->tts_tid;
  // Into a slot of its own: the caller still holds values that point into `found`.
  TupleTableSlot* locked = table_slot_create(writer->relation, nullptr);
  const TM_Result result = table_tuple_lock(writer->relation, &tid, GetActiveSnapshot(), locked,
                                            GetCurrentCommandId(false), LockTupleExclusive, LockWaitBlock, 0, &failure);
  ExecDropSingleTupleTableSlot(locked);
  if (result == TM_Ok) return WriteResult::done;
  return WriteResult::changed_meanwhile;
}

}  // namespace

bool writing_any_row() { return OidIsValid(written_relation); }

bool writing_merged_row(Oid relation) { return OidIsValid(relation) && written_relation == relation; }

void register_write_callbacks() {
  RegisterXactCallback(transaction_ended, nullptr);
  RegisterSubXactCallback(subtransaction_ended, nullptr);
}

void begin_write(RowWriter* writer, Relation relation, RowPlan* plan) {
  *writer = RowWriter{};
  writer->relation = relation;
  writer->plan = plan;
}

void end_write(RowWriter* writer) {
  if (writer->estate == nullptr) return;
  if (writer->indexes_open) ExecCloseIndices(writer->target);
  ExecResetTupleTable(writer->estate->es_tupleTable, false);
  FreeExecutorState(writer->estate);
}

OwnerSwitch become_owner(const RowPlan* plan) {
  OwnerSwitch caller{};
  caller.settings = NewGUCNestLevel();
  GetUserIdAndSecContext(&caller.user, &caller.context);
  SetUserIdAndSecContext(plan->owner, caller.context | SECURITY_RESTRICTED_OPERATION);
  return caller;
}

void become_caller(const OwnerSwitch& caller) {
  AtEOXact_GUC(false, caller.settings);
  SetUserIdAndSecContext(caller.user, caller.context);
}

ResultRelInfo* open_target(RowWriter* writer) {
  need_target(writer);
  return writer->target;
}

ResultRelInfo* open_indexes(RowWriter* writer) {
  need_indexes(writer);
  return writer->target;
}

const char* missing_value(Relation relation, const RowPlan* plan, TupleTableSlot* row) {
  for (int i = 0; i < plan->required_count; ++i) {
    const AttrNumber column = plan->required[i];
    if (slot_attisnull(row, column)) {
      return NameStr(TupleDescAttr(RelationGetDescr(relation), column - 1)->attname);
    }
  }
  return nullptr;
}

void check_row(RowWriter* writer, TupleTableSlot* row, CmdType command) {
  complete_row(writer, row, command);
  writer->complete = true;
}

bool key_is_free(RowWriter* writer, TupleTableSlot* key_source) {
  need_indexes(writer);
  ItemPointerData conflict;
  return compat::exec_check_index_constraints(writer->target, key_source, writer->estate, &conflict,
                                              list_make1_oid(writer->plan->key_index));
}

WriteResult insert_row(RowWriter* writer, TupleTableSlot* row) {
  need_indexes(writer);
  // The target's own copy: the relation's may be replaced while user code runs.
  const TriggerDesc* triggers = writer->target->ri_TrigDesc;
  const bool others = writer->plan->others_see_insert;
  if (others && triggers->trig_insert_before_row) {
    start_writing(writer);
    const bool wanted = ExecBRInsertTriggers(writer->estate, writer->target, row);
    stop_writing(writer);
    if (!wanted) return WriteResult::done;  // a user trigger keeps the row out, as it would in stock apply
  }
  complete_row(writer, row, CMD_INSERT);
  List* arbiters = list_make1_oid(writer->plan->key_index);
  ItemPointerData conflict;
  if (!compat::exec_check_index_constraints(writer->target, row, writer->estate, &conflict, arbiters)) {
    return WriteResult::changed_meanwhile;
  }
  const TransactionId xid = GetCurrentTransactionId();
  const uint32 token = SpeculativeInsertionLockAcquire(xid);
  table_tuple_insert_speculative(writer->relation, row, GetCurrentCommandId(true), 0, nullptr, token);
  bool clash = false;
  List* recheck =
      compat::exec_insert_index_tuples(writer->target, row, writer->estate, false, true, &clash, arbiters, false);
  table_tuple_complete_speculative(writer->relation, row, token, !clash);
  SpeculativeInsertionLockRelease(xid);
  if (clash) return WriteResult::changed_meanwhile;
  if (others && triggers->trig_insert_after_row) {
    AfterTriggerBeginQuery();
    ExecARInsertTriggers(writer->estate, writer->target, row, recheck, nullptr);
    AfterTriggerEndQuery(writer->estate);
  }
  return WriteResult::done;
}

void rewrite_row(RowWriter* writer, TupleTableSlot* found, TupleTableSlot* row) {
  need_indexes(writer);
  EPQState epq;
  compat::eval_plan_qual_init(&epq, writer->estate);
  start_writing(writer);
  AfterTriggerBeginQuery();
  ExecSimpleRelationUpdate(writer->target, writer->estate, &epq, found, row);
  AfterTriggerEndQuery(writer->estate);
  stop_writing(writer);
  EvalPlanQualEnd(&epq);
}

WriteResult update_row(RowWriter* writer, TupleTableSlot* found, TupleTableSlot* row) {
  if (writer->plan->others_see_update) {
    if (lock_row(writer, found) != WriteResult::done) return WriteResult::changed_meanwhile;
    rewrite_row(writer, found, row);
    return WriteResult::done;
  }
  complete_row(writer, row, CMD_UPDATE);
  ItemPointerData tid = found->tts_tid;
  TM_FailureData failure;
  LockTupleMode lock_mode;
  compat::UpdatedIndexes indexes{};
  const TM_Result result =
      compat::table_tuple_update(writer->relation, &tid, row, GetCurrentCommandId(true), GetActiveSnapshot(),
                                 InvalidSnapshot, true, &failure, &lock_mode, &indexes);
  if (result != TM_Ok) return WriteResult::changed_meanwhile;
  if (indexes.any) {
    need_target(writer);
    // Without it every index is said to be unchanged, and searches for older versions of the row before it splits a
    // page: a fifth of the work of an apply worker, mostly in vain while they are as young as here.
    if (writer->target->ri_RangeTableIndex == 0) add_range_table(writer);
    need_indexes(writer);
    compat::exec_insert_index_tuples(writer->target, row, writer->estate, true, false, nullptr, NIL,
                                     indexes.summarizing_only);
  }
  return WriteResult::done;
}

WriteResult delete_row(RowWriter* writer, TupleTableSlot* found) {
  if (writer->plan->others_see_delete) {
    if (lock_row(writer, found) != WriteResult::done) return WriteResult::changed_meanwhile;
    need_indexes(writer);
    EPQState epq;
    compat::eval_plan_qual_init(&epq, writer->estate);
    start_writing(writer);
    AfterTriggerBeginQuery();
    ExecSimpleRelationDelete(writer->target, writer->estate, &epq, found);
    AfterTriggerEndQuery(writer->estate);
    stop_writing(writer);
    EvalPlanQualEnd(&epq);
    return WriteResult::done;
  }
  ItemPointerData tid = found->tts_tid;
  TM_FailureData failure;
  const TM_Result result = table_tuple_delete(writer->relation, &tid, GetCurrentCommandId(true), GetActiveSnapshot(),
                                              InvalidSnapshot, true, &failure, false);
  return result == TM_Ok ? WriteResult::done : WriteResult::changed_meanwhile;
}

}  // namespace meridian::pg
