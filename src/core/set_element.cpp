#include "core/set_element.hpp"

#include <bit>
#include <limits>

namespace meridian {

namespace {

constexpr unsigned zero_length = 0x80;  ///< what the length of the magnitude is added to, or taken from

}  // namespace

std::size_t put_integer(std::int64_t value, char* out) noexcept {
  const bool negative = value < 0;
  // -1 has the shortest form among the negative numbers, so what is written is -1 - value, complemented.
  const std::uint64_t magnitude = negative ? ~static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  const auto length = static_cast<unsigned>(std::bit_width(magnitude) + 7) / 8;
  out[0] = static_cast<char>(negative ? zero_length - 1 - length : zero_length + length);
  for (unsigned i = 0; i < length; ++i) {
    const auto digit = static_cast<unsigned char>(magnitude >> (8 * (length - 1 - i)));
    out[i + 1] = static_cast<char>(negative ? ~digit : digit);
  }
  return length + 1;
}

std::optional<std::int64_t> integer_of_bytes(std::string_view bytes) noexcept {
  if (bytes.empty()) return std::nullopt;
  const auto head = static_cast<unsigned char>(bytes.front());
  const bool negative = head < zero_length;
  const unsigned length = negative ? zero_length - 1 - head : head - zero_length;
  if (length > sizeof(std::int64_t) || bytes.size() != length + 1) return std::nullopt;
  std::uint64_t magnitude = 0;
  for (const char digit : bytes.substr(1)) {
    magnitude = magnitude << 8 | static_cast<unsigned char>(negative ? ~digit : digit);
  }
  const bool padded = length > 0 && magnitude >> (8 * (length - 1)) == 0;
  if (padded || magnitude > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
  return static_cast<std::int64_t>(negative ? ~magnitude : magnitude);
}

}  // namespace meridian
