#include "pg/catalog.hpp"

#include <cstring>

#include "pg/support/compat.hpp"

namespace meridian::pg {
namespace {

constexpr const char* table_names[] = {"replicated_table", "tombstone", "conflict_history", "parked_image",
                                       "progress",         "heartbeat", "member",           "local_member",
                                       "home_map",         "home_pin",  "home_change"};
static_assert(std::size(table_names) == static_cast<std::size_t>(Table::count));

constexpr const char* index_names[] = {
    "tombstone_key", "tombstone_unsettled", "replicated_table_pkey", "replicated_table_rel_key",
    "progress_pkey", "heartbeat_pkey",      "parked_image_pkey",     "parked_key",
    "parked_due",    "home_pin_pkey"};
static_assert(std::size(index_names) == static_cast<std::size_t>(Index::count));

Oid cached_tables[static_cast<std::size_t>(Table::count)];
Oid cached_schema = InvalidOid;
Oid cached_indexes[static_cast<std::size_t>(Index::count)];
Oid cached_row_state = InvalidOid;

void forget_oids(Datum, int, uint32) {
  std::memset(cached_tables, 0, sizeof(cached_tables));
  std::memset(cached_indexes, 0, sizeof(cached_indexes));
  cached_schema = InvalidOid;
  cached_row_state = InvalidOid;
}

bool is_function_named(Oid function, const char* name) {
  if (get_func_namespace(function) != schema_oid()) return false;
  const char* actual = get_func_name(function);
  return actual != nullptr && std::strcmp(actual, name) == 0;
}

// One row of replicated_table by a column that has a unique index; the attributes are (id, rel, ...).
Datum look_up_table(Index index, AttrNumber by, RegProcedure equals, Datum value, AttrNumber wanted, bool* found) {
  Relation relation = table_open(table_oid(Table::replicated_table), AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, by, BTEqualStrategyNumber, equals, value);
  Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
  SysScanDesc scan = systable_beginscan(relation, index_oid(index), true, snapshot, 1, &key);
  HeapTuple tuple = systable_getnext(scan);
  Datum result = 0;
  *found = HeapTupleIsValid(tuple);
  if (*found) {
    bool is_null = false;
    result = heap_getattr(tuple, wanted, RelationGetDescr(relation), &is_null);
  }
  systable_endscan(scan);
  UnregisterSnapshot(snapshot);
  table_close(relation, AccessShareLock);
  return result;
}

}  // namespace

Oid schema_oid() {
  if (!OidIsValid(cached_schema)) cached_schema = get_namespace_oid("meridian", true);
  return cached_schema;
}

Oid table_oid(Table table) {
  Oid& cached = cached_tables[static_cast<std::size_t>(table)];
  if (!OidIsValid(cached)) cached = get_relname_relid(table_names[static_cast<std::size_t>(table)], schema_oid());
  if (!OidIsValid(cached)) {
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("extension meridian is not installed in this database"),
                    errhint("Run CREATE EXTENSION meridian.")));
  }
  return cached;
}

Oid index_oid(Index index) {
  Oid& cached = cached_indexes[static_cast<std::size_t>(index)];
  if (!OidIsValid(cached)) cached = get_relname_relid(index_names[static_cast<std::size_t>(index)], schema_oid());
  return cached;
}

bool is_resolving_function(Oid function) {
  return is_function_named(function, "resolve") || is_function_named(function, "lww");
}

bool is_lww_function(Oid function) { return is_function_named(function, "lww"); }

Oid row_state_type() {
  if (!OidIsValid(cached_row_state)) {
    cached_row_state =
        GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("row_state"), ObjectIdGetDatum(schema_oid()));
  }
  return cached_row_state;
}

std::int32_t find_table_id(Oid relation) {
  bool found = false;
  const Datum id = look_up_table(Index::table_by_rel, 2, F_OIDEQ, ObjectIdGetDatum(relation), 1, &found);
  return found ? DatumGetInt32(id) : 0;
}

Oid find_table(std::int32_t table_id) {
  bool found = false;
  const Datum relation = look_up_table(Index::table_by_id, 1, F_INT4EQ, Int32GetDatum(table_id), 2, &found);
  return found ? DatumGetObjectId(relation) : InvalidOid;
}

// Runs `write(slot)` and gives the row its index entries.
template <typename Write>
void write_with_indexes(Relation relation, TupleTableSlot* slot, bool update, Write write) {
  EState* estate = CreateExecutorState();
  ResultRelInfo* target = makeNode(ResultRelInfo);
  InitResultRelInfo(target, relation, 0, nullptr, 0);
  ExecOpenIndices(target, false);
  const compat::UpdatedIndexes indexes = write();
  if (target->ri_NumIndices > 0 && indexes.any) {
    compat::exec_insert_index_tuples(target, slot, estate, update, false, nullptr, NIL, indexes.summarizing_only);
  }
  ExecCloseIndices(target);
  FreeExecutorState(estate);
}

void insert_row_into(Relation relation, const Datum* values, const bool* nulls) {
  TupleTableSlot* slot = table_slot_create(relation, nullptr);
  const int columns = RelationGetDescr(relation)->natts;
  ExecClearTuple(slot);
  std::memcpy(slot->tts_values, values, sizeof(Datum) * columns);
  std::memcpy(slot->tts_isnull, nulls, sizeof(bool) * columns);
  ExecStoreVirtualTuple(slot);
  write_with_indexes(relation, slot, false, [&] {
    simple_table_tuple_insert(relation, slot);
    return compat::UpdatedIndexes{true, false};
  });
  ExecDropSingleTupleTableSlot(slot);
}

void update_row_of(Relation relation, ItemPointer tid, HeapTuple tuple) {
  TupleTableSlot* slot = table_slot_create(relation, nullptr);
  ExecForceStoreHeapTuple(tuple, slot, false);
  write_with_indexes(relation, slot, true,
                     [&] { return compat::simple_table_tuple_update(relation, tid, slot, GetLatestSnapshot()); });
  ExecDropSingleTupleTableSlot(slot);
}

void replace_row_in(Relation relation, Index index, int key_columns, const Datum* values, const bool* nulls) {
  ScanKeyData keys[4];
  for (int i = 0; i < key_columns; ++i) {
    ScanKeyInit(&keys[i], static_cast<AttrNumber>(i + 1), BTEqualStrategyNumber, F_INT4EQ, values[i]);
  }
  Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
  SysScanDesc scan = systable_beginscan(relation, index_oid(index), true, snapshot, key_columns, keys);
  const HeapTuple tuple = systable_getnext(scan);
  const bool exists = HeapTupleIsValid(tuple);
  ItemPointerData place;
  if (exists) place = tuple->t_self;
  systable_endscan(scan);
  UnregisterSnapshot(snapshot);
  if (exists) {
    update_row_of(relation, &place,
                  heap_form_tuple(RelationGetDescr(relation), const_cast<Datum*>(values), const_cast<bool*>(nulls)));
  } else {
    insert_row_into(relation, values, nulls);
  }
}

std::int64_t next_sequence_value(Relation relation, AttrNumber column) {
  const Oid sequence = compat::get_identity_sequence(relation, column);
  return nextval_internal(sequence, false);
}

void register_catalog_callbacks() {
  CacheRegisterSyscacheCallback(RELOID, forget_oids, static_cast<Datum>(0));
  CacheRegisterSyscacheCallback(NAMESPACEOID, forget_oids, static_cast<Datum>(0));
}

}  // namespace meridian::pg
