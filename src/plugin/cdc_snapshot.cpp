// Rows of a table as events, a chunk at a time, that fit into the stream of changes without stopping it.
//
// A chunk is read between two watermarks, logical messages outside of any transaction. Whoever reads the stream takes
// the chunk's rows for what was there at the second one, less the keys that changes between the two name: those changes
// are newer or already in the rows, and come anyway. (Andreakis and Papapanagiotou, "DBLog", 2020.) This is right if
//
//   a) the snapshot sees every transaction whose commit record is before the first watermark, and
//   b) every transaction that it sees has its commit record before the second one.
//
// (b) holds, since the second one is written after reading. (a) does not hold by itself: a transaction becomes visible
// some time after its commit record is written, with synchronous replication a long time. So once nobody is between the
// commit record and the commit log, snapshots are taken until one sees all that the commit log calls committed.
#include "core/cdc_json.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/function.hpp"
#include "pg/support/sql_text.hpp"
#include "plugin/cdc_output.hpp"
#include "plugin/cdc_row.hpp"

namespace meridian::pg {
namespace {

constexpr int most_bytes = 8 << 20;  ///< of events; then the chunk ends early
constexpr int patience_ms = 5000;
constexpr int step_ms = 2;

struct Request {
  Output* output;
  Relation relation;
  const char* label;
  Datum* cursor;  ///< texts; null: from the beginning
  int cursor_size;
  int max_rows;
};

XLogRecPtr write_watermark(const char* label, const char* which) {
  const char* const content = psprintf("%s %s", label, which);
  return compat::log_logical_message(cdc::watermark_prefix.data(), content, strlen(content), false);
}

[[noreturn]] void give_up_waiting() {
  ereport(ERROR,
          (errcode(ERRCODE_LOCK_NOT_AVAILABLE), errmsg("a transaction that has committed does not become visible"),
           errhint("It waits for a synchronous standby, as a rule. Rows are read when it has gone on.")));
  pg_unreachable();
}

/// Waits until every transaction whose commit record is in the WAL by now is in the commit log, too.
void wait_for_commit_log() {
  int count = 0;
  VirtualTransactionId* const committing = GetVirtualXIDsDelayingChkpt(&count, DELAY_CHKPT_START);
  const TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), patience_ms);
  while (HaveVirtualXIDsDelayingChkpt(committing, count, DELAY_CHKPT_START)) {
    CHECK_FOR_INTERRUPTS();
    if (GetCurrentTimestamp() > until) give_up_waiting();
    pg_usleep(1000L * step_ms);
  }
}

bool hides_a_commit(Snapshot snapshot) {
  for (uint32 i = 0; i < snapshot->xcnt; ++i) {
    if (TransactionIdDidCommit(snapshot->xip[i])) return true;
  }
  const TransactionId next = ReadNextTransactionId();
  TransactionId xid = snapshot->xmax;
  while (TransactionIdPrecedes(xid, next)) {
    if (TransactionIdDidCommit(xid)) return true;
    TransactionIdAdvance(xid);
  }
  return false;
}

/// A snapshot with property (a), made the active one.
void push_complete_snapshot() {
  wait_for_commit_log();
  const TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), patience_ms);
  for (;;) {
    const Snapshot snapshot = GetLatestSnapshot();
    if (!hides_a_commit(snapshot)) {
      PushActiveSnapshot(snapshot);
      return;
    }
    CHECK_FOR_INTERRUPTS();
    if (GetCurrentTimestamp() > until) give_up_waiting();
    pg_usleep(1000L * step_ms);
  }
}

const char* table_name(Relation relation) {
  return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
                                    RelationGetRelationName(relation));
}

[[noreturn]] void refuse(Relation relation, const char* why) {
  ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                  errmsg("rows of table %s cannot be read in chunks: %s", table_name(relation), why),
                  errhint("Chunks need a primary key, or a replica identity index, of types that can be ordered.")));
  pg_unreachable();
}

/// The qualified `>` of a type's default order.
const char* greater_than(Relation relation, Oid type) {
  const TypeCacheEntry* entry = lookup_type_cache(getBaseType(type), TYPECACHE_GT_OPR);
  if (!OidIsValid(entry->gt_opr)) refuse(relation, "its key has a type without order");
  return qualified_operator(entry->gt_opr);
}

/// `SELECT * FROM ONLY t WHERE ROW(a, b) OPERATOR(pg_catalog.>) ROW(CAST($1 AS integer), ...) ORDER BY a, b LIMIT n`
const char* make_query(const Request& request, const int* key, int size) {
  const TupleDesc descriptor = RelationGetDescr(request.relation);
  StringInfoData columns;
  StringInfoData values;
  StringInfoData query;
  initStringInfo(&columns);
  initStringInfo(&values);
  initStringInfo(&query);
  const char* operation = nullptr;
  for (int i = 0; i < size; ++i) {
    const FormData_pg_attribute* attribute = TupleDescAttr(descriptor, key[i]);
    if (!attribute->attnotnull) refuse(request.relation, "its key can be null");
    const char* const greater = greater_than(request.relation, attribute->atttypid);
    if (operation != nullptr && strcmp(operation, greater) != 0) refuse(request.relation, "its key mixes orders");
    operation = greater;
    const char* const comma = i == 0 ? "" : ", ";
    appendStringInfo(&columns, "%s%s", comma, quote_identifier(NameStr(attribute->attname)));
    appendStringInfo(&values, "%sCAST($%d AS %s)", comma, i + 1, qualified_type(attribute));
  }
  appendStringInfo(&query, "SELECT * FROM ONLY %s", table_name(request.relation));
  if (request.cursor != nullptr)
    appendStringInfo(&query, " WHERE ROW(%s) %s ROW(%s)", columns.data, operation, values.data);
  appendStringInfo(&query, " ORDER BY %s LIMIT %d", columns.data, request.max_rows);
  return query.data;
}

