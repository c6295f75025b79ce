#include "core/decimal.hpp"

#include <gtest/gtest.h>

#include <boost/multiprecision/cpp_int.hpp>
#include <limits>
#include <random>

#include "core/error.hpp"

namespace meridian {
namespace {

using boost::multiprecision::cpp_int;

Decimal dec(std::string_view text) { return Decimal::parse(text); }

ErrorKind parse_failure(std::string_view text) {
  try {
    (void)Decimal::parse(text);
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "accepted " << text.substr(0, 40);
  return ErrorKind::invalid_rule;
}

TEST(Decimal, PrintsWhatItRead) {
  for (const char* text :
       {"0", "0.00", "-0.01", "12", "-12.50", "9223372036854775807", "-9223372036854775808", "9223372036854775808",
        "-9223372036854775809", "123456789012345678901234567890.123456789", "0.0000000000000000000000000001"}) {
    EXPECT_EQ(dec(text).to_string(), text);
  }
}

TEST(Decimal, ReadsOtherSpellings) {
  EXPECT_EQ(dec("+5"), Decimal::from_int64(5));
  EXPECT_EQ(dec("007"), Decimal::from_int64(7));
  EXPECT_EQ(dec("-0"), Decimal());
  EXPECT_EQ(dec("-0.00").to_string(), "0.00");
  EXPECT_EQ(dec(".5").to_string(), "0.5");
  EXPECT_EQ(dec("5.").to_string(), "5");
  EXPECT_EQ(dec("1.5e3").to_string(), "1500");
  EXPECT_EQ(dec("1.5E+1").to_string(), "15");
  EXPECT_EQ(dec("1.25e1").to_string(), "12.5");
  EXPECT_EQ(dec("15e-3").to_string(), "0.015");
  EXPECT_EQ(dec("0e5").to_string(), "0");
  EXPECT_EQ(dec("3e30").to_string(), "3" + std::string(30, '0'));
}

TEST(Decimal, RefusesGarbage) {
  for (const char* text :
       {"", "-", "+", ".", "-.", "e5", "1e", "1e+", "1.2.3", " 1", "1 ", "0x10", "1_000", "--1", "١"}) {
    EXPECT_EQ(parse_failure(text), ErrorKind::malformed_text) << text;
  }
  EXPECT_EQ(parse_failure(std::string_view("1\0", 2)), ErrorKind::malformed_text);
}

TEST(Decimal, RefusesSpecialValues) {
  for (const char* text : {"NaN", "nan", "Infinity", "-Infinity", "inf", "+INF"}) {
    EXPECT_EQ(parse_failure(text), ErrorKind::not_additive) << text;
  }
}

TEST(Decimal, KeepsTheLimitsOfNumeric) {
  const std::string widest(Decimal::max_integer_digits, '9');
  const std::string finest = "." + std::string(Decimal::max_scale, '9');
  EXPECT_EQ(dec(widest + finest).to_string(), widest + finest);
  EXPECT_TRUE(dec(widest + finest).fits_numeric());
  EXPECT_EQ(dec("1e131071").to_string().size(), Decimal::max_integer_digits);
  EXPECT_EQ(parse_failure(widest + "9"), ErrorKind::limit_exceeded);
  EXPECT_EQ(parse_failure(finest + "9"), ErrorKind::limit_exceeded);
  EXPECT_EQ(parse_failure("1e131072"), ErrorKind::limit_exceeded);
  EXPECT_EQ(parse_failure("1e-16384"), ErrorKind::limit_exceeded);
  EXPECT_EQ(parse_failure("1e99999999999999999999"), ErrorKind::limit_exceeded);
  EXPECT_FALSE((dec(widest) + dec("1")).fits_numeric());
  EXPECT_EQ((dec(widest) + dec("1") + dec("-1")).to_string(), widest) << "arithmetic goes beyond the limits";
}

TEST(Decimal, ScaleOfASumIsTheLarger) {
  EXPECT_EQ((dec("1.5") + dec("2.500")).to_string(), "4.000");
  EXPECT_EQ((dec("1.5") - dec("1.500")).to_string(), "0.000");
  EXPECT_EQ((dec("0.00") + dec("7")).to_string(), "7.00");
  EXPECT_EQ((-dec("1.50")).to_string(), "-1.50");
  EXPECT_EQ((-dec("0.0")).to_string(), "0.0");
}

TEST(Decimal, CrossesTheEdgeOfInt64AndBack) {
  constexpr auto highest = std::numeric_limits<std::int64_t>::max();
  constexpr auto lowest = std::numeric_limits<std::int64_t>::min();
  const Decimal one = Decimal::from_int64(1);
  EXPECT_EQ((Decimal::from_int64(highest) + one).to_string(), "9223372036854775808");
  EXPECT_EQ((-Decimal::from_int64(lowest)).to_string(), "9223372036854775808");
  EXPECT_EQ(Decimal::from_int64(highest) + one - one, Decimal::from_int64(highest));
  EXPECT_EQ(-(-Decimal::from_int64(lowest)), Decimal::from_int64(lowest));
  EXPECT_EQ((Decimal::from_int64(lowest) - one + one).big_mantissa(), nullptr);
}

TEST(Decimal, EqualityKnowsTheScaleAndOrderDoesNot) {
  EXPECT_NE(dec("1.0"), dec("1.00"));
  EXPECT_TRUE(compare(dec("1.0"), dec("1.00")) == 0);
  EXPECT_TRUE(compare(dec("-2"), dec("1e40")) < 0);
  EXPECT_TRUE(compare(dec("-1e40"), dec("-1e39")) < 0);
  EXPECT_TRUE(compare(dec("0.30"), dec("0.3001")) < 0);
  EXPECT_TRUE(compare(dec("9223372036854775807"), dec("0.5")) > 0);
}

TEST(Decimal, ConvertsToIntegerOnlyIfExact) {
  EXPECT_EQ(dec("12.00").to_int64(), 12);
  EXPECT_EQ(dec("12.50").to_int64(), std::nullopt);
  EXPECT_EQ(dec("0." + std::string(100, '0')).to_int64(), 0);
  EXPECT_EQ(dec("-9223372036854775808.000").to_int64(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(dec("9223372036854775807." + std::string(40, '0')).to_int64(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(dec("9223372036854775808").to_int64(), std::nullopt);
  EXPECT_EQ(dec("1." + std::string(40, '0') + "1").to_int64(), std::nullopt);
  EXPECT_EQ(dec("0." + std::string(40, '0') + "1").to_int64(), std::nullopt);
}

TEST(Decimal, RaisesTheScaleButDropsNoDigit) {
  EXPECT_EQ(dec("1.5").with_scale(3).to_string(), "1.500");
  EXPECT_EQ(dec("1.5").with_scale(0).to_string(), "1.5");
  EXPECT_EQ(dec("0").with_scale(2).to_string(), "0.00");
  EXPECT_EQ(dec("9223372036854775807").with_scale(1).to_string(), "9223372036854775807.0");
}

TEST(Decimal, AssignsToItself) {
  Decimal big = dec("1e30");
  const Decimal& same = big;
  big = same;
  EXPECT_EQ(big, dec("1e30"));
  big += same;
  EXPECT_EQ(big, dec("2e30"));
}

/// A number around a random size, often on the edges of int64 and of a limb.
cpp_int random_integer(std::mt19937_64& random) {
  cpp_int value = 0;
  switch (random() % 4) {
    case 0:
      value = static_cast<std::int64_t>(random());
      break;
    case 1:
      value = boost::multiprecision::pow(cpp_int(10), static_cast<unsigned>(random() % 40)) +
              static_cast<int>(random() % 3) - 1;
      break;
    case 2:
      value = (cpp_int(1) << (random() % 130)) + static_cast<int>(random() % 3) - 1;
      break;
    default:
      value = static_cast<std::int64_t>(random() % 1000);
  }
  return random() % 2 == 0 ? value : -value;
}

Decimal to_decimal(const cpp_int& mantissa, unsigned scale) {
  return Decimal::parse(mantissa.str() + "e-" + std::to_string(scale));
}

TEST(DecimalProperty, AgreesWithAnIndependentImplementation) {
  std::mt19937_64 random(20240611);
  for (int i = 0; i < 50'000; ++i) {
    const cpp_int a = random_integer(random);
    const cpp_int b = random_integer(random);
    const auto scale_a = static_cast<unsigned>(random() % 25);
    const auto scale_b = random() % 2 == 0 ? scale_a : static_cast<unsigned>(random() % 25);
    const unsigned scale = std::max(scale_a, scale_b);
    const cpp_int aligned_a = a * boost::multiprecision::pow(cpp_int(10), scale - scale_a);
    const cpp_int aligned_b = b * boost::multiprecision::pow(cpp_int(10), scale - scale_b);
    const Decimal x = to_decimal(a, scale_a);
    const Decimal y = to_decimal(b, scale_b);

    ASSERT_EQ(x + y, to_decimal(aligned_a + aligned_b, scale)) << a << " " << b;
    ASSERT_EQ(x - y, to_decimal(aligned_a - aligned_b, scale)) << a << " " << b;
    ASSERT_EQ(-x, to_decimal(-a, scale_a));
    const int order = aligned_a.compare(aligned_b);
    ASSERT_TRUE(compare(x, y) == (order <=> 0)) << a << " " << b;
    ASSERT_EQ(x == y, a == b && scale_a == scale_b);
    ASSERT_EQ(Decimal::parse(x.to_string()), x);
    const bool fits = a >= std::numeric_limits<std::int64_t>::min() && a <= std::numeric_limits<std::int64_t>::max();
    ASSERT_EQ(x.big_mantissa() == nullptr, fits);
  }
}

}  // namespace
}  // namespace meridian
