#include "core/key_counts.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

namespace meridian {
namespace {

struct Table {
  explicit Table(std::uint32_t keys) : memory(KeyCounts::bytes(keys) / 8), counts(memory.data(), keys) {
    counts.reset();
  }
  [[nodiscard]] std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> content() const {
    std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> found;
    for (std::uint32_t i = 0; i < counts.size(); ++i) {
      if (counts[i].total() > 0) found[std::string(counts[i].view())] = {counts[i].written, counts[i].away};
    }
    return found;
  }
  std::vector<std::uint64_t> memory;
  KeyCounts counts;
};

TEST(KeyCounts, CountsBothKinds) {
  Table table(20);
  EXPECT_EQ(table.counts.size(), 24U);
  table.counts.note("a", false);
  table.counts.note("a", true);
  table.counts.note("a", true);
  table.counts.note("", true);
  EXPECT_EQ(table.content(), (decltype(table.content()){{"a", {1, 2}}, {"", {0, 1}}}));
  table.counts.reset();
  EXPECT_TRUE(table.content().empty());
}

TEST(KeyCounts, LongKeysAndNoMemoryCountNothing) {
  Table table(8);
  table.counts.note(std::string(KeyCount::longest_key + 1, 'x'), true);
  EXPECT_TRUE(table.content().empty());
  table.counts.note(std::string(KeyCount::longest_key, 'x'), true);
  EXPECT_EQ(table.content().size(), 1U);
  KeyCounts none(nullptr, 0);
  none.note("a", true);
  EXPECT_EQ(none.size(), 0U);
}

TEST(KeyCounts, KeysThatAreWrittenOftenStay) {
  Table table(800);
  std::mt19937 random(1);
  std::uint64_t often = 0;
  for (int i = 0; i < 200'000; ++i) {
    const bool one_of_few = random() % 4 == 0;
    if (one_of_few) {
      table.counts.note("often" + std::to_string(random() % 20), false);
      ++often;
    } else {
      table.counts.note("seldom" + std::to_string(random()), true);
    }
  }
  std::uint64_t counted = 0;
  int keys = 0;
  for (const auto& [key, counts] : table.content()) {
    if (!key.starts_with("often")) continue;
    ++keys;
    counted += counts.first;
  }
  EXPECT_EQ(keys, 20);
  EXPECT_GT(counted, often * 95 / 100);
}

}  // namespace
}  // namespace meridian
