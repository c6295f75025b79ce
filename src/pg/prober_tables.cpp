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

TextRows query(const char* sql, MemoryContext to) {
  const int outcome = SPI_execute(sql, true, 0);
  if (outcome != SPI_OK_SELECT) elog(ERROR, "SPI_execute returned %s", SPI_result_code_string(outcome));
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
    tables->targets = query(
        "SELECT member, name, region, dsn, is_primary, weight, drained, upstream, trusted FROM "
        "meridian.probe_targets()",
        caller);
    tables->members =
        query("SELECT member, own, mesh, system_id, timeline, epoch, digest FROM meridian.probe_context()", caller);
    tables->self =
        query(with_report ? "SELECT * FROM meridian.answer_probe(true)" : "SELECT * FROM meridian.answer_probe(false)",
              caller);
    SPI_finish();
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
  const int outcome = SPI_execute_with_args(
      "SELECT meridian.put_servers($1, $2, $3, $4, $5::integer[], $6::boolean[], $7, $8::boolean[])", columns + 1,
      types, values, nullptr, false, 0);
  if (outcome != SPI_OK_SELECT) elog(ERROR, "SPI_execute_with_args returned %s", SPI_result_code_string(outcome));
  SPI_finish();
  commit();
  MemoryContextSwitchTo(caller);
}

void abandon_prober_transaction() { AbortCurrentTransaction(); }

}  // namespace meridian::pg
