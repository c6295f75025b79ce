#include "core/cdc_schema.hpp"

#include "core/cdc_json.hpp"

namespace meridian::cdc {
namespace {

/// What JsonConverter writes of a type, in two halves: "optional" comes between them.
struct TypeText {
  std::string type;
  std::string name;  ///< `,"name":...,"version":1` and parameters, or empty
};

std::string named(std::string_view name) { return ",\"name\":\"" + std::string(name) + "\",\"version\":1"; }

TypeText by_time_mode(const Type& type, TimeMode mode, bool is_time) {
  const std::string debezium = "io.debezium.time.";
  const bool in_ms = mode == TimeMode::adaptive || (mode == TimeMode::adaptive_microseconds && !is_time)
                         ? type.scale >= 0 && type.scale <= 3
                         : false;
  switch (mode) {
    case TimeMode::connect:
      return {is_time ? "\"int32\"" : "\"int64\"",
              named(is_time ? "org.apache.kafka.connect.data.Time" : "org.apache.kafka.connect.data.Timestamp")};
    case TimeMode::isostring:
      return {"\"string\"", named(debezium + (is_time ? "IsoTime" : "IsoTimestamp"))};
    case TimeMode::nanoseconds:
      return {"\"int64\"", named(debezium + (is_time ? "NanoTime" : "NanoTimestamp"))};
    default:
      break;
  }
  if (in_ms) return {is_time ? "\"int32\"" : "\"int64\"", named(debezium + (is_time ? "Time" : "Timestamp"))};
  return {"\"int64\"", named(debezium + (is_time ? "MicroTime" : "MicroTimestamp"))};
}

TypeText of_date(TimeMode mode) {
  if (mode == TimeMode::isostring) return {"\"string\"", named("io.debezium.time.IsoDate")};
  return {"\"int32\"",
          named(mode == TimeMode::connect ? "org.apache.kafka.connect.data.Date" : "io.debezium.time.Date")};
}

TypeText of_decimal(const Type& type, DecimalMode mode) {
  if (mode == DecimalMode::string) return {"\"string\"", ""};
  if (mode == DecimalMode::float64) return {"\"double\"", ""};
  if (type.scale < 0) {
    return {R"("struct","fields":[{"type":"int32","optional":false,"field":"scale"},)"
            R"({"type":"bytes","optional":false,"field":"value"}])",
            named("io.debezium.data.VariableScaleDecimal")};
  }
  std::string parameters = ",\"parameters\":{\"scale\":\"" + std::to_string(type.scale) + '"';
  if (type.precision > 0) parameters += ",\"connect.decimal.precision\":\"" + std::to_string(type.precision) + '"';
  return {"\"bytes\"", named("org.apache.kafka.connect.data.Decimal") + parameters + '}'};
}

TypeText of_money(DecimalMode mode) { return of_decimal({.kind = Kind::decimal, .scale = 2}, mode); }

TypeText scalar_text(const Type& type, const Modes& modes) {
  switch (type.kind) {
    case Kind::boolean:
    case Kind::bit:
      return {"\"boolean\"", ""};
    case Kind::int16:
      return {"\"int16\"", ""};
    case Kind::int32:
      return {"\"int32\"", ""};
    case Kind::int64:
    case Kind::oid:
      return {"\"int64\"", ""};
    case Kind::float4:
      return {"\"float\"", ""};
    case Kind::float8:
      return {"\"double\"", ""};
    case Kind::decimal:
      return of_decimal(type, modes.decimal);
    case Kind::money:
      return of_money(modes.decimal);
    case Kind::date:
      return of_date(modes.time);
    case Kind::time:
      return by_time_mode(type, modes.time, true);
    case Kind::timestamp:
      return by_time_mode(type, modes.time, false);
    case Kind::timetz:
      return {"\"string\"", named("io.debezium.time.ZonedTime")};
    case Kind::timestamptz:
      return {"\"string\"", named("io.debezium.time.ZonedTimestamp")};
    case Kind::interval:
      if (modes.interval == IntervalMode::string) return {"\"string\"", named("io.debezium.time.Interval")};
      return {"\"int64\"", named("io.debezium.time.MicroDuration")};
    case Kind::json:
      return {"\"string\"", named("io.debezium.data.Json")};
    case Kind::xml:
      return {"\"string\"", named("io.debezium.data.Xml")};
    case Kind::uuid:
      return {"\"string\"", named("io.debezium.data.Uuid")};
    case Kind::enumeration:
      return {"\"string\"", named("io.debezium.data.Enum")};
    case Kind::ltree:
      return {"\"string\"", named("io.debezium.data.Ltree")};
    case Kind::text:
      return {"\"string\"", ""};
    case Kind::bytes:
      return {modes.binary == BinaryMode::bytes ? "\"bytes\"" : "\"string\"", ""};
    case Kind::bits: {
      const std::string parameters =
          type.scale > 0 ? ",\"parameters\":{\"length\":\"" + std::to_string(type.scale) + "\"}" : std::string();
      return {"\"bytes\"", named("io.debezium.data.Bits") + parameters};
    }
    case Kind::point:
      return {R"("struct","fields":[{"type":"double","optional":false,"field":"x"},)"
              R"({"type":"double","optional":false,"field":"y"},{"type":"bytes","optional":true,"field":"wkb"},)"
              R"({"type":"int32","optional":true,"field":"srid"}])",
              named("io.debezium.data.geometry.Point")};
    case Kind::hstore:
      if (modes.hstore == HstoreMode::json) return {"\"string\"", named("io.debezium.data.Json")};
      return {R"("map","keys":{"type":"string","optional":false},"values":{"type":"string","optional":true})", ""};
    case Kind::vector:
      return {R"("array","items":{"type":"double","optional":false})", named("io.debezium.data.DoubleVector")};
    case Kind::half_vector:
      return {R"("array","items":{"type":"float","optional":false})", named("io.debezium.data.FloatVector")};
    case Kind::sparse_vector:
      return {R"("struct","fields":[{"type":"int16","optional":false,"field":"dimensions"},)"
              R"({"type":"map","keys":{"type":"int16","optional":false},"values":{"type":"double","optional":false},)"
              R"("optional":false,"field":"vector"}])",
              named("io.debezium.data.SparseDoubleVector")};
    case Kind::unknown:
      return {"\"bytes\"", ""};
  }
  return {"\"bytes\"", ""};
}

std::string assembled(const TypeText& text, bool optional) {
  return "{\"type\":" + text.type + ",\"optional\":" + (optional ? "true" : "false") + text.name;
}

std::string field_schema(const SchemaField& field, const Modes& modes) {
  TypeText text = field.is_string ? TypeText{"\"string\"", ""} : scalar_text(field.type, modes);
  if (field.type.is_array && !field.is_string) text = {"\"array\",\"items\":" + assembled(text, true) + '}', ""};
  return assembled(text, field.optional) + ",\"field\":" + json_string(field.name) + '}';
}

constexpr std::string_view source_schema =
    R"({"type":"struct","fields":[{"type":"string","optional":false,"field":"version"},)"
    R"({"type":"string","optional":false,"field":"connector"},{"type":"string","optional":false,"field":"name"},)"
    R"({"type":"int64","optional":false,"field":"ts_ms"},{"type":"string","optional":true,"name":"io.debezium.data.Enum",)"
    R"("version":1,"parameters":{"allowed":"first,first_in_data_collection,last_in_data_collection,last,true,false,)"
    R"(incremental"},"default":"false","field":"snapshot"},{"type":"string","optional":false,"field":"db"},)"
    R"({"type":"string","optional":true,"field":"sequence"},{"type":"int64","optional":true,"field":"ts_us"},)"
    R"({"type":"int64","optional":true,"field":"ts_ns"},{"type":"string","optional":false,"field":"schema"},)"
    R"({"type":"string","optional":false,"field":"table"},{"type":"int64","optional":true,"field":"txId"},)"
    R"({"type":"int64","optional":true,"field":"lsn"},{"type":"int64","optional":true,"field":"xmin"},)"
    R"({"type":"string","optional":true,"field":"origin"},{"type":"int64","optional":true,"field":"origin_lsn"}],)"
    R"("optional":false,"name":"io.debezium.connector.postgresql.Source","version":1,"field":"source"})";

