#include "plugin/cdc_value.hpp"

#include "core/cdc_json.hpp"
#include "core/cdc_number.hpp"
#include "core/cdc_time.hpp"
#include "core/cdc_value.hpp"

namespace meridian::pg {
namespace {

using Access = ValueReader::Access;
using cdc::Kind;

struct BuiltIn {
  Oid type;
  Kind kind;
  Access access;
};

constexpr BuiltIn built_ins[] = {
    {BOOLOID, Kind::boolean, Access::direct},
    {INT2OID, Kind::int16, Access::direct},
    {INT4OID, Kind::int32, Access::direct},
    {INT8OID, Kind::int64, Access::direct},
    {OIDOID, Kind::oid, Access::direct},
    {FLOAT4OID, Kind::float4, Access::direct},
    {FLOAT8OID, Kind::float8, Access::direct},
    {NUMERICOID, Kind::decimal, Access::packed},
    {MONEYOID, Kind::money, Access::direct},
    {DATEOID, Kind::date, Access::direct},
    {TIMEOID, Kind::time, Access::direct},
    {TIMETZOID, Kind::timetz, Access::direct},
    {TIMESTAMPOID, Kind::timestamp, Access::direct},
    {TIMESTAMPTZOID, Kind::timestamptz, Access::direct},
    {INTERVALOID, Kind::interval, Access::direct},
    {TEXTOID, Kind::text, Access::packed},
    {VARCHAROID, Kind::text, Access::packed},
    {BPCHAROID, Kind::text, Access::packed},
    {NAMEOID, Kind::text, Access::name},
    {CHAROID, Kind::text, Access::letter},
    {JSONOID, Kind::json, Access::packed},
    {JSONBOID, Kind::json, Access::printed},
    {XMLOID, Kind::xml, Access::packed},
    {UUIDOID, Kind::uuid, Access::direct},
    {BYTEAOID, Kind::bytes, Access::packed},
    {BITOID, Kind::bits, Access::packed},
    {VARBITOID, Kind::bits, Access::packed},
    {POINTOID, Kind::point, Access::direct},
    {INETOID, Kind::text, Access::printed},
    {CIDROID, Kind::text, Access::printed},
    {MACADDROID, Kind::text, Access::printed},
    {MACADDR8OID, Kind::text, Access::printed},
    {TSVECTOROID, Kind::text, Access::printed},
};

struct Named {
  const char* name;
  Kind kind;
  Access access;
};

/// Types of well-known extensions, by name: their object ids differ from database to database.
constexpr Named named_types[] = {
    {"citext", Kind::text, Access::packed},
    {"hstore", Kind::hstore, Access::sent},
    {"ltree", Kind::ltree, Access::printed},
    {"isbn", Kind::text, Access::printed},
    {"isbn13", Kind::text, Access::printed},
    {"issn", Kind::text, Access::printed},
    {"issn13", Kind::text, Access::printed},
    {"ismn", Kind::text, Access::printed},
    {"ismn13", Kind::text, Access::printed},
    {"ean13", Kind::text, Access::printed},
    {"upc", Kind::text, Access::printed},
    {"vector", Kind::vector, Access::printed},
    {"halfvec", Kind::half_vector, Access::printed},
    {"sparsevec", Kind::sparse_vector, Access::printed},
};

struct MeshType {
  const char* name;
  Oid shown_as;
};

constexpr MeshType mesh_types[] = {{"counter", NUMERICOID},
                                   {"gset", TEXTARRAYOID},
                                   {"orset", TEXTARRAYOID},
                                   {"flag", BOOLOID},
                                   {"mvreg", TEXTARRAYOID}};

/// Elements of arrays that Debezium has no form for.
bool is_element(Kind kind, Oid type) {
  switch (kind) {
    case Kind::interval:
    case Kind::money:
    case Kind::point:
    case Kind::xml:
    case Kind::bit:
    case Kind::bits:
    case Kind::hstore:
    case Kind::vector:
    case Kind::half_vector:
    case Kind::sparse_vector:
    case Kind::unknown:
      return false;
    default:
      return type != NAMEOID;
  }
}

void set_modifiers(Oid type, int32 typmod, cdc::Type* result) {
  switch (result->kind) {
    case Kind::decimal:
      if (type == NUMERICOID && typmod >= static_cast<int32>(VARHDRSZ)) {
        // numeric.c, make_numeric_typmod; a negative scale (PostgreSQL 15) means no digits after the point.
        const int32 packed = typmod - VARHDRSZ;
        result->precision = static_cast<int16>(packed >> 16 & 0xFFFF);
        result->scale = static_cast<int16>(std::max(0, ((packed & 0x7FF) ^ 1024) - 1024));
      }
      break;
    case Kind::time:
    case Kind::timestamp:
    case Kind::timestamptz:
      result->scale = static_cast<int16>(typmod);
      break;
    case Kind::bits:
      if (typmod == 1) result->kind = Kind::bit;
      result->scale = static_cast<int16>(std::min<int32>(typmod, PG_INT16_MAX));
      break;
    default:
      break;
  }
}

void find_by_name(HeapTuple tuple, ValueReader* reader) {
  const auto* form = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple));
  if (form->typtype == TYPTYPE_ENUM) {
    reader->type.kind = Kind::enumeration;
  } else if (form->typtype == TYPTYPE_RANGE || form->typtype == TYPTYPE_MULTIRANGE) {
    reader->type.kind = Kind::text;
  } else {
    for (const Named& each : named_types) {
      if (std::strcmp(NameStr(form->typname), each.name) != 0 || form->typtype != TYPTYPE_BASE) continue;
      reader->type.kind = each.kind;
      reader->access = each.access;
    }
  }
}

