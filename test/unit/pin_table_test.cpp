#include "core/pin_table.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

namespace meridian {
namespace {

struct Table {
  explicit Table(std::uint32_t pins) : memory(PinTable::bytes(pins) / 8 + 1), table(memory.data(), pins) {
    table.reset();
  }
  std::vector<std::uint64_t> memory;
  PinTable table;
};

TEST(PinTable, AnswersAsAMapDoes) {
  std::mt19937 random(1);
  Table pins(1000);
  std::map<std::string, int> oracle;
  for (int i = 0; i < 1000; ++i) {
    const std::string key(1 + random() % PinTable::longest_inline, static_cast<char>('a' + random() % 20));
    if (!oracle.emplace(key, i).second) continue;
    pins.table.add(key, {i, static_cast<std::uint64_t>(i) * 7});
  }
  for (int i = 0; i < 5000; ++i) {
    const std::string key(random() % (PinTable::longest_inline + 1), static_cast<char>('a' + random() % 26));
    Pin pin{};
    const auto expected = oracle.find(key);
    ASSERT_EQ(pins.table.find(key, &pin), expected == oracle.end() ? PinAnswer::not_pinned : PinAnswer::pinned);
    if (expected == oracle.end()) continue;
    ASSERT_EQ(pin.region, expected->second);
    ASSERT_EQ(pin.epoch, static_cast<std::uint64_t>(expected->second) * 7);
  }
}

TEST(PinTable, ALongKeyIsAskedFor) {
  Table pins(4);
  const std::string key(PinTable::longest_inline + 1, 'x');
  Pin pin{};
  EXPECT_EQ(pins.table.find(key, &pin), PinAnswer::not_pinned);
  pins.table.add(key, {1, 1});
  EXPECT_EQ(pins.table.find(key, &pin), PinAnswer::ask);
  EXPECT_EQ(pins.table.find(std::string(PinTable::longest_inline + 1, 'y'), &pin), PinAnswer::not_pinned);
}

TEST(PinTable, WithoutRoomItDoesNotSayThatAKeyIsNotPinned) {
  Table pins(2);
  Pin pin{};
  for (int i = 0; i < 3; ++i) pins.table.add(std::to_string(i), {i, 1});
  EXPECT_EQ(pins.table.find("1", &pin), PinAnswer::pinned);
  EXPECT_EQ(pin.region, 1);
  EXPECT_EQ(pins.table.find("2", &pin), PinAnswer::ask);
  EXPECT_EQ(pins.table.find("never", &pin), PinAnswer::ask);
  pins.table.reset();
  EXPECT_EQ(pins.table.find("1", &pin), PinAnswer::not_pinned);
}

TEST(PinTable, WithoutMemoryEveryPinIsAskedFor) {
  Table pins(0);
  Pin pin{};
  EXPECT_EQ(pins.table.find("1", &pin), PinAnswer::not_pinned);
  pins.table.add("1", {1, 1});
  EXPECT_EQ(pins.table.find("1", &pin), PinAnswer::ask);
}

}  // namespace
}  // namespace meridian
