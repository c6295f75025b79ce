#include "pg/row_values.hpp"

#include "pg/set_values.hpp"

namespace meridian::pg {
namespace {

Form_pg_attribute attribute_of(Relation relation, AttrNumber column) {
  return TupleDescAttr(RelationGetDescr(relation), column - 1);
}

Number number_of(Datum value, Oid type) {
  Number number;
  number.kind = Number::Kind::integer;
  switch (type) {
    case INT2OID:
      number.integer = DatumGetInt16(value);
      return number;
    case INT4OID:
      number.integer = DatumGetInt32(value);
      return number;
    case INT8OID:
      number.integer = DatumGetInt64(value);
      return number;
    default:
      break;
  }
  number.kind = Number::Kind::text;
  number.text = DatumGetCString(DirectFunctionCall1(numeric_out, value));
  number.length = std::strlen(number.text);
  return number;
}

std::int64_t clamp(const Number& number, std::int64_t low, std::int64_t high) {
  if (number.kind == Number::Kind::text) return number.text[0] == '-' ? low : high;
  return std::min(std::max(number.integer, low), high);
}

// Digits before the point of an unsigned number without leading zeros; below 1, minus the zeros that follow the point.
int magnitude(const char* digits) {
  const char* point = std::strchr(digits, '.');
  const auto integer_digits = static_cast<int>(point == nullptr ? std::strlen(digits) : point - digits);
  if (integer_digits > 1 || digits[0] != '0') return integer_digits;
  if (point == nullptr) return INT_MIN;
  const auto zeros = std::strspn(point + 1, "0");
  return point[1 + zeros] == '\0' ? INT_MIN : -static_cast<int>(zeros);
}

// A numeric(p, s) holds at most p - s digits before the point; with s > p, at least s - p zeros follow it.
Datum numeric_within(const char* text, std::int32_t typmod) {
  constexpr std::int32_t header = VARHDRSZ;
  if (typmod >= header) {
    const int precision = ((typmod - header) >> 16) & 0xffff;
    const int scale = (((typmod - header) & 0x7ff) ^ 1024) - 1024;
    const bool negative = text[0] == '-';
    if (magnitude(text + (negative ? 1 : 0)) > precision - scale) {
      StringInfoData largest;
      initStringInfo(&largest);
      if (negative) appendStringInfoChar(&largest, '-');
      for (int i = 0; i < precision; ++i) appendStringInfoChar(&largest, '9');
      appendStringInfo(&largest, "e%d", -scale);
      text = largest.data;
    }
  }
  return DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(typmod));
}

Datum datum_of(const Number& number, Oid type, std::int32_t typmod) {
  switch (type) {
    case INT2OID:
      return Int16GetDatum(static_cast<std::int16_t>(clamp(number, PG_INT16_MIN, PG_INT16_MAX)));
    case INT4OID:
      return Int32GetDatum(static_cast<std::int32_t>(clamp(number, PG_INT32_MIN, PG_INT32_MAX)));
    case INT8OID:
      return Int64GetDatum(clamp(number, PG_INT64_MIN, PG_INT64_MAX));
    default:
      break;
  }
  if (number.kind == Number::Kind::text) return numeric_within(number.text, typmod);
  return numeric_within(psprintf("%lld", static_cast<long long>(number.integer)), typmod);
}

// Settings-independent bytes of a value: the binary output where the type has one.
struct PortableBytes {
  const char* data;
  std::size_t size;
};

PortableBytes portable_bytes(Oid type, Datum value) {
  const HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
  const Oid send = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple))->typsend;
  ReleaseSysCache(tuple);
  if (OidIsValid(send)) {
    bytea* bytes = OidSendFunctionCall(send, value);
    return {VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)};
  }
  Oid output = InvalidOid;
  bool is_varlena = false;
  getTypeOutputInfo(type, &output, &is_varlena);
  const char* text = OidOutputFunctionCall(output, value);
  return {text, std::strlen(text)};
}

}  // namespace

RowValues allocate_values(const RowPlan* plan) {
  return {static_cast<Datum*>(palloc0(sizeof(Datum) * plan->column_count)),
          static_cast<bool*>(palloc0(sizeof(bool) * plan->column_count))};
}

RowValues deform(Relation relation, const RowPlan* plan, HeapTuple tuple) {
  const RowValues row = allocate_values(plan);
  heap_deform_tuple(tuple, RelationGetDescr(relation), row.values, row.nulls);
  return row;
}

RowValues deform(const RowPlan* plan, TupleTableSlot* slot) {
  slot_getallattrs(slot);
  const RowValues row = allocate_values(plan);
  std::memcpy(row.values, slot->tts_values, sizeof(Datum) * plan->column_count);
  std::memcpy(row.nulls, slot->tts_isnull, sizeof(bool) * plan->column_count);
  return row;
}

