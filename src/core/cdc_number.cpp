#include "core/cdc_number.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <vector>

#include "core/cdc_json.hpp"
#include "core/error.hpp"

namespace meridian::cdc {
namespace {

/// Java: plain from 10^-3 to below 10^7, else d.dddE[-]n; a digit after the point always. Both Java and to_chars print
/// the fewest digits that read back as the same number.
template <typename Float>
void write_float(Buffer& out, Float value) {
  if (std::isnan(value)) return out.append("\"NaN\"");
  if (std::isinf(value)) return out.append(value > 0 ? std::string_view("\"Infinity\"") : "\"-Infinity\"");
  const Float size = std::fabs(value);
  char* to = out.room(64);
  if (size == 0 || (size >= static_cast<Float>(1e-3L) && size < static_cast<Float>(1e7L))) {
    char* end = std::to_chars(to, to + 60, value, std::chars_format::fixed).ptr;
    if (std::find(to, end, '.') == end) {
      *end++ = '.';
      *end++ = '0';
    }
    return out.advance(end);
  }
  char text[64];
  const char* const end = std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr;
  const char* const exponent = std::find(static_cast<const char*>(text), end, 'e');
  to = std::copy(static_cast<const char*>(text), exponent, to);
  if (std::find(static_cast<const char*>(text), exponent, '.') == exponent) {
    *to++ = '.';
    *to++ = '0';
  }
  *to++ = 'E';
  int power = 0;
  std::from_chars(exponent + (exponent[1] == '+' ? 2 : 1), end, power);
  out.advance(std::to_chars(to, to + 8, power).ptr);
}

constexpr std::uint16_t class_mask = 0xC000;
constexpr std::uint16_t negative_long = 0x4000;
constexpr std::uint16_t short_form = 0x8000;
constexpr std::uint16_t special_form = 0xC000;
constexpr std::uint16_t special_mask = 0xF000;
constexpr std::uint16_t positive_infinity = 0xD000;
constexpr std::uint16_t negative_infinity = 0xF000;

std::uint16_t read_u16(const char* from) noexcept {
  std::uint16_t value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

constexpr int digits_per_place = 4;
constexpr unsigned base = 10000;
constexpr std::uint32_t powers_of_ten[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};

/// The decimal digits of |value| with `scale` digits after the point, no point among them; no zeros in front, "" for 0.
std::string unscaled_digits(const NumericView& value, int scale) {
  const int places_after = (scale + digits_per_place - 1) / digits_per_place;
  std::string text;
  for (int i = 0; i <= value.weight() + places_after; ++i) {
    unsigned digit = value.digit(i);
    for (unsigned unit = 1000; unit > 0; unit /= 10) {
      text.push_back(static_cast<char>('0' + digit / unit));
      digit %= unit;
    }
  }
  // weight can be below -1: then the places between the point and the first digit are missing in front, which are
  // zeros.
  const std::size_t surplus = static_cast<std::size_t>(places_after * digits_per_place - scale);
  text.resize(text.size() > surplus ? text.size() - surplus : 0);
  text.erase(0, std::min(text.find_first_not_of('0'), text.size()));
  return text;
}

/// Base64 of the shortest big-endian two's complement of a number below 2^63 in size, as BigInteger.toByteArray.
void write_small_unscaled(Buffer& out, std::int64_t value) {
  char bytes[8];
  int used = 0;
  for (int shift = 56; shift >= 0; shift -= 8) {
    const auto byte = static_cast<std::uint8_t>(static_cast<std::uint64_t>(value) >> shift);
    const std::uint8_t sign = value < 0 ? 0xFF : 0;
    // A byte of nothing but sign bits is needed only if the next one would show the wrong sign.
    if (used == 0 && shift > 0 && byte == sign &&
        ((static_cast<std::uint64_t>(value) >> (shift - 1)) & 1) == (value < 0 ? 1U : 0U)) {
      continue;
    }
    bytes[used++] = static_cast<char>(byte);
  }
  out.append('"');
  write_base64(out, {bytes, static_cast<std::size_t>(used)});
  out.append('"');
}

/// The same of a number of any size, from its decimal digits.
void write_large_unscaled(Buffer& out, std::string_view digits, bool negative) {
  std::vector<std::uint32_t> limbs;  // base 2^32, least significant first
  while (!digits.empty()) {
    const std::size_t length = std::min<std::size_t>(9, digits.size());
    std::uint32_t chunk = 0;
    std::from_chars(digits.data(), digits.data() + length, chunk);
    digits.remove_prefix(length);
    std::uint64_t carry = chunk;
    for (std::uint32_t& limb : limbs) {
      carry += std::uint64_t{limb} * powers_of_ten[length];
      limb = static_cast<std::uint32_t>(carry);
      carry >>= 32;
    }
    if (carry > 0) limbs.push_back(static_cast<std::uint32_t>(carry));
  }
  std::string bytes(1, '\0');  // room for the sign
  for (auto limb = limbs.rbegin(); limb != limbs.rend(); ++limb) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(*limb >> shift));
  }
  if (negative) {
    for (char& byte : bytes) byte = static_cast<char>(~byte);
    for (auto byte = bytes.rbegin(); byte != bytes.rend() && ++*byte == 0;) ++byte;
  }
  const char sign = negative ? '\xFF' : '\0';
  std::size_t skipped = 0;
  while (skipped + 1 < bytes.size() && bytes[skipped] == sign && ((bytes[skipped + 1] ^ sign) & 0x80) == 0) ++skipped;
  out.append('"');
  write_base64(out, std::string_view(bytes).substr(skipped));
  out.append('"');
}

/// The unscaled integer at that scale if it has at most 16 digits for certain.
bool small_unscaled(const NumericView& value, int scale, std::int64_t* result) noexcept {
  const int places_after = (scale + digits_per_place - 1) / digits_per_place;
  const int places = value.weight() + 1 + places_after;
  if (places > 4) return false;
  std::int64_t sum = 0;
  for (int i = 0; i < places; ++i) sum = sum * base + value.digit(i);
  sum /= powers_of_ten[places_after * digits_per_place - scale];
  *result = value.is_negative() ? -sum : sum;
  return true;
}

void write_unscaled(Buffer& out, const NumericView& value, int scale) {
  std::int64_t small = 0;
  if (small_unscaled(value, scale, &small)) return write_small_unscaled(out, small);
  const std::string digits = unscaled_digits(value, scale);
  if (digits.empty()) return write_small_unscaled(out, 0);
  write_large_unscaled(out, digits, value.is_negative());
}

/// The smallest scale that loses no digit.
int least_scale(const NumericView& value) noexcept {
  int last = value.digit_count() - 1;
  while (last >= 0 && value.digit(last) == 0) --last;
  if (last < 0) return 0;
  int scale = (last - value.weight()) * digits_per_place;
  for (unsigned digit = value.digit(last); digit % 10 == 0; digit /= 10) --scale;
  return std::max(scale, 0);
}

void write_plain(Buffer& out, const NumericView& value, int scale) {
  std::string digits = unscaled_digits(value, scale);
  if (value.is_negative() && !digits.empty()) out.append('-');
  const auto after = static_cast<std::size_t>(scale);
  if (digits.size() <= after) digits.insert(0, after + 1 - digits.size(), '0');
  out.append(std::string_view(digits).substr(0, digits.size() - after));
  if (after == 0) return;
  out.append('.');
  out.append(std::string_view(digits).substr(digits.size() - after));
}

void write_special(Buffer& out, NumericView::Class number_class, DecimalMode mode) {
  constexpr std::string_view in_words[] = {"", "\"NAN\"", "\"POSITIVE_INFINITY\"", "\"NEGATIVE_INFINITY\""};
  constexpr std::string_view as_float[] = {"", "\"NaN\"", "\"Infinity\"", "\"-Infinity\""};
  if (mode == DecimalMode::precise) return out.append(json_null);
  out.append((mode == DecimalMode::string ? in_words : as_float)[static_cast<int>(number_class)]);
}

void write_as_float(Buffer& out, const NumericView& value) {
  Buffer text;
  write_plain(text, value, least_scale(value));
  double number = 0;
  const std::string_view digits = text.view();
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (read.ec == std::errc::result_out_of_range) {
    // from_chars leaves the number alone: too small is 0, too large infinite, as in Java.
    number = value.weight() < 0 ? 0.0 : HUGE_VAL;
    if (value.is_negative()) number = -number;
  }
  write_float8(out, number);
}

}  // namespace

