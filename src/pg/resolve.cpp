// The trigger functions of replicated tables: meridian.resolve(), meridian.lww() and meridian.truncate().
//
// One function serves four triggers: "00_meridian_apply", first of the BEFORE triggers, merges what a peer sent;
// "zz_meridian_stamp", last of them, stamps what a user wrote; "zz_meridian_delete", AFTER DELETE, leaves a tombstone;
// "zz_meridian_insert", AFTER INSERT or an UPDATE of the key, looks once more at a new key (late_insert.hpp). Which is
// meant follows from who writes. A trigger attached by hand, under any other name, does all of it.
#include "pg/apply.hpp"
#include "pg/applying.hpp"
#include "pg/late_insert.hpp"
#include "pg/row_access.hpp"
#include "pg/row_logic.hpp"
#include "pg/settings.hpp"
#include "pg/stamp.hpp"
#include "pg/stat_tables.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg {
namespace {

TriggerData* trigger_data(FunctionCallInfo fcinfo, const char* function) {
  if (!CALLED_AS_TRIGGER(fcinfo)) {
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("meridian.%s() is a trigger function", function)));
  }
  auto* data = reinterpret_cast<TriggerData*>(fcinfo->context);
  const bool before = TRIGGER_FIRED_BEFORE(data->tg_event) && !TRIGGER_FIRED_BY_DELETE(data->tg_event);
  const bool after = TRIGGER_FIRED_AFTER(data->tg_event);
  if (!TRIGGER_FIRED_FOR_ROW(data->tg_event) || (!before && !after)) {
    ereport(ERROR,
            (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
             errmsg("meridian.%s() must fire BEFORE INSERT OR UPDATE or AFTER INSERT, UPDATE or DELETE, for each row",
                    function),
             errhint("Let meridian.replicate() attach the triggers.")));
  }
  return data;
}

bool is_named(const TriggerData* data, const char* name) { return std::strcmp(data->tg_trigger->tgname, name) == 0; }

// A subscription with plain pgoutput delivers UPDATE as UPDATE: the image meets the row that the worker found.
HeapTuple merge_update(const TriggerData* data, RowPlan* plan) {
  Relation relation = data->tg_relation;
  const OwnerSwitch caller = become_owner(plan);
  const RowValues local = deform(relation, plan, data->tg_trigtuple);
  const RowValues incoming = deform(relation, plan, data->tg_newtuple);
  const Verdict verdict = merge_rows(relation, plan, local, incoming, TombstoneData{});
  if (verdict.conflict) {
    record_conflict(relation, plan,
                    {verdict.kind, verdict.winner, plan->rule_text, conflict_side(relation, plan, local),
                     conflict_side(relation, plan, incoming)});
  }
  become_caller(caller);
  count_stat(plan->relation, verdict.action == Action::keep ? Stat::stale
                             : verdict.merged               ? Stat::merged
                                                            : Stat::applied);
  if (verdict.action != Action::replace) return nullptr;
  return heap_form_tuple(RelationGetDescr(relation), verdict.row.values, verdict.row.nulls);
}

HeapTuple stamp(const TriggerData* data, RowPlan* plan) {
  Relation relation = data->tg_relation;
  const bool by_state = plan->mode == RowMode::state;
  if (TRIGGER_FIRED_BY_INSERT(data->tg_event)) {
    return by_state ? stamp_state_insert(relation, plan, data->tg_trigtuple)
                    : stamp_timestamp_insert(relation, plan, data->tg_trigtuple);
  }
  return by_state ? stamp_state_update(relation, plan, data->tg_trigtuple, data->tg_newtuple)
                  : stamp_timestamp_update(relation, plan, data->tg_trigtuple, data->tg_newtuple);
}

// Such a write would be merged as if a peer had sent it, and would reach nobody.
void refuse_write_of_user_trigger(const TriggerData* data) {
  if (!applying() || !writing_any_row()) return;
  ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                  errmsg("a trigger that fires while changes of a peer are applied writes replicated table \"%s\"",
                         RelationGetRelationName(data->tg_relation)),
                  errhint("Its writes on the origin arrive by themselves: make it an ordinary trigger (ALTER TABLE ... "
                          "ENABLE TRIGGER), "
                          "not ENABLE ALWAYS or REPLICA.")));
}

// A local write has happened. Only now is it certain, and no BEFORE trigger of a user can undo it.
void after_write(const TriggerData* data) {
  Relation relation = data->tg_relation;
  if (applying() || writing_merged_row(RelationGetRelid(relation))) return;
  RowPlan* plan = row_plan(relation);
  if (TRIGGER_FIRED_BY_DELETE(data->tg_event)) {
    plan->mode == RowMode::state ? stamp_state_delete(relation, plan, data->tg_trigtuple)
                                 : stamp_timestamp_delete(relation, plan, data->tg_trigtuple);
    // A trigger of the DELETE may have inserted the key again already.
    if (has_inserted()) outlive_deletes(relation, plan, deform(relation, plan, data->tg_trigtuple));
    return;
  }
  const bool is_update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
  if (!has_inserted() || !may_be_late(plan)) return;
  const RowValues row = deform(relation, plan, is_update ? data->tg_newtuple : data->tg_trigtuple);
  if (is_update && same_key(plan, deform(relation, plan, data->tg_trigtuple), row)) return;
  outlive_deletes(relation, plan, row);
}