/// The row with its values where the table has them, and nothing out of line.
Row whole_row(const Request& request, const Plan& plan, HeapTuple tuple, TupleDesc shape) {
  const TupleDesc descriptor = RelationGetDescr(request.relation);
  Output& output = *request.output;
  heap_deform_tuple(tuple, shape, output.values[1], output.nulls[1]);
  for (int place = 0, column = 0; place < plan.column_count; ++place) {
    output.nulls[0][place] = true;
    if (TupleDescAttr(descriptor, place)->attisdropped) continue;
    Datum value = output.values[1][column];
    output.nulls[0][place] = output.nulls[1][column];
    if (!output.nulls[0][place] && is_unlogged(TupleDescAttr(descriptor, place)->attlen == -1, value)) {
      value = PointerGetDatum(PG_DETOAST_DATUM(value));
    }
    output.values[0][place] = value;
    ++column;
  }
  return {output.values[0], output.nulls[0]};
}

Datum cursor_of(const Request& request, const Row& row, const int* key, int size) {
  Datum texts[INDEX_MAX_KEYS];
  for (int i = 0; i < size; ++i) {
    texts[i] = CStringGetTextDatum(
        text_of_value(TupleDescAttr(RelationGetDescr(request.relation), key[i])->atttypid, row.values[key[i]]));
  }
  return PointerGetDatum(construct_array(texts, size, TEXTOID, -1, false, TYPALIGN_INT));
}

Datum text_of(const cdc::Buffer& buffer) {
  return PointerGetDatum(cstring_to_text_with_len(buffer.view().data(), static_cast<int>(buffer.view().size())));
}

/// Columns: topic (null: the row is filtered out), key, value, cursor. Returns how many bytes the event has.
std::size_t put_row(ReturnSetInfo* result, const Request& request, const Plan& plan, const Row& row,
                    std::uint64_t lsn) {
  Output& output = *request.output;
  const int* const key = plan.table->key.data();
  const int size = static_cast<int>(plan.table->key.size());
  Datum columns[4]{};
  bool nulls[4] = {true, true, true, false};
  columns[3] = cursor_of(request, row, key, size);
  std::size_t bytes = 0;
  if (passes_filter(plan, row, false, nullptr)) {
    write_event_key(output.key, output, plan, row, nullptr);
    write_event_value(output, plan, {'r', lsn, nullptr, &row, nullptr});
    nulls[0] = nulls[1] = nulls[2] = false;
    columns[0] =
        PointerGetDatum(cstring_to_text_with_len(plan.table->topic.data(), static_cast<int>(plan.table->topic.size())));
    columns[1] = text_of(output.key);
    columns[2] = text_of(output.value);
    bytes = output.key.size() + output.value.size();
  }
  tuplestore_putvalues(result->setResult, result->setDesc, columns, nulls);
  return bytes;
}

void begin_snapshot(Output& output, std::uint64_t lsn, bool is_initial) {
  cdc::Transaction transaction;
  transaction.commit_lsn = lsn;
  transaction.commit_us = now_us();
  transaction.snapshot = is_initial ? "true" : "incremental";
  output.writer.begin_transaction(transaction);
}

void read_chunk(ReturnSetInfo* result, const Request& request, const Plan& plan, bool is_initial) {
  if (plan.table->key.empty()) refuse(request.relation, "it has no key");
  const int size = static_cast<int>(plan.table->key.size());
  if (request.cursor != nullptr && request.cursor_size != size) refuse(request.relation, "its key has changed");
  const char* const query = make_query(request, plan.table->key.data(), size);
  Oid types[INDEX_MAX_KEYS];
  std::fill_n(types, INDEX_MAX_KEYS, TEXTOID);

  Output& output = *request.output;
  const XLogRecPtr low = write_watermark(request.label, "low");
  push_complete_snapshot();
  begin_snapshot(output, low, is_initial);
  SPI_connect();
  const int arguments = request.cursor == nullptr ? 0 : size;
  const int outcome = SPI_execute_with_args(query, arguments, types, request.cursor, nullptr, true, 0);
  if (outcome != SPI_OK_SELECT) elog(ERROR, "SPI_execute_with_args returned %s", SPI_result_code_string(outcome));
  std::size_t bytes = 0;
  for (uint64 i = 0; i < SPI_processed && bytes < most_bytes; ++i) {
    CHECK_FOR_INTERRUPTS();
    const MemoryContext caller = MemoryContextSwitchTo(output.scratch);
    bytes +=
        put_row(result, request, plan, whole_row(request, plan, SPI_tuptable->vals[i], SPI_tuptable->tupdesc), low);
    MemoryContextSwitchTo(caller);
    MemoryContextReset(output.scratch);
  }
  SPI_finish();
  PopActiveSnapshot();
  // Nobody else may flush it for a while, and until then nobody reads it.
  XLogFlush(write_watermark(request.label, "high"));
}

