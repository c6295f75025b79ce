#include "pg/parked.hpp"

#include "pg/apply.hpp"
#include "pg/applying.hpp"
#include "pg/catalog.hpp"
#include "pg/hlc.hpp"
#include "pg/row_access.hpp"
#include "pg/settings.hpp"
#include "pg/stat_tables.hpp"
#include "pg/support/attempt.hpp"
#include "pg/tombstone.hpp"

namespace meridian::pg {
namespace {

enum ParkedColumn { id, rel, image, reason, detail, parked_at, retry_at, attempts, columns };

// Unix milliseconds as a timestamptz.
TimestampTz from_unix_ms(std::uint64_t ms) {
  constexpr std::int64_t epoch_difference_us = std::int64_t{POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE} * USECS_PER_DAY;
  return static_cast<TimestampTz>(ms) * 1000 - epoch_difference_us;
}

// The whole row as text, by the table's own row type: the form in which a later table definition reads it again.
Datum row_text(Relation relation, const RowValues& row) {
  const TupleDesc descriptor = RelationGetDescr(relation);
  const HeapTuple tuple = heap_form_tuple(descriptor, row.values, row.nulls);
  const Datum record = heap_copy_tuple_as_datum(tuple, descriptor);
  Oid output = InvalidOid;
  bool is_varlena = false;
  getTypeOutputInfo(RECORDOID, &output, &is_varlena);
  const int level = pin_settings();
  const Datum text = CStringGetTextDatum(OidOutputFunctionCall(output, record));
  unpin_settings(level);
  return text;
}

HeapTupleData read_image(Relation relation, Datum image_text) {
  Oid input = InvalidOid;
  Oid parameter = InvalidOid;
  getTypeInputInfo(relation->rd_rel->reltype, &input, &parameter);
  const int level = pin_settings();
  const Datum record = OidInputFunctionCall(input, TextDatumGetCString(image_text), parameter, -1);
  unpin_settings(level);
  HeapTupleData tuple;
  tuple.t_data = DatumGetHeapTupleHeader(record);
  tuple.t_len = HeapTupleHeaderGetDatumLength(tuple.t_data);
  ItemPointerSetInvalid(&tuple.t_self);
  tuple.t_tableOid = RelationGetRelid(relation);
  return tuple;
}

void apply_parked(Oid table, Datum image_text) {
  Relation relation = try_table_open(table, RowExclusiveLock);
  if (relation == nullptr) return;  // dropped meanwhile
  if (table == table_oid(Table::tombstone)) {
    HeapTupleData tuple = read_image(relation, image_text);
    receive_parked_tombstone(relation, &tuple);
  } else {
    RowPlan* plan = row_plan(relation);
    // Reading a row may run code of the table's owner (the CHECK of a domain).
    const OwnerSwitch caller = become_owner(plan);
    HeapTupleData tuple = read_image(relation, image_text);
    apply_image(relation, plan, &tuple);
    become_caller(caller);
  }
  table_close(relation, NoLock);
}

// What a later look at a parked image needs to know of it.
struct Parked {
  Oid table;
  Datum text;
  std::int32_t attempts;
  bool due;
};

Parked read_parked(HeapTuple tuple, TupleDesc descriptor) {
  Datum values[columns];
  bool nulls[columns];
  heap_deform_tuple(tuple, descriptor, values, nulls);
  return {DatumGetObjectId(values[rel]), values[image], DatumGetInt32(values[attempts]),
          DatumGetTimestampTz(values[retry_at]) <= GetCurrentTimestamp()};
}

// Tries again after 1, 2, 4 ... 3600 seconds.
void postpone(Relation parked, HeapTuple tuple, const Parked& image, const char* failure) {
  const std::int64_t pause_s = image.attempts < 12 ? std::int64_t{1} << image.attempts : 3600;
  int replaced[] = {reason + 1, detail + 1, retry_at + 1, attempts + 1};
  Datum values[] = {CStringGetTextDatum("refused"), CStringGetTextDatum(failure),
                    TimestampTzGetDatum(GetCurrentTimestamp() + pause_s * USECS_PER_SEC),
                    Int32GetDatum(image.attempts + 1)};
  bool nulls[] = {false, false, false, false};
  update_row_of(parked, &tuple->t_self,
                heap_modify_tuple_by_cols(tuple, RelationGetDescr(parked), 4, replaced, values, nulls));
}

}  // namespace

void park_image(Relation relation, const RowValues& row, Hlc newest) {
  Datum values[columns] = {};
  const bool nulls[columns] = {};
  const TimestampTz stamp_time = from_unix_ms(newest.milliseconds());
  Relation parked = table_open(table_oid(Table::parked_image), RowExclusiveLock);
  values[id] = Int64GetDatum(next_sequence_value(parked, id + 1));
  values[rel] = ObjectIdGetDatum(RelationGetRelid(relation));
  values[image] = row_text(relation, row);
  values[reason] = CStringGetTextDatum("clock_skew");
  values[detail] =
      CStringGetTextDatum(psprintf("stamped %s, more than meridian.max_clock_skew (%d ms) after this server's clock",
                                   timestamptz_to_str(stamp_time), max_clock_skew_ms));
  values[parked_at] = TimestampTzGetDatum(GetCurrentTimestamp());
  values[retry_at] = TimestampTzGetDatum(stamp_time - std::int64_t{max_clock_skew_ms} * 1000);
  values[attempts] = Int32GetDatum(0);
  insert_row_into(parked, values, nulls);
  table_close(parked, RowExclusiveLock);
  count_stat(RelationGetRelid(relation), Stat::parked);
}

void retry_parked() {
  Relation parked = table_open(table_oid(Table::parked_image), RowExclusiveLock);
  Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
  TableScanDesc scan = table_beginscan(parked, snapshot, 0, nullptr);
  enter_apply_mode();
  while (HeapTuple tuple = heap_getnext(scan, ForwardScanDirection)) {
    const Parked image = read_parked(tuple, RelationGetDescr(parked));
    if (!image.due) continue;
    // What the table refuses must not hold up the others.
    const char* failure = attempt([&] {
      simple_heap_delete(parked, &tuple->t_self);
      apply_parked(image.table, image.text);
    });
    if (failure != nullptr) postpone(parked, tuple, image, failure);
    CommandCounterIncrement();
  }
  leave_apply_mode();
  table_endscan(scan);
  UnregisterSnapshot(snapshot);
  table_close(parked, RowExclusiveLock);
}

}  // namespace meridian::pg
