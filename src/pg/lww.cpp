// `meridian.lww('updated_at')`: last writer wins by an ordinary timestamp column, without a state column.
//
// Newer wins; equal timestamps are decided by a total order over the two rows that every node computes alike. So
// that "newer" follows what a node has seen, a local write whose timestamp is missing or not newer than the row's is
// stamped one microsecond after it, and so is a delete. Works without preload: no clock is needed, only the row.
#include "pg/late_insert.hpp"
#include "pg/partition.hpp"
#include "pg/row_logic.hpp"
#include "pg/stamp.hpp"
#include "pg/stat_tables.hpp"
#include "pg/tombstone.hpp"

namespace meridian::pg {
namespace {

// Order of two rows with equal timestamps: column by column in the order of their names, since positions may differ
// between nodes.
int compare_rows(Relation relation, const RowPlan* plan, const RowValues& a, const RowValues& b) {
  const char* first_name = nullptr;
  int result = 0;
  for (int i = 0; i < plan->column_count; ++i) {
    const ColumnPlan& column = plan->columns[i];
    if (column.skip || same_image(relation, column.attnum, a, b)) continue;
    const int order = compare_portably(relation, column.attnum, a, b);
    const char* name = NameStr(TupleDescAttr(RelationGetDescr(relation), i)->attname);
    if (order == 0 || (first_name != nullptr && std::strcmp(name, first_name) > 0)) continue;
    first_name = name;
    result = order;
  }
  return result;
}

// Microseconds since 2000 for a local write, in the column's own notion of time.
std::int64_t now_for(const RowPlan* plan) {
  const TimestampTz now = GetCurrentTimestamp();
  if (plan->stamp_type == TIMESTAMPTZOID) return now;
  return DatumGetTimestamp(DirectFunctionCall1(timestamptz_timestamp, TimestampTzGetDatum(now)));
}

// The next timestamp; infinity, which rows from before replication may hold, has none.
std::int64_t after(std::int64_t time) { return time == PG_INT64_MAX ? time : time + 1; }

void refuse_infinity(Relation relation, const RowPlan* plan, std::int64_t time) {
  if (IS_VALID_TIMESTAMP(time)) return;
  if (!TIMESTAMP_NOT_FINITE(time))
    ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
  ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
                  errmsg("column \"%s\" of table \"%s\" cannot be infinite",
                         NameStr(TupleDescAttr(RelationGetDescr(relation), plan->stamp_attnum - 1)->attname),
                         RelationGetRelationName(relation)),
                  errhint("No later write could win against it. Leave the column NULL to have it stamped.")));
}

void set_timestamp(const RowPlan* plan, std::int64_t time, RowValues* row) {
  row->values[plan->stamp_attnum - 1] = Int64GetDatum(time);
  row->nulls[plan->stamp_attnum - 1] = false;
}

}  // namespace

std::int64_t by_timestamp::timestamp_of(const RowPlan* plan, const RowValues& row) {
  const int i = plan->stamp_attnum - 1;
  return row.nulls[i] ? PG_INT64_MIN : DatumGetInt64(row.values[i]);
}

Verdict by_timestamp::merge_rows(Relation relation, const RowPlan* plan, const RowValues& local,
                                 const RowValues& incoming) {
  const std::int64_t mine = timestamp_of(plan, local);
  const std::int64_t theirs = timestamp_of(plan, incoming);
  Verdict verdict{};
  const bool incoming_wins = theirs != mine ? theirs > mine : compare_rows(relation, plan, incoming, local) > 0;
  verdict.action = incoming_wins ? Action::replace : Action::keep;
  if (!incoming_wins) return verdict;
  verdict.row = allocate_values(plan);
  for (int i = 0; i < plan->column_count; ++i) {
    const RowValues& source = plan->columns[i].skip ? local : incoming;
    verdict.row.values[i] = source.values[i];
    verdict.row.nulls[i] = source.nulls[i];
  }
  return verdict;
}