/// What a type of the mesh is shown as, InvalidOid for any other type.
Oid shown_as(HeapTuple tuple) {
  const auto* form = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple));
  if (form->typtype != TYPTYPE_BASE || form->typnamespace < FirstNormalObjectId) return InvalidOid;
  for (const MeshType& each : mesh_types) {
    if (std::strcmp(NameStr(form->typname), each.name) != 0) continue;
    const char* schema = get_namespace_name(form->typnamespace);
    return schema != nullptr && std::strcmp(schema, "meridian") == 0 ? each.shown_as : InvalidOid;
  }
  return InvalidOid;
}

void prepare_cast(Oid type, Oid target, MemoryContext context, ValueReader* reader) {
  HeapTuple tuple = SearchSysCache2(CASTSOURCETARGET, ObjectIdGetDatum(type), ObjectIdGetDatum(target));
  if (!HeapTupleIsValid(tuple)) return;
  const Oid function = reinterpret_cast<Form_pg_cast>(GETSTRUCT(tuple))->castfunc;
  ReleaseSysCache(tuple);
  if (!OidIsValid(function)) return;
  prepare_reader(target, -1, context, reader);
  if (target == NUMERICOID) {
    reader->type.kind = Kind::int64;
    reader->access = Access::number;
    fmgr_info_cxt(F_NUMERIC_OUT, &reader->function, context);
  }
  fmgr_info_cxt(function, &reader->cast, context);
  reader->has_cast = true;
}

void prepare_scalar(Oid type, int32 typmod, MemoryContext context, ValueReader* reader) {
  reader->type = cdc::Type{};
  reader->access = Access::printed;
  reader->has_cast = false;
  for (const BuiltIn& each : built_ins) {
    if (each.type != type) continue;
    reader->type.kind = each.kind;
    reader->access = each.access;
  }
  if (reader->type.kind == Kind::unknown) {
    HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
    if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for type %u", type);
    find_by_name(tuple, reader);
    const Oid target = shown_as(tuple);
    ReleaseSysCache(tuple);
    if (OidIsValid(target)) {
      prepare_cast(type, target, context, reader);
      if (reader->has_cast) return;
    }
  }
  set_modifiers(type, typmod, &reader->type);
  Oid function = InvalidOid;
  bool is_varlena = false;
  if (reader->access == Access::sent) {
    getTypeBinaryOutputInfo(type, &function, &is_varlena);
  } else if (reader->access == Access::printed) {
    getTypeOutputInfo(type, &function, &is_varlena);
  }
  if (OidIsValid(function)) fmgr_info_cxt(function, &reader->function, context);
}

