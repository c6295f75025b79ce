#include "pg/tombstone.hpp"

#include <algorithm>

#include "pg/catalog.hpp"
#include "pg/hlc.hpp"
#include "pg/key_hash.hpp"
#include "pg/late_insert.hpp"
#include "pg/stat_tables.hpp"

namespace meridian::pg {
namespace {

using namespace tombstone_column;

// Text of dates, times and floats depends on settings; the key travels, so the settings are pinned while it is made.
bool depends_on_settings(Oid type) {
  switch (getBaseType(type)) {
    case INT2OID:
    case INT4OID:
    case INT8OID:
    case TEXTOID:
    case VARCHAROID:
    case BPCHAROID:
    case UUIDOID:
    case NUMERICOID:
    case BOOLOID:
    case NAMEOID:
      return false;
    default:
      return true;
  }
}

TombstoneData read_tombstone(HeapTuple tuple, TupleDesc descriptor) {
  bool is_null = false;
  TombstoneData data;
  data.floor = Hlc{static_cast<std::uint64_t>(DatumGetInt64(heap_getattr(tuple, floor + 1, descriptor, &is_null)))};
  data.stamp = Hlc{static_cast<std::uint64_t>(DatumGetInt64(heap_getattr(tuple, stamp + 1, descriptor, &is_null)))};
  data.actor = Actor{static_cast<std::uint32_t>(DatumGetInt64(heap_getattr(tuple, actor + 1, descriptor, &is_null)))};
  auto* bytes =
      reinterpret_cast<struct varlena*>(PG_DETOAST_DATUM_COPY(heap_getattr(tuple, seen + 1, descriptor, &is_null)));
  data.seen = {reinterpret_cast<const std::byte*>(VARDATA_ANY(bytes)), VARSIZE_ANY_EXHDR(bytes)};
  return data;
}

// Results of the core live in its scratch area; what is kept across another call is copied.
TombstoneData copy_tombstone(const TombstoneData& tombstone) {
  TombstoneData copy = tombstone;
  auto* bytes = static_cast<std::byte*>(palloc(tombstone.seen.size + 1));
  std::memcpy(bytes, tombstone.seen.data, tombstone.seen.size);
  copy.seen.data = bytes;
  return copy;
}

// Where the clock stands as the delete is written. Its transaction has an xid, so the keeper publishes no progress at
// or above the stamp before the transaction has ended. A server that was restarted without preload has no clock: the
// tombstone stays.
std::int64_t writing_position(const RowPlan* plan, const TombstoneData& tombstone) {
  if (plan->mode == RowMode::state) return static_cast<std::int64_t>(tombstone.stamp.value);
  return clock_available() ? static_cast<std::int64_t>(tick().value) : PG_INT64_MAX;
}

enum class Which { burying, all };

TombstoneData find(Relation relation, const RowPlan* plan, const RowValues& row, Which which) {
  TombstoneData known;
  if (plan->table_id == 0) return known;
  Relation tombstones = table_open(table_oid(Table::tombstone), AccessShareLock);
  const TupleDesc descriptor = RelationGetDescr(tombstones);
  ScanKeyData keys[2];
  ScanKeyInit(&keys[0], table_id + 1, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(plan->table_id));
  ScanKeyInit(&keys[1], key_hash + 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(hash_key(plan, row)));
  Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
  SysScanDesc scan = systable_beginscan(tombstones, index_oid(Index::tombstone_key), true, snapshot, 2, keys);
  HeapTuple tuple = nullptr;
  while (HeapTupleIsValid(tuple = systable_getnext(scan))) {
    bool is_null = false;
    if (which == Which::burying && DatumGetBool(heap_getattr(tuple, laid_down + 1, descriptor, &is_null))) continue;
    ArrayType* texts = DatumGetArrayTypePCopy(heap_getattr(tuple, key + 1, descriptor, &is_null));
    if (!same_key(plan, parse_key(relation, plan, texts), row)) continue;
    TombstoneData found = read_tombstone(tuple, descriptor);
    if (known.seen.data == nullptr) {
      known = found;
    } else if (merge_tombstones(&known, found)) {
      known = copy_tombstone(known);
    }
  }
  systable_endscan(scan);
  UnregisterSnapshot(snapshot);
  table_close(tombstones, AccessShareLock);
  return known;
}

}  // namespace

ArrayType* key_texts(const RowPlan* plan, const RowValues& row) {
  auto* texts = static_cast<Datum*>(palloc(sizeof(Datum) * plan->key_count));
  bool pin = false;
  for (int k = 0; k < plan->key_count; ++k) pin = pin || depends_on_settings(plan->keys[k].type);
  const int level = pin ? pin_settings() : 0;
  for (int k = 0; k < plan->key_count; ++k) {
    Oid output = InvalidOid;
    bool is_varlena = false;
    getTypeOutputInfo(plan->keys[k].type, &output, &is_varlena);
    texts[k] = CStringGetTextDatum(OidOutputFunctionCall(output, row.values[plan->keys[k].attnum - 1]));
  }
  if (pin) unpin_settings(level);
  return construct_array(texts, plan->key_count, TEXTOID, -1, false, TYPALIGN_INT);
}

std::int64_t hash_key(const RowPlan* plan, const RowValues& row) {
  std::uint64_t hash = 0;
  for (int k = 0; k < plan->key_count; ++k) {
    const KeyColumn& column = plan->keys[k];
    // A NULL key reaches BEFORE triggers; the table refuses it later.
    if (row.nulls[column.attnum - 1]) continue;
    hash = add_to_key_hash(hash, &column.hash, column.collation, row.values[column.attnum - 1]);
  }
  return static_cast<std::int64_t>(hash);
}

RowValues parse_key(Relation relation, const RowPlan* plan, ArrayType* key_array) {
  Datum* texts = nullptr;
  bool* null_texts = nullptr;
  int count = 0;
  deconstruct_array(key_array, TEXTOID, -1, false, TYPALIGN_INT, &texts, &null_texts, &count);
  if (count != plan->key_count || std::any_of(null_texts, null_texts + count, [](bool is_null) { return is_null; })) {
    ereport(ERROR,
            (errcode(ERRCODE_DATA_EXCEPTION),
             errmsg("a tombstone of table \"%s\" does not fit its primary key", RelationGetRelationName(relation)),
             errhint("Give the table the same primary key on every node.")));
  }
  const RowValues row = allocate_values(plan);
  std::memset(row.nulls, true, sizeof(bool) * plan->column_count);
  for (int k = 0; k < count; ++k) {
    const AttrNumber column = plan->keys[k].attnum;
    const Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), column - 1);
    Oid input = InvalidOid;
    Oid parameter = InvalidOid;
    getTypeInputInfo(attribute->atttypid, &input, &parameter);
    row.values[column - 1] =
        OidInputFunctionCall(input, TextDatumGetCString(texts[k]), parameter, attribute->atttypmod);
    row.nulls[column - 1] = false;
  }
  return row;
}

