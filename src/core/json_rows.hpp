// Rows that libpq received as text, as JSON.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace meridian {

/// How a value's text becomes JSON.
enum class JsonForm : std::uint8_t {
  string,
  number,   ///< NaN and infinities become strings
  boolean,  ///< `t` or `f`
  json,     ///< as it is
};

/// The form of a built-in type, by its object id.
[[nodiscard]] JsonForm json_form_of(std::uint32_t type) noexcept;

/// Appends a value that is not NULL.
void append_json_value(std::string& to, std::string_view text, JsonForm form);

}  // namespace meridian