/// Content of a varlena, detoasted if it has to be.
std::string_view content_of(Datum value) {
  const varlena* packed = PG_DETOAST_DATUM_PACKED(value);
  return {VARDATA_ANY(packed), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(packed))};
}

std::string_view print(const ValueReader& reader, Datum value) {
  return OutputFunctionCall(const_cast<FmgrInfo*>(&reader.function), value);
}

void write_bit_string(cdc::Buffer& out, Kind kind, std::string_view content) {
  int32 count = 0;
  std::memcpy(&count, content.data(), sizeof count);
  const std::string_view bits = content.substr(sizeof count);
  if (kind == Kind::bit) {
    cdc::write_bit(out, bits);
  } else {
    cdc::write_bits(out, bits, static_cast<std::size_t>(count));
  }
}

void write_text(cdc::Buffer& out, const ValueReader& reader, Datum value) {
  switch (reader.access) {
    case Access::packed:
      return cdc::write_string(out, content_of(value));
    case Access::name:
      return cdc::write_string(out, NameStr(*DatumGetName(value)));
    case Access::letter: {
      const char letter = DatumGetChar(value);
      return cdc::write_string(out, {&letter, letter == '\0' ? std::size_t{0} : std::size_t{1}});
    }
    default:
      return cdc::write_string(out, print(reader, value));
  }
}

void write_scalar(cdc::Buffer& out, const ValueReader& reader, const cdc::Modes& modes, Datum value) {
  const int scale = reader.type.scale;
  switch (reader.type.kind) {
    case Kind::boolean:
      return cdc::write_bool(out, DatumGetBool(value));
    case Kind::int16:
      return cdc::write_integer(out, DatumGetInt16(value));
    case Kind::int32:
      return cdc::write_integer(out, DatumGetInt32(value));
    case Kind::int64:
      if (reader.access == Access::number) return out.append(print(reader, value));
      return cdc::write_integer(out, DatumGetInt64(value));
    case Kind::oid:
      return cdc::write_integer(out, DatumGetObjectId(value));
    case Kind::float4:
      return cdc::write_float4(out, DatumGetFloat4(value));
    case Kind::float8:
      return cdc::write_float8(out, DatumGetFloat8(value));
    case Kind::decimal:
      return cdc::write_numeric(out, content_of(value), scale, modes.decimal);
    case Kind::money:
      return cdc::write_money(out, DatumGetCash(value), modes.decimal);
    case Kind::date:
      return cdc::write_date(out, DatumGetDateADT(value), modes.time);
    case Kind::time:
      return cdc::write_time(out, DatumGetTimeADT(value), scale, modes.time);
    case Kind::timetz: {
      const TimeTzADT* time = DatumGetTimeTzADTP(value);
      return cdc::write_timetz(out, time->time, time->zone);
    }
    case Kind::timestamp:
      return cdc::write_timestamp(out, DatumGetTimestamp(value), scale, modes.time);
    case Kind::timestamptz:
      return cdc::write_timestamptz(out, DatumGetTimestampTz(value), scale);
    case Kind::interval: {
      const Interval* interval = DatumGetIntervalP(value);
      return cdc::write_interval(out, interval->month, interval->day, interval->time, modes.interval);
    }
    case Kind::uuid:
      return cdc::write_uuid(out, {reinterpret_cast<const char*>(DatumGetUUIDP(value)->data), UUID_LEN});
    case Kind::bytes:
      return cdc::write_bytes(out, content_of(value), modes.binary);
    case Kind::bit:
    case Kind::bits:
      return write_bit_string(out, reader.type.kind, content_of(value));
    case Kind::point: {
      const Point* point = DatumGetPointP(value);
      return cdc::write_point(out, point->x, point->y);
    }
    case Kind::hstore: {
      const bytea* sent = SendFunctionCall(const_cast<FmgrInfo*>(&reader.function), value);
      return cdc::write_hstore(out, {VARDATA(sent), VARSIZE(sent) - VARHDRSZ}, modes.hstore);
    }
    case Kind::vector:
    case Kind::half_vector:
      return cdc::write_vector(out, print(reader, value), reader.type.kind);
    case Kind::sparse_vector:
      return cdc::write_sparse_vector(out, print(reader, value));
    case Kind::unknown:
      return cdc::write_bytes(out, print(reader, value), cdc::BinaryMode::bytes);
    case Kind::text:
    case Kind::json:
    case Kind::xml:
    case Kind::enumeration:
    case Kind::ltree:
      return write_text(out, reader, value);
  }
}

