// What an arriving tombstone does: the trigger of meridian.tombstone, and the keeper's second look.
//
// The trigger probes the key and waits for transactions that are inserting it. What it cannot see is a transaction that
// inserts after the probe with knowledge from before the tombstone was committed: an INSERT that was stamped before our
// clock saw it, or another apply worker that looked for tombstones before. So every tombstone begins unsettled, also a
// local one, and is probed once more when every transaction that ran at its commit has ended; all later ones see the
// tombstone.
#include <algorithm>

#include "pg/apply.hpp"
#include "pg/applying.hpp"
#include "pg/catalog.hpp"
#include "pg/hlc.hpp"
#include "pg/late_insert.hpp"
#include "pg/parked.hpp"
#include "pg/partition.hpp"
#include "pg/row_access.hpp"
#include "pg/settings.hpp"
#include "pg/support/attempt.hpp"
#include "pg/support/function.hpp"
#include "pg/tombstone.hpp"

namespace meridian::pg {
namespace {

using namespace tombstone_column;

struct ArrivedTombstone {
  std::int32_t table;
  ArrayType* key;
  TombstoneData data;
  Hlc position;
  bool is_laid_down;
};

ArrivedTombstone read_arrived(HeapTuple tuple, TupleDesc descriptor) {
  Datum values[columns];
  bool nulls[columns];
  heap_deform_tuple(tuple, descriptor, values, nulls);
  if (std::any_of(nulls, nulls + columns, [](bool is_null) { return is_null; })) {
    ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION), errmsg("a tombstone has no NULL columns")));
  }
  auto* bytes = reinterpret_cast<struct varlena*>(PG_DETOAST_DATUM_COPY(values[seen]));
  return {DatumGetInt32(values[table_id]),
          DatumGetArrayTypePCopy(values[key]),
          {Hlc{static_cast<std::uint64_t>(DatumGetInt64(values[floor]))},
           Hlc{static_cast<std::uint64_t>(DatumGetInt64(values[stamp]))},
           Actor{static_cast<std::uint32_t>(DatumGetInt64(values[actor]))},
           {reinterpret_cast<const std::byte*>(VARDATA_ANY(bytes)), VARSIZE_ANY_EXHDR(bytes)}},
          Hlc{static_cast<std::uint64_t>(DatumGetInt64(values[written]))},
          DatumGetBool(values[laid_down])};
}

void park_arrived(Relation tombstones, HeapTuple tuple, Hlc newest) {
  Datum values[columns];
  bool nulls[columns];
  heap_deform_tuple(tuple, RelationGetDescr(tombstones), values, nulls);
  park_future(tombstones, nullptr, {values, nulls}, newest);
}

bool too_far(Hlc stamp) { return too_far_ahead(stamp, physical_ms(), static_cast<std::uint64_t>(max_clock_skew_ms)); }
// Brings the tombstone to the row, in the partition that has it. A key that no partition takes has no row.
void bring(Relation relation, RowPlan* plan, const RowValues& row, const ArrivedTombstone& arrived, Look look) {
  if (relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE) {
    apply_delete(relation, plan, row, arrived.data, look);
    return;
  }
  Relation leaf = open_leaf(relation, row);
  if (leaf == nullptr) {
    if (look == Look::second) bury_parked(relation, plan, row, arrived.data);
    return;
  }
  RowPlan* leaf_plan = row_plan(leaf);
  apply_delete(leaf, leaf_plan, parse_key(leaf, leaf_plan, arrived.key), arrived.data, look);
  table_close(leaf, NoLock);
}

