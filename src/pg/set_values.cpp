// Everything is palloc'd in the current context.
#include "pg/set_values.hpp"

#include <algorithm>

#include "core/set_element.hpp"

namespace meridian::pg {
namespace {

/// Type of the elements of an array type that can hold a set; invalid for others.
Oid element_type(Oid type) {
  switch (type) {
    case INT2ARRAYOID:
      return INT2OID;
    case INT4ARRAYOID:
      return INT4OID;
    case INT8ARRAYOID:
      return INT8OID;
    case TEXTARRAYOID:
      return TEXTOID;
    case VARCHARARRAYOID:
      return VARCHAROID;
    case UUIDARRAYOID:
      return UUIDOID;
    default:
      return InvalidOid;
  }
}

const char* name_of(Relation relation, AttrNumber column) {
  return NameStr(TupleDescAttr(RelationGetDescr(relation), column - 1)->attname);
}

struct Portable {
  const char* data;
  std::size_t size;
};

Portable portable_integer(std::int64_t value) {
  auto* data = static_cast<char*>(palloc(max_integer_bytes));
  return {data, put_integer(value, data)};
}

Portable portable_text(const char* data, int length) {
  const char* converted = pg_server_to_any(data, length, PG_UTF8);
  return {converted, converted == data ? static_cast<std::size_t>(length) : std::strlen(converted)};
}

Portable portable_element(Oid type, Datum value) {
  switch (type) {
    case INT2OID:
      return portable_integer(DatumGetInt16(value));
    case INT4OID:
      return portable_integer(DatumGetInt32(value));
    case INT8OID:
      return portable_integer(DatumGetInt64(value));
    case UUIDOID:
      return {reinterpret_cast<const char*>(DatumGetUUIDP(value)->data), UUID_LEN};
    default: {
      auto* string = DatumGetTextPP(value);
      return portable_text(VARDATA_ANY(string), static_cast<int>(VARSIZE_ANY_EXHDR(string)));
    }
  }
}

char* server_text(const char* data, std::size_t size) {
  const char* converted = pg_any_to_server(data, static_cast<int>(size), PG_UTF8);
  return converted == data ? pnstrdup(data, size) : const_cast<char*>(converted);
}

Datum element_datum(Oid type, const ElementBytes& element) {
  switch (type) {
    case INT2OID:
    case INT4OID:
    case INT8OID: {
      const std::optional<std::int64_t> value = integer_of_bytes({element.data, element.size});
      const std::int64_t widest = type == INT2OID ? PG_INT16_MAX : type == INT4OID ? PG_INT32_MAX : PG_INT64_MAX;
      if (!value || *value > widest || *value < -widest - 1) break;
      return type == INT2OID   ? Int16GetDatum(static_cast<std::int16_t>(*value))
             : type == INT4OID ? Int32GetDatum(static_cast<std::int32_t>(*value))
                               : Int64GetDatum(*value);
    }
    case UUIDOID: {
      if (element.size != UUID_LEN) break;
      auto* uuid = static_cast<pg_uuid_t*>(palloc(sizeof(pg_uuid_t)));
      std::memcpy(uuid->data, element.data, UUID_LEN);
      return UUIDPGetDatum(uuid);
    }
    default:
      return CStringGetTextDatum(server_text(element.data, element.size));
  }
  ereport(ERROR,
          (errcode(ERRCODE_DATATYPE_MISMATCH), errmsg("an element of a set does not fit type %s", format_type_be(type)),
           errhint("Give the column the same type on every node.")));
  pg_unreachable();
}

int compare(const ElementBytes& a, const ElementBytes& b) {
  const int order = std::memcmp(a.data, b.data, std::min(a.size, b.size));
  if (order != 0) return order;
  return a.size < b.size ? -1 : static_cast<int>(a.size > b.size);
}

SetColumn in_order(ElementBytes* elements, int count) {
  const auto less = [](const ElementBytes& a, const ElementBytes& b) { return compare(a, b) < 0; };
  const auto same = [](const ElementBytes& a, const ElementBytes& b) { return compare(a, b) == 0; };
  if (!std::is_sorted(elements, elements + count, less)) std::sort(elements, elements + count, less);
  const auto* end = std::unique(elements, elements + count, same);
  return {.elements = elements, .count = static_cast<int>(end - elements), .is_null = false, .given = true};
}

SetColumn read_array(Relation relation, AttrNumber column, Oid type, Datum value, SetReading reading) {
  ArrayType* array = DatumGetArrayTypeP(value);
  if (reading == SetReading::strict && ARR_NDIM(array) > 1) {
    ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
                    errmsg("set column \"%s\" of table \"%s\" cannot hold an array of %d dimensions",
                           name_of(relation, column), RelationGetRelationName(relation), ARR_NDIM(array)),
                    errhint("A set is an array of one dimension.")));
  }
  if (reading == SetReading::strict && array_contains_nulls(array)) {
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                    errmsg("set column \"%s\" of table \"%s\" cannot hold a NULL element", name_of(relation, column),
                           RelationGetRelationName(relation)),
                    errhint("Remove it with array_remove(%s, NULL).", name_of(relation, column))));
  }
  const Oid element = element_type(type);
  std::int16_t length = 0;
  bool by_value = false;
  char align = 0;
  get_typlenbyvalalign(element, &length, &by_value, &align);
  Datum* values = nullptr;
  bool* nulls = nullptr;
  int count = 0;
  deconstruct_array(array, element, length, by_value, align, &values, &nulls, &count);
  auto* elements = static_cast<ElementBytes*>(palloc(sizeof(ElementBytes) * (count + 1)));
  int used = 0;
  for (int i = 0; i < count; ++i) {
    if (nulls[i]) continue;
    const Portable bytes = portable_element(element, values[i]);
    elements[used++] = {bytes.data, bytes.size, nullptr, 0};
  }
  return in_order(elements, used);
}

