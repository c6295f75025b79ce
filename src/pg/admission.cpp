#include "pg/admission.hpp"

#include "pg/history.hpp"
#include "pg/parked.hpp"
#include "pg/row_logic.hpp"
#include "pg/support/attempt.hpp"
#include "pg/unique_keys.hpp"

namespace meridian::pg {
namespace {

Admission admission_of(WriteResult result) { return result == WriteResult::done ? Admission::done : Admission::again; }

// The table's own constraints. NOT NULL is seen without the executor; CHECK and generated columns run code.
Admission check_constraints(const Candidate& candidate, RowWriter* writer, Refusal* refusal) {
  TupleTableSlot* row = candidate.slots->written;
  if (const char* column = missing_value(candidate.relation, candidate.plan, row)) {
    *refusal = {"not_null", ERRCODE_NOT_NULL_VIOLATION, psprintf("column \"%s\" is NULL and must not be", column)};
    if (!candidate.plan->has_checks) return Admission::refused;
  }
  if (!candidate.plan->has_checks) return Admission::done;
  const CmdType command = candidate.exists ? CMD_UPDATE : CMD_INSERT;
  // The writer keeps the executor state that this builds, so it is built outside the subtransaction.
  open_target(writer);
  ErrorData* error = attempt([writer, row, command] { check_row(writer, row, command); });
  if (error == nullptr) return Admission::done;
  *refusal = refusal_or_rethrow(error);
  return Admission::refused;
}

Refusal lost_key(const char* index) {
  return {"unique", ERRCODE_UNIQUE_VIOLATION,
          psprintf("an earlier row has the same key in unique index \"%s\"", index)};
}

// Takes a row that lost its unique key out of the table. It is not deleted: it waits.
Admission displace(const Candidate& candidate, TupleTableSlot* holder, const char* index) {
  const RowValues row = deform(candidate.plan, holder);
  RowWriter writer;
  begin_write(&writer, candidate.relation, candidate.plan);
  const WriteResult result = delete_row(&writer, holder);
  end_write(&writer);
  if (result != WriteResult::done) return Admission::again;
  CommandCounterIncrement();
  park_refused(candidate.relation, candidate.plan, row, lost_key(index), nullptr);
  return Admission::done;
}

// The row itself gives way: no node shows it, the version that is here included.
Admission step_back(const Candidate& candidate, RowWriter* writer, const char* index, Refusal* refusal) {
  if (candidate.exists) {
    const Admission result = admission_of(delete_row(writer, candidate.slots->found));
    if (result != Admission::done) return result;
  }
  *refusal = lost_key(index);
  return Admission::refused;
}

void record_clash(const Candidate& candidate, const RowValues& holder, const char* winner, const char* index) {
  const char* rule = psprintf("unique index %s: the row that was born first keeps the key", index);
  record_conflict(candidate.relation, candidate.plan,
                  {"unique", winner, rule, conflict_side(candidate.relation, candidate.plan, holder),
                   conflict_side(candidate.relation, candidate.plan, candidate.row)});
}

// Every unique key is looked at before anything is displaced: a row that has to give way to one leaves the others
// alone.
Admission settle_unique_keys(const Candidate& candidate, RowWriter* writer, Refusal* refusal) {
  const ResultRelInfo* target = open_indexes(writer);
  TupleTableSlot* holder = table_slot_create(candidate.relation, nullptr);
  const Slots& slots = *candidate.slots;
  Admission result = Admission::done;
  for (const bool displacing : {false, true}) {
    int clashes = 0;
    for (int i = 0; i < target->ri_NumIndices && result == Admission::done; ++i) {
      if (!is_secondary_unique(candidate.plan, target, i)) continue;
      if (candidate.exists && !asks_for_another_key(target, i, slots.found, slots.written)) continue;
      if (!find_holder(writer, i, slots.written, holder)) continue;
      ++clashes;
      const RowValues other = deform(candidate.plan, holder);
      const char* index = RelationGetRelationName(target->ri_IndexRelationDescs[i]);
      if (displacing) {
        record_clash(candidate, other, "incoming", index);
        result = displace(candidate, holder, index);
      } else if (!keeps_unique_key(candidate.relation, candidate.plan, candidate.row, other)) {
        result = step_back(candidate, writer, index, refusal);
        if (result == Admission::refused && !candidate.is_repeated) record_clash(candidate, other, "local", index);
      }
    }
    if (clashes == 0 || result != Admission::done) break;
  }
  ExecDropSingleTupleTableSlot(holder);
  return result;
}

Admission write(const Candidate& candidate, Refusal* refusal) {
  RowWriter writer;
  begin_write(&writer, candidate.relation, candidate.plan);
  Admission result = Admission::done;
  if (!candidate.plan->may_raise) result = check_constraints(candidate, &writer, refusal);
  if (result == Admission::done && candidate.plan->has_unique_key) {
    result = settle_unique_keys(candidate, &writer, refusal);
  }
  if (result == Admission::done) {
    const Slots& slots = *candidate.slots;
    result = admission_of(candidate.exists ? update_row(&writer, slots.found, slots.written)
                                           : insert_row(&writer, slots.written));
  }
  end_write(&writer);
  return result;
}

// Everything in one subtransaction. What outlives it is copied into `memory`.
Admission write_carefully(const Candidate& candidate, Refusal* refusal) {
  Admission result = Admission::again;
  const MemoryContext memory = CurrentMemoryContext;
  ErrorData* error = attempt([&candidate, &result, refusal, memory] {
    result = write(candidate, refusal);
    if (result == Admission::refused) refusal->detail = MemoryContextStrdup(memory, refusal->detail);
  });
  if (error == nullptr) return result;
  *refusal = refusal_or_rethrow(error);
  return Admission::refused;
}

}  // namespace

Admission admit(const Candidate& candidate, Refusal* refusal) {
  store(candidate.slots->written, candidate.plan, candidate.row);
  if (candidate.plan->may_raise || is_careful(candidate.plan->relation)) return write_carefully(candidate, refusal);
  return write(candidate, refusal);
}

}  // namespace meridian::pg
