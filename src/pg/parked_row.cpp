#include "pg/parked_row.hpp"

#include "pg/catalog.hpp"

namespace meridian::pg {
namespace {

void push_string(JsonbParseState** state, JsonbIteratorToken token, const char* text, std::size_t size) {
  JsonbValue value;
  value.type = jbvString;
  value.val.string.val = const_cast<char*>(text);
  value.val.string.len = static_cast<int>(size);
  pushJsonbValue(state, token, &value);
}

void push_string(JsonbParseState** state, JsonbIteratorToken token, const char* text) {
  push_string(state, token, text, std::strlen(text));
}

void push_null(JsonbParseState** state) {
  JsonbValue value;
  value.type = jbvNull;
  pushJsonbValue(state, WJB_VALUE, &value);
}

char* text_of(Oid type, Datum value) {
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

constexpr const char* raw_schema = "schema";
constexpr const char* raw_type = "type";
constexpr const char* raw_binary = "binary";

void push_raw(JsonbParseState** state, const SentValue& value) {
  char* digits = static_cast<char*>(palloc(2 * value.size));
  hex_encode(value.bytes, value.size, digits);
  pushJsonbValue(state, WJB_BEGIN_OBJECT, nullptr);
  push_string(state, WJB_KEY, raw_schema);
  push_string(state, WJB_VALUE, value.type_schema);
  push_string(state, WJB_KEY, raw_type);
  push_string(state, WJB_VALUE, value.type_name);
  push_string(state, WJB_KEY, raw_binary);
  push_string(state, WJB_VALUE, digits, 2 * value.size);
  pushJsonbValue(state, WJB_END_OBJECT, nullptr);
}

JsonbValue* field_of(JsonbContainer* object, const char* name) {
  return getKeyJsonValueFromContainer(object, name, static_cast<int>(std::strlen(name)), nullptr);
}

char* text_field(JsonbContainer* object, const char* name) {
  const JsonbValue* value = field_of(object, name);
  if (value == nullptr || value->type != jbvString) {
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION), errmsg("a value of a parked row lacks its \"%s\"", name)));
  }
  return pnstrdup(value->val.string.val, value->val.string.len);
}

// A value in the binary form of the type that it was sent in, which need not be the column's.
Datum value_of_raw(Form_pg_attribute attribute, JsonbContainer* raw) {
  const char* schema = text_field(raw, raw_schema);
  const char* name = text_field(raw, raw_type);
  const char* digits = text_field(raw, raw_binary);
  const Oid sent = find_type(schema, name);
  if (!OidIsValid(sent)) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
                    errmsg("type %s does not exist", quote_qualified_identifier(schema, name)),
                    errhint("Create it as it is on the node that sent the row.")));
  }
  StringInfoData bytes;
  initStringInfo(&bytes);
  enlargeStringInfo(&bytes, static_cast<int>(std::strlen(digits) / 2));
  bytes.len = static_cast<int>(hex_decode(digits, std::strlen(digits), bytes.data));
  bytes.data[bytes.len] = '\0';
  const bool same = sent == attribute->atttypid;
  const Datum value = receive_value(sent, same ? attribute->atttypmod : -1, &bytes);
  return same ? value : value_of(attribute, text_of(sent, value));
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

bool has_sent_column(const TupleDesc descriptor, const char* name, int size) {
  for (int i = 0; i < descriptor->natts; ++i) {
    const Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
    if (attribute->attisdropped || attribute->attgenerated != '\0') continue;
    if (std::strncmp(NameStr(attribute->attname), name, size) == 0 && NameStr(attribute->attname)[size] == '\0')
      return true;
  }
  return false;
}

// Columns for which `wanted(index)` says no stay NULL.
template <typename Wanted>
RowValues read_texts(Relation relation, Datum texts, Wanted wanted) {
  const TupleDesc descriptor = RelationGetDescr(relation);
  Jsonb* object = DatumGetJsonbP(texts);
  const RowValues row = {static_cast<Datum*>(palloc0(sizeof(Datum) * descriptor->natts)),
                         static_cast<bool*>(palloc(sizeof(bool) * descriptor->natts))};
  const int level = pin_settings();
  for (int i = 0; i < descriptor->natts; ++i) {
    const Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
    row.nulls[i] = true;
    if (attribute->attisdropped || attribute->attgenerated != '\0' || !wanted(i)) continue;
    const JsonbValue* value = field_of(&object->root, NameStr(attribute->attname));
    if (value == nullptr) {
      row.values[i] = default_of(relation, attribute->attnum, &row.nulls[i]);
    } else if (value->type == jbvString) {
      row.values[i] = value_of(attribute, pnstrdup(value->val.string.val, value->val.string.len));
      row.nulls[i] = false;
    } else if (value->type == jbvBinary) {
      row.values[i] = value_of_raw(attribute, value->val.binary.data);
      row.nulls[i] = false;
    }
  }
  unpin_settings(level);
  return row;
}

}  // namespace

