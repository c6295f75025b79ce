#include "pg/history.hpp"

#include "pg/catalog.hpp"
#include "pg/history_limit.hpp"
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

struct ConflictKind {
  const char* name;
  Stat stat;
};

constexpr ConflictKind conflict_kinds[] = {{"insert_insert", Stat::insert_insert},
                                           {"update_update", Stat::update_update},
                                           {"update_delete", Stat::update_delete},
                                           {"delete_update", Stat::delete_update},
                                           {"unique", Stat::unique_key}};

Stat stat_of(const char* kind) {
  for (const ConflictKind& known : conflict_kinds) {
    if (std::strcmp(known.name, kind) == 0) return known.stat;
  }
  return Stat::other_conflicts;
}

// The partition for a time, by the descriptor in the relation cache. The lock on the partitioned table, which the
// keeper excludes, keeps it from being dropped before it is locked itself.
Relation open_partition(Relation history, TimestampTz time) {
  const PartitionKey key = RelationGetPartitionKey(history);
  const PartitionDesc partitions = RelationGetPartitionDesc(history, true);
  const PartitionBoundInfo bounds = partitions->boundinfo;
  int index = -1;
  if (partitions->nparts > 0) {
    bool is_equal = false;
    Datum value = TimestampTzGetDatum(time);
    const int below = partition_range_datum_bsearch(key->partsupfunc, key->partcollation, bounds, 1, &value, &is_equal);
    index = bounds->indexes[below + 1];
    if (index < 0) index = bounds->default_index;
  }
  if (index < 0) {
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("table \"%s\" has no default partition", RelationGetRelationName(history)),
                    errhint("Attach meridian.conflict_history_default again as its default partition.")));
  }
  return table_open(partitions->oids[index], RowExclusiveLock);
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
  count_stat(plan->relation, stat_of(conflict.kind));
  if (!may_write_history()) {
    count_stat(plan->relation, Stat::history_dropped);
    return;
  }
  const TimestampTz now = GetCurrentTimestamp();
  Relation history = table_open(table_oid(Table::conflict_history), RowExclusiveLock);
  Datum values[columns] = {};
  bool nulls[columns] = {};
  const RowValues* known = conflict.local.row != nullptr ? conflict.local.row : conflict.remote.row;
  values[id] = Int64GetDatum(next_sequence_value(history, id + 1));
  values[occurred_at] = TimestampTzGetDatum(now);
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
  // Until the transaction ends, whoever wants the partition for himself waits; the whole table is not held that long.
  Relation partition = open_partition(history, now);
  insert_row_into(partition, values, nulls);
  table_close(partition, NoLock);
  table_close(history, RowExclusiveLock);
}

}  // namespace meridian::pg
