// The parts of a JSON text: strings, integers, binary data. Names and order of escapes are those of Jackson, which
// Debezium writes with, so that equal events have equal bytes.
#pragma once

#include <charconv>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/cdc_buffer.hpp"

namespace meridian::cdc {

inline constexpr std::string_view json_null = "null";

/// Text without quotes around it, escaped for the inside of a JSON string. Bytes from 0x80 on are taken as they are.
void write_escaped(Buffer& out, std::string_view text);

/// A JSON string.
inline void write_string(Buffer& out, std::string_view text) {
  out.append('"');
  write_escaped(out, text);
  out.append('"');
}

inline void write_integer(Buffer& out, std::int64_t value) {
  char* const to = out.room(20);
  out.advance(std::to_chars(to, to + 20, value).ptr);
}

inline void write_unsigned(Buffer& out, std::uint64_t value) {
  char* const to = out.room(20);
  out.advance(std::to_chars(to, to + 20, value).ptr);
}

inline void write_bool(Buffer& out, bool value) { out.append(value ? std::string_view("true") : "false"); }

enum class Base64Alphabet { standard, url_safe };

/// Base64 with padding (RFC 4648), without quotes.
void write_base64(Buffer& out, std::string_view bytes, Base64Alphabet alphabet = Base64Alphabet::standard);

/// Lower-case hexadecimal digits, without quotes.
void write_hex(Buffer& out, std::string_view bytes);

/// Decimal number with at least `width` digits, zeros in front.
void write_padded(Buffer& out, std::uint64_t value, int width);

/// The text as a JSON string, for templates that are made once.
[[nodiscard]] std::string json_string(std::string_view text);

}  // namespace meridian::cdc
