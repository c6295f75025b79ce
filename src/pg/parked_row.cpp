#include "pg/parked_row.hpp"

#include "pg/catalog.hpp"

namespace meridian::pg {
namespace {

void push_string(JsonbParseState** state, JsonbIteratorToken token, const char* text) {
  JsonbValue value;
  value.type = jbvString;
  value.val.string.val = const_cast<char*>(text);
  value.val.string.len = static_cast<int>(std::strlen(text));
  pushJsonbValue(state, token, &value);
}

void push_null(JsonbParseState** state) {
  JsonbValue value;
  value.type = jbvNull;
  pushJsonbValue(state, WJB_VALUE, &value);
}

const char* text_of(Oid type, Datum value) {
  Oid output = InvalidOid;
  bool is_varlena = false;
  getTypeOutputInfo(type, &output, &is_varlena);
  return OidOutputFunctionCall(output, value);
}

Datum value_of(Form_pg_attribute attribute, char* text) {
  Oid input = InvalidOid;
  Oid parameter = InvalidOid;
  getTypeInputInfo(attribute->atttypid, &input, &parameter);
  return OidInputFunctionCall(input, text, parameter, attribute->atttypmod);
}

// A column that the table got after the row was parked.
Datum default_of(Relation relation, AttrNumber column, bool* is_null) {
  *is_null = true;
  Node* expression = build_column_default(relation, column);
  if (expression == nullptr) return 0;
  ExprContext* context = CreateStandaloneExprContext();
  ExprState* state = ExecInitExpr(expression_planner(reinterpret_cast<Expr*>(expression)), nullptr);
  return ExecEvalExprSwitchContext(state, context, is_null);
}

}  // namespace

Datum row_to_texts(Relation relation, const RowPlan* plan, const RowValues& row, bool key_only) {
  const TupleDesc descriptor = RelationGetDescr(relation);
  const int level = pin_settings();
  JsonbParseState* state = nullptr;
  pushJsonbValue(&state, WJB_BEGIN_OBJECT, nullptr);
  for (int i = 0; i < descriptor->natts; ++i) {
    const Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
    if (attribute->attisdropped || attribute->attgenerated != '\0') continue;
    if (key_only && !plan->columns[i].is_key) continue;
    push_string(&state, WJB_KEY, NameStr(attribute->attname));
    if (row.nulls[i]) {
      push_null(&state);
    } else {
      push_string(&state, WJB_VALUE, text_of(attribute->atttypid, row.values[i]));
    }
  }
  const Datum object = JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, nullptr)));
  unpin_settings(level);
  return object;
}

RowValues row_from_texts(Relation relation, Datum texts) {
  const TupleDesc descriptor = RelationGetDescr(relation);
  Jsonb* object = DatumGetJsonbP(texts);
  const RowValues row = {static_cast<Datum*>(palloc0(sizeof(Datum) * descriptor->natts)),
                         static_cast<bool*>(palloc(sizeof(bool) * descriptor->natts))};
  const int level = pin_settings();
  for (int i = 0; i < descriptor->natts; ++i) {
    const Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
    row.nulls[i] = true;
    if (attribute->attisdropped || attribute->attgenerated != '\0') continue;
    const char* name = NameStr(attribute->attname);
    JsonbValue* value = getKeyJsonValueFromContainer(&object->root, name, static_cast<int>(std::strlen(name)), nullptr);
    if (value == nullptr) {
      row.values[i] = default_of(relation, attribute->attnum, &row.nulls[i]);
    } else if (value->type == jbvString) {
      row.values[i] = value_of(attribute, pnstrdup(value->val.string.val, value->val.string.len));
      row.nulls[i] = false;
    }
  }
  unpin_settings(level);
  return row;
}

ParkedRow read_parked(HeapTuple tuple, TupleDesc descriptor) {
  Datum values[parked_columns];
  bool nulls[parked_columns];
  heap_deform_tuple(tuple, descriptor, values, nulls);
  return {heap_copytuple(tuple),
          DatumGetObjectId(values[parked_rel]),
          DatumGetInt64(values[parked_key_hash]),
          datumCopy(values[parked_values], false, -1),
          TextDatumGetCString(values[parked_detail]),
          std::strcmp(TextDatumGetCString(values[parked_reason]), "clock_skew") == 0,
          {DatumGetInt64(values[parked_id]), DatumGetTimestampTz(values[parked_parked_at]),
           DatumGetInt32(values[parked_attempts]), DatumGetInt32(values[parked_images])}};
}

bool find_parked(Relation parked, std::int64_t id, ParkedRow* row) {
  ScanKeyData key;
  ScanKeyInit(&key, parked_id + 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(id));
  Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
  SysScanDesc scan = systable_beginscan(parked, index_oid(Index::parked_id), true, snapshot, 1, &key);
  HeapTuple tuple = systable_getnext(scan);
  const bool found = HeapTupleIsValid(tuple);
  if (found) *row = read_parked(tuple, RelationGetDescr(parked));
  systable_endscan(scan);
  UnregisterSnapshot(snapshot);
  return found;
}

void lock_parked_rows() {
  // Class 7 of advisory locks: SQL functions use 1 and 2, so no application can hold it.
  constexpr std::uint32_t parked_rows = 0x6d657231;
  LOCKTAG tag;
  SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, parked_rows, 0, 7);
  LockAcquire(&tag, ExclusiveLock, false, false);
}

}  // namespace meridian::pg
