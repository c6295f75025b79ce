// Row digests, and the SQL functions by which a comparison asks a node for them (setup/compare.cpp). Glue lane
// throughout.
//
// They read the table itself, past privileges and row security, so only superusers may call them. A scan uses the
// caller's snapshot: two scans in one transaction of level REPEATABLE READ see the same rows.
#include "pg/digest.hpp"

#include <algorithm>

#include "pg/catalog.hpp"
#include "pg/partition.hpp"
#include "pg/row_access.hpp"
#include "pg/row_lookup.hpp"
#include "pg/row_slots.hpp"
#include "pg/support/function.hpp"
#include "pg/tombstone.hpp"

namespace meridian::pg {
namespace {

PortableForm form_of(Oid base_type) {
  switch (base_type) {
    case INT2OID:
    case INT4OID:
    case INT8OID:
    case BOOLOID:
    case CHAROID:
    case DATEOID:
    case TIMEOID:
    case TIMESTAMPOID:
    case TIMESTAMPTZOID:
    case CASHOID:
      return PortableForm::integer;
    case FLOAT4OID:
    case FLOAT8OID:
      return PortableForm::real;
    case NUMERICOID:
      return PortableForm::numeric;
    case BYTEAOID:
      return PortableForm::bytes;
    case UUIDOID:
      return PortableForm::uuid;
    case TEXTOID:
    case VARCHAROID:
    case BPCHAROID:
    case JSONOID:
      return PortableForm::text;
    default:
      return base_type == row_state_type() ? PortableForm::bytes : PortableForm::output;
  }
}

PortableColumn portable_column(Relation relation, AttrNumber attnum) {
  const Oid type = getBaseType(TupleDescAttr(RelationGetDescr(relation), attnum - 1)->atttypid);
  PortableColumn column{};
  column.attnum = attnum;
  column.form = form_of(type);
  if (column.form == PortableForm::output) {
    Oid output = InvalidOid;
    bool is_varlena = false;
    getTypeOutputInfo(type, &output, &is_varlena);
    fmgr_info(output, &column.output);
  }
  return column;
}

std::int64_t integer_of(Datum value, int size) {
  switch (size) {
    case 1:
      return DatumGetChar(value);
    case 2:
      return DatumGetInt16(value);
    case 4:
      return DatumGetInt32(value);
    default:
      return DatumGetInt64(value);
  }
}

void put_bytes(StringInfo to, const char* data, std::size_t size) {
  pq_sendint64(to, size);
  appendBinaryStringInfo(to, data, static_cast<int>(size));
}

void put_text(StringInfo to, const char* data, std::size_t size) {
  const int encoding = GetDatabaseEncoding();
  if (encoding != PG_UTF8 && encoding != PG_SQL_ASCII) {
    const char* converted = pg_server_to_any(data, static_cast<int>(size), PG_UTF8);
    if (converted != data) size = std::strlen(converted);
    data = converted;
  }
  put_bytes(to, data, size);
}

void put_varlena(StringInfo to, Datum value, bool as_text) {
  auto* bytes = reinterpret_cast<struct varlena*>(PG_DETOAST_DATUM_PACKED(value));
  (as_text ? put_text : put_bytes)(to, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
}

void put_real(StringInfo to, double value) {
  if (std::isnan(value)) value = std::numeric_limits<double>::quiet_NaN();
  pq_sendint64(to, std::bit_cast<std::uint64_t>(value));
}

void put_value(StringInfo to, TupleDesc descriptor, PortableColumn* column, const RowValues& row) {
  const int i = column->attnum - 1;
  pq_sendint8(to, row.nulls[i] ? 0 : 1);
  if (row.nulls[i]) return;
  const Datum value = row.values[i];
  switch (column->form) {
    case PortableForm::integer:
      pq_sendint64(to, static_cast<std::uint64_t>(integer_of(value, TupleDescAttr(descriptor, i)->attlen)));
      break;
    case PortableForm::real:
      put_real(to, TupleDescAttr(descriptor, i)->attlen == 4 ? DatumGetFloat4(value) : DatumGetFloat8(value));
      break;
    case PortableForm::numeric:
      put_varlena(to, DirectFunctionCall1(numeric_send, value), false);
      break;
    case PortableForm::bytes:
      put_varlena(to, value, false);
      break;
    case PortableForm::uuid:
      appendBinaryStringInfo(to, reinterpret_cast<const char*>(DatumGetUUIDP(value)->data), UUID_LEN);
      break;
    case PortableForm::text:
      put_varlena(to, value, true);
      break;
    case PortableForm::output: {
      const char* text = OutputFunctionCall(&column->output, value);
      put_text(to, text, std::strlen(text));
      break;
    }
  }
}

std::span<const std::byte> written(const StringInfoData& buffer) {
  return {reinterpret_cast<const std::byte*>(buffer.data), static_cast<std::size_t>(buffer.len)};
}

// The seed of a table with the same columns is the same on every node.
std::uint64_t hash_names(TupleDesc descriptor, const PortableColumn* columns, int count) {
  StringInfoData names;
  initStringInfo(&names);
  for (int i = 0; i < count; ++i) {
    const char* name = NameStr(TupleDescAttr(descriptor, columns[i].attnum - 1)->attname);
    put_text(&names, name, std::strlen(name));
  }
  return hash_bytes(written(names));
}

}  // namespace

RowDigester make_digester(Relation relation, const RowPlan* plan) {
  const TupleDesc descriptor = RelationGetDescr(relation);
  RowDigester digester{};
  digester.columns = static_cast<PortableColumn*>(palloc(sizeof(PortableColumn) * descriptor->natts));
  for (int i = 0; i < descriptor->natts; ++i) {
    const Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
    if (attribute->attisdropped || attribute->attgenerated != '\0') continue;
    digester.columns[digester.column_count++] = portable_column(relation, attribute->attnum);
  }
  std::sort(digester.columns, digester.columns + digester.column_count,
            [descriptor](const PortableColumn& a, const PortableColumn& b) {
              return std::strcmp(NameStr(TupleDescAttr(descriptor, a.attnum - 1)->attname),
                                 NameStr(TupleDescAttr(descriptor, b.attnum - 1)->attname)) < 0;
            });
  digester.key_count = plan->key_count;
  digester.keys = static_cast<PortableColumn*>(palloc(sizeof(PortableColumn) * plan->key_count));
  for (int k = 0; k < plan->key_count; ++k) digester.keys[k] = portable_column(relation, plan->keys[k].attnum);
  digester.seed = hash_names(descriptor, digester.columns, digester.column_count);
  initStringInfo(&digester.buffer);
  digester.row_context = AllocSetContextCreate(CurrentMemoryContext, "meridian row digest", ALLOCSET_DEFAULT_SIZES);
  return digester;
}

RowDigest digest_row(RowDigester* digester, TupleDesc descriptor, const RowValues& row) {
  StringInfo buffer = &digester->buffer;
  const MemoryContext caller = MemoryContextSwitchTo(digester->row_context);
  RowDigest result{};
  resetStringInfo(buffer);
  for (int k = 0; k < digester->key_count; ++k) put_value(buffer, descriptor, &digester->keys[k], row);
  result.key_hash = hash_bytes(written(*buffer));
  resetStringInfo(buffer);
  for (int i = 0; i < digester->column_count; ++i) put_value(buffer, descriptor, &digester->columns[i], row);
  result.digest = digest_bytes(written(*buffer), digester->seed);
  MemoryContextSwitchTo(caller);
  MemoryContextReset(digester->row_context);
  return result;
}

namespace {

// A table being read from end to end; of a partitioned table, one partition after the other.
struct TableRead {
  Relation table;
  List* relations;  ///< oids of what holds rows
  int next;
  MemoryContext context;
  // The relation that is read now, null before the first and between two.
  Relation relation;
  RowPlan* plan;
  RowDigester digester;
  TableScanDesc scan;
  TupleTableSlot* slot;
};

List* relations_with_rows(Relation table) {
  if (table->rd_rel->relkind != RELKIND_PARTITIONED_TABLE) return list_make1_oid(RelationGetRelid(table));
  List* found = NIL;
  ListCell* cell = nullptr;
  List* all = find_all_inheritors(RelationGetRelid(table), AccessShareLock, nullptr);
  foreach (cell, all) {
    if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_RELATION) found = lappend_oid(found, lfirst_oid(cell));
  }
  return found;
}

TableRead begin_read(Oid oid) {
  TableRead read{};
  read.table = table_open(oid, AccessShareLock);
  row_plan(read.table);  // raises if it is not replicated
  read.relations = relations_with_rows(read.table);
  read.context = CurrentMemoryContext;
  return read;
}

bool open_next(TableRead* read) {
  if (read->next == list_length(read->relations)) return false;
  const MemoryContext caller = MemoryContextSwitchTo(read->context);
  read->relation = table_open(list_nth_oid(read->relations, read->next++), AccessShareLock);
  read->plan = row_plan(read->relation);
  read->digester = make_digester(read->relation, read->plan);
  read->scan = table_beginscan(read->relation, GetActiveSnapshot(), 0, nullptr);
  read->slot = table_slot_create(read->relation, nullptr);
  MemoryContextSwitchTo(caller);
  return true;
}

void close_current(TableRead* read) {
  ExecDropSingleTupleTableSlot(read->slot);
  table_endscan(read->scan);
  table_close(read->relation, NoLock);
  read->relation = nullptr;
}

// The next row, valid until the one after; false at the end.
bool next_row(TableRead* read, RowValues* row, RowDigest* digest) {
  for (;;) {
    CHECK_FOR_INTERRUPTS();
    if (read->relation == nullptr && !open_next(read)) return false;
    if (table_scan_getnextslot(read->scan, ForwardScanDirection, read->slot)) break;
    close_current(read);
  }
  slot_getallattrs(read->slot);
  *row = {read->slot->tts_values, read->slot->tts_isnull};
  *digest = digest_row(&read->digester, RelationGetDescr(read->relation), *row);
  return true;
}

void end_read(TableRead* read) { table_close(read->table, NoLock); }

void put_digest(StringInfo to, const Digest& digest) {
  pq_sendint64(to, digest.high);
  pq_sendint64(to, digest.low);
}

Datum digest_datum(const Digest& digest) {
  StringInfoData bytes;
  pq_begintypsend(&bytes);
  put_digest(&bytes, digest);
  return PointerGetDatum(pq_endtypsend(&bytes));
}

int checked_bits(int bits) {
  if (bits >= 0 && bits <= most_bucket_bits) return bits;
  ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("bits must be between 0 and %d", most_bucket_bits),
                  errhint("The table is digested in 2^bits buckets.")));
}