// Returns the tuple to store, or null if there is nothing new in it, or it is parked.
HeapTuple receive(Relation relation, RowPlan* plan, Relation tombstones, HeapTuple tuple,
                  const ArrivedTombstone& arrived) {
  if (plan->mode == RowMode::state) {
    const Hlc newest{std::max(arrived.data.stamp.value, arrived.data.floor.value)};
    if (too_far(newest)) {
      park_arrived(tombstones, tuple, newest);
      return nullptr;
    }
    observe(newest);
  } else if (clock_available() && !too_far(arrived.position)) {
    // The clock passes the delete, so that this node's progress can.
    observe(arrived.position);
  }
  note_tombstone();
  const RowValues row = parse_key(relation, plan, arrived.key);
  TombstoneData known = find_any_tombstone(relation, plan, row);
  const bool is_news = known.seen.data == nullptr || merge_tombstones(&known, arrived.data);
  if (!is_news) return nullptr;
  // One that is laid down is applied everywhere, and comes with a copy only to lift new rows.
  if (!arrived.is_laid_down) bring(relation, plan, row, arrived, Look::first);
  const Hlc position = plan->mode == RowMode::state ? arrived.data.stamp : arrived.position;
  int replaced[] = {key_hash + 1, settled + 1, written + 1};
  Datum values[] = {Int64GetDatum(hash_key(plan, row)), BoolGetDatum(arrived.is_laid_down),
                    Int64GetDatum(static_cast<std::int64_t>(position.value))};
  bool nulls[] = {false, false, false};
  return heap_modify_tuple_by_cols(tuple, RelationGetDescr(tombstones), 3, replaced, values, nulls);
}

// The table was dropped, and its number not given up: it may be made again. Until then no progress is published, so all
// nodes keep the tombstone.
void park_without_table(Relation tombstones, HeapTuple tuple) {
  Datum values[columns];
  bool nulls[columns];
  heap_deform_tuple(tuple, RelationGetDescr(tombstones), values, nulls);
  park_refused(tombstones, nullptr, {values, nulls},
               {"misfit", ERRCODE_UNDEFINED_TABLE, "the table of the deleted row does not exist"}, nullptr);
}

enum class Arrival { first, parked };

HeapTuple apply_arrived(Relation tombstones, HeapTuple tuple, Arrival arrival) {
  const TupleDesc descriptor = RelationGetDescr(tombstones);
  CommandCounterIncrement();  // as for images: one command may bring several of one key
  const ArrivedTombstone arrived = read_arrived(tuple, descriptor);
  const Oid table = find_table(arrived.table);
  if (!OidIsValid(table)) return nullptr;  // not replicated here (yet): its tombstones come with the copy of the table
  Relation relation = try_table_open(table, RowExclusiveLock);
  if (relation == nullptr) {
    if (arrival == Arrival::parked) {
      ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("the table of the deleted row does not exist"),
                      errhint("Create it as it is on the other nodes, then repeat meridian.replicate() for it.")));
    }
    park_without_table(tombstones, tuple);
    return nullptr;
  }
  RowPlan* plan = row_plan(relation);
  // The key's types may run code of the table's owner (the CHECK of a domain).
  const OwnerSwitch caller = become_owner(plan);
  HeapTuple result = receive(relation, plan, tombstones, tuple, arrived);
  become_caller(caller);
  table_close(relation, NoLock);
  return result;
}

// One second look: which tombstones, and whom to wait for. Those that were committed when the round opened are probed
// once every transaction that had an xid then has ended.
struct Round {
  bool open;
  TransactionId committed_below;
  TransactionId horizon;
};

Round round;

// A pass of the keeper is one transaction; the rest waits for the next.
constexpr int settled_per_pass = 1000;

void settle_one(Relation tombstones, HeapTuple tuple) {
  const TupleDesc descriptor = RelationGetDescr(tombstones);
  const ArrivedTombstone arrived = read_arrived(tuple, descriptor);
  const Oid table = find_table(arrived.table);
  Relation relation = OidIsValid(table) ? try_table_open(table, RowExclusiveLock) : nullptr;
  if (relation != nullptr) {
    RowPlan* plan = row_plan(relation);
    const OwnerSwitch caller = become_owner(plan);
    bring(relation, plan, parse_key(relation, plan, arrived.key), arrived, Look::second);
    become_caller(caller);
    table_close(relation, NoLock);
  }
  int replaced[] = {settled + 1};
  Datum values[] = {BoolGetDatum(true)};
  bool nulls[] = {false};
  HeapTuple changed = heap_modify_tuple_by_cols(tuple, descriptor, 1, replaced, values, nulls);
  update_row_of(tombstones, &tuple->t_self, changed);
  CommandCounterIncrement();
}

}  // namespace

