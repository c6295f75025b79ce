#include "core/home_map.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "core/error.hpp"

namespace meridian {
namespace {

constexpr int keys = 100'000;

HomeMap map_of(const std::vector<std::pair<std::string, std::uint32_t>>& regions) {
  HomeMap map;
  for (const auto& [name, weight] : regions) map.add(name, weight);
  return map;
}

std::string home(const HomeMap& map, const std::string& key) {
  const int index = map.home_of(key);
  return index == HomeMap::nowhere ? "-" : std::string(map[index].view());
}

std::string key_number(int i) { return "user:" + std::to_string(i); }

std::map<std::string, int> counts(const HomeMap& map) {
  std::map<std::string, int> count;
  for (int i = 0; i < keys; ++i) ++count[home(map, key_number(i))];
  return count;
}

// Every server of a mesh must agree for years: these never change.
TEST(HomeMap, FrozenVectors) {
  EXPECT_EQ(home_hash(""), 0x2d06800538d394c2U);
  EXPECT_EQ(home_hash("42"), 0x1217cb28c0ef2191U);
  EXPECT_EQ(home_hash("\xc3\xa9"), 0xf7940a006cf10cb3U);
  EXPECT_EQ(home_draw(1, 2), 0x07ee86c281446befU);
  EXPECT_EQ(home_cost(0), std::uint64_t{64} << 26);
  EXPECT_EQ(home_cost(std::uint64_t{1} << 63), std::uint64_t{1} << 26);
  EXPECT_EQ(home_cost(0xfedcba9876543210U), 0x6949cU);
  const HomeMap even = map_of({{"us", 1}, {"eu", 1}, {"ap", 1}});
  const HomeMap uneven = map_of({{"us", 1}, {"eu", 2}, {"ap", 5}});
  std::string even_homes;
  std::string uneven_homes;
  for (int i = 0; i < 12; ++i) {
    even_homes += home(even, std::to_string(i)) + " ";
    uneven_homes += home(uneven, std::to_string(i)) + " ";
  }
  EXPECT_EQ(even_homes, "ap ap us us us us ap eu us eu us us ");
  EXPECT_EQ(uneven_homes, "ap ap us ap us ap ap eu us eu ap ap ");
  EXPECT_EQ(home(uneven, "(7,\"caf\xc3\xa9\")"), "ap");
}

TEST(HomeMap, ANewRegionTakesItsShareAndNothingElseMoves) {
  const HomeMap four = map_of({{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}});
  HomeMap five = four;
  five.add("e", 1);
  int moved = 0;
  for (int i = 0; i < keys; ++i) {
    const std::string before = home(four, key_number(i));
    const std::string after = home(five, key_number(i));
    if (before == after) continue;
    ++moved;
    ASSERT_EQ(after, "e");
  }
  EXPECT_GE(moved, keys * 18 / 100);
  EXPECT_LE(moved, keys * 22 / 100);
}

TEST(HomeMap, ADroppedRegionGivesOnlyItsKeysAway) {
  const HomeMap with = map_of({{"a", 1}, {"b", 3}, {"c", 2}, {"d", 1}});
  const HomeMap without = map_of({{"a", 1}, {"c", 2}, {"d", 1}});
  for (int i = 0; i < keys; ++i) {
    const std::string before = home(with, key_number(i));
    if (before != "b") {
      ASSERT_EQ(home(without, key_number(i)), before);
    }
  }
}

TEST(HomeMap, KeysSpreadByWeight) {
  const HomeMap map = map_of({{"a", 1}, {"b", 2}, {"c", 5}, {"zero", 0}});
  auto count = counts(map);
  EXPECT_NEAR(count["a"], keys / 8, keys / 100);
  EXPECT_NEAR(count["b"], keys * 2 / 8, keys / 100);
  EXPECT_NEAR(count["c"], keys * 5 / 8, keys / 100);
  EXPECT_EQ(count["zero"], 0);
}

TEST(HomeMap, AHeavierRegionOnlyGains) {
  const HomeMap light = map_of({{"a", 2}, {"b", 3}, {"c", 2}});
  const HomeMap heavy = map_of({{"a", 2}, {"b", 4}, {"c", 2}});
  int moved = 0;
  for (int i = 0; i < keys; ++i) {
    const std::string before = home(light, key_number(i));
    const std::string after = home(heavy, key_number(i));
    if (before == after) continue;
    ++moved;
    ASSERT_EQ(after, "b");
  }
  EXPECT_NEAR(moved, keys * (4.0 / 8 - 3.0 / 7), keys / 100);
}

// Weights that are equal take a short cut.
TEST(HomeMap, CommonFactorOfWeightsDoesNotMatter) {
  const HomeMap ones = map_of({{"a", 1}, {"b", 1}, {"c", 1}});
  const HomeMap many = map_of({{"a", 700}, {"b", 700}, {"c", 700}});
  const HomeMap mixed = map_of({{"a", 700}, {"b", 700}, {"c", 700}, {"zero", 0}});
  const HomeMap uneven = map_of({{"a", 1}, {"b", 2}});
  const HomeMap doubled = map_of({{"a", 2}, {"b", 4}});
  for (int i = 0; i < keys; ++i) {
    const std::string key = key_number(i);
    ASSERT_EQ(home(ones, key), home(many, key));
    ASSERT_EQ(home(ones, key), home(mixed, key));
    ASSERT_EQ(home(uneven, key), home(doubled, key));
  }
}

TEST(HomeMap, OrderOfRegionsDoesNotMatterToTheHash) {
  const HomeMap one = map_of({{"a", 1}, {"b", 2}, {"c", 1}});
  const HomeMap other = map_of({{"c", 1}, {"b", 2}, {"a", 1}});
  for (int i = 0; i < keys; ++i) ASSERT_EQ(home(one, key_number(i)), home(other, key_number(i)));
}

TEST(HomeMap, CostIsTheLogarithmAndKeepsTheOrder) {
  std::mt19937_64 random(1);
  std::uint64_t before_draw = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t draw = random() >> (random() % 64);
    if (draw == 0) continue;
    const double expected = 64 - std::log2(static_cast<double>(draw));
    ASSERT_NEAR(static_cast<double>(home_cost(draw)) / (1 << 26), expected, 1e-6) << draw;
    if (draw >= before_draw) {
      ASSERT_LE(home_cost(draw), home_cost(before_draw));
    } else {
      ASSERT_GE(home_cost(draw), home_cost(before_draw));
    }
    before_draw = draw;
    ASSERT_LE(home_cost(draw), home_cost(draw - 1));
  }
}

TEST(HomeMap, ModuloOfIntegers) {
  HomeMap map = map_of({{"even", 1}, {"odd", 7}});
  map.set_rule(HomeRule::modulo);
  EXPECT_EQ(home(map, "0"), "even");
  EXPECT_EQ(home(map, "12345"), "odd");
  EXPECT_EQ(home(map, "-3"), "odd");
  EXPECT_EQ(home(map, "100000000000000000000000000000000000001"), "odd");
  EXPECT_EQ(home_remainder("-1", 3), 2U);
  EXPECT_EQ(home_remainder("-3", 3), 0U);
  for (const char* key : {"", "-", "x", "1.0", "+1", " 1", "1 ", "0x1"})
    EXPECT_THROW((void)map.home_of(key), Error) << key;
}

TEST(HomeMap, WithoutRegionsKeysAreNowhere) {
  EXPECT_EQ(home(HomeMap(), "1"), "-");
  EXPECT_EQ(home(map_of({{"a", 0}}), "1"), "-");
}

TEST(HomeMap, RefusesBadRegions) {
  HomeMap map = map_of({{"a", 1}});
  EXPECT_THROW(map.add("a", 1), Error);
  EXPECT_THROW(map.add("", 1), Error);
  EXPECT_THROW(map.add(std::string(64, 'x'), 1), Error);
  EXPECT_THROW(map.add(std::string("x\0y", 3), 1), Error);
  EXPECT_THROW(map.add("b", max_region_weight + 1), Error);
  for (std::uint32_t i = map.count(); i < max_home_regions; ++i) map.add("r" + std::to_string(i), 1);
  EXPECT_THROW(map.add("one more", 1), Error);
  EXPECT_EQ(map.count(), max_home_regions);
  EXPECT_EQ(map.find("r63"), 63);
  EXPECT_EQ(map.find("r64"), HomeMap::nowhere);
  EXPECT_EQ(parse_home_rule("modulo"), HomeRule::modulo);
  EXPECT_THROW((void)parse_home_rule("Hash"), Error);
}

}  // namespace
}  // namespace meridian