Datum bucket_digests(Oid table, int bits) {
  const std::size_t buckets = std::size_t{1} << checked_bits(bits);
  auto* sums = static_cast<Digest*>(palloc0(sizeof(Digest) * buckets));
  TableRead read = begin_read(table);
  RowValues row{};
  RowDigest digest{};
  while (next_row(&read, &row, &digest)) sums[bucket_of(digest.key_hash, bits)] += digest.digest;
  end_read(&read);
  StringInfoData bytes;
  pq_begintypsend(&bytes);
  for (std::size_t i = 0; i < buckets; ++i) put_digest(&bytes, sums[i]);
  return PointerGetDatum(pq_endtypsend(&bytes));
}

bool* chosen_buckets(ArrayType* numbers, int bits) {
  const int buckets = 1 << checked_bits(bits);
  auto* chosen = static_cast<bool*>(palloc0(sizeof(bool) * buckets));
  Datum* values = nullptr;
  bool* nulls = nullptr;
  int count = 0;
  deconstruct_array(numbers, INT4OID, sizeof(std::int32_t), true, TYPALIGN_INT, &values, &nulls, &count);
  for (int i = 0; i < count; ++i) {
    const int bucket = nulls[i] ? -1 : DatumGetInt32(values[i]);
    if (bucket >= 0 && bucket < buckets) chosen[bucket] = true;
  }
  return chosen;
}