void receive_parked_tombstone(Relation tombstones, HeapTuple tuple) {
  HeapTuple news = apply_arrived(tombstones, tuple, Arrival::parked);
  if (news == nullptr) return;
  Datum values[columns];
  bool nulls[columns];
  heap_deform_tuple(news, RelationGetDescr(tombstones), values, nulls);
  insert_row_into(tombstones, values, nulls);
}

void settle_tombstones() {
  Relation tombstones = table_open(table_oid(Table::tombstone), RowExclusiveLock);
  Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
  if (!round.open) round = {true, snapshot->xmin, XidFromFullTransactionId(ReadNextFullTransactionId())};
  const bool ready = TransactionIdPrecedesOrEquals(round.horizon, GetOldestActiveTransactionId());
  SysScanDesc scan = systable_beginscan(tombstones, index_oid(Index::tombstone_unsettled), true, snapshot, 0, nullptr);
  int settled_now = 0;
  enter_apply_mode();
  while (HeapTuple tuple = ready && settled_now < settled_per_pass ? systable_getnext(scan) : nullptr) {
    if (!TransactionIdPrecedes(HeapTupleHeaderGetXmin(tuple->t_data), round.committed_below)) continue;
    ++settled_now;
    const ErrorData* error = attempt([&] { settle_one(tombstones, tuple); });
    if (error != nullptr)
      ereport(LOG, (errcode(error->sqlerrcode),
                    errmsg("a tombstone could not be applied again, will retry: %s", error->message)));
  }
  leave_apply_mode();
  if (ready && settled_now < settled_per_pass) round.open = false;
  systable_endscan(scan);
  UnregisterSnapshot(snapshot);
  table_close(tombstones, RowExclusiveLock);
}

bool any_unsettled_before(TransactionId limit) {
  Relation tombstones = table_open(table_oid(Table::tombstone), AccessShareLock);
  Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
  SysScanDesc scan = systable_beginscan(tombstones, index_oid(Index::tombstone_unsettled), true, snapshot, 0, nullptr);
  bool found = false;
  while (HeapTuple tuple = found ? nullptr : systable_getnext(scan)) {
    found = TransactionIdPrecedes(HeapTupleHeaderGetXmin(tuple->t_data), limit);
  }
  systable_endscan(scan);
  UnregisterSnapshot(snapshot);
  table_close(tombstones, AccessShareLock);
  return found;
}

}  // namespace meridian::pg

MERIDIAN_FUNCTION(meridian_apply_tombstone)
{
  using namespace meridian::pg;
  if (!CALLED_AS_TRIGGER(fcinfo)) {
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("meridian.apply_tombstone() is a trigger function")));
  }
  auto* trigger = reinterpret_cast<TriggerData*>(fcinfo->context);
  // It may delete rows of any replicated table, so it serves one table only.
  if (RelationGetRelid(trigger->tg_relation) != table_oid(Table::tombstone) ||
      !TRIGGER_FIRED_BEFORE(trigger->tg_event) || !TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ||
      !TRIGGER_FIRED_FOR_ROW(trigger->tg_event)) {
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("meridian.apply_tombstone() is the trigger of meridian.tombstone only")));
  }
  if (!applying()) {
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                    errmsg("table \"meridian.tombstone\" is written by replication only"),
                    errhint("Delete the row in its own table.")));
  }
  PG_RETURN_POINTER(apply_arrived(trigger->tg_relation, trigger->tg_trigtuple, Arrival::first));
}
