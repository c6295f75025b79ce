// JSON strings of small texts. Events have a writer of their own (cdc_json.hpp), which is faster and escapes as
// Debezium does.
#pragma once

#include <string>
#include <string_view>

namespace meridian {

/// Appends a JSON string, quotes included. The text is valid in an encoding whose ASCII bytes stand for themselves.
void append_json_string(std::string& to, std::string_view text);

}  // namespace meridian
