#include "pg/late_insert.hpp"

#include "pg/admission.hpp"
#include "pg/row_access.hpp"
#include "pg/row_logic.hpp"
#include "pg/row_lookup.hpp"
#include "pg/row_slots.hpp"
#include "pg/stamp.hpp"
#include "pg/tombstone.hpp"

namespace meridian::pg {
namespace {

// How many tombstones this server has recorded, committed or not; null without preload.
pg_atomic_uint64* recorded = nullptr;

// The last transaction that stamped a new key, and what the counter said before.
TransactionId inserting = InvalidTransactionId;
std::uint64_t recorded_before = 0;

void stamp_again(Relation relation, RowPlan* plan, TupleTableSlot* found, const TombstoneData& tombstone) {
  RowValues row = deform(plan, found);
  if (plan->mode == RowMode::state) {
    restamp_state_insert(relation, plan, tombstone, &row);
  } else {
    restamp_timestamp_insert(relation, plan, tombstone, &row);
  }
  TupleTableSlot* written = MakeSingleTupleTableSlot(RelationGetDescr(relation), &TTSOpsVirtual);
  store(written, plan, row);
  RowWriter writer;
  begin_write(&writer, relation, plan);
  rewrite_row(&writer, found, written);
  end_write(&writer);
  ExecDropSingleTupleTableSlot(written);
}

}  // namespace

void begin_insert() {
  // The keeper settles a tombstone when the transactions have ended whose stamps may be older than it: those with an
  // xid.
  GetCurrentTransactionId();
  const TransactionId transaction = GetTopTransactionId();
  if (inserting == transaction) return;
  inserting = transaction;
  recorded_before = recorded == nullptr ? 0 : pg_atomic_read_u64(recorded);
}

void note_tombstone() {
  if (recorded != nullptr) pg_atomic_fetch_add_u64(recorded, 1);
}

bool has_inserted() { return TransactionIdIsValid(inserting) && inserting == GetTopTransactionIdIfAny(); }

bool may_be_late(const RowPlan* plan) {
  if (plan->table_id == 0) return false;  // triggers attached by hand: there are no tombstones
  // A timestamp column is not ordered by the clock: a delete that was recorded before may still be later.
  return plan->mode == RowMode::timestamp || recorded == nullptr || pg_atomic_read_u64(recorded) != recorded_before;
}

void outlive_deletes(Relation relation, RowPlan* plan, const RowValues& key) {
  CommandCounterIncrement();  // tombstones of this very statement
  const TombstoneData tombstone = find_tombstone(relation, plan, key);
  if (tombstone.seen.data == nullptr) return;
  TupleTableSlot* found = make_found_slot(relation);
  if (find_row(relation, plan, key, Seen::now, found) &&
      bury_row(relation, plan, deform(plan, found), tombstone).action == Action::remove) {
    stamp_again(relation, plan, found, tombstone);
  }
  ExecDropSingleTupleTableSlot(found);
}

Size late_insert_shmem_size() { return sizeof(pg_atomic_uint64); }

void late_insert_shmem_init() {
  bool found = false;
  recorded =
      static_cast<pg_atomic_uint64*>(ShmemInitStruct("meridian tombstone counter", late_insert_shmem_size(), &found));
  if (!found) pg_atomic_init_u64(recorded, 0);
}

}  // namespace meridian::pg
