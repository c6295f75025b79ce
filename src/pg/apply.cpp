// Phases of an image: skew check (too far ahead: parked) -> find the row by key -> merge and update, or, if there is
// none, tombstones -> speculative insert -> tombstones again. Nothing is locked in advance: every write reports a row
// that changed meanwhile, and the loop starts over under a fresh snapshot, so it ends when the others have.
//
// Memory: everything is allocated in the caller's context, which an apply worker resets after each change.
#include "pg/apply.hpp"

#include "pg/admission.hpp"
#include "pg/bounded.hpp"
#include "pg/hlc.hpp"
#include "pg/identity.hpp"
#include "pg/parked.hpp"
#include "pg/row_access.hpp"
#include "pg/row_logic.hpp"
#include "pg/row_lookup.hpp"
#include "pg/settings.hpp"
#include "pg/stat_tables.hpp"
#include "pg/support/attempt.hpp"
#include "pg/tombstone.hpp"

namespace meridian::pg {
namespace {

// One row on its way in.
struct Arrival {
  Relation relation;
  RowPlan* plan;
  Slots slots;
  RowValues incoming;
  const ParkedHistory* history;  ///< of a row that was parked
};

// Writes a row, or parks it. False if somebody interfered: look again.
bool put_row(const Arrival& arrival, const RowValues& row, bool exists, bool* parked) {
  const Candidate candidate = {arrival.relation, arrival.plan, &arrival.slots, row, exists, arrival.history != nullptr};
  Refusal refusal{};
  const Admission admission = admit(candidate, &refusal);
  *parked = admission == Admission::refused;
  if (*parked) park_refused(arrival.relation, arrival.plan, row, refusal, arrival.history);
  return admission != Admission::again;
}

WriteResult remove_row(const Arrival& arrival) {
  RowWriter writer;
  begin_write(&writer, arrival.relation, arrival.plan);
  const WriteResult result = delete_row(&writer, arrival.slots.found);
  end_write(&writer);
  return result;
}

void notice_rights(Relation relation, const RowPlan* plan, const RowValues& row) {
  const bool has_bounds = plan->mode == RowMode::state && !plan->shape->bounds.empty();
  if (has_bounds) notice_wanted_rights(relation, plan, row);
}

// What a merge or burial decided about the row that is here. As put_row().
bool carry_out(const Arrival& arrival, const Verdict& verdict, bool* parked) {
  *parked = false;
  switch (verdict.action) {
    case Action::keep:
      return true;
    case Action::remove:
      return remove_row(arrival) == WriteResult::done;
    case Action::replace:
      break;
  }
  return put_row(arrival, verdict.row, true, parked);
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

// A merge function is the user's code. If it raises, the image waits as if the table had refused it.
bool decide(const Arrival& arrival, const RowValues& local, const TombstoneData& tombstone, Verdict* verdict,
            Refusal* refusal) {
  if (!arrival.plan->has_merge_function) {
    *verdict = merge_rows(arrival.relation, arrival.plan, local, arrival.incoming, tombstone);
    return true;
  }
  const MemoryContext memory = CurrentMemoryContext;
  ErrorData* error = attempt([&arrival, &local, &tombstone, verdict, memory] {
    MemoryContextSwitchTo(memory);  // the merged row outlives the subtransaction
    *verdict = merge_rows(arrival.relation, arrival.plan, local, arrival.incoming, tombstone);
  });
  if (error == nullptr) return true;
  *refusal = refusal_or_rethrow(error);
  refusal->reason = "merge";
  return false;
}

bool merge_into(const Arrival& arrival) {
  Relation relation = arrival.relation;
  RowPlan* plan = arrival.plan;
  const RowValues& incoming = arrival.incoming;
  const RowValues local = deform(plan, arrival.slots.found);
  TombstoneData tombstone;
  const bool may_be_dead = needs_tombstone(relation, plan, local, incoming);
  if (may_be_dead) tombstone = find_tombstone(relation, plan, incoming);
  if (is_buried(relation, plan, incoming, tombstone)) return true;
  Verdict verdict;
  Refusal refusal;
  if (!decide(arrival, local, tombstone, &verdict, &refusal)) {
    park_refused(relation, plan, incoming, refusal, arrival.history);
    return true;
  }
  bool parked = false;
  if (!carry_out(arrival, verdict, &parked)) return false;
  if (parked) return true;
  note_merge(relation, plan, verdict, local, incoming);
  if (verdict.action == Action::replace) notice_rights(relation, plan, verdict.row);
  if (may_be_dead) look_again(relation, plan, incoming, tombstone);
  return true;
}

// The row is not here. Returns false if somebody else brought it meanwhile.
bool insert_missing(const Arrival& arrival) {
  Relation relation = arrival.relation;
  RowPlan* plan = arrival.plan;
  const TombstoneData tombstone = find_tombstone(relation, plan, arrival.incoming);
  if (is_buried(relation, plan, arrival.incoming, tombstone)) return true;
  const Verdict verdict = bury_row(relation, plan, arrival.incoming, tombstone);
  const RowValues& row = verdict.action == Action::replace ? verdict.row : arrival.incoming;
  bool parked = false;
  if (!put_row(arrival, row, false, &parked)) return false;
  if (parked) return true;
  count_stat(plan->relation, Stat::applied);
  notice_rights(relation, plan, row);
  if (verdict.conflict) {
    record_conflict(relation, plan,
                    {"delete_update", "incoming", plan->rule_text, delete_side(tombstone),
                     conflict_side(relation, plan, arrival.incoming)});
  }
  look_again(relation, plan, arrival.incoming, tombstone);
  return true;
}

// A dead row, or what is left of one. What is left may still be refused (a counter that a CHECK binds), and waits then.
bool bury_found(const Arrival& arrival, const TombstoneData& tombstone, Look look) {
  Relation relation = arrival.relation;
  RowPlan* plan = arrival.plan;
  const RowValues local = deform(plan, arrival.slots.found);
  const Verdict verdict = bury_row(relation, plan, local, tombstone);
  if (verdict.action == Action::keep && (look == Look::second || !verdict.conflict)) return true;
  if (verdict.action != Action::keep) {
    bool parked = false;
    if (!carry_out(arrival, verdict, &parked)) return false;
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

// Asks the clock only about a stamp that is too far ahead of the statement's beginning already.
bool is_future(Hlc stamp) {
  const auto skew = static_cast<std::uint64_t>(max_clock_skew_ms);
  return too_far_ahead(stamp, physical_ms_of(GetCurrentStatementStartTimestamp()), skew) &&
         too_far_ahead(stamp, physical_ms(), skew);
}

// An image from the future waits. What is known to be dead of it is taken off first: the tombstone may be gone when its
// time comes.
bool park_if_future(Relation relation, RowPlan* plan, const RowValues& incoming) {
  if (plan->mode != RowMode::state) return false;
  const Hlc newest = highest_stamp(*plan->shape, read_image(relation, plan, incoming));
  if (!is_future(newest)) {
    observe(newest);
    return false;
  }
  const TombstoneData tombstone = find_tombstone(relation, plan, incoming);
  if (is_buried(relation, plan, incoming, tombstone)) return true;
  const Verdict verdict = bury_row(relation, plan, incoming, tombstone);
  park_future(relation, plan, verdict.action == Action::replace ? verdict.row : incoming, newest);
  return true;
}

void bring_delete(Relation relation, RowPlan* plan, const RowValues& key, const TombstoneData& tombstone, Look look) {
  const Arrival arrival = {relation, plan, take_slots(relation, plan), key, nullptr};
  for (;;) {
    CHECK_FOR_INTERRUPTS();
    if (find_row(relation, plan, key, Seen::now, arrival.slots.found)) {
      if (bury_found(arrival, tombstone, look)) break;
      continue;
    }
    // Somebody may be inserting the key right now: wait for the outcome, then look again.
    store(arrival.slots.written, plan, key);
    RowWriter writer;
    begin_write(&writer, relation, plan);
    const bool is_free = key_is_free(&writer, arrival.slots.written);
    end_write(&writer);
    if (is_free) break;
  }
  drop_slots(arrival.slots);
  if (look == Look::second) bury_parked(relation, plan, key, tombstone);
}

// A copy of a server must not take a member's changes for itself: who is not confirmed applies nothing. An lww() table
// outside a mesh needs no identity.
void require_identity(const RowPlan* plan) {
  if (plan->mode == RowMode::state || plan->table_id != 0) local_actor();
}

}  // namespace

void apply_image(Relation relation, RowPlan* plan, HeapTuple image) {
  instr_time start;
  INSTR_TIME_SET_CURRENT(start);
  try {
    call([relation, plan, image] {
      require_identity(plan);
      const OwnerSwitch caller = become_owner(plan);
      // One COPY or INSERT may bring a key several times, and an image must see what the one before it wrote. To an
      // apply worker every change is a command of its own.
      if (!IsLogicalWorker()) CommandCounterIncrement();
      apply_row(relation, plan, deform(relation, plan, image), nullptr);
      become_caller(caller);
    });
  } catch (const PgError& error) {
    if (is_refusal(error.data()->sqlerrcode)) become_careful(plan->relation);
    throw;
  }
  count_merge_time(plan->relation, start);
}

void apply_row(Relation relation, RowPlan* plan, const RowValues& row, const ParkedHistory* history) {
  if (park_if_future(relation, plan, row)) return;
  const Arrival arrival = {relation, plan, take_slots(relation, plan), row, history};
  // The worker's snapshot was taken for this very change. If it is too old all the same, the write says so.
  Seen seen = IsLogicalWorker() ? Seen::at_start : Seen::now;
  for (bool done = false; !done; seen = Seen::now) {
    CHECK_FOR_INTERRUPTS();
    done = find_row(relation, plan, row, seen, arrival.slots.found) ? merge_into(arrival) : insert_missing(arrival);
  }
  drop_slots(arrival.slots);
}

void apply_delete(Relation relation, RowPlan* plan, const RowValues& key, const TombstoneData& tombstone, Look look) {
  require_identity(plan);
  const OwnerSwitch caller = become_owner(plan);
  bring_delete(relation, plan, key, tombstone, look);
  become_caller(caller);
}

}  // namespace meridian::pg
