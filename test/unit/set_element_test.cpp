#include "core/set_element.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <vector>

namespace meridian {
namespace {

std::string bytes_of_integer(std::int64_t value) {
  std::array<char, max_integer_bytes> bytes{};
  return {bytes.data(), put_integer(value, bytes.data())};
}

TEST(SetElement, IntegersAreShort) {
  using namespace std::string_literals;
  EXPECT_EQ(bytes_of_integer(0), "\x80"s);
  EXPECT_EQ(bytes_of_integer(7), "\x81\x07"s);
  EXPECT_EQ(bytes_of_integer(300), "\x82\x01\x2c"s);
  EXPECT_EQ(bytes_of_integer(-1), "\x7f"s);
  EXPECT_EQ(bytes_of_integer(-2), "\x7e\xfe"s);
}

TEST(SetElement, BytesSortAsIntegersDo) {
  std::vector<std::int64_t> numbers = {std::numeric_limits<std::int64_t>::min(),
                                       std::numeric_limits<std::int64_t>::max(), 0};
  for (int shift = 0; shift < 63; ++shift) {
    for (const std::int64_t near : {-1, 0, 1}) {
      const std::int64_t number = (std::int64_t{1} << shift) + near;
      numbers.push_back(number);
      numbers.push_back(-number);
    }
  }
  std::ranges::sort(numbers);
  std::string previous;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const std::string bytes = bytes_of_integer(numbers[i]);
    ASSERT_EQ(integer_of_bytes(bytes), numbers[i]);
    if (i > 0 && numbers[i] != numbers[i - 1]) {
      ASSERT_LT(previous, bytes) << numbers[i];
    }
    previous = bytes;
  }
}

TEST(SetElement, RefusesOtherForms) {
  using namespace std::string_literals;
  for (const std::string& bytes :
       {""s, "\x81"s, "\x80\x01"s, "\x82\x00\x07"s, "\x7e\xff"s, "\x89"s + std::string(9, 'x'),
        "\x88\xff\xff\xff\xff\xff\xff\xff\xff"s, "\x76"s, "\xff"s, "\x00"s}) {
    EXPECT_EQ(integer_of_bytes(bytes), std::nullopt);
  }
}

}  // namespace
}  // namespace meridian
