#include "pg/parked.hpp"

#include "pg/apply.hpp"
#include "pg/applying.hpp"
#include "pg/catalog.hpp"
#include "pg/hlc.hpp"
#include "pg/parked_row.hpp"
#include "pg/partition.hpp"
#include "pg/row_access.hpp"
#include "pg/row_logic.hpp"
#include "pg/settings.hpp"
#include "pg/stat_tables.hpp"
#include "pg/support/attempt.hpp"
#include "pg/support/function.hpp"
#include "pg/tombstone.hpp"

namespace meridian::pg {
namespace {

// A pass of the keeper is one transaction; the rest waits for the next.
constexpr int tried_per_pass = 1000;
constexpr std::int64_t longest_pause_s = 60;

struct Note {
  const char* reason;
  const char* sqlstate;
  const char* detail;
  TimestampTz retry_at;
};

// Unix milliseconds as a timestamptz.
TimestampTz from_unix_ms(std::uint64_t ms) {
  constexpr std::int64_t epoch_difference_us = std::int64_t{POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE} * USECS_PER_DAY;
  return static_cast<TimestampTz>(ms) * 1000 - epoch_difference_us;
}

// Tries again after 1, 2, 4 ... 60 seconds.
TimestampTz next_try(std::int32_t attempts) {
  const std::int64_t pause_s = attempts < 6 ? std::int64_t{1} << attempts : longest_pause_s;
  return GetCurrentTimestamp() + pause_s * USECS_PER_SEC;
}

// A tombstone has no plan.
Oid table_of(Relation relation, const RowPlan* plan) {
  return plan != nullptr ? plan->relation : RelationGetRelid(relation);
}

// Completes the row by why and since when it waits.
void put_parked(Relation parked, Datum* values, const bool* nulls, const Note& note, const ParkedHistory* history) {
  values[parked_id] = Int64GetDatum(history != nullptr ? history->id : next_sequence_value(parked, parked_id + 1));
  values[parked_reason] = CStringGetTextDatum(note.reason);
  values[parked_sqlstate] = CStringGetTextDatum(note.sqlstate);
  values[parked_detail] = CStringGetTextDatum(note.detail);
  values[parked_images] = Int32GetDatum(history != nullptr ? history->images : 1);
  values[parked_parked_at] = TimestampTzGetDatum(history != nullptr ? history->parked_at : GetCurrentTimestamp());
  values[parked_retry_at] = TimestampTzGetDatum(note.retry_at);
  values[parked_attempts] = Int32GetDatum(history != nullptr ? history->attempts : 0);
  insert_row_into(parked, values, nulls);
  CommandCounterIncrement();
}

Note note_of(const Refusal& refusal, const ParkedHistory* history) {
  return {refusal.reason, unpack_sql_state(refusal.sqlstate), refusal.detail,
          next_try(history != nullptr ? history->attempts : 0)};
}

void add_parked(Relation relation, const RowPlan* plan, const RowValues& row, const Note& note,
                const ParkedHistory* history) {
  Datum values[parked_columns] = {};
  bool nulls[parked_columns] = {};
  Relation parked = table_open(table_oid(Table::parked_image), RowExclusiveLock);
  values[parked_rel] = ObjectIdGetDatum(table_of(relation, plan));
  nulls[parked_key] = plan == nullptr;
  if (plan != nullptr) {
    values[parked_key_hash] = Int64GetDatum(hash_key(plan, row));
    values[parked_key] = row_to_texts(relation, plan, row, true);
  }
  values[parked_values] = row_to_texts(relation, plan, row, false);
  nulls[parked_sent_schema] = true;
  nulls[parked_sent_table] = true;
  put_parked(parked, values, nulls, note, history);
  table_close(parked, RowExclusiveLock);
  if (history == nullptr) count_stat(table_of(relation, plan), Stat::parked);
}

// What a table here can read of a misfit.
struct Vitals {
  Oid table;  // 0: there is none of that name
  bool is_known;
  bool is_dead;
  std::int64_t key_hash;
  Datum key;
};

Oid table_named(const SentTable& sent) {
  const Oid space = get_namespace_oid(sent.schema, true);
  return OidIsValid(space) ? get_relname_relid(sent.name, space) : InvalidOid;
}

void read_vitals(Oid table, Datum texts, MemoryContext memory, Vitals* vitals) {
  Relation relation = table_open(table, AccessShareLock);
  RowPlan* plan = row_plan(relation);
  const OwnerSwitch caller = become_owner(plan);
  const RowValues row = vital_from_texts(relation, plan, texts);
  const Datum key = row_to_texts(relation, plan, row, true);
  const TombstoneData tombstone = find_tombstone(relation, plan, row);
  vitals->is_dead = tombstone.seen.data != nullptr && bury_row(relation, plan, row, tombstone).action == Action::remove;
  vitals->key_hash = hash_key(plan, row);
  become_caller(caller);
  table_close(relation, NoLock);
  MemoryContext context = MemoryContextSwitchTo(memory);
  vitals->key = datumCopy(key, false, -1);
  MemoryContextSwitchTo(context);
  vitals->is_known = true;
}

Vitals vitals_of(const SentTable& sent, Datum texts) {
  Vitals vitals{};
  vitals.table = table_named(sent);
  if (!OidIsValid(vitals.table)) return vitals;
  const MemoryContext memory = CurrentMemoryContext;
  ErrorData* error = attempt([&vitals, texts, memory] { read_vitals(vitals.table, texts, memory, &vitals); });
  if (error != nullptr && !is_misfit(error->sqlerrcode)) ReThrowError(error);
  return vitals;
}

void add_misfit(const SentTable& sent, Datum texts, const Refusal& refusal, const ParkedHistory* history) {
  const Vitals vitals = vitals_of(sent, texts);
  if (vitals.is_dead) return;
  Datum values[parked_columns] = {};
  bool nulls[parked_columns] = {};
  NameData schema;
  NameData name;
  namestrcpy(&schema, sent.schema);
  namestrcpy(&name, sent.name);
  Relation parked = table_open(table_oid(Table::parked_image), RowExclusiveLock);
  values[parked_rel] = ObjectIdGetDatum(vitals.table);
  nulls[parked_key] = !vitals.is_known;
  values[parked_key_hash] = Int64GetDatum(vitals.key_hash);
  values[parked_key] = vitals.key;
  values[parked_values] = texts;
  values[parked_sent_schema] = NameGetDatum(&schema);
  values[parked_sent_table] = NameGetDatum(&name);
  put_parked(parked, values, nulls, note_of(refusal, history), history);
  table_close(parked, RowExclusiveLock);
  if (history == nullptr && OidIsValid(vitals.table)) count_stat(vitals.table, Stat::parked);
}

void remove_parked(Relation parked, ParkedRow* row) { simple_heap_delete(parked, &row->stored->t_self); }

// A row that waits, by the table's definition; of a misfit what decides about its life, or nothing. Memory: the
// caller's.
bool read_waiting(Relation relation, const RowPlan* plan, const ParkedRow& row, RowValues* values) {
  if (row.sent.name == nullptr) {
    *values = row_from_texts(relation, row.values);
    return true;
  }
  const MemoryContext memory = CurrentMemoryContext;
  ErrorData* error = attempt([=, &row] {
    MemoryContextSwitchTo(memory);
    *values = vital_from_texts(relation, plan, row.values);
  });
  if (error != nullptr && !is_misfit(error->sqlerrcode)) ReThrowError(error);
  return error == nullptr;
}

// Calls `visit(row)` for every refused row of the key, under one snapshot; rows from the future wait by themselves.
template <typename Visit>
void for_each_refused(Relation parked, Relation relation, const RowPlan* plan, const RowValues& key, Visit visit) {
  ScanKeyData keys[2];
  ScanKeyInit(&keys[0], parked_rel + 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(plan->relation));
  ScanKeyInit(&keys[1], parked_key_hash + 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(hash_key(plan, key)));
  Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
  SysScanDesc scan = systable_beginscan(parked, index_oid(Index::parked_key), true, snapshot, 2, keys);
  while (HeapTuple tuple = systable_getnext(scan)) {
    ParkedRow row = read_parked(tuple, RelationGetDescr(parked));
    RowValues values;
    if (read_waiting(relation, plan, row, &values) && same_key(plan, values, key)) visit(&row, values);
  }
  systable_endscan(scan);
  UnregisterSnapshot(snapshot);
}

// Joins the other refused rows of the key into `values`: they are states of one row, and one of them is enough. Misfits
// are tried one by one.
RowValues join_refused(Relation parked, Relation relation, const RowPlan* plan, RowValues values, ParkedRow* self) {
  for_each_refused(parked, relation, plan, values, [&](ParkedRow* other, const RowValues& theirs) {
    if (other->history.id == self->history.id || other->is_future || other->sent.name != nullptr) return;
    const Verdict verdict = merge_rows(relation, plan, values, theirs, TombstoneData{});
    if (verdict.action == Action::replace) values = verdict.row;
    self->history.images += other->history.images;
    remove_parked(parked, other);
  });
  CommandCounterIncrement();
  return values;
}

// A row of a partitioned table waits under the table's name, and goes to the partition that takes it now.
Relation leaf_of(Relation relation, Datum texts) {
  if (relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE) return relation;
  Relation leaf = open_leaf(relation, row_from_texts(relation, texts));
  if (leaf == nullptr) {
    ereport(ERROR, (errcode(ERRCODE_CHECK_VIOLATION),
                    errmsg("no partition of table \"%s\" takes the row", RelationGetRelationName(relation)),
                    errhint("Create or attach one.")));
  }
  return leaf;
}

// The table that a misfit is meant for. Raises if it is not here, or not replicated.
Relation open_sent(const SentTable& sent) {
  const Oid table = table_named(sent);
  Relation relation = OidIsValid(table) ? try_relation_open(table, RowExclusiveLock) : nullptr;
  const char* name = quote_qualified_identifier(sent.schema, sent.name);
  if (relation == nullptr) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("table %s does not exist", name),
                    errhint("Create it as it is on the other nodes, then repeat meridian.replicate() for it.")));
  }
  if (table != table_oid(Table::tombstone) && find_table_id(table) == 0) {
    ereport(ERROR,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("%s is not a replicated table here", name),
             errhint("Repeat meridian.replicate() for it with the same rules.")));
  }
  return relation;
}

