#include "core/set_element.hpp"

#include <limits>

namespace meridian {

namespace {

constexpr unsigned zero_length = 0x80;  ///< what the length of the magnitude is added to, or taken from

}  // namespace

std::string bytes_of_integer(std::int64_t value) {
  const bool negative = value < 0;
  // -1 has the shortest form among the negative numbers, so what is written is -1 - value, complemented.
  std::uint64_t magnitude = negative ? ~static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  std::string digits;
  for (; magnitude != 0; magnitude >>= 8) digits.insert(digits.begin(), static_cast<char>(magnitude & 0xff));
  const auto length = static_cast<unsigned>(digits.size());
  const unsigned head = negative ? zero_length - 1 - length : zero_length + length;
  if (negative) {
    for (char& digit : digits) digit = static_cast<char>(~digit);
  }
  return static_cast<char>(head) + digits;
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
