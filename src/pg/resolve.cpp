// The trigger functions of replicated tables: meridian.resolve() and meridian.lww().
//
// One function serves three triggers (row_plan.hpp): "00_meridian_apply", first of the BEFORE triggers, merges what a
// peer sent; "zz_meridian_stamp", last of them, stamps what a user wrote; "zz_meridian_delete", AFTER DELETE, leaves a
// tombstone. Which is meant follows from who writes. A trigger attached by hand, under any other name, does all three.
#include "pg/apply.hpp"
#include "pg/applying.hpp"
#include "pg/row_access.hpp"
#include "pg/row_logic.hpp"
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
  const bool after = TRIGGER_FIRED_AFTER(data->tg_event) && TRIGGER_FIRED_BY_DELETE(data->tg_event);
  if (!TRIGGER_FIRED_FOR_ROW(data->tg_event) || (!before && !after)) {
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("meridian.%s() must fire BEFORE INSERT OR UPDATE or AFTER DELETE, for each row", function),
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

Datum fire(FunctionCallInfo fcinfo, const char* function) {
  TriggerData* data = trigger_data(fcinfo, function);
  const bool is_update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
  HeapTuple unchanged = is_update ? data->tg_newtuple : data->tg_trigtuple;
  if (!writing_merged_row(RelationGetRelid(data->tg_relation))) refuse_write_of_user_trigger(data);
  if (TRIGGER_FIRED_BY_DELETE(data->tg_event)) {
    if (applying()) PG_RETURN_POINTER(nullptr);
    RowPlan* plan = row_plan(data->tg_relation);
    plan->mode == RowMode::state ? stamp_state_delete(data->tg_relation, plan, data->tg_trigtuple)
                                 : stamp_timestamp_delete(data->tg_relation, plan, data->tg_trigtuple);
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

MERIDIAN_FUNCTION(meridian_refuse_truncate)
{
  if (!CALLED_AS_TRIGGER(fcinfo)) {
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("meridian.refuse_truncate() is a trigger function")));
  }
  if (meridian::pg::applying()) PG_RETURN_POINTER(nullptr);
  const auto* data = reinterpret_cast<TriggerData*>(fcinfo->context);
  ereport(ERROR,
          (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
           errmsg("table \"%s\" is replicated and cannot be truncated", RelationGetRelationName(data->tg_relation)),
           errhint("Use DELETE, which reaches the other nodes.")));
}