void bring_tombstone(Relation tombstones, Datum texts, bool was_sent) {
  if (was_sent) require_columns(tombstones, texts);
  const RowValues values = row_from_texts(tombstones, texts);
  receive_parked_tombstone(tombstones, heap_form_tuple(RelationGetDescr(tombstones), values.values, values.nulls));
}

// `row`: the parked row that is brought again; null for one that has just arrived.
void bring_texts(Relation relation, Datum texts, Relation parked, ParkedRow* row) {
  // Reading a row may run code of the table's owner (the CHECK of a domain).
  const OwnerSwitch caller = become_owner(row_plan(relation));
  if (row == nullptr || row->sent.name != nullptr) require_columns(relation, texts);
  Relation leaf = leaf_of(relation, texts);
  RowPlan* plan = row_plan(leaf);
  RowValues values = row_from_texts(leaf, texts);
  if (row != nullptr && !row->is_future) values = join_refused(parked, leaf, plan, values, row);
  apply_row(leaf, plan, values, row != nullptr ? &row->history : nullptr);
  become_caller(caller);
  if (leaf != relation) table_close(leaf, NoLock);
}

// Takes the row away and brings it again; what is refused is parked anew under its old id.
void bring_again(Relation parked, ParkedRow* row) {
  remove_parked(parked, row);
  CommandCounterIncrement();
  ++row->history.attempts;
  Relation relation = row->sent.name != nullptr ? open_sent(row->sent) : try_table_open(row->table, RowExclusiveLock);
  if (relation == nullptr) return;  // dropped meanwhile
  if (RelationGetRelid(relation) == table_oid(Table::tombstone)) {
    bring_tombstone(relation, row->values, row->sent.name != nullptr);
  } else {
    bring_texts(relation, row->values, parked, row);
  }
  table_close(relation, NoLock);
}

