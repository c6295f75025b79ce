#include "core/json_rows.hpp"

#include <gtest/gtest.h>

#include <string>

namespace meridian {
namespace {

std::string json(std::string_view text, std::uint32_t type) {
  std::string to;
  append_json_value(to, text, json_form_of(type));
  return to;
}

TEST(JsonRows, ValuesKeepTheirKind) {
  EXPECT_EQ(json("t", 16), "true");
  EXPECT_EQ(json("f", 16), "false");
  EXPECT_EQ(json("-42", 23), "-42");
  EXPECT_EQ(json("1.50", 1700), "1.50");
  EXPECT_EQ(json("1e+20", 701), "1e+20");
  EXPECT_EQ(json("NaN", 1700), "\"NaN\"");
  EXPECT_EQ(json("-Infinity", 701), "\"-Infinity\"");
  EXPECT_EQ(json("{\"a\": 1}", 3802), "{\"a\": 1}");
  EXPECT_EQ(json("42", 25), "\"42\"");
  EXPECT_EQ(json("{1,2}", 1007), "\"{1,2}\"");
}

TEST(JsonRows, StringsAreEscaped) {
  EXPECT_EQ(json("a\"b\\c", 25), "\"a\\\"b\\\\c\"");
  EXPECT_EQ(json("line\nend\t\x01", 25), "\"line\\u000aend\\u0009\\u0001\"");
  EXPECT_EQ(json("caf\xc3\xa9", 25), "\"caf\xc3\xa9\"");
  EXPECT_EQ(json("", 25), "\"\"");
}

}  // namespace
}  // namespace meridian