void row_digests(ReturnSetInfo* result, Oid table, int bits, ArrayType* buckets) {
  const bool* chosen = chosen_buckets(buckets, bits);
  TableRead read = begin_read(table);
  const MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "meridian result", ALLOCSET_SMALL_SIZES);
  const MemoryContext caller = MemoryContextSwitchTo(context);
  RowValues row{};
  RowDigest digest{};
  while (next_row(&read, &row, &digest)) {
    if (!chosen[bucket_of(digest.key_hash, bits)]) continue;
    Datum values[] = {Int64GetDatum(static_cast<std::int64_t>(digest.key_hash)),
                      PointerGetDatum(key_texts(read.plan, row)), digest_datum(digest.digest)};
    bool nulls[] = {false, false, false};
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    MemoryContextReset(context);
  }
  MemoryContextSwitchTo(caller);
  end_read(&read);
}

// Keys as text: an array of two dimensions, one row per key.
struct Keys {
  Datum* texts;
  int count;
  int width;
};

Keys read_keys(ArrayType* array, const RowPlan* plan) {
  bool* nulls = nullptr;
  Keys keys{nullptr, 0, plan->key_count};
  int texts = 0;
  deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &keys.texts, &nulls, &texts);
  const bool shaped = texts == 0 || (ARR_NDIM(array) == 2 && ARR_DIMS(array)[1] == plan->key_count);
  if (!shaped || std::any_of(nulls, nulls + texts, [](bool is_null) { return is_null; })) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("keys must be an array of keys of %d columns without NULLs", plan->key_count),
                    errhint("Write them as '{{first key},{second key}}'.")));
  }
  keys.count = texts / plan->key_count;
  return keys;
}

