#include "pg/remote_table.hpp"

#include <cstring>

#include "pg/catalog.hpp"

namespace meridian::pg {
namespace {

struct TypeEntry {
  std::uint32_t id;  // hash key
  RemoteType name;
};

MemoryContext memory = nullptr;  // of one stream
HTAB* tables = nullptr;          // RemoteTable by id
HTAB* types = nullptr;           // TypeEntry by id
std::uint64_t generation = 1;    // of the catalog, as far as it matters here

void something_changed(Datum, Oid) { ++generation; }
void catalog_changed(Datum, int, uint32) { ++generation; }

void register_callbacks() {
  static bool registered = false;
  if (registered) return;
  registered = true;
  CacheRegisterRelcacheCallback(something_changed, static_cast<Datum>(0));
  CacheRegisterSyscacheCallback(NAMESPACEOID, catalog_changed, static_cast<Datum>(0));
  CacheRegisterSyscacheCallback(SUBSCRIPTIONRELMAP, catalog_changed, static_cast<Datum>(0));
}

HTAB* make_table(const char* name, Size entry) {
  HASHCTL control{};
  control.keysize = sizeof(std::uint32_t);
  control.entrysize = entry;
  control.hcxt = memory;
  return hash_create(name, 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

char* copy(MemoryContext context, std::string_view text) {
  auto* copied = static_cast<char*>(MemoryContextAlloc(context, text.size() + 1));
  std::memcpy(copied, text.data(), text.size());
  copied[text.size()] = '\0';
  return copied;
}

const char* copy_schema(MemoryContext context, std::string_view schema) {
  return copy(context, schema.empty() ? std::string_view("pg_catalog") : schema);
}

bool has_column(Oid relation, const char* name) {
  const HeapTuple tuple = SearchSysCacheAttName(relation, name);  // none that is dropped
  if (!HeapTupleIsValid(tuple)) return false;
  const auto* attribute = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple));
  const bool is_written = attribute->attnum > 0 && attribute->attgenerated == '\0';
  ReleaseSysCache(tuple);
  return is_written;
}

bool has_columns(const RemoteTable* table) {
  for (int i = 0; i < table->column_count; ++i) {
    if (!has_column(table->local, table->columns[i].name)) return false;
  }
  return true;
}

// To a table that the subscription does not know, PostgreSQL's worker applies nothing and says nothing. One that has
// just been attached is filled by a copy. One that was made anew in place of a replicated one must not lose what comes.
bool is_expected(Oid relation, bool is_ours) {
  XLogRecPtr position = InvalidXLogRecPtr;
  return is_ours || GetSubscriptionRelState(MySubscription->oid, relation, &position) != SUBREL_STATE_UNKNOWN;
}

}  // namespace

void forget_remote_tables() {
  register_callbacks();
  if (memory != nullptr) MemoryContextDelete(memory);
  memory = AllocSetContextCreate(TopMemoryContext, "meridian remote tables", ALLOCSET_DEFAULT_SIZES);
  tables = make_table("meridian remote tables", sizeof(RemoteTable));
  types = make_table("meridian remote types", sizeof(TypeEntry));
}

void remember_relation(const RelationMessage& message) {
  bool found = false;
  auto* table = static_cast<RemoteTable*>(hash_search(tables, &message.id, HASH_ENTER, &found));
  if (found) MemoryContextDelete(table->context);
  table->context = AllocSetContextCreate(memory, "meridian remote table", ALLOCSET_SMALL_SIZES);
  table->name = {copy_schema(table->context, message.schema), copy(table->context, message.name)};
  table->column_count = message.column_count;
  table->columns = static_cast<RemoteColumn*>(
      MemoryContextAllocZero(table->context, sizeof(RemoteColumn) * (message.column_count + std::size_t{1})));
  std::string_view rest = message.columns;
  for (int i = 0; i < message.column_count; ++i) {
    const RelationColumn column = take_relation_column(&rest);
    table->columns[i] = {copy(table->context, column.name), column.type};
  }
  table->compared = 0;
  table->local = InvalidOid;
  table->fits = false;
  table->is_ours = false;
}

void remember_type(const TypeMessage& message) {
  bool found = false;
  auto* entry = static_cast<TypeEntry*>(hash_search(types, &message.id, HASH_ENTER, &found));
  if (found) {
    pfree(const_cast<char*>(entry->name.schema));
    pfree(const_cast<char*>(entry->name.name));
  }
  entry->name = {copy_schema(memory, message.schema), copy(memory, message.name)};
}

RemoteTable* find_remote_table(std::uint32_t id) {
  return static_cast<RemoteTable*>(hash_search(tables, &id, HASH_FIND, nullptr));
}

RemoteType name_remote_type(std::uint32_t type) {
  const auto* entry = static_cast<TypeEntry*>(hash_search(types, &type, HASH_FIND, nullptr));
  if (entry != nullptr) return entry->name;
  const HeapTuple tuple = type < FirstGenbkiObjectId ? SearchSysCache1(TYPEOID, ObjectIdGetDatum(type)) : nullptr;
  // A type that a newer server has built in: no type has a number as its name, so the value waits.
  if (!HeapTupleIsValid(tuple)) return {"pg_catalog", psprintf("%u", type)};
  const char* name = pstrdup(NameStr(reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple))->typname));
  ReleaseSysCache(tuple);
  return {"pg_catalog", name};
}

bool is_compared(const RemoteTable* table) { return table->compared == generation; }

void compare_with_local(RemoteTable* table) {
  AcceptInvalidationMessages();
  const std::uint64_t now = generation;
  const Oid space = get_namespace_oid(table->name.schema, true);
  table->local = OidIsValid(space) ? get_relname_relid(table->name.name, space) : InvalidOid;
  // Without the extension this is somebody else's subscription, whatever its name.
  table->fits = !OidIsValid(get_extension_oid("meridian", true));
  table->is_ours = false;
  if (!table->fits && OidIsValid(table->local)) {
    const char kind = get_rel_relkind(table->local);
    // A member that has not been upgraded yet must not go on without what another tells in a table of ours.
    const bool is_internal =
        get_rel_namespace(table->local) == schema_oid() && table->local != table_oid(Table::tombstone);
    const bool holds_rows = kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE;
    table->is_ours = table->local == table_oid(Table::tombstone) || find_table_id(table->local) != 0;
    table->fits = is_internal || (holds_rows && is_expected(table->local, table->is_ours) && has_columns(table));
  }
  table->compared = now;
}

}  // namespace meridian::pg