// Misfits of one row whose states contain each other: the largest stands for all. Which is larger, the states alone
// say, so other columns need not be read.
void absorb_misfits(Relation parked, ParkedRow* self) {
  const Oid table = table_named(self->sent);
  Relation relation = OidIsValid(table) ? try_relation_open(table, AccessShareLock) : nullptr;
  if (relation == nullptr) return;
  RowPlan* plan = row_plan(relation);
  const OwnerSwitch caller = become_owner(plan);
  const auto has_state = [plan](const RowValues& row) { return !row.nulls[plan->state_attnum - 1]; };
  RowValues largest;
  if (plan->mode == RowMode::state && read_waiting(relation, plan, *self, &largest) && has_state(largest)) {
    for_each_refused(parked, relation, plan, largest, [&](ParkedRow* other, const RowValues& theirs) {
      if (other->history.id == self->history.id || other->sent.name == nullptr || !has_state(theirs)) return;
      const Knowledge knowledge =
          compare_states(*plan->shape, read_image(relation, plan, largest), read_image(relation, plan, theirs));
      if (knowledge == Knowledge::concurrent) return;
      if (knowledge == Knowledge::older) {
        self->values = other->values;
        largest = theirs;
      }
      self->history.images += other->history.images;
      remove_parked(parked, other);
    });
  }
  become_caller(caller);
  table_close(relation, NoLock);
}