TombstoneData find_tombstone(Relation relation, const RowPlan* plan, const RowValues& row) {
  return find(relation, plan, row, Which::burying);
}

TombstoneData find_any_tombstone(Relation relation, const RowPlan* plan, const RowValues& row) {
  return find(relation, plan, row, Which::all);
}

void add_tombstone(Relation, const RowPlan* plan, const RowValues& row, const TombstoneData& tombstone) {
  if (plan->table_id == 0) return;  // triggers attached by hand: there is no mesh to tell
  Datum values[columns] = {};
  const bool nulls[columns] = {};
  values[table_id] = Int32GetDatum(plan->table_id);
  values[key_hash] = Int64GetDatum(hash_key(plan, row));
  values[floor] = Int64GetDatum(static_cast<std::int64_t>(tombstone.floor.value));
  values[stamp] = Int64GetDatum(static_cast<std::int64_t>(tombstone.stamp.value));
  values[actor] = Int64GetDatum(static_cast<std::int64_t>(tombstone.actor.value));
  auto* bytes = static_cast<struct varlena*>(palloc(tombstone.seen.size + VARHDRSZ));
  SET_VARSIZE(bytes, tombstone.seen.size + VARHDRSZ);
  std::memcpy(VARDATA(bytes), tombstone.seen.data, tombstone.seen.size);
  values[seen] = PointerGetDatum(bytes);
  values[settled] = BoolGetDatum(false);
  values[written] = Int64GetDatum(writing_position(plan, tombstone));
  values[laid_down] = BoolGetDatum(false);
  values[key] = PointerGetDatum(key_texts(plan, row));
  note_tombstone();
  Relation tombstones = table_open(table_oid(Table::tombstone), RowExclusiveLock);
  insert_row_into(tombstones, values, nulls);
  table_close(tombstones, RowExclusiveLock);
  count_stat(plan->relation, Stat::tombstones);
}

}  // namespace meridian::pg
