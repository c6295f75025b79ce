// A table as events show it: which columns, under which names, with which texts around and in place of values. Made
// once per table, so that an event copies ready pieces and writes nothing but values.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/cdc_modes.hpp"
#include "core/cdc_options.hpp"

namespace meridian::cdc {

/// What the catalog says of a column.
struct ColumnSpec {
  std::string_view name;
  Type type;
  bool is_nullable = true;
  bool is_generated = false;
  bool is_state = false;    ///< the hidden column of a replicated table
  bool is_dropped = false;  ///< keeps its place and has nothing else
};

struct TableSpec {
  std::string_view schema;
  std::string_view name;
  std::span<const ColumnSpec> columns;
  std::span<const int> key;  ///< places in `columns`, in the order of the key; empty: no key
};

enum class Mask : std::uint8_t { none, text, hash };

struct Column {
  std::string field;  ///< `,"name":`
  Type type;
  Mask mask = Mask::none;
  bool in_row = false;
  bool in_key = false;
  std::string masked;       ///< Mask::text: the value, whatever it is
  std::string placeholder;  ///< for an unchanged value that is in no tuple
  std::string fill;         ///< for a column that the old tuple lacks
};

struct Table {
  std::string topic;
  std::string name;             ///< `schema.table`, as transaction metadata has it
  std::string source;           ///< `"schema","table":"table","txId":`
  std::string key_head;         ///< what the envelope puts before and behind a key
  std::string value_head;       ///< and a value
  std::string_view tail;        ///< behind either
  std::vector<Column> columns;  ///< by place
  std::vector<int> row;         ///< places of the columns that events show
  std::vector<int> key;         ///< places of the key's columns
};

/// Throws Error only for what options cannot say (topic).
[[nodiscard]] Table make_table(const TableSpec& spec, const Options& options);

/// Tells the table the literal default of a column, as JSON: Debezium shows it for a NOT NULL column that the old tuple
/// lacks.
void set_default(Table& table, int column, std::string_view json, const Options& options);

/// What the envelope puts before a key or value with this schema; and behind.
[[nodiscard]] std::string wrapper_head(Envelope envelope, std::string_view schema);
[[nodiscard]] std::string_view wrapper_tail(Envelope envelope) noexcept;

/// The hash that stands for a value: SHA-256 of salt and text in hexadecimal, as Debezium's column.mask.hash does it.
void write_hash(Buffer& out, std::string_view salt, std::string_view text);

}  // namespace meridian::cdc
