#include <gtest/gtest.h>

#include "core/error.hpp"
#include "core/row_state_codec.hpp"
#include "unit/random_rows.hpp"
#include "unit/rows.hpp"

namespace meridian {
namespace {

using namespace meridian::testing;

TEST(RowStateText, ShowsEveryPart) {
  const std::string text =
      "{entries:[3/2@1718000000000.0 last 1718000000001.7 +2=-50 +3=0.00,4@0.1 last 0.0],"
      "groups:[0:3/2@1718000000000.0 last 1718000000001.7,9:4@0.1 last 0.0],lattices:[5@0.1]}";
  // Actors sort by epoch first, so this order is wrong, and the other is right.
  EXPECT_THROW((void)parse_text(text), Error);
  const std::string sorted =
      "{entries:[4@0.1 last 0.0,3/2@1718000000000.0 last 1718000000001.7 +2=-50 +3=0.00],"
      "groups:[0:3/2@1718000000000.0 last 1718000000001.7,9:4@0.1 last 0.0],lattices:[5@0.1]}";
  const RowState state = parse_text(sorted);
  EXPECT_EQ(to_text(state), sorted);
  EXPECT_EQ(state.entries[1].actor, Actor::from_parts(2, 3));
  EXPECT_EQ(state.entries[1].last, Hlc::from_parts(1'718'000'000'001, 7));
  EXPECT_EQ(stock_of(state), "-50");
}

TEST(RowStateText, ReadsTheExampleOfTheDocumentation) {
  const std::string text =
      "{entries:[1@1718000000000.0 last 1718000000000.0 +2=100.00,2@1718000000000.0 last 1718000005250.0 +2=-30.00],"
      "groups:[0:1@1718000000000.0 last 1718000000000.0]}";
  EXPECT_EQ(to_text(parse_text(text)), text);
  EXPECT_EQ(stock_of(parse_text(text)), "70.00");
}

TEST(RowStateText, LeavesOutEmptySections) {
  EXPECT_EQ(to_text(RowState{}), "{}");
  EXPECT_EQ(parse_text("{}"), RowState{});
  EXPECT_EQ(to_text(parse_text("{entries:[1@0.1 last 0.0]}")), "{entries:[1@0.1 last 0.0]}");
  EXPECT_EQ(to_text(parse_text("{lattices:[1@0.1]}")), "{lattices:[1@0.1]}");
}

TEST(RowStateText, IsPrintableAscii) {
  Random random(31);
  for (int i = 0; i < 2000; ++i) {
    for (const char c : to_text(any_state(random))) ASSERT_TRUE(c >= ' ' && c <= '~');
  }
}

TEST(RowStateText, RefusesEverythingElse) {
  for (const char* text : {
           "",
           "{",
           "}",
           "{} ",
           " {}",
           "{entries:[]}",
           "{,entries:[1@0.1 last 0.0]}",
           "{entries:[1@0.1 last 0.0],}",
           "{entries:[1@0.1 last 0.0,]}",
           "{entries:[1@0.1 last 0.0}",
           "{entries:[1@0.1  last 0.0]}",
           "{entries:[1@0.1 last 0]}",
           "{entries:[1@0.1 last 0.]}",
           "{entries:[01@0.1 last 0.0]}",
           "{entries:[1/0@0.1 last 0.0]}",
           "{entries:[65536@0.1 last 0.0]}",
           "{entries:[1@0.65536 last 0.0]}",
           "{entries:[1@281474976710656.0 last 0.0]}",
           "{entries:[1@99999999999999999999999.0 last 0.0]}",
           "{entries:[1@-1.0 last 0.0]}",
           "{entries:[1@0.1 last 0.0,1@0.1 last 0.5]}",
           "{entries:[1@0.1 last 0.0 +2=]}",
           "{entries:[1@0.1 last 0.0 +2=NaN]}",
           "{entries:[1@0.1 last 0.0 +2=+5]}",
           "{entries:[1@0.1 last 0.0 +2=05]}",
           "{entries:[1@0.1 last 0.0 +2=-0]}",
           "{entries:[1@0.1 last 0.0 +2=5.]}",
           "{entries:[1@0.1 last 0.0 +2=5e1]}",
           "{entries:[1@0.1 last 0.0 +2=5 +2=6]}",
           "{groups:[0:1@0.1 last 0.0],entries:[1@0.1 last 0.0]}",
           "{groups:[1:1@0.1 last 0.0,0:1@0.1 last 0.0]}",
           "{groups:[0:1@0.1 last 0.0],groups:[1:1@0.1 last 0.0]}",
           "{lattices:[1@0.1,1@0.1]}",
       }) {
    try {
      (void)parse_text(text);
      ADD_FAILURE() << "accepted " << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::malformed_text) << text;
    }
  }
}

TEST(RowStateText, NamesThePlaceOfAnError) {
  try {
    (void)parse_text("{entries:[x]}");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "malformed row state at character 11: expected a number");
  }
}