Oid find_type(const char* schema, const char* name) {
  const Oid space = get_namespace_oid(schema, true);
  if (!OidIsValid(space)) return InvalidOid;
  return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(name), ObjectIdGetDatum(space));
}

Datum receive_value(Oid type, std::int32_t modifier, StringInfo bytes) {
  Oid receive = InvalidOid;
  Oid parameter = InvalidOid;
  getTypeBinaryInputInfo(type, &receive, &parameter);
  const Datum value = OidReceiveFunctionCall(receive, bytes, parameter, modifier);
  if (bytes->cursor != bytes->len) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
                    errmsg("the binary form of a value of type %s is too long", format_type_be(type))));
  }
  return value;
}

Datum sent_to_texts(const SentValue* row, int count) {
  JsonbParseState* state = nullptr;
  pushJsonbValue(&state, WJB_BEGIN_OBJECT, nullptr);
  for (int i = 0; i < count; ++i) {
    push_string(&state, WJB_KEY, row[i].column);
    if (row[i].bytes == nullptr) {
      push_null(&state);
    } else if (row[i].type_name == nullptr) {
      push_string(&state, WJB_VALUE, row[i].bytes, row[i].size);
    } else {
      push_raw(&state, row[i]);
    }
  }
  return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, nullptr)));
}

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
  return read_texts(relation, texts, [](int) { return true; });
}

RowValues vital_from_texts(Relation relation, const RowPlan* plan, Datum texts) {
  Jsonb* object = DatumGetJsonbP(texts);
  for (int k = 0; k < plan->key_count; ++k) {
    // A default would be the key of another row.
    const char* name = NameStr(TupleDescAttr(RelationGetDescr(relation), plan->keys[k].attnum - 1)->attname);
    if (field_of(&object->root, name) != nullptr) continue;
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN), errmsg("the row has no value of key column \"%s\"", name)));
  }
  return read_texts(relation, texts, [plan](int i) {
    return plan->columns[i].is_key || i + 1 == plan->state_attnum || i + 1 == plan->stamp_attnum;
  });
}

void require_columns(Relation relation, Datum texts) {
  Jsonb* object = DatumGetJsonbP(texts);
  StringInfoData missing;
  initStringInfo(&missing);
  JsonbIterator* iterator = JsonbIteratorInit(&object->root);
  JsonbValue value;
  for (;;) {
    const JsonbIteratorToken token = JsonbIteratorNext(&iterator, &value, true);
    if (token == WJB_DONE) break;
    if (token != WJB_KEY || has_sent_column(RelationGetDescr(relation), value.val.string.val, value.val.string.len))
      continue;
    appendStringInfo(&missing, "%s\"%.*s\"", missing.len > 0 ? ", " : "", value.val.string.len, value.val.string.val);
  }
  if (missing.len == 0) return;
  ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
                  errmsg("table \"%s\" lacks what the row has: %s", RelationGetRelationName(relation), missing.data),
                  errhint("Add the column.")));
}

ParkedRow read_parked(HeapTuple tuple, TupleDesc descriptor) {
  Datum values[parked_columns];
  bool nulls[parked_columns];
  heap_deform_tuple(tuple, descriptor, values, nulls);
  SentTable sent{};
  if (!nulls[parked_sent_table]) {
    sent = {pstrdup(NameStr(*DatumGetName(values[parked_sent_schema]))),
            pstrdup(NameStr(*DatumGetName(values[parked_sent_table])))};
  }
  return {heap_copytuple(tuple),
          DatumGetObjectId(values[parked_rel]),
          DatumGetInt64(values[parked_key_hash]),
          datumCopy(values[parked_values], false, -1),
          TextDatumGetCString(values[parked_detail]),
          std::strcmp(TextDatumGetCString(values[parked_reason]), "clock_skew") == 0,
          sent,
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