Datum fire(FunctionCallInfo fcinfo, const char* function) {
  TriggerData* data = trigger_data(fcinfo, function);
  const bool is_update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
  HeapTuple unchanged = is_update ? data->tg_newtuple : data->tg_trigtuple;
  if (!writing_merged_row(RelationGetRelid(data->tg_relation))) refuse_write_of_user_trigger(data);
  if (TRIGGER_FIRED_AFTER(data->tg_event)) {
    after_write(data);
    PG_RETURN_POINTER(nullptr);
  }
  if (writing_merged_row(RelationGetRelid(data->tg_relation))) PG_RETURN_POINTER(unchanged);
  if (!applying()) {
    if (is_named(data, apply_trigger_name)) PG_RETURN_POINTER(unchanged);
    PG_RETURN_POINTER(stamp(data, row_plan(data->tg_relation)));
  }
  if (is_named(data, stamp_trigger_name)) PG_RETURN_POINTER(unchanged);
  RowPlan* plan = row_plan(data->tg_relation);
  if (is_update) PG_RETURN_POINTER(merge_update(data, plan));
  apply_image(data->tg_relation, plan, data->tg_trigtuple);
  PG_RETURN_POINTER(nullptr);
}

void require_triggers_below(Relation root) {
  ListCell* cell = nullptr;
  List* partitions = find_all_inheritors(RelationGetRelid(root), NoLock, nullptr);
  foreach (cell, partitions) {
    const Oid partition = lfirst_oid(cell);
    if (get_rel_relkind(partition) == RELKIND_PARTITIONED_TABLE) continue;
    if (OidIsValid(get_trigger_oid(partition, "zz_meridian_truncate", true))) continue;
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("partition \"%s\" of table \"%s\" has no trigger zz_meridian_truncate",
                           get_rel_name(partition), RelationGetRelationName(root)),
                    errhint("Repeat meridian.replicate() for the table with the same rules.")));
  }
}

// TRUNCATE is the DELETE of every row: each leaves its tombstone. The table is locked against everybody else, so what a
// fresh snapshot shows is what will be gone. Partitions have a trigger of their own.
void bury_rows(Relation relation) {
  if (relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE) {
    require_triggers_below(relation);
    return;
  }
  RowPlan* plan = row_plan(relation);
  MemoryContext per_row = AllocSetContextCreate(CurrentMemoryContext, "meridian truncate", ALLOCSET_DEFAULT_SIZES);
  Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
  TableScanDesc scan = table_beginscan(relation, snapshot, 0, nullptr);
  TupleTableSlot* slot = table_slot_create(relation, nullptr);
  while (table_scan_getnextslot(scan, ForwardScanDirection, slot)) {
    CHECK_FOR_INTERRUPTS();
    MemoryContext caller = MemoryContextSwitchTo(per_row);
    HeapTuple tuple = ExecFetchSlotHeapTuple(slot, false, nullptr);
    plan->mode == RowMode::state ? stamp_state_delete(relation, plan, tuple)
                                 : stamp_timestamp_delete(relation, plan, tuple);
    MemoryContextSwitchTo(caller);
    MemoryContextReset(per_row);
  }
  ExecDropSingleTupleTableSlot(slot);
  table_endscan(scan);
  UnregisterSnapshot(snapshot);
  MemoryContextDelete(per_row);
}

}  // namespace
}  // namespace meridian::pg

MERIDIAN_FUNCTION(meridian_resolve)
{ return meridian::pg::fire(fcinfo, "resolve"); }

MERIDIAN_FUNCTION(meridian_lww)
{
  if (CALLED_AS_TRIGGER(fcinfo) && reinterpret_cast<TriggerData*>(fcinfo->context)->tg_trigger->tgnargs != 1) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("meridian.lww() takes one argument, the timestamp column"),
                    errhint("For example: EXECUTE FUNCTION meridian.lww('updated_at').")));
  }
  return meridian::pg::fire(fcinfo, "lww");
}

MERIDIAN_FUNCTION(meridian_truncate)
{
  using namespace meridian::pg;
  const auto* data = CALLED_AS_TRIGGER(fcinfo) ? reinterpret_cast<TriggerData*>(fcinfo->context) : nullptr;
  if (data == nullptr || !TRIGGER_FIRED_BEFORE(data->tg_event) || !TRIGGER_FIRED_BY_TRUNCATE(data->tg_event)) {
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("meridian.truncate() is a BEFORE TRUNCATE trigger function")));
  }
  if (applying()) PG_RETURN_POINTER(nullptr);
  if (!allow_truncate) {
    ereport(
        ERROR,
        (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
         errmsg("table \"%s\" is replicated and cannot be truncated", RelationGetRelationName(data->tg_relation)),
         errhint("Use DELETE, which costs the same here. SET meridian.allow_truncate = on makes TRUNCATE delete every "
                 "row on all nodes.")));
  }
  bury_rows(data->tg_relation);
  PG_RETURN_POINTER(nullptr);
}
