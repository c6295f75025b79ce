#include "core/cdc_number.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>

#include "core/error.hpp"
#include "unit/cdc_text.hpp"

namespace meridian::cdc {
namespace {

std::string float8(double value) {
  return written([=](Buffer& out) { write_float8(out, value); });
}
std::string float4(float value) {
  return written([=](Buffer& out) { write_float4(out, value); });
}

TEST(CdcNumber, FloatsAreJavas) {
  EXPECT_EQ(float8(4), "4.0");
  EXPECT_EQ(float8(0), "0.0");
  EXPECT_EQ(float8(-0.0), "-0.0");
  EXPECT_EQ(float8(3.14), "3.14");
  EXPECT_EQ(float8(-123.456), "-123.456");
  EXPECT_EQ(float8(1e10), "1.0E10");
  EXPECT_EQ(float8(1.5e300), "1.5E300");
  EXPECT_EQ(float8(1e-5), "1.0E-5");
  EXPECT_EQ(float8(0.001), "0.001");
  EXPECT_EQ(float8(9.99e-4), "9.99E-4");
  EXPECT_EQ(float8(9999999), "9999999.0");
  EXPECT_EQ(float8(1e7), "1.0E7");
  EXPECT_EQ(float4(3.14F), "3.14");
  EXPECT_EQ(float4(16777216.0F), "1.6777216E7");
  EXPECT_EQ(float8(std::nan("")), "\"NaN\"");
  EXPECT_EQ(float8(HUGE_VAL), "\"Infinity\"");
  EXPECT_EQ(float8(-HUGE_VAL), "\"-Infinity\"");
}

TEST(CdcNumber, FloatsReadBack) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    const std::uint64_t bits = random();
    double value;
    std::memcpy(&value, &bits, sizeof value);
    if (!std::isfinite(value)) continue;
    EXPECT_EQ(std::strtod(float8(value).c_str(), nullptr), value);
  }
}

/// A numeric as PostgreSQL stores it, in the long or, where it fits, the short form.
std::string stored(const std::string& text, bool short_form = false) {
  const bool negative = text[0] == '-';
  const std::string digits = negative ? text.substr(1) : text;
  const std::size_t point = std::min(digits.find('.'), digits.size());
  std::string before = digits.substr(0, point);
  std::string after = point < digits.size() ? digits.substr(point + 1) : "";
  const auto scale = static_cast<std::uint16_t>(after.size());
  while (before.size() % 4 != 0) before.insert(0, "0");
  while (after.size() % 4 != 0) after += '0';
  std::vector<std::uint16_t> places;
  for (std::size_t i = 0; i < before.size() + after.size(); i += 4) {
    places.push_back(static_cast<std::uint16_t>(std::stoi((before + after).substr(i, 4))));
  }
  int weight = static_cast<int>(before.size() / 4) - 1;
  while (!places.empty() && places.front() == 0) {
    places.erase(places.begin());
    --weight;
  }
  while (!places.empty() && places.back() == 0) places.pop_back();
  if (places.empty()) weight = 0;
  std::string bytes;
  const auto put = [&bytes](std::uint16_t word) { bytes.append(reinterpret_cast<const char*>(&word), 2); };
  if (short_form) {
    put(static_cast<std::uint16_t>(0x8000 | (negative && !places.empty() ? 0x2000 : 0) | scale << 7 | (weight & 0x7F)));
  } else {
    put(static_cast<std::uint16_t>((negative && !places.empty() ? 0x4000 : 0) | scale));
    put(static_cast<std::uint16_t>(weight));
  }
  for (const std::uint16_t place : places) put(place);
  return bytes;
}

std::string numeric(const std::string& text, int scale, DecimalMode mode = DecimalMode::precise) {
  return written([&](Buffer& out) { write_numeric(out, stored(text), scale, mode); });
}

TEST(CdcNumber, NumericWithScale) {
  EXPECT_EQ(numeric("1.10", 2), "\"bg==\"");
  EXPECT_EQ(numeric("-123.45", 2), "\"z8c=\"");
  EXPECT_EQ(numeric("0.00", 2), "\"AA==\"");
  EXPECT_EQ(numeric("1.27", 2), "\"fw==\"");
  EXPECT_EQ(numeric("1.28", 2), "\"AIA=\"");
  EXPECT_EQ(numeric("-1.28", 2), "\"gA==\"");
  EXPECT_EQ(numeric("-1.29", 2), "\"/38=\"");
  EXPECT_EQ(numeric("0.0001", 4), "\"AQ==\"");
  EXPECT_EQ(numeric("0.00000000000000000001", 20), "\"AQ==\"");
  EXPECT_EQ(numeric("1234.11", 2), "\"AeIT\"");
  EXPECT_EQ(numeric("1.10", 2, DecimalMode::string), "\"1.10\"");
  EXPECT_EQ(numeric("0.05", 2, DecimalMode::string), "\"0.05\"");
  EXPECT_EQ(numeric("-0.05", 2, DecimalMode::string), "\"-0.05\"");
  EXPECT_EQ(numeric("100000000000000000000", 0, DecimalMode::string), "\"100000000000000000000\"");
  EXPECT_EQ(numeric("1.10", 2, DecimalMode::float64), "1.1");
  EXPECT_EQ(numeric("-12345678901.5", 1, DecimalMode::float64), "-1.23456789015E10");
}