constexpr std::string_view transaction_block =
    R"({"type":"struct","fields":[{"type":"string","optional":false,"field":"id"},)"
    R"({"type":"int64","optional":false,"field":"total_order"},)"
    R"({"type":"int64","optional":false,"field":"data_collection_order"}],"optional":true,"name":"event.block",)"
    R"("version":1,"field":"transaction"})";

constexpr std::string_view operation_and_times =
    R"({"type":"string","optional":false,"field":"op"},{"type":"int64","optional":true,"field":"ts_ms"},)"
    R"({"type":"int64","optional":true,"field":"ts_us"},{"type":"int64","optional":true,"field":"ts_ns"})";

}  // namespace

std::string row_schema(std::span<const SchemaField> fields, const Modes& modes, std::string_view name, bool optional,
                       std::string_view field) {
  std::string text = "{\"type\":\"struct\",\"fields\":[";
  for (const SchemaField& each : fields) {
    if (&each != fields.data()) text += ',';
    text += field_schema(each, modes);
  }
  text += std::string("],\"optional\":") + (optional ? "true" : "false") + ",\"name\":" + json_string(name);
  if (!field.empty()) text += ",\"field\":" + json_string(field);
  return text + '}';
}

std::string envelope_schema(std::span<const SchemaField> fields, const Modes& modes, std::string_view name) {
  const std::string value_name = std::string(name) + ".Value";
  return "{\"type\":\"struct\",\"fields\":[" + row_schema(fields, modes, value_name, true, "before") + ',' +
         row_schema(fields, modes, value_name, true, "after") + ',' + std::string(source_schema) + ',' +
         std::string(transaction_block) + ',' + std::string(operation_and_times) +
         "],\"optional\":false,\"name\":" + json_string(std::string(name) + ".Envelope") + ",\"version\":2}";
}