/// Where reading an array has got to; arrays of several dimensions become arrays of arrays.
struct ArrayCursor {
  const ArrayType* array;
  const char* data;
  int element;
};

void write_dimension(cdc::Buffer& out, const ValueReader& reader, const cdc::Modes& modes, ArrayCursor* cursor,
                     int dimension) {
  const int count = ARR_DIMS(cursor->array)[dimension];
  const bool is_last = dimension + 1 == ARR_NDIM(cursor->array);
  out.append('[');
  for (int i = 0; i < count; ++i) {
    if (i > 0) out.append(',');
    if (!is_last) {
      write_dimension(out, reader, modes, cursor, dimension + 1);
      continue;
    }
    const bits8* present = ARR_NULLBITMAP(cursor->array);
    const int element = cursor->element++;
    if (present != nullptr && (present[element / 8] & 1 << element % 8) == 0) {
      out.append(cdc::json_null);
      continue;
    }
    write_scalar(out, reader, modes, fetch_att(cursor->data, reader.by_value, reader.length));
    cursor->data = att_addlength_pointer(cursor->data, reader.length, cursor->data);
    cursor->data = reinterpret_cast<char*>(att_align_nominal(cursor->data, reader.alignment));
  }
  out.append(']');
}

}  // namespace

void prepare_reader(Oid type, int32 typmod, MemoryContext context, ValueReader* reader) {
  type = getBaseTypeAndTypmod(type, &typmod);
  reader->is_varlena = get_typlen(type) == -1;
  const Oid element = get_element_type(type);
  if (!OidIsValid(element)) {
    prepare_scalar(type, typmod, context, reader);
    return;
  }
  int32 element_typmod = typmod;
  const Oid element_base = getBaseTypeAndTypmod(element, &element_typmod);
  prepare_scalar(element_base, element_typmod, context, reader);
  if (reader->has_cast || !is_element(reader->type.kind, element_base)) {
    // As bytes of the whole array's text, if at all.
    Oid function = InvalidOid;
    bool is_varlena = false;
    getTypeOutputInfo(type, &function, &is_varlena);
    fmgr_info_cxt(function, &reader->function, context);
    reader->type = cdc::Type{};
    reader->access = Access::printed;
    reader->has_cast = false;
    return;
  }
  reader->type.is_array = true;
  get_typlenbyvalalign(element_base, &reader->length, &reader->by_value, &reader->alignment);
}

void write_value(cdc::Buffer& out, const ValueReader& reader, const cdc::Modes& modes, Datum value) {
  if (reader.has_cast) value = FunctionCall1(const_cast<FmgrInfo*>(&reader.cast), value);
  if (!reader.type.is_array) return write_scalar(out, reader, modes, value);
  const ArrayType* array = DatumGetArrayTypeP(value);
  if (ARR_NDIM(array) == 0) return out.append("[]");
  ArrayCursor cursor{array, ARR_DATA_PTR(array), 0};
  write_dimension(out, reader, modes, &cursor, 0);
}

char* text_of_value(Oid type, Datum value) {
  Oid function = InvalidOid;
  bool is_varlena = false;
  getTypeOutputInfo(type, &function, &is_varlena);
  return OidOutputFunctionCall(function, value);
}

}  // namespace meridian::pg