// A misfit waits on, and with what is known of its table and key now.
void park_again(Relation parked, ParkedRow* row, const ErrorData* error) {
  Refusal refusal = refusal_of(error);
  refusal.reason = "misfit";
  const ParkedRow before = *row;
  const MemoryContext memory = CurrentMemoryContext;
  ErrorData* failure = attempt([parked, row, memory] {
    MemoryContextSwitchTo(memory);
    absorb_misfits(parked, row);
  });
  if (failure != nullptr) {
    if (!is_misfit(failure->sqlerrcode)) ReThrowError(failure);
    *row = before;
  }
  remove_parked(parked, row);
  CommandCounterIncrement();
  ++row->history.attempts;
  add_misfit(row->sent, row->values, refusal, &row->history);
}

// The row stays as it is, because even reading it failed.
void postpone(Relation parked, ParkedRow* row, const ErrorData* error) {
  const Refusal refusal = refusal_of(error);
  ++row->history.attempts;
  int replaced[] = {parked_reason + 1, parked_sqlstate + 1, parked_detail + 1, parked_retry_at + 1,
                    parked_attempts + 1};
  Datum values[] = {CStringGetTextDatum(refusal.reason), CStringGetTextDatum(unpack_sql_state(refusal.sqlstate)),
                    CStringGetTextDatum(refusal.detail), TimestampTzGetDatum(next_try(row->history.attempts)),
                    Int32GetDatum(row->history.attempts)};
  bool nulls[std::size(replaced)] = {};
  HeapTuple changed = heap_modify_tuple_by_cols(row->stored, RelationGetDescr(parked),
                                                static_cast<int>(std::size(replaced)), replaced, values, nulls);
  update_row_of(parked, &row->stored->t_self, changed);
}

// In apply mode, as the keeper is. What the table refuses must not hold up the others.
void try_parked(Relation parked, std::int64_t id) {
  ParkedRow row;
  if (!find_parked(parked, id, &row)) return;  // joined with another one
  const std::int32_t attempts = row.history.attempts;
  const ErrorData* error = attempt([parked, &row] { bring_again(parked, &row); });
  row.history.attempts = attempts;
  if (error != nullptr && row.sent.name != nullptr && is_misfit(error->sqlerrcode)) {
    park_again(parked, &row, error);
  } else if (error != nullptr) {
    postpone(parked, &row, error);
  }
  CommandCounterIncrement();
}

// Ids of the rows whose time has come, the oldest first.
int due_rows(Relation parked, std::int64_t (&ids)[tried_per_pass]) {
  int count = 0;
  const TimestampTz now = GetCurrentTimestamp();
  Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
  Relation index = index_open(index_oid(Index::parked_due), AccessShareLock);
  SysScanDesc scan = systable_beginscan_ordered(parked, index, snapshot, 0, nullptr);
  while (HeapTuple tuple = count < tried_per_pass ? systable_getnext_ordered(scan, ForwardScanDirection) : nullptr) {
    bool is_null = false;
    const TupleDesc descriptor = RelationGetDescr(parked);
    if (DatumGetTimestampTz(heap_getattr(tuple, parked_retry_at + 1, descriptor, &is_null)) > now) break;
    ids[count++] = DatumGetInt64(heap_getattr(tuple, parked_id + 1, descriptor, &is_null));
  }
  systable_endscan_ordered(scan);
  index_close(index, AccessShareLock);
  UnregisterSnapshot(snapshot);
  return count;
}

}  // namespace