/// An Output with the options of an SQL argument: names and values in turn.
Output* output_of(ArrayType* options) {
  Datum* words = nullptr;
  int count = 0;
  deconstruct_array(options, TEXTOID, -1, false, TYPALIGN_INT, &words, nullptr, &count);
  if (count % 2 != 0) ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("an option has no value")));
  auto** const names = static_cast<const char**>(palloc(sizeof(char*) * (count + 1)));
  auto** const texts = static_cast<const char**>(palloc(sizeof(char*) * (count + 1)));
  for (int i = 0; i < count; i += 2) {
    names[i / 2] = TextDatumGetCString(words[i]);
    texts[i / 2] = TextDatumGetCString(words[i + 1]);
  }
  return make_output(CurrentMemoryContext, names, texts, count / 2);
}

/// `{"id":null,"name":null}`: these columns as an event names them, with what stands for values that are not known.
void write_shape(cdc::Buffer& out, const cdc::Table& table, const std::vector<int>& places, bool only_key) {
  out.clear();
  char separator = '{';
  for (const int place : places) {
    const cdc::Column& column = table.columns[static_cast<std::size_t>(place)];
    if (only_key && !column.in_key) continue;
    out.append(separator);
    out.append(std::string_view(column.field).substr(1));
    out.append(column.in_key ? cdc::json_null : std::string_view(column.fill));
    separator = ',';
  }
  if (separator == '{') out.append('{');
  out.append('}');
}

/// Columns of meridian.describe_stream_table(); all null if the stream does not have the table.
void describe(Output& output, const Plan& plan, std::uint64_t lsn, Datum* columns, bool* nulls) {
  if (!plan.is_wanted) return;
  const cdc::Table& table = *plan.table;
  columns[0] = PointerGetDatum(cstring_to_text_with_len(table.topic.data(), static_cast<int>(table.topic.size())));
  nulls[0] = false;
  if (!table.key.empty()) {
    const bool only_key = output.writer.options().before_fill == cdc::BeforeFill::key_only;
    write_shape(output.value, table, table.key, true);
    columns[1] = text_of(output.value);
    write_shape(output.value, table, table.row, only_key);
    columns[2] = text_of(output.value);
    nulls[1] = nulls[2] = false;
  }
  begin_snapshot(output, lsn, false);
  write_event_value(output, plan, {'t', lsn, nullptr, nullptr, nullptr});
  columns[3] = text_of(output.value);
  nulls[3] = false;
}

}  // namespace
}  // namespace meridian::pg

/// meridian.read_snapshot_chunk(options text[], rel regclass, label text, after_key text[], max_rows integer,
/// is_initial boolean) RETURNS TABLE (topic text, key text, value text, row_key text[])
MERIDIAN_FUNCTION(meridian_read_snapshot_chunk)
{
  using namespace meridian;
  pg::Request request{};
  request.label = text_to_cstring(PG_GETARG_TEXT_PP(2));
  if (!PG_ARGISNULL(3)) {
    deconstruct_array(PG_GETARG_ARRAYTYPE_P(3), TEXTOID, -1, false, TYPALIGN_INT, &request.cursor, nullptr,
                      &request.cursor_size);
  }
  request.max_rows = PG_GETARG_INT32(4);
  InitMaterializedSRF(fcinfo, 0);
  request.relation = table_open(PG_GETARG_OID(1), AccessShareLock);
  if (request.relation->rd_rel->relkind != RELKIND_RELATION) pg::refuse(request.relation, "it is no table of its own");
  request.output = pg::output_of(PG_GETARG_ARRAYTYPE_P(0));
  const pg::Plan& plan = pg::plan_of(*request.output, request.relation);
  if (plan.is_wanted)
    pg::read_chunk(reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo), request, plan, PG_GETARG_BOOL(5));
  table_close(request.relation, AccessShareLock);
  PG_RETURN_VOID();
}

/// meridian.describe_stream_table(options text[], rel regclass, at pg_lsn, OUT topic text, OUT key_row text, OUT
/// old_row text, OUT truncation text)
MERIDIAN_FUNCTION(meridian_describe_stream_table)
{
  using namespace meridian;
  pg::Output& output = *pg::output_of(PG_GETARG_ARRAYTYPE_P(0));
  Relation relation = table_open(PG_GETARG_OID(1), AccessShareLock);
  Datum columns[4]{};
  bool nulls[4] = {true, true, true, true};
  pg::describe(output, pg::plan_of(output, relation), PG_GETARG_LSN(2), columns, nulls);
  table_close(relation, AccessShareLock);
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(pg::result_row_type(fcinfo), columns, nulls)));
}
