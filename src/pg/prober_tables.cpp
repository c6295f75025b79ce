#include "pg/prober_tables.hpp"

#include "pg/identity.hpp"

namespace meridian::pg {
namespace {

void begin() {
  SetCurrentStatementStartTimestamp();
  StartTransactionCommand();
  PushActiveSnapshot(GetTransactionSnapshot());
}

void commit() {
  PopActiveSnapshot();
  CommitTransactionCommand();
}

/// The queries of every round, planned once; PostgreSQL plans them anew when what they are of has changed.
struct Query {
  const char* sql;
  SPIPlanPtr plan;
};

Query targets_query = {
    "SELECT member, name, region, dsn, is_primary, weight, drained, upstream, trusted FROM meridian.probe_targets()",
    nullptr};
Query members_query = {
    "SELECT member, own, mesh, system_id, timeline, epoch, digest, seen_system_id, seen_timeline, seen_epoch FROM "
    "meridian.probe_context()",
    nullptr};
Query self_query = {"SELECT * FROM meridian.answer_probe(false)", nullptr};
Query self_with_report_query = {"SELECT * FROM meridian.answer_probe(true)", nullptr};

TextRows run(Query* query, MemoryContext to) {
  if (query->plan == nullptr) {
    const SPIPlanPtr plan = SPI_prepare(query->sql, 0, nullptr);
    if (plan == nullptr) elog(ERROR, "SPI_prepare returned %s", SPI_result_code_string(SPI_result));
    SPI_keepplan(plan);
    query->plan = plan;
  }
  const int outcome = SPI_execute_plan(query->plan, nullptr, nullptr, true, 0);
  if (outcome != SPI_OK_SELECT) elog(ERROR, "SPI_execute_plan returned %s", SPI_result_code_string(outcome));
  TextRows result{static_cast<int>(SPI_processed), SPI_tuptable->tupdesc->natts, nullptr};
  result.values = static_cast<const char**>(
      MemoryContextAlloc(to, sizeof(char*) * static_cast<Size>(result.rows * result.columns + 1)));
  for (int row = 0; row < result.rows; ++row) {
    for (int column = 0; column < result.columns; ++column) {
      const char* const text = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column + 1);
      result.values[row * result.columns + column] = text == nullptr ? nullptr : MemoryContextStrdup(to, text);
    }
  }
  return result;
}

void execute(const char* sql, int count, Oid* types, Datum* values) {
  const int outcome = SPI_execute_with_args(sql, count, types, values, nullptr, false, 0);
  if (outcome != SPI_OK_SELECT) elog(ERROR, "SPI_execute_with_args returned %s", SPI_result_code_string(outcome));
}

/// A column of the rows as text[].
Datum column_array(const TextRows& rows, int column) {
  auto* const values = static_cast<Datum*>(palloc(sizeof(Datum) * static_cast<Size>(rows.rows + 1)));
  auto* const nulls = static_cast<bool*>(palloc(static_cast<Size>(rows.rows + 1)));
  for (int row = 0; row < rows.rows; ++row) {
    const char* const text = rows.at(row, column);
    nulls[row] = text == nullptr;
    values[row] = text == nullptr ? Datum{0} : CStringGetTextDatum(text);
  }
  int dims[] = {rows.rows};
  int bounds[] = {1};
  return PointerGetDatum(construct_md_array(values, nulls, 1, dims, bounds, TEXTOID, -1, false, TYPALIGN_INT));
}

}  // namespace

void read_prober_tables(bool with_report, ProberTables* tables) {
  const MemoryContext caller = CurrentMemoryContext;
  *tables = {};
  begin();
  tables->installed = OidIsValid(get_extension_oid("meridian", true)) && is_member();
  if (tables->installed) {
    SPI_connect();
    tables->targets = run(&targets_query, caller);
    tables->members = run(&members_query, caller);
    tables->self = run(with_report ? &self_with_report_query : &self_query, caller);
    SPI_finish();
    tables->lease = read_lease_terms();
  }
  commit();
  pgstat_report_stat(false);
  MemoryContextSwitchTo(caller);
}

void store_servers(int member, const TextRows& servers) {
  const MemoryContext caller = CurrentMemoryContext;
  constexpr int columns = 7;
  begin();
  SPI_connect();
  Oid types[columns + 1] = {INT4OID};
  Datum values[columns + 1] = {Int32GetDatum(member)};
  for (int i = 0; i < columns; ++i) {
    types[i + 1] = TEXTARRAYOID;
    values[i + 1] = column_array(servers, i);
  }
  execute("SELECT meridian.put_servers($1, $2, $3, $4, $5::integer[], $6::boolean[], $7, $8::boolean[])", columns + 1,
          types, values);
  SPI_finish();
  commit();
  MemoryContextSwitchTo(caller);
}

void store_reign(int member, std::uint64_t system_id, std::uint32_t timeline, std::uint32_t epoch) {
  const MemoryContext caller = CurrentMemoryContext;
  begin();
  SPI_connect();
  Oid types[] = {INT4OID, TEXTOID, INT4OID, INT4OID};
  Datum values[] = {Int32GetDatum(member), CStringGetTextDatum(psprintf(UINT64_FORMAT, system_id)),
                    Int32GetDatum(static_cast<std::int32_t>(timeline)),
                    Int32GetDatum(static_cast<std::int32_t>(epoch))};
  execute("SELECT meridian.put_reign($1, $2, $3, $4)", lengthof(types), types, values);
  SPI_finish();
  commit();
  MemoryContextSwitchTo(caller);
}

void abandon_prober_transaction() { AbortCurrentTransaction(); }

}  // namespace meridian::pg