bool same_image(Relation relation, AttrNumber column, const RowValues& a, const RowValues& b) {
  const int i = column - 1;
  if (a.nulls[i] || b.nulls[i]) return a.nulls[i] == b.nulls[i];
  const Form_pg_attribute attribute = attribute_of(relation, column);
  // An unchanged value kept its out-of-line pointer: no need to fetch it.
  if (attribute->attlen == -1 && VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(a.values[i])) &&
      VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(b.values[i])) &&
      std::memcmp(DatumGetPointer(a.values[i]), DatumGetPointer(b.values[i]),
                  VARSIZE_EXTERNAL(DatumGetPointer(a.values[i]))) == 0) {
    return true;
  }
  return datum_image_eq(a.values[i], b.values[i], attribute->attbyval, attribute->attlen);
}

int compare_portably(Relation relation, AttrNumber column, const RowValues& a, const RowValues& b) {
  const int i = column - 1;
  if (a.nulls[i] || b.nulls[i]) return static_cast<int>(b.nulls[i]) - static_cast<int>(a.nulls[i]);
  const Oid type = attribute_of(relation, column)->atttypid;
  const PortableBytes left = portable_bytes(type, a.values[i]);
  const PortableBytes right = portable_bytes(type, b.values[i]);
  const int order = std::memcmp(left.data, right.data, std::min(left.size, right.size));
  if (order != 0) return order;
  return left.size < right.size ? -1 : static_cast<int>(left.size > right.size);
}

bool same_key(const RowPlan* plan, const RowValues& a, const RowValues& b) {
  for (int k = 0; k < plan->key_count; ++k) {
    const KeyColumn& key = plan->keys[k];
    const int i = key.attnum - 1;
    if (a.nulls[i] || b.nulls[i]) return false;
    if (!DatumGetBool(
            FunctionCall2Coll(const_cast<FmgrInfo*>(&key.equals_info), key.collation, a.values[i], b.values[i]))) {
      return false;
    }
  }
  return true;
}

Number* allocate_numbers(const RowPlan* plan) {
  return static_cast<Number*>(palloc0(sizeof(Number) * (plan->number_count + 1)));
}

Number* read_numbers(const RowPlan* plan, const RowValues& row) {
  Number* numbers = allocate_numbers(plan);
  for (int n = 0; n < plan->number_count; ++n) {
    const AttrNumber column = plan->number_attnums[n];
    if (!row.nulls[column - 1]) numbers[n] = number_of(row.values[column - 1], plan->columns[column - 1].base_type);
  }
  return numbers;
}

ImageState read_image(Relation relation, const RowPlan* plan, const RowValues& row) {
  const int i = plan->state_attnum - 1;
  if (row.nulls[i]) return {{}, read_numbers(plan, row), read_sets(relation, plan, row)};
  auto* state = reinterpret_cast<struct varlena*>(PG_DETOAST_DATUM_PACKED(row.values[i]));
  return {{reinterpret_cast<const std::byte*>(VARDATA_ANY(state)), VARSIZE_ANY_EXHDR(state)}, nullptr, nullptr};
}

void write_numbers(const RowPlan* plan, const Number* numbers, RowValues* row) {
  for (int n = 0; n < plan->number_count; ++n) {
    const AttrNumber column = plan->number_attnums[n];
    const int i = column - 1;
    row->nulls[i] = numbers[n].kind == Number::Kind::null;
    if (row->nulls[i]) {
      row->values[i] = 0;
      continue;
    }
    row->values[i] = datum_of(numbers[n], plan->columns[i].base_type, plan->columns[i].base_typmod);
  }
}

void write_state(const RowPlan* plan, StateBytes state, RowValues* row) {
  auto* datum = static_cast<struct varlena*>(palloc(state.size + VARHDRSZ));
  SET_VARSIZE(datum, state.size + VARHDRSZ);
  std::memcpy(VARDATA(datum), state.data, state.size);
  row->values[plan->state_attnum - 1] = PointerGetDatum(datum);
  row->nulls[plan->state_attnum - 1] = false;
}

int pin_settings() {
  constexpr const char* pinned[][2] = {
      {"datestyle", "ISO, YMD"}, {"intervalstyle", "postgres"}, {"extra_float_digits", "3"}, {"bytea_output", "hex"}};
  const int level = NewGUCNestLevel();
  for (const auto& setting : pinned) {
    set_config_option(setting[0], setting[1], PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  }
  return level;
}

void unpin_settings(int level) { AtEOXact_GUC(true, level); }

bool fetch_external_values(Relation, const RowPlan* plan, RowValues* row) {
  bool any = false;
  for (int i = 0; i < plan->column_count; ++i) {
    if (!plan->columns[i].is_varlena || row->nulls[i]) continue;
    auto* value = reinterpret_cast<struct varlena*>(DatumGetPointer(row->values[i]));
    if (!VARATT_IS_EXTERNAL_ONDISK(value)) continue;
    row->values[i] = PointerGetDatum(detoast_external_attr(value));
    any = true;
  }
  return any;
}

}  // namespace meridian::pg
