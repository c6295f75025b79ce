#include "plugin/split.hpp"

#include "core/stream.hpp"
#include "pg/key_hash.hpp"
#include "pg/support/compat.hpp"
#include "pg/trigger_names.hpp"

namespace meridian::pg {
namespace {

enum class Route { first, every, by_key, by_stored_hash };

struct KeyPart {
  AttrNumber attnum;
  Oid collation;
  FmgrInfo hash;
};

/// How the rows of one table are split.
struct Split {
  Oid relation;  // hash key
  bool valid;
  Route route;
  MemoryContext context;   ///< of the functions' data
  AttrNumber stored_hash;  ///< Route::by_stored_hash
  int part_count;
  KeyPart parts[INDEX_MAX_KEYS];
};

/// What this process sends. All of this lives as long as the process: callbacks of the caches cannot be withdrawn.
Stream sent;
HTAB* splits = nullptr;
MemoryContext scratch = nullptr;

void forget(Datum, Oid relation) {
  if (splits == nullptr) return;
  if (OidIsValid(relation)) {
    auto* split = static_cast<Split*>(hash_search(splits, &relation, HASH_FIND, nullptr));
    if (split != nullptr) split->valid = false;
    return;
  }
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, splits);
  while (auto* split = static_cast<Split*>(hash_seq_search(&scan))) split->valid = false;
}

/// A type's operator class came or went.
void forget_all(Datum, int, uint32) { forget(Datum{0}, InvalidOid); }

void make_cache() {
  HASHCTL control{};
  control.keysize = sizeof(Oid);
  control.entrysize = sizeof(Split);
  control.hcxt = TopMemoryContext;
  scratch = AllocSetContextCreate(TopMemoryContext, "meridian split", ALLOCSET_SMALL_SIZES);
  CacheRegisterRelcacheCallback(forget, Datum{0});
  CacheRegisterSyscacheCallback(CLAOID, forget_all, Datum{0});
  CacheRegisterSyscacheCallback(AMOPOPID, forget_all, Datum{0});
  splits = hash_create("meridian splits", 32, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

bool is_ours(Relation relation, const char* name) {
  if (std::strcmp(RelationGetRelationName(relation), name) != 0) return false;
  const char* schema = get_namespace_name(RelationGetNamespace(relation));
  return schema != nullptr && std::strcmp(schema, "meridian") == 0;
}

AttrNumber column_named(Relation relation, const char* name) {
  const TupleDesc columns = RelationGetDescr(relation);
  for (int i = 0; i < columns->natts; ++i) {
    if (std::strcmp(NameStr(TupleDescAttr(columns, i)->attname), name) == 0) return static_cast<AttrNumber>(i + 1);
  }
  return InvalidAttrNumber;
}

/// No lock: decoding reads the catalog as it was, and nobody can change that.
void plan_key(Relation relation, Split* split) {
  const Oid key = compat::relation_get_primary_key_index(relation);
  Relation index = OidIsValid(key) ? RelationIdGetRelation(key) : nullptr;
  if (index == nullptr) return;
  for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); ++i) {
    KeyPart* part = &split->parts[split->part_count++];
    part->attnum = index->rd_index->indkey.values[i];
    part->collation = index->rd_indcollation[i];
    const Oid input = index->rd_opcintype[i];
    const Oid equals = get_opfamily_member(index->rd_opfamily[i], input, input, BTEqualStrategyNumber);
    const Oid type = TupleDescAttr(RelationGetDescr(relation), part->attnum - 1)->atttypid;
    choose_key_hash(type, equals, split->context, &part->hash);
  }
  RelationClose(index);
  split->route = Route::by_key;
}

void plan(Relation relation, Split* split) {
  MemoryContextReset(split->context);
  split->route = Route::first;
  split->part_count = 0;
  if (is_ours(relation, "progress") || is_ours(relation, "heartbeat")) {
    split->route = Route::every;
  } else if (is_ours(relation, "tombstone")) {
    split->route = Route::by_stored_hash;
    split->stored_hash = column_named(relation, "key_hash");
  } else if (has_trigger(relation, apply_trigger_name)) {
    plan_key(relation, split);
  }
  split->valid = true;
}

const Split* split_of(Relation relation) {
  const Oid relid = RelationGetRelid(relation);
  bool found = false;
  auto* split = static_cast<Split*>(hash_search(splits, &relid, HASH_ENTER, &found));
  if (!found) {
    split->valid = false;
    split->context = nullptr;
  }
  if (split->context == nullptr)
    split->context = AllocSetContextCreate(TopMemoryContext, "meridian split of a table", ALLOCSET_SMALL_SIZES);
  if (!split->valid) plan(relation, split);
  return split;
}

/// A part that is not in the row (out of line and not logged) has no part in the hash.
std::uint64_t hash_of_key(const Split* split, Relation relation, HeapTuple row) {
  const MemoryContext caller = MemoryContextSwitchTo(scratch);
  std::uint64_t hash = 0;
  for (int i = 0; i < split->part_count; ++i) {
    const KeyPart& part = split->parts[i];
    bool is_null = false;
    const Datum value = heap_getattr(row, part.attnum, RelationGetDescr(relation), &is_null);
    const bool is_varlena = TupleDescAttr(RelationGetDescr(relation), part.attnum - 1)->attlen == -1;
    if (is_null || (is_varlena && VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value)))) continue;
    hash = add_to_key_hash(hash, &part.hash, part.collation, value);
  }
  MemoryContextSwitchTo(caller);
  MemoryContextReset(scratch);
  return hash;
}

std::uint64_t stored_hash(const Split* split, Relation relation, HeapTuple row) {
  bool is_null = false;
  const Datum value = heap_getattr(row, split->stored_hash, RelationGetDescr(relation), &is_null);
  return is_null ? 0 : static_cast<std::uint64_t>(DatumGetInt64(value));
}

}  // namespace

bool has_trigger(Relation relation, const char* name) {
  const TriggerDesc* triggers = relation->trigdesc;
  for (int i = 0; triggers != nullptr && i < triggers->numtriggers; ++i) {
    if (std::strcmp(triggers->triggers[i].tgname, name) == 0) return true;
  }
  return false;
}

void begin_stream(const char* slot_name) {
  const auto name = parse_stream_name(slot_name);
  sent = name ? name->stream : Stream{};
  if (sent.count > 1 && splits == nullptr) make_cache();
}

bool travels_here(Relation relation, HeapTuple row) {
  if (sent.count == 1) return true;
  const Split* split = split_of(relation);
  switch (split->route) {
    case Route::every:
      return true;
    case Route::by_key:
      return stream_of_key(hash_of_key(split, relation, row), sent.count) == sent.number;
    case Route::by_stored_hash:
      return stream_of_key(stored_hash(split, relation, row), sent.count) == sent.number;
    case Route::first:
      break;
  }
  return sent.number == 1;
}

}  // namespace meridian::pg
