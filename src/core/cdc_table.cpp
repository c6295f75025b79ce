#include "core/cdc_table.hpp"

#include <algorithm>

#include "core/cdc_json.hpp"
#include "core/cdc_schema.hpp"
#include "core/cdc_value.hpp"
#include "core/hmac.hpp"

namespace meridian::cdc {
namespace {

Mask mask_of(const TableSpec& table, const ColumnSpec& column, const Options& options) {
  if (any_matches_column(options.mask_columns, table.schema, table.name, column.name)) return Mask::text;
  if (any_matches_column(options.hash_columns, table.schema, table.name, column.name)) return Mask::hash;
  return Mask::none;
}

bool is_shown(const TableSpec& table, const ColumnSpec& column, const Options& options) {
  if (column.is_state) return options.include_meridian;
  if (column.is_generated && !options.include_generated) return false;
  if (column.type.kind == Kind::unknown && !options.include_unknown) return false;
  return options.wants_column(table.schema, table.name, column.name);
}

Column make_column(const TableSpec& table, const ColumnSpec& spec, const Options& options) {
  Column column;
  if (spec.is_dropped) return column;
  column.field = ',' + json_string(spec.name) + ':';
  column.type = spec.type;
  column.mask = mask_of(table, spec, options);
  column.in_row = is_shown(table, spec, options);
  column.placeholder = placeholder(spec.type, options.modes, options.unavailable_value);
  column.fill = spec.is_nullable || options.before_fill != BeforeFill::debezium ? std::string(json_null)
                                                                                : zero_value(spec.type, options.modes);
  if (column.mask == Mask::text) {
    column.masked = json_string(options.mask_text);
    column.placeholder = column.fill = column.masked;
  } else if (column.mask == Mask::hash) {
    column.placeholder = json_string(options.unavailable_value);
    if (column.fill != json_null) column.fill = "\"\"";
  }
  return column;
}

std::vector<SchemaField> schema_fields(const TableSpec& spec, const Table& table, const std::vector<int>& places) {
  std::vector<SchemaField> fields;
  for (const int place : places) {
    const ColumnSpec& column = spec.columns[static_cast<std::size_t>(place)];
    const bool is_string = table.columns[static_cast<std::size_t>(place)].mask != Mask::none;
    fields.push_back({column.name, column.type, column.is_nullable, is_string});
  }
  return fields;
}

void add_wrappers(const TableSpec& spec, const Options& options, Table& table) {
  const std::string name = options.prefix + '.' + std::string(spec.schema) + '.' + std::string(spec.name);
  std::string key_schema;
  std::string value_schema;
  if (options.envelope == Envelope::schema) {
    key_schema = row_schema(schema_fields(spec, table, table.key), options.modes, name + ".Key", false);
    value_schema = envelope_schema(schema_fields(spec, table, table.row), options.modes, name);
  }
  table.key_head = wrapper_head(options.envelope, key_schema);
  table.value_head = wrapper_head(options.envelope, value_schema);
  table.tail = wrapper_tail(options.envelope);
}

}  // namespace

std::string wrapper_head(Envelope envelope, std::string_view schema) {
  switch (envelope) {
    case Envelope::bare:
    case Envelope::flat:
      return "";
    case Envelope::payload:
      return R"({"schema":null,"payload":)";
    case Envelope::schema:
      break;
  }
  return "{\"schema\":" + std::string(schema) + ",\"payload\":";
}

std::string_view wrapper_tail(Envelope envelope) noexcept {
  return envelope == Envelope::payload || envelope == Envelope::schema ? "}" : "";
}

Table make_table(const TableSpec& spec, const Options& options) {
  Table table;
  table.topic = topic_name(options.topic, options.prefix, spec.schema, spec.name);
  table.name = std::string(spec.schema) + '.' + std::string(spec.name);
  table.source = json_string(spec.schema) + ",\"table\":" + json_string(spec.name) + ",\"txId\":";
  table.columns.reserve(spec.columns.size());
  for (const ColumnSpec& column : spec.columns) {
    table.columns.push_back(make_column(spec, column, options));
    if (table.columns.back().in_row) table.row.push_back(static_cast<int>(table.columns.size()) - 1);
  }
  for (const int place : spec.key) {
    table.columns[static_cast<std::size_t>(place)].in_key = true;
    table.key.push_back(place);
  }
  add_wrappers(spec, options, table);
  return table;
}

void set_default(Table& table, int column, std::string_view json, const Options& options) {
  Column& target = table.columns[static_cast<std::size_t>(column)];
  if (options.before_fill == BeforeFill::debezium && target.mask == Mask::none && target.fill != json_null) {
    target.fill = json;
  }
}

void write_hash(Buffer& out, std::string_view salt, std::string_view text) {
  std::string salted;
  salted.reserve(salt.size() + text.size());
  salted.append(salt).append(text);
  const Sha256Digest digest = sha256(salted);
  out.append('"');
  write_hex(out, {reinterpret_cast<const char*>(digest.data()), digest.size()});
  out.append('"');
}

}  // namespace meridian::cdc