TEST(RowStateText, ChangedTextIsRefusedOrCanonical) {
  constexpr std::string_view alphabet = "{}[]:,@.+-=/0123456789 laste";
  Random random(32);
  for (int i = 0; i < 100'000; ++i) {
    std::string text = to_text(any_state(random));
    const auto position = below(random, text.size());
    switch (below(random, 3)) {
      case 0:
        text[position] = alphabet[below(random, alphabet.size())];
        break;
      case 1:
        text.erase(position, 1 + below(random, 3));
        break;
      default:
        text.insert(position, 1, alphabet[below(random, alphabet.size())]);
    }
    try {
      ASSERT_EQ(to_text(parse_text(text)), text);
    } catch (const Error& error) {
      ASSERT_TRUE(error.kind() == ErrorKind::malformed_text || error.kind() == ErrorKind::limit_exceeded);
    }
  }
}

TEST(RowStateText, ElementsAreQuoted) {
  RowState state;
  state.entries.push_back({anna, at(0), at(1), {}});
  state.sets.push_back({5, at(0)});
  state.dots.push_back({5, std::string("\0\n", 2), anna, at(0), at(0), ""});
  state.dots.push_back({5, "a b\"\\", anna, at(0), at(1), "\xc3\xa9"});
  const std::string text =
      "{entries:[1@1700000000000.0 last 1700000000001.0],sets:[5@1700000000000.0],"
      "elements:[5:\"\\x00\\x0a\" 1@1700000000000.0 last 1700000000000.0,"
      "5:\"a b\\x22\\x5c\"=\"\\xc3\\xa9\" 1@1700000000000.0 last 1700000000001.0]}";
  EXPECT_EQ(to_text(state), text);
  EXPECT_EQ(parse_text(text), state);
}

TEST(RowStateText, RefusesOtherFormsOfElements) {
  const auto parse = [](std::string_view element) {
    return parse_text("{entries:[1@5.0 last 6.0],sets:[5@5.0],elements:[" + std::string(element) + "]}");
  };
  EXPECT_EQ(parse("5:\"a\" 1@5.0 last 6.0").dots.size(), 1U);
  for (const char* element :
       {"5:\"\\x61\" 1@5.0 last 6.0", "5:\"\\xC3\" 1@5.0 last 6.0", "5:\"\n\" 1@5.0 last 6.0",
        "5:\"a\"=\"\" 1@5.0 last 6.0", "5:\"a\" 2@5.0 last 6.0", "5:\"a\" 1@6.0 last 6.0", "5:\"a\" 1@5.0 last 7.0",
        "4:\"a\" 1@5.0 last 6.0", "5:\"a 1@5.0 last 6.0", "5:\"b\" 1@5.0 last 6.0,5:\"a\" 1@5.0 last 6.0"}) {
    EXPECT_THROW((void)parse(element), Error) << element;
  }
}

TEST(RowStateText, HasALimit) {
  RowState state;
  for (std::uint32_t i = 0; i < 2000; ++i) {
    state.entries.push_back({Actor{i}, at(0), at(1), {}});
    state.entries.back().contributions.push_back({1, Decimal::from_mantissa(0, Decimal::max_scale)});
  }
  Bytes bytes;
  encode(state, bytes);
  EXPECT_LT(bytes.size(), 40'000U);
  EXPECT_THROW((void)to_text(state), Error) << "40 kB must not become 32 MB";
}

}  // namespace
}  // namespace meridian
