#include "pg/row_slots.hpp"

namespace meridian::pg {
namespace {

bool in_use = false;

void transaction_ended(XactEvent event, void*) {
  if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE) in_use = false;
}

// In the plan's memory, with a descriptor of their own: a relation's would have to be released with each transaction.
void keep_slots(Relation relation, RowPlan* plan) {
  const MemoryContext caller = MemoryContextSwitchTo(plan->context);
  const TupleDesc descriptor = CreateTupleDescCopyConstr(RelationGetDescr(relation));
  plan->written_slot = MakeSingleTupleTableSlot(descriptor, &TTSOpsVirtual);
  plan->found_slot = MakeSingleTupleTableSlot(descriptor, &TTSOpsHeapTuple);
  MemoryContextSwitchTo(caller);
}

}  // namespace

Slots take_slots(Relation relation, RowPlan* plan) {
  if (in_use) {
    return {make_found_slot(relation), MakeSingleTupleTableSlot(RelationGetDescr(relation), &TTSOpsVirtual), false};
  }
  in_use = true;
  if (plan->found_slot == nullptr) keep_slots(relation, plan);
  ExecClearTuple(plan->found_slot);
  ExecClearTuple(plan->written_slot);
  return {plan->found_slot, plan->written_slot, true};
}

void drop_slots(const Slots& slots) {
  if (slots.kept) {
    in_use = false;
    return;
  }
  ExecDropSingleTupleTableSlot(slots.found);
  ExecDropSingleTupleTableSlot(slots.written);
}

TupleTableSlot* make_found_slot(Relation relation) {
  return MakeSingleTupleTableSlot(RelationGetDescr(relation), &TTSOpsHeapTuple);
}

void store(TupleTableSlot* slot, const RowPlan* plan, const RowValues& row) {
  ExecClearTuple(slot);
  std::memcpy(slot->tts_values, row.values, sizeof(Datum) * plan->column_count);
  std::memcpy(slot->tts_isnull, row.nulls, sizeof(bool) * plan->column_count);
  ExecStoreVirtualTuple(slot);
}

void register_slot_callbacks() { RegisterXactCallback(transaction_ended, nullptr); }

}  // namespace meridian::pg
