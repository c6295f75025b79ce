// Portable bytes of the elements of set columns.
//
// The same element has the same bytes on every node, whatever the encoding of its database or the width of its integer
// type, and the order of the bytes is the order that people expect: of numbers by value, of text by code point.
// Text is UTF-8, a uuid its 16 bytes, an integer one byte that holds sign and length, then its magnitude, most
// significant byte first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace meridian {

inline constexpr std::size_t max_integer_bytes = 9;

/// Writes up to max_integer_bytes and returns how many: 0 is `80`, 7 is `81 07`, 300 is `82 01 2c`; of a negative
/// number length and magnitude are complemented.
[[nodiscard]] std::size_t put_integer(std::int64_t value, char* out) noexcept;
/// The number, or nullopt if the bytes are not the form above.
[[nodiscard]] std::optional<std::int64_t> integer_of_bytes(std::string_view bytes) noexcept;

}  // namespace meridian