ArrayType* key_at(const Keys& keys, int k) {
  return construct_array(keys.texts + k * keys.width, keys.width, TEXTOID, -1, false, TYPALIGN_INT);
}

// A table in which rows are looked up by key, as its owner: reading a key may run the CHECK of a domain.
struct KeyRead {
  Relation relation;
  RowPlan* plan;
  OwnerSwitch caller;
  Keys keys;
};

KeyRead begin_key_read(Oid table, ArrayType* keys) {
  KeyRead read{};
  read.relation = table_open(table, AccessShareLock);
  read.plan = row_plan(read.relation);
  read.keys = read_keys(keys, read.plan);
  read.caller = become_owner(read.plan);
  return read;
}

void end_key_read(KeyRead* read) {
  become_caller(read->caller);
  table_close(read->relation, NoLock);
}

// Columns of a partition may be in another order than those of its table.
RowValues as_in_table(Relation table, const RowPlan* plan, Relation leaf, TupleTableSlot* slot) {
  HeapTuple tuple = ExecCopySlotHeapTuple(slot);
  TupleConversionMap* map = convert_tuples_by_name(RelationGetDescr(leaf), RelationGetDescr(table));
  return deform(table, plan, map == nullptr ? tuple : execute_attr_map_tuple(tuple, map));
}

bool find_in(Relation table, const RowPlan* plan, Relation leaf, ArrayType* key, RowValues* row) {
  const RowPlan* leaf_plan = row_plan(leaf);
  TupleTableSlot* slot = make_found_slot(leaf);
  const bool found = find_row(leaf, leaf_plan, parse_key(leaf, leaf_plan, key), Seen::now, slot);
  if (found) *row = as_in_table(table, plan, leaf, slot);
  ExecDropSingleTupleTableSlot(slot);
  return found;
}

bool find_key(const KeyRead& read, int k, RowValues* row) {
  CHECK_FOR_INTERRUPTS();
  ArrayType* key = key_at(read.keys, k);
  if (read.relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE) {
    return find_in(read.relation, read.plan, read.relation, key, row);
  }
  Relation leaf = open_leaf(read.relation, parse_key(read.relation, read.plan, key));
  if (leaf == nullptr) return false;
  const bool found = find_in(read.relation, read.plan, leaf, key, row);
  table_close(leaf, NoLock);
  return found;
}

