// Kafka Connect's schema of keys and values, as its JsonConverter writes it with schemas enabled. Texts that are made
// once per table.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/cdc_modes.hpp"

namespace meridian::cdc {

struct SchemaField {
  std::string_view name;
  Type type;
  bool optional = true;
  bool is_string = false;  ///< masked: a string whatever the type
};

/// The schema of a row, a key or anything else that is a struct: `name` is Connect's name of it; with `field`, as part
/// of another struct.
[[nodiscard]] std::string row_schema(std::span<const SchemaField> fields, const Modes& modes, std::string_view name,
                                     bool optional, std::string_view field = {});

/// The schema of a table's events. `name`: topic prefix, schema and table.
[[nodiscard]] std::string envelope_schema(std::span<const SchemaField> fields, const Modes& modes,
                                          std::string_view name);

/// Schemas of events that belong to no table.
[[nodiscard]] std::string message_schema();
[[nodiscard]] std::string message_key_schema();
[[nodiscard]] std::string transaction_schema();
[[nodiscard]] std::string transaction_key_schema();
[[nodiscard]] std::string heartbeat_schema();
[[nodiscard]] std::string heartbeat_key_schema();

}  // namespace meridian::cdc
