#include "pg/parked.hpp"

#include "pg/applying.hpp"
#include "pg/apply.hpp"
#include "pg/catalog.hpp"
#include "pg/hlc.hpp"
#include "pg/settings.hpp"
#include "pg/stat_tables.hpp"
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
  return CStringGetTextDatum(OidOutputFunctionCall(output, record));
}

void apply_parked(Oid table, Datum row_image) {
  Relation relation = try_table_open(table, RowExclusiveLock);
  if (relation == nullptr) return;  // dropped meanwhile
  Oid input = InvalidOid;
  Oid parameter = InvalidOid;
  getTypeInputInfo(relation->rd_rel->reltype, &input, &parameter);
  const Datum record = OidInputFunctionCall(input, TextDatumGetCString(row_image), parameter, -1);
  HeapTupleHeader header = DatumGetHeapTupleHeader(record);
  HeapTupleData tuple;
  tuple.t_len = HeapTupleHeaderGetDatumLength(header);
  ItemPointerSetInvalid(&tuple.t_self);
  tuple.t_tableOid = table;
  tuple.t_data = header;
  if (table == table_oid(Table::tombstone)) {
    receive_parked_tombstone(relation, &tuple);
  } else {
    apply_image(relation, row_plan(relation), &tuple);
  }
  table_close(relation, NoLock);
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
  values[detail] = CStringGetTextDatum(psprintf("stamped %s, more than meridian.max_clock_skew (%d ms) after this server's clock",
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
  const TupleDesc descriptor = RelationGetDescr(parked);
  Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
  TableScanDesc scan = table_beginscan(parked, snapshot, 0, nullptr);
  HeapTuple tuple = nullptr;
  enter_apply_mode();
  while ((tuple = heap_getnext(scan, ForwardScanDirection)) != nullptr) {
    bool is_null = false;
    if (DatumGetTimestampTz(heap_getattr(tuple, retry_at + 1, descriptor, &is_null)) > GetCurrentTimestamp()) continue;
    simple_heap_delete(parked, &tuple->t_self);
    apply_parked(DatumGetObjectId(heap_getattr(tuple, rel + 1, descriptor, &is_null)),
                 heap_getattr(tuple, image + 1, descriptor, &is_null));
    CommandCounterIncrement();
  }
  leave_apply_mode();
  table_endscan(scan);
  UnregisterSnapshot(snapshot);
  table_close(parked, RowExclusiveLock);
}

}  // namespace meridian::pg