void key_digests(ReturnSetInfo* result, Oid table, ArrayType* keys) {
  KeyRead read = begin_key_read(table, keys);
  RowDigester digester = make_digester(read.relation, read.plan);
  for (int k = 0; k < read.keys.count; ++k) {
    const RowValues key = parse_key(read.relation, read.plan, key_at(read.keys, k));
    const bool deleted = find_tombstone(read.relation, read.plan, key).seen.data != nullptr;
    RowValues row{};
    const bool found = find_key(read, k, &row);
    Datum values[] = {Int32GetDatum(k), 0, 0, BoolGetDatum(deleted)};
    bool nulls[] = {false, !found, !found, false};
    if (found) {
      values[1] = PointerGetDatum(key_texts(read.plan, row));
      values[2] = digest_datum(digest_row(&digester, RelationGetDescr(read.relation), row).digest);
    }
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
  }
  end_key_read(&read);
}

void rows_of_keys(ReturnSetInfo* result, Oid table, ArrayType* keys) {
  KeyRead read = begin_key_read(table, keys);
  for (int k = 0; k < read.keys.count; ++k) {
    RowValues row{};
    if (find_key(read, k, &row)) tuplestore_putvalues(result->setResult, result->setDesc, row.values, row.nulls);
  }
  end_key_read(&read);
}

ArrayType* key_hashes(Oid table, ArrayType* keys) {
  KeyRead read = begin_key_read(table, keys);
  auto* hashes = static_cast<Datum*>(palloc(sizeof(Datum) * (read.keys.count + 1)));
  for (int k = 0; k < read.keys.count; ++k) {
    hashes[k] = Int64GetDatum(hash_key(read.plan, parse_key(read.relation, read.plan, key_at(read.keys, k))));
  }
  const int count = read.keys.count;
  end_key_read(&read);
  return construct_array(hashes, count, INT8OID, sizeof(std::int64_t), true, TYPALIGN_DOUBLE);
}

ReturnSetInfo* begin_result(FunctionCallInfo fcinfo) {
  InitMaterializedSRF(fcinfo, 0);
  return reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
}

}  // namespace
}  // namespace meridian::pg

MERIDIAN_FUNCTION(meridian_bucket_digests)
{ return meridian::pg::bucket_digests(PG_GETARG_OID(0), PG_GETARG_INT32(1)); }

MERIDIAN_FUNCTION(meridian_row_digests)
{
  meridian::pg::row_digests(meridian::pg::begin_result(fcinfo), PG_GETARG_OID(0), PG_GETARG_INT32(1),
                            PG_GETARG_ARRAYTYPE_P(2));
  PG_RETURN_NULL();
}

MERIDIAN_FUNCTION(meridian_key_digests)
{
  meridian::pg::key_digests(meridian::pg::begin_result(fcinfo), PG_GETARG_OID(0), PG_GETARG_ARRAYTYPE_P(1));
  PG_RETURN_NULL();
}

MERIDIAN_FUNCTION(meridian_rows_of_keys)
{
  // The table is the one whose row type the first argument has.
  const Oid table = typeidTypeRelid(get_fn_expr_argtype(fcinfo->flinfo, 0));
  if (!OidIsValid(table)) {
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH), errmsg("the first argument must have the row type of a table"),
                    errhint("Write it as NULL::schema.table.")));
  }
  meridian::pg::rows_of_keys(meridian::pg::begin_result(fcinfo), table, PG_GETARG_ARRAYTYPE_P(1));
  PG_RETURN_NULL();
}

MERIDIAN_FUNCTION(meridian_key_hashes)
{ PG_RETURN_ARRAYTYPE_P(meridian::pg::key_hashes(PG_GETARG_OID(0), PG_GETARG_ARRAYTYPE_P(1))); }