TEST(CdcNumber, NumericWithoutScale) {
  EXPECT_EQ(numeric("10.1111", -1), R"({"scale":4,"value":"AYr3"})");
  EXPECT_EQ(numeric("1.10", -1), R"({"scale":1,"value":"Cw=="})");
  EXPECT_EQ(numeric("1200", -1), R"({"scale":0,"value":"BLA="})");
  EXPECT_EQ(numeric("0", -1), R"({"scale":0,"value":"AA=="})");
  EXPECT_EQ(numeric("10.1100", -1, DecimalMode::string), "\"10.1100\"");
}

TEST(CdcNumber, NumericWithoutNumber) {
  const auto special = [](std::uint16_t header, DecimalMode mode) {
    return written([=](Buffer& out) { write_numeric(out, {reinterpret_cast<const char*>(&header), 2}, 2, mode); });
  };
  EXPECT_EQ(special(0xC000, DecimalMode::string), "\"NAN\"");
  EXPECT_EQ(special(0xD000, DecimalMode::string), "\"POSITIVE_INFINITY\"");
  EXPECT_EQ(special(0xF000, DecimalMode::string), "\"NEGATIVE_INFINITY\"");
  EXPECT_EQ(special(0xC000, DecimalMode::float64), "\"NaN\"");
  EXPECT_EQ(special(0xC000, DecimalMode::precise), "null");
}

TEST(CdcNumber, MalformedNumericIsRefused) {
  Buffer out;
  EXPECT_THROW(write_numeric(out, "", 2, DecimalMode::precise), Error);
  EXPECT_THROW(write_numeric(out, std::string_view("\0", 1), 2, DecimalMode::precise), Error);
  EXPECT_THROW(write_numeric(out, std::string_view("\0\0\0\0\1", 5), 2, DecimalMode::precise), Error);
  EXPECT_THROW(write_numeric(out, std::string_view("\0\0\0\0\x10\x27", 6), 2, DecimalMode::string), Error);  // 10000
}

std::string decoded(std::string_view base64) {
  std::string bytes;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : base64) {
    if (c == '"' || c == '=') continue;
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bits = bits << 6 | static_cast<std::uint32_t>(digits.find(c));
    count += 6;
    if (count >= 8) bytes.push_back(static_cast<char>(bits >> (count -= 8) & 0xFF));
  }
  return bytes;
}

/// The decimal text of a big-endian two's complement, by division by ten.
std::string decimal_text(std::string bytes) {
  const bool negative = (bytes[0] & 0x80) != 0;
  if (negative) {
    for (char& byte : bytes) byte = static_cast<char>(~byte);
    for (auto byte = bytes.rbegin(); byte != bytes.rend() && ++*byte == 0;) ++byte;
  }
  std::string text;
  while (std::any_of(bytes.begin(), bytes.end(), [](char byte) { return byte != 0; })) {
    unsigned rest = 0;
    for (char& byte : bytes) {
      rest = rest << 8 | static_cast<unsigned char>(byte);
      byte = static_cast<char>(rest / 10);
      rest %= 10;
    }
    text.insert(text.begin(), static_cast<char>('0' + rest));
  }
  if (text.empty()) return "0";
  return negative ? "-" + text : text;
}

TEST(CdcNumber, RandomNumericsReadBack) {
  std::mt19937 random(7);
  for (int i = 0; i < 5000; ++i) {
    const int scale = static_cast<int>(random() % 30);
    std::string unscaled;
    for (int n = static_cast<int>(random() % 50); n >= 0; --n) unscaled += static_cast<char>('0' + random() % 10);
    if (random() % 4 == 0) unscaled.append(random() % 12, '0');
    unscaled.erase(0, std::min(unscaled.find_first_not_of('0'), unscaled.size() - 1));
    const bool negative = unscaled != "0" && random() % 2 == 0;
    std::string text = unscaled;
    if (text.size() <= static_cast<std::size_t>(scale))
      text.insert(0, static_cast<std::size_t>(scale) + 1 - text.size(), '0');
    if (scale > 0) text.insert(text.size() - static_cast<std::size_t>(scale), ".");
    if (negative) text.insert(0, "-");
    EXPECT_EQ(decimal_text(decoded(numeric(text, scale))), (negative ? "-" : "") + unscaled) << text;
    EXPECT_EQ(numeric(text, scale, DecimalMode::string), '"' + text + '"');
    EXPECT_EQ(std::strtod(numeric(text, -1, DecimalMode::float64).c_str(), nullptr),
              std::strtod(text.c_str(), nullptr));
  }
}

TEST(CdcNumber, ShortFormIsTheSame) {
  for (const char* text : {"0", "1.10", "-123.45", "0.0001", "99999999.99", "-0.5"}) {
    const std::string bytes = stored(text, true);
    const std::string plain = written([&](Buffer& out) { write_numeric(out, bytes, -1, DecimalMode::string); });
    EXPECT_EQ(plain, '"' + std::string(text) + '"');
  }
}

TEST(CdcNumber, Money) {
  const auto money = [](std::int64_t cents, DecimalMode mode) {
    return written([=](Buffer& out) { write_money(out, cents, mode); });
  };
  EXPECT_EQ(money(123411, DecimalMode::precise), "\"AeIT\"");
  EXPECT_EQ(money(123411, DecimalMode::string), "\"1234.11\"");
  EXPECT_EQ(money(-5, DecimalMode::string), "\"-0.05\"");
  EXPECT_EQ(money(123411, DecimalMode::float64), "1234.11");
  EXPECT_EQ(money(std::numeric_limits<std::int64_t>::min(), DecimalMode::string), "\"-92233720368547758.08\"");
  EXPECT_EQ(money(std::numeric_limits<std::int64_t>::min(), DecimalMode::precise), "\"gAAAAAAAAAA=\"");
}

}  // namespace
}  // namespace meridian::cdc
