// Phases of an image: skew check (too far ahead: parked) -> find the row by key -> merge and update, or, if there is
// none, tombstones -> speculative insert -> tombstones again. Nothing is locked in advance: every write reports a row
// that changed meanwhile, and the loop starts over under a fresh snapshot, so it ends when the others have.
//
// Memory: everything is allocated in the caller's context, which an apply worker resets after each change.
#include "pg/apply.hpp"

#include "pg/hlc.hpp"
#include "pg/identity.hpp"
#include "pg/parked.hpp"
#include "pg/row_access.hpp"
#include "pg/row_logic.hpp"
#include "pg/settings.hpp"
#include "pg/stat_tables.hpp"
#include "pg/tombstone.hpp"

namespace meridian::pg {
namespace {

void store(TupleTableSlot* slot, const RowPlan* plan, const RowValues& row) {
  ExecClearTuple(slot);
  std::memcpy(slot->tts_values, row.values, sizeof(Datum) * plan->column_count);
  std::memcpy(slot->tts_isnull, row.nulls, sizeof(bool) * plan->column_count);
  ExecStoreVirtualTuple(slot);
}

// Slots of one application: where the local row, the incoming key and the row to write are.
struct Slots {
  TupleTableSlot* found;
  TupleTableSlot* incoming;
  TupleTableSlot* written;
};

Slots make_slots(Relation relation) {
  const TupleDesc descriptor = RelationGetDescr(relation);
  return {table_slot_create(relation, nullptr), MakeSingleTupleTableSlot(descriptor, &TTSOpsVirtual),
          table_slot_create(relation, nullptr)};
}

void drop_slots(const Slots& slots) {
  ExecDropSingleTupleTableSlot(slots.found);
  ExecDropSingleTupleTableSlot(slots.incoming);
  ExecDropSingleTupleTableSlot(slots.written);
}

WriteResult write(RowWriter* writer, const Slots& slots, const Verdict& verdict) {
  switch (verdict.action) {
    case Action::keep:
      return WriteResult::done;
    case Action::remove:
      return delete_row(writer, slots.found);
    case Action::replace:
      break;
  }
  store(slots.written, writer->plan, verdict.row);
  return update_row(writer, slots.found, slots.written);
}

// The history is written after the row: a write that must be repeated would leave a second entry.
void note_merge(Relation relation, const RowPlan* plan, const Verdict& verdict, const RowValues& local,
                const RowValues& incoming) {
  if (verdict.action == Action::keep) {
    count_stat(plan->relation, Stat::stale);
  } else {
    count_stat(plan->relation, verdict.merged ? Stat::merged : Stat::applied);
  }
  if (!verdict.conflict) return;
  record_conflict(relation, plan,
                  {verdict.kind, verdict.winner, plan->rule_text, conflict_side(relation, plan, local),
                   conflict_side(relation, plan, incoming)});
}

ConflictSide delete_side(const TombstoneData& tombstone) {
  return {nullptr, static_cast<std::int64_t>(tombstone.stamp.value), static_cast<std::int64_t>(tombstone.actor.value)};
}

void bring_delete(Relation relation, RowPlan* plan, const RowValues& key, const TombstoneData& tombstone, Look look);

// A tombstone may have been committed between our look and our write; its own probe could not see what we wrote yet.
void look_again(Relation relation, RowPlan* plan, const RowValues& incoming, const TombstoneData& before) {
  const TombstoneData later = find_tombstone(relation, plan, incoming);
  if (later.seen.data == nullptr || (later.stamp == before.stamp && later.floor == before.floor)) return;
  CommandCounterIncrement();
  bring_delete(relation, plan, incoming, later, Look::first);
}

// The deleted life of a key comes late. Returns false if something of the image is alive.
bool is_buried(Relation relation, RowPlan* plan, const RowValues& incoming, const TombstoneData& tombstone) {
  if (tombstone.seen.data == nullptr) return false;
  const Verdict verdict = bury_row(relation, plan, incoming, tombstone);
  if (verdict.action != Action::remove) return false;
  count_stat(plan->relation, Stat::stale);
  if (verdict.conflict) {
    record_conflict(
        relation, plan,
        {"delete_update", "local", plan->rule_text, delete_side(tombstone), conflict_side(relation, plan, incoming)});
  }
  return true;
}

bool merge_into(Relation relation, RowPlan* plan, const Slots& slots, const RowValues& incoming) {
  const RowValues local = deform(plan, slots.found);
  TombstoneData tombstone;
  const bool may_be_dead = needs_tombstone(relation, plan, local, incoming);
  if (may_be_dead) tombstone = find_tombstone(relation, plan, incoming);
  if (is_buried(relation, plan, incoming, tombstone)) return true;
  const Verdict verdict = merge_rows(relation, plan, local, incoming, tombstone);
  if (verdict.action != Action::keep) {
    RowWriter writer;
    begin_write(&writer, relation, plan);
    const WriteResult result = write(&writer, slots, verdict);
    end_write(&writer);
    if (result != WriteResult::done) return false;
  }
  note_merge(relation, plan, verdict, local, incoming);
  if (may_be_dead) look_again(relation, plan, incoming, tombstone);
  return true;
}

// The row is not here. Returns false if somebody else brought it meanwhile.
bool insert_missing(Relation relation, RowPlan* plan, const Slots& slots, const RowValues& incoming) {
  const TombstoneData tombstone = find_tombstone(relation, plan, incoming);
  if (is_buried(relation, plan, incoming, tombstone)) return true;
  const Verdict verdict = bury_row(relation, plan, incoming, tombstone);
  store(slots.written, plan, verdict.action == Action::replace ? verdict.row : incoming);
  RowWriter writer;
  begin_write(&writer, relation, plan);
  const WriteResult result = insert_row(&writer, slots.written);
  end_write(&writer);
  if (result != WriteResult::done) return false;
  count_stat(plan->relation, Stat::applied);
  if (verdict.conflict) {
    record_conflict(relation, plan,
                    {"delete_update", "incoming", plan->rule_text, delete_side(tombstone),
                     conflict_side(relation, plan, incoming)});
  }
  look_again(relation, plan, incoming, tombstone);
  return true;
}

// A dead row, or what is left of one.
bool bury_found(Relation relation, RowPlan* plan, const Slots& slots, const TombstoneData& tombstone, Look look) {
  const RowValues local = deform(plan, slots.found);
  const Verdict verdict = bury_row(relation, plan, local, tombstone);
  if (verdict.action == Action::keep && (look == Look::second || !verdict.conflict)) return true;
  if (verdict.action != Action::keep) {
    RowWriter writer;
    begin_write(&writer, relation, plan);
    const WriteResult result = write(&writer, slots, verdict);
    end_write(&writer);
    if (result != WriteResult::done) return false;
    count_stat(plan->relation, verdict.conflict ? Stat::merged : Stat::applied);
  }
  if (verdict.conflict) {
    // What is left of a row after a delete by birth is other lives of it; after a delete by time it is the row as it
    // was.
    const bool whole = plan->mode == RowMode::state && plan->shape->delete_latest;
    const char* winner = verdict.action == Action::remove ? "incoming" : whole ? "local" : "merged";
    record_conflict(
        relation, plan,
        {"update_delete", winner, plan->rule_text, conflict_side(relation, plan, local), delete_side(tombstone)});
  }
  return true;
}

void bring_image(Relation relation, RowPlan* plan, HeapTuple image) {
  // One COPY or INSERT may bring a key several times, and an image must see what the one before it wrote.
  CommandCounterIncrement();
  const RowValues incoming = deform(relation, plan, image);
  if (plan->mode == RowMode::state) {
    const Hlc newest = highest_stamp(*plan->shape, read_image(relation, plan, incoming));
    if (too_far_ahead(newest, physical_ms(), static_cast<std::uint64_t>(max_clock_skew_ms))) {
      park_image(relation, incoming, newest);
      return;
    }
    observe(newest);
  }
  const Slots slots = make_slots(relation);
  store(slots.incoming, plan, incoming);
  for (bool done = false; !done;) {
    CHECK_FOR_INTERRUPTS();
    done = find_row(relation, plan, slots.incoming, slots.found) ? merge_into(relation, plan, slots, incoming)
                                                                 : insert_missing(relation, plan, slots, incoming);
  }
  drop_slots(slots);
}

void bring_delete(Relation relation, RowPlan* plan, const RowValues& key, const TombstoneData& tombstone, Look look) {
  const Slots slots = make_slots(relation);
  store(slots.incoming, plan, key);
  for (;;) {
    CHECK_FOR_INTERRUPTS();
    if (find_row(relation, plan, slots.incoming, slots.found)) {
      if (bury_found(relation, plan, slots, tombstone, look)) break;
      continue;
    }
    // Somebody may be inserting the key right now: wait for the outcome, then look again.
    RowWriter writer;
    begin_write(&writer, relation, plan);
    const bool is_free = key_is_free(&writer, slots.incoming);
    end_write(&writer);
    if (is_free) break;
  }
  drop_slots(slots);
}

// A copy of a server must not take a member's changes for itself: who is not confirmed applies nothing. An lww() table
// outside a mesh needs no identity.
void require_identity(const RowPlan* plan) {
  if (plan->mode == RowMode::state || plan->table_id != 0) local_actor();
}

}  // namespace

void apply_image(Relation relation, RowPlan* plan, HeapTuple image) {
  require_identity(plan);
  const OwnerSwitch caller = become_owner(plan);
  bring_image(relation, plan, image);
  become_caller(caller);
}

void apply_delete(Relation relation, RowPlan* plan, const RowValues& key, const TombstoneData& tombstone, Look look) {
  require_identity(plan);
  const OwnerSwitch caller = become_owner(plan);
  bring_delete(relation, plan, key, tombstone, look);
  become_caller(caller);
}

}  // namespace meridian::pg
