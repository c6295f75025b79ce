// What is parked for a table, as rows: whoever copies the table copies them too. Read in the caller's snapshot, with
// which a copy also reads the table itself.
#include "pg/catalog.hpp"
#include "pg/parked_row.hpp"
#include "pg/row_access.hpp"
#include "pg/support/attempt.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg {
namespace {

void put_image(ReturnSetInfo* result, Relation relation, Datum texts) {
  // Reading a row may run code of the table's owner (the CHECK of a domain).
  const bool is_ours = RelationGetRelid(relation) == table_oid(Table::tombstone);
  const OwnerSwitch caller = is_ours ? OwnerSwitch{} : become_owner(row_plan(relation));
  const RowValues row = row_from_texts(relation, texts);
  if (!is_ours) become_caller(caller);
  tuplestore_putvalues(result->setResult, result->setDesc, row.values, row.nulls);
}

void list_parked(ReturnSetInfo* result, Oid table) {
  Relation relation = table_open(table, AccessShareLock);
  Relation parked = table_open(table_oid(Table::parked_image), AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, parked_rel + 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
  SysScanDesc scan = systable_beginscan(parked, index_oid(Index::parked_key), true, GetActiveSnapshot(), 1, &key);
  while (HeapTuple tuple = systable_getnext(scan)) {
    const ParkedRow row = read_parked(tuple, RelationGetDescr(parked));
    if (row.sent.name != nullptr) continue;  // copied as it is, see setup/copy.cpp
    const ErrorData* error = attempt([=] { put_image(result, relation, row.values); });
    if (error == nullptr) continue;
    ereport(WARNING,
            (errcode(error->sqlerrcode),
             errmsg("parked change %lld is not copied: %s", static_cast<long long>(row.history.id), error->message),
             errhint("It does not fit the table as it is on this node.")));
  }
  systable_endscan(scan);
  table_close(parked, AccessShareLock);
  table_close(relation, NoLock);
}

}  // namespace
}  // namespace meridian::pg

MERIDIAN_FUNCTION(meridian_parked_images)
{
  const Oid table = typeidTypeRelid(get_fn_expr_argtype(fcinfo->flinfo, 0));
  if (!OidIsValid(table)) {
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH), errmsg("the argument must have the row type of a table"),
                    errhint("Write it as NULL::schema.table.")));
  }
  InitMaterializedSRF(fcinfo, 0);
  meridian::pg::list_parked(reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo), table);
  PG_RETURN_NULL();
}
