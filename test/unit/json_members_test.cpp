#include "core/json_members.hpp"

#include <gtest/gtest.h>

#include <string>

namespace meridian {
namespace {

std::string members_of(std::string_view object) {
  std::string out;
  JsonMembers members(object);
  for (JsonMember member; members.next(&member);) {
    out += std::string(member.name) + "=" + std::string(member.value) + ";";
  }
  return members.is_broken() ? out + "broken" : out;
}

TEST(JsonMembers, ValuesStandAsTheyWereWritten) {
  EXPECT_EQ(members_of(R"({"a":1.50,"b":"x\"y","c":{"d":[1,{"e":"}"}]},"f":null})"),
            R"(a=1.50;b="x\"y";c={"d":[1,{"e":"}"}]};f=null;)");
  EXPECT_EQ(members_of("{}"), "");
  EXPECT_EQ(members_of(" { \"a\" : [ ] , \"b\" : true } "), "a=[ ];b=true;");
}

TEST(JsonMembers, WhatIsNoObjectIsBroken) {
  for (const char* text :
       {"", "[1]", "1", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{a:1}", "{\"a\":\"x"}) {
    EXPECT_TRUE(members_of(text).ends_with("broken")) << text;
  }
  EXPECT_TRUE(members_of("{\"a\":" + std::string(300, '[') + std::string(300, ']') + "}").ends_with("broken"));
}

TEST(JsonMembers, AMemberIsFoundByName) {
  EXPECT_EQ(find_member(R"({"a":1,"b":{"a":2}})", "b"), R"({"a":2})");
  EXPECT_EQ(find_member(R"({"a":1})", "c"), std::nullopt);
  EXPECT_EQ(find_member("null", "c"), std::nullopt);
}

TEST(JsonMembers, TextIsPlain) {
  EXPECT_EQ(plain_text(R"("a\"\\\/\b\f\n\r\t")"), "a\"\\/\b\f\n\r\t");
  EXPECT_EQ(plain_text(R"("\u0041\u00fc\u20ac\ud83d\ude00")"), "A\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(plain_text(R"("\ud83d-\ude00")"), "\xef\xbf\xbd-\xef\xbf\xbd");
  EXPECT_EQ(plain_text("1.50"), "1.50");
  EXPECT_EQ(plain_text("null"), "null");
}

}  // namespace
}  // namespace meridian