void park_future(Relation relation, const RowPlan* plan, const RowValues& row, Hlc newest) {
  const TimestampTz stamp_time = from_unix_ms(newest.milliseconds());
  add_parked(relation, plan, row,
             {"clock_skew", unpack_sql_state(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
              psprintf("stamped %s, more than meridian.max_clock_skew (%d ms) after this server's clock",
                       timestamptz_to_str(stamp_time), max_clock_skew_ms),
              stamp_time - std::int64_t{max_clock_skew_ms} * 1000},
             nullptr);
}

void park_refused(Relation relation, const RowPlan* plan, const RowValues& row, const Refusal& refusal,
                  const ParkedHistory* history) {
  add_parked(relation, plan, row, note_of(refusal, history), history);
}

void bring_sent(const SentTable& table, Datum texts) {
  Relation relation = open_sent(table);
  if (RelationGetRelid(relation) == table_oid(Table::tombstone)) {
    bring_tombstone(relation, texts, true);
  } else {
    bring_texts(relation, texts, nullptr, nullptr);
  }
  table_close(relation, NoLock);
}

void park_misfit(const SentTable& table, Datum texts, const Refusal& refusal) {
  Refusal misfit = refusal;
  misfit.reason = "misfit";
  add_misfit(table, texts, misfit, nullptr);
}

void bury_parked(Relation relation, const RowPlan* plan, const RowValues& key, const TombstoneData& tombstone) {
  Relation parked = table_open(table_oid(Table::parked_image), RowExclusiveLock);
  if (RelationGetNumberOfBlocks(parked) > 0) {
    lock_parked_rows();
    for_each_refused(parked, relation, plan, key, [&](ParkedRow* row, const RowValues& values) {
      const Verdict verdict = bury_row(relation, plan, values, tombstone);
      // What is left of a misfit is found out when it fits; until then its tombstones stay.
      if (verdict.action == Action::keep || (row->sent.name != nullptr && verdict.action == Action::replace)) return;
      remove_parked(parked, row);
      if (verdict.action != Action::replace) return;
      const char* detail = "part of it was deleted while it waited";
      add_parked(relation, plan, verdict.row,
                 {row->is_future ? "clock_skew" : "refused", "00000", detail, GetCurrentTimestamp()}, &row->history);
    });
  }
  table_close(parked, RowExclusiveLock);
}

void retry_parked() {
  Relation parked = table_open(table_oid(Table::parked_image), RowExclusiveLock);
  lock_parked_rows();
  static std::int64_t ids[tried_per_pass];
  const int count = due_rows(parked, ids);
  enter_apply_mode();
  for (int i = 0; i < count; ++i) try_parked(parked, ids[i]);
  leave_apply_mode();
  table_close(parked, RowExclusiveLock);
}

}  // namespace meridian::pg

/// meridian.retry_parked(id bigint) returns text: 'applied', or why not
MERIDIAN_FUNCTION(meridian_retry_parked)
{
  using namespace meridian::pg;
  const std::int64_t id = PG_GETARG_INT64(0);
  Relation parked = table_open(table_oid(Table::parked_image), RowExclusiveLock);
  lock_parked_rows();
  ParkedRow row;
  if (!find_parked(parked, id, &row)) {
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("no parked change has id %lld", static_cast<long long>(id)),
             errhint("SELECT id FROM meridian.parked; a change that was applied meanwhile is gone from it.")));
  }
  // As in the keeper: what is written is a peer's, and fires what an apply worker fires.
  const int level = NewGUCNestLevel();
  set_config_option("session_replication_role", "replica", PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  enter_apply_mode();
  ErrorData* error = attempt([parked, id] { try_parked(parked, id); });
  leave_apply_mode();
  AtEOXact_GUC(true, level);
  if (error != nullptr) ReThrowError(error);
  const bool waits = find_parked(parked, id, &row);
  table_close(parked, RowExclusiveLock);
  PG_RETURN_TEXT_P(cstring_to_text(waits ? row.detail : "applied"));
}