SetColumn read_object(Relation relation, AttrNumber column, Datum value, SetReading reading) {
  Jsonb* object = DatumGetJsonbP(value);
  if (!JB_ROOT_IS_OBJECT(object)) {
    if (reading == SetReading::lenient) return {.elements = nullptr, .count = 0, .is_null = true, .given = true};
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                    errmsg("set column \"%s\" of table \"%s\" holds a jsonb object, nothing else",
                           name_of(relation, column), RelationGetRelationName(relation)),
                    errhint("The keys of the object are the set; an empty one is '{}'.")));
  }
  auto* elements = static_cast<ElementBytes*>(palloc(sizeof(ElementBytes) * (JB_ROOT_COUNT(object) + 1)));
  int count = 0;
  JsonbIterator* iterator = JsonbIteratorInit(&object->root);
  JsonbValue part;
  JsonbIteratorToken token = JsonbIteratorNext(&iterator, &part, true);
  while ((token = JsonbIteratorNext(&iterator, &part, true)) != WJB_DONE) {
    if (token == WJB_KEY) {
      const Portable key = portable_text(part.val.string.val, part.val.string.len);
      elements[count] = {key.data, key.size, nullptr, 0};
    } else if (token == WJB_VALUE) {
      Jsonb* shown = JsonbValueToJsonb(&part);
      const char* text = JsonbToCString(nullptr, &shown->root, static_cast<int>(VARSIZE(shown)));
      const Portable bytes = portable_text(text, static_cast<int>(std::strlen(text)));
      elements[count].value = bytes.data;
      elements[count++].value_size = bytes.size;
    }
  }
  return in_order(elements, count);
}

Datum make_array(Oid type, const SetColumn& set) {
  const Oid element = element_type(type);
  auto* values = static_cast<Datum*>(palloc(sizeof(Datum) * (set.count + 1)));
  for (int i = 0; i < set.count; ++i) values[i] = element_datum(element, set.elements[i]);
  std::int16_t length = 0;
  bool by_value = false;
  char align = 0;
  get_typlenbyvalalign(element, &length, &by_value, &align);
  return PointerGetDatum(construct_array(values, set.count, element, length, by_value, align));
}

Datum make_object(const SetColumn& set) {
  StringInfoData text;
  initStringInfo(&text);
  appendStringInfoChar(&text, '{');
  for (int i = 0; i < set.count; ++i) {
    const ElementBytes& element = set.elements[i];
    if (i > 0) appendStringInfoChar(&text, ',');
    escape_json(&text, server_text(element.data, element.size));
    appendStringInfo(&text, ":%s", server_text(element.value, element.value_size));
  }
  appendStringInfoChar(&text, '}');
  return DirectFunctionCall1(jsonb_in, CStringGetDatum(text.data));
}

}  // namespace

bool is_set_type(Oid type) { return type == JSONBOID || OidIsValid(element_type(type)); }

SetColumn read_set(Relation relation, const RowPlan* plan, AttrNumber column, const RowValues& row,
                   SetReading reading) {
  const int i = column - 1;
  if (row.nulls[i]) return {.elements = nullptr, .count = 0, .is_null = true, .given = true};
  const Oid type = plan->columns[i].base_type;
  if (type == JSONBOID) return read_object(relation, column, row.values[i], reading);
  return read_array(relation, column, type, row.values[i], reading);
}

SetColumn* allocate_sets(const RowPlan* plan) {
  return static_cast<SetColumn*>(palloc0(sizeof(SetColumn) * (plan->shape->sets.size() + 1)));
}

SetColumn* read_sets(Relation relation, const RowPlan* plan, const RowValues& row) {
  SetColumn* sets = allocate_sets(plan);
  for (std::size_t s = 0; s < plan->shape->sets.size(); ++s) {
    sets[s] = read_set(relation, plan, plan->set_attnums[s], row, SetReading::lenient);
  }
  return sets;
}

void write_set(const RowPlan* plan, AttrNumber column, const SetColumn& set, RowValues* row) {
  const int i = column - 1;
  row->nulls[i] = set.is_null;
  row->values[i] = 0;
  if (set.is_null) return;
  const Oid type = plan->columns[i].base_type;
  row->values[i] = type == JSONBOID ? make_object(set) : make_array(type, set);
}

SetColumn normalize_set(Relation relation, const RowPlan* plan, AttrNumber column, bool was_set, RowValues* row) {
  SetColumn set = read_set(relation, plan, column, *row, SetReading::strict);
  if (set.is_null && was_set) set.is_null = false;
  write_set(plan, column, set, row);
  return set;
}

}  // namespace meridian::pg