void write_float8(Buffer& out, double value) { write_float(out, value); }
void write_float4(Buffer& out, float value) { write_float(out, value); }

NumericView::NumericView(std::string_view stored) {
  constexpr auto malformed = [] { return Error(ErrorKind::malformed_binary, "a numeric value is not well-formed"); };
  if (stored.size() < 2) throw malformed();
  const std::uint16_t header = read_u16(stored.data());
  if ((header & class_mask) == special_form) {
    const std::uint16_t which = header & special_mask;
    class_ = which == positive_infinity   ? Class::positive_infinity
             : which == negative_infinity ? Class::negative_infinity
                                          : Class::nan;
    return;
  }
  if ((header & short_form) != 0) {
    negative_ = (header & 0x2000) != 0;
    scale_ = (header & 0x1F80) >> 7;
    weight_ = static_cast<int>(header & 0x3F) - static_cast<int>(header & 0x40);
    digits_ = stored.substr(2);
  } else {
    if (stored.size() < 4) throw malformed();
    negative_ = (header & class_mask) == negative_long;
    scale_ = header & 0x3FFF;
    weight_ = static_cast<std::int16_t>(read_u16(stored.data() + 2));
    digits_ = stored.substr(4);
  }
  if (digits_.size() % 2 != 0) throw malformed();
  for (int i = 0; i < digit_count(); ++i) {
    if (digit(i) >= base) throw malformed();
  }
}

void write_numeric(Buffer& out, std::string_view stored, int scale, DecimalMode mode) {
  const NumericView value(stored);
  if (value.number_class() != NumericView::Class::finite) return write_special(out, value.number_class(), mode);
  switch (mode) {
    case DecimalMode::precise:
      if (scale >= 0) return write_unscaled(out, value, scale);
      scale = least_scale(value);
      out.append("{\"scale\":");
      write_integer(out, scale);
      out.append(",\"value\":");
      write_unscaled(out, value, scale);
      return out.append('}');
    case DecimalMode::string:
      out.append('"');
      write_plain(out, value, scale >= 0 ? scale : value.scale());
      return out.append('"');
    case DecimalMode::float64:
      return write_as_float(out, value);
  }
}

void write_money(Buffer& out, std::int64_t cents, DecimalMode mode) {
  switch (mode) {
    case DecimalMode::precise:
      return write_small_unscaled(out, cents);
    case DecimalMode::float64:
      return write_float8(out, static_cast<double>(cents) / 100);
    case DecimalMode::string:
      break;
  }
  const std::uint64_t size = cents < 0 ? 0 - static_cast<std::uint64_t>(cents) : static_cast<std::uint64_t>(cents);
  out.append(cents < 0 ? std::string_view("\"-") : "\"");
  write_unsigned(out, size / 100);
  out.append('.');
  write_padded(out, size % 100, 2);
  out.append('"');
}

}  // namespace meridian::cdc