std::string message_schema() {
  return R"({"type":"struct","fields":[{"type":"string","optional":false,"field":"op"},)"
         R"({"type":"int64","optional":true,"field":"ts_ms"},)" +
         std::string(source_schema) + ',' + std::string(transaction_block) +
         R"(,{"type":"struct","fields":[{"type":"string","optional":false,"field":"prefix"},)"
         R"({"type":"bytes","optional":true,"field":"content"}],"optional":false,)"
         R"("name":"io.debezium.connector.postgresql.Message","field":"message"}],)"
         R"("optional":false,"name":"io.debezium.connector.postgresql.MessageValue"})";
}

std::string message_key_schema() {
  return R"({"type":"struct","fields":[{"type":"string","optional":true,"field":"prefix"}],"optional":false,)"
         R"("name":"io.debezium.connector.postgresql.MessageKey"})";
}

std::string transaction_schema() {
  return R"({"type":"struct","fields":[{"type":"string","optional":false,"field":"status"},)"
         R"({"type":"string","optional":false,"field":"id"},{"type":"int64","optional":true,"field":"event_count"},)"
         R"({"type":"array","items":{"type":"struct","fields":[{"type":"string","optional":false,"field":"data_collection"},)"
         R"({"type":"int64","optional":false,"field":"event_count"}],"optional":false,"name":"event.collection","version":1},)"
         R"("optional":true,"field":"data_collections"},{"type":"int64","optional":false,"field":"ts_ms"}],)"
         R"("optional":false,"name":"io.debezium.connector.common.TransactionMetadataValue","version":1})";
}

std::string transaction_key_schema() {
  return R"({"type":"struct","fields":[{"type":"string","optional":false,"field":"id"}],"optional":false,)"
         R"("name":"io.debezium.connector.common.TransactionMetadataKey","version":1})";
}

std::string heartbeat_schema() {
  return R"({"type":"struct","fields":[{"type":"int64","optional":false,"field":"ts_ms"}],"optional":false,)"
         R"("name":"io.debezium.connector.common.Heartbeat","version":1})";
}

std::string heartbeat_key_schema() {
  return R"({"type":"struct","fields":[{"type":"string","optional":false,"field":"serverName"}],"optional":false,)"
         R"("name":"io.debezium.connector.common.ServerNameKey","version":1})";
}

}  // namespace meridian::cdc
