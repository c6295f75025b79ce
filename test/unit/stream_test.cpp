#include "core/stream.hpp"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace meridian {
namespace {

TEST(Stream, NamesSayMemberNumberAndCount) {
  EXPECT_EQ(to_text(StreamName{7, {}}), "meridian_7");
  EXPECT_EQ(to_text(StreamName{7, {2, 3}}), "meridian_7_2of3");
  EXPECT_EQ(stream_names(65535, 1), std::vector<std::string>{"meridian_65535"});
  EXPECT_EQ(stream_names(12, 3),
            (std::vector<std::string>{"meridian_12_1of3", "meridian_12_2of3", "meridian_12_3of3"}));
}

TEST(Stream, EveryNameIsReadBack) {
  std::set<std::string> names;
  for (const int member : {1, 9, 10, 4096, 65535}) {
    for (int count = 1; count <= max_streams; ++count) {
      for (int number = 1; number <= count; ++number) {
        const StreamName name{member, {number, count}};
        EXPECT_EQ(parse_stream_name(to_text(name)), name);
        EXPECT_TRUE(names.insert(to_text(name)).second) << to_text(name);
      }
    }
  }
}

TEST(Stream, OtherTextsAreNoNames) {
  for (const char* text : {"",
                           "meridian",
                           "meridian_",
                           "meridian_0",
                           "meridian_01",
                           "meridian_65536",
                           "meridian_99999999999999999999",
                           "meridian_-1",
                           "meridian_+1",
                           "meridian_ 1",
                           "meridian_1 ",
                           "meridian_x",
                           "Meridian_1",
                           "xmeridian_1",
                           "meridian_1_",
                           "meridian_1_1",
                           "meridian_1_1of",
                           "meridian_1_of2",
                           "meridian_1_1of1",
                           "meridian_1_0of2",
                           "meridian_1_3of2",
                           "meridian_1_01of2",
                           "meridian_1_1of02",
                           "meridian_1_1of17",
                           "meridian_1_1of2_",
                           "meridian_1_1of2x",
                           "meridian_1_1OF2",
                           "meridian_1_1 of 2",
                           "meridian_1_-1of2"}) {
    EXPECT_EQ(parse_stream_name(text), std::nullopt) << text;
  }
  EXPECT_EQ(parse_stream_name(std::string_view("meridian_1\0", 11)), std::nullopt);
}

TEST(Stream, AKeyTravelsInExactlyOne) {
  constexpr std::uint64_t largest = ~std::uint64_t{0};
  for (int count = 1; count <= max_streams; ++count) {
    for (const std::uint64_t hash : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{15}, largest - 1, largest}) {
      EXPECT_GE(stream_of_key(hash, count), 1);
      EXPECT_LE(stream_of_key(hash, count), count);
    }
  }
  EXPECT_EQ(stream_of_key(0, 3), 1) << "keys without a hash travel in the first";
  std::array<int, 3> keys{};
  for (std::uint64_t hash = 0; hash < 300; ++hash) ++keys.at(static_cast<std::size_t>(stream_of_key(hash, 3) - 1));
  EXPECT_EQ(keys, (std::array<int, 3>{100, 100, 100}));
}

}  // namespace
}  // namespace meridian