Verdict by_timestamp::bury_row(const RowPlan* plan, const RowValues& row, const TombstoneData& tombstone) {
  Verdict verdict{};
  const bool dead = timestamp_of(plan, row) <= static_cast<std::int64_t>(tombstone.stamp.value);
  verdict.action = dead ? Action::remove : Action::keep;
  return verdict;
}

HeapTuple stamp_timestamp_insert(Relation relation, const RowPlan* plan, HeapTuple tuple) {
  RowValues row = deform(relation, plan, tuple);
  std::int64_t time = by_timestamp::timestamp_of(plan, row);
  if (time == PG_INT64_MIN) time = now_for(plan);
  // A key that was deleted comes back only above the delete.
  if (plan->table_id != 0) begin_insert();
  const TombstoneData tombstone = find_any_tombstone(relation, plan, row);
  if (tombstone.seen.data != nullptr) time = std::max(time, after(static_cast<std::int64_t>(tombstone.stamp.value)));
  refuse_infinity(relation, plan, time);
  const bool external = fetch_external_values(relation, plan, &row);
  if (!external && time == by_timestamp::timestamp_of(plan, row)) return tuple;
  set_timestamp(plan, time, &row);
  return heap_form_tuple(RelationGetDescr(relation), row.values, row.nulls);
}

HeapTuple stamp_timestamp_update(Relation relation, const RowPlan* plan, HeapTuple old_tuple, HeapTuple new_tuple) {
  const RowValues old_row = deform(relation, plan, old_tuple);
  RowValues new_row = deform(relation, plan, new_tuple);
  const std::int64_t before = by_timestamp::timestamp_of(plan, old_row);
  const std::int64_t given = by_timestamp::timestamp_of(plan, new_row);
  std::int64_t time = given;
  if (given == PG_INT64_MIN && before == PG_INT64_MIN) {
    time = now_for(plan);
  } else if (given == PG_INT64_MIN || given <= before) {
    time = after(before);
  }
  if (!same_key(plan, old_row, new_row)) {
    if (plan->table_id != 0) begin_insert();
    if (!leaves_partition(relation, new_row)) add_tombstone(relation, plan, old_row, timestamp_tombstone(time));
    const TombstoneData tombstone = find_any_tombstone(relation, plan, new_row);
    if (tombstone.seen.data != nullptr) time = std::max(time, after(static_cast<std::int64_t>(tombstone.stamp.value)));
  }
  refuse_infinity(relation, plan, time);
  const bool external = fetch_external_values(relation, plan, &new_row);
  if (!external && time == given) return new_tuple;
  set_timestamp(plan, time, &new_row);
  return heap_form_tuple(RelationGetDescr(relation), new_row.values, new_row.nulls);
}

void restamp_timestamp_insert(Relation relation, const RowPlan* plan, const TombstoneData& tombstone, RowValues* row) {
  const std::int64_t time = after(static_cast<std::int64_t>(tombstone.stamp.value));
  refuse_infinity(relation, plan, time);
  fetch_external_values(relation, plan, row);
  set_timestamp(plan, time, row);
}

TombstoneData timestamp_tombstone(std::int64_t time) {
  // Tombstones are compared as unsigned stamps, so one from before 2000 counts as of 2000.
  return {never, Hlc{static_cast<std::uint64_t>(std::max<std::int64_t>(time, 0))}, nobody, no_writes_seen()};
}

void stamp_timestamp_delete(Relation relation, const RowPlan* plan, HeapTuple tuple) {
  const RowValues row = deform(relation, plan, tuple);
  const std::int64_t before = by_timestamp::timestamp_of(plan, row);
  const std::int64_t time = before == PG_INT64_MIN ? now_for(plan) : std::max(now_for(plan), after(before));
  add_tombstone(relation, plan, row, timestamp_tombstone(time));
}

}  // namespace meridian::pg
