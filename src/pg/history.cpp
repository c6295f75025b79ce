#include "pg/history.hpp"

#include "pg/catalog.hpp"
#include "pg/stat_tables.hpp"

namespace meridian::pg {
namespace {

// {"column": value, ...} of some columns, by the types' own JSON form. A row of its own type is formed from just these
// columns.
Datum to_jsonb_object(Relation relation, const RowPlan* plan, const RowValues& row, bool key_only) {
  const TupleDesc descriptor = RelationGetDescr(relation);
  auto* chosen = static_cast<AttrNumber*>(palloc(sizeof(AttrNumber) * plan->column_count));
  int count = 0;
  for (int i = 0; i < plan->column_count; ++i) {
    const bool hidden = i + 1 == plan->state_attnum || TupleDescAttr(descriptor, i)->attisdropped;
    if (!hidden && (!key_only || plan->columns[i].is_key)) chosen[count++] = static_cast<AttrNumber>(i + 1);
  }
  TupleDesc shown = CreateTemplateTupleDesc(count);
  auto* values = static_cast<Datum*>(palloc(sizeof(Datum) * count));
  auto* nulls = static_cast<bool*>(palloc(sizeof(bool) * count));
  for (int i = 0; i < count; ++i) {
    TupleDescCopyEntry(shown, static_cast<AttrNumber>(i + 1), descriptor, chosen[i]);
    values[i] = row.values[chosen[i] - 1];
    nulls[i] = row.nulls[chosen[i] - 1];
  }
  // A row that JSON cannot hold must not stop replication: it stays out of the history.
  constexpr Size largest = Size{16} << 20;
  if (heap_compute_data_size(shown, values, nulls) > largest) return 0;
  BlessTupleDesc(shown);
  const Datum record = heap_copy_tuple_as_datum(heap_form_tuple(shown, values, nulls), shown);
  const Datum json = DirectFunctionCall1(row_to_json, record);
  return DirectFunctionCall1(jsonb_in, CStringGetDatum(TextDatumGetCString(json)));
}

}  // namespace

void record_conflict(Relation relation, const RowPlan* plan, const Conflict& conflict) {
  enum {
    id,
    occurred_at,
    rel,
    key,
    kind,
    winner,
    rule,
    local_row,
    remote_row,
    local_stamp,
    local_actor,
    remote_stamp,
    remote_actor,
    columns
  };
  count_stat(plan->relation, Stat::conflicts);
  Relation history = table_open(table_oid(Table::conflict_history), RowExclusiveLock);
  Datum values[columns] = {};
  bool nulls[columns] = {};
  const RowValues* known = conflict.local.row != nullptr ? conflict.local.row : conflict.remote.row;
  values[id] = Int64GetDatum(next_sequence_value(history, id + 1));
  values[occurred_at] = TimestampTzGetDatum(GetCurrentTimestamp());
  values[rel] = ObjectIdGetDatum(plan->relation);
  values[key] = to_jsonb_object(relation, plan, *known, true);
  values[kind] = CStringGetTextDatum(conflict.kind);
  values[winner] = CStringGetTextDatum(conflict.winner);
  values[rule] = CStringGetTextDatum(conflict.rule);
  if (conflict.local.row != nullptr) values[local_row] = to_jsonb_object(relation, plan, *conflict.local.row, false);
  nulls[local_row] = values[local_row] == 0;
  if (conflict.remote.row != nullptr) values[remote_row] = to_jsonb_object(relation, plan, *conflict.remote.row, false);
  nulls[remote_row] = values[remote_row] == 0;
  values[local_stamp] = Int64GetDatum(conflict.local.stamp);
  values[local_actor] = Int64GetDatum(conflict.local.actor);
  values[remote_stamp] = Int64GetDatum(conflict.remote.stamp);
  values[remote_actor] = Int64GetDatum(conflict.remote.actor);
  insert_row_into(history, values, nulls);
  table_close(history, RowExclusiveLock);
}

}  // namespace meridian::pg
