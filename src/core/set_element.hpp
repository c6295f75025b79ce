// Portable bytes of the elements of set columns.
//
// The same element has the same bytes on every node, whatever the encoding of its database or the width of its integer
// type, and the order of the bytes is the order that people expect: of numbers by value, of text by code point.
// Text is UTF-8, a uuid its 16 bytes, an integer one byte that holds sign and length, then its magnitude, most
// significant byte first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace meridian {

/// 0 is `80`, 7 is `81 07`, 300 is `82 01 2c`; of a negative number length and magnitude are complemented.
[[nodiscard]] std::string bytes_of_integer(std::int64_t value);
/// The number, or nullopt if the bytes are not the form above.
[[nodiscard]] std::optional<std::int64_t> integer_of_bytes(std::string_view bytes) noexcept;

}  // namespace meridian
