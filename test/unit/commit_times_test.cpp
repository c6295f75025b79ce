#include "core/commit_times.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <utility>
#include <vector>

namespace meridian {
namespace {

using Interval = std::pair<std::int64_t, std::int64_t>;

std::vector<Interval> reached(const CommitTimes& times, std::uint64_t passed, std::uint64_t position,
                              std::int64_t looked, std::int64_t now) {
  std::vector<Interval> found;
  times.for_each_reached(passed, position, looked, now,
                         [&found](std::int64_t low, std::int64_t high) { found.emplace_back(low, high); });
  return found;
}

TEST(CommitTimes, KnowsNothingBeforeTheFirstLook) {
  const CommitTimes times{};
  EXPECT_EQ(times.waiting_us(0, 1'000), 0);
  EXPECT_TRUE(reached(times, 0, 100, 0, 1'000).empty());
}

TEST(CommitTimes, AnIdleLogHasNoLagHoweverLongItIsIdle) {
  CommitTimes times{};
  times.look(1'000, 500);
  for (std::int64_t now = 2'000; now < 100'000'000; now += 100'000) times.look(now, 500);
  EXPECT_EQ(times.waiting_us(500, 100'000'000), 0);
  EXPECT_EQ(times.size(), 1U);
  times.look(100'000'000, 600);
  EXPECT_LE(times.waiting_us(500, 100'000'000), 100'000) << "the commit is not older than the look before it";
}

TEST(CommitTimes, AReaderThatIsCutOffFallsBehindByTheClock) {
  CommitTimes times{};
  times.look(0, 100);
  times.look(1'000, 200);
  for (std::int64_t now = 2'000; now <= 50'000; now += 1'000) {
    times.look(now, 200 + static_cast<std::uint64_t>(now));
    EXPECT_EQ(times.waiting_us(100, now), now) << "made after 0, seen at 1000";
  }
  EXPECT_EQ(times.waiting_us(1'000'000, 50'000), 0);
}

TEST(CommitTimes, ALagLiesBetweenTheLooks) {
  CommitTimes times{};
  times.look(0, 100);
  times.look(1'000, 200);  // committed in (0, 1000]
  times.look(2'000, 200);
  EXPECT_EQ(reached(times, 100, 200, 1'000, 2'000), (std::vector<Interval>{{0, 2'000}}));
  EXPECT_EQ(reached(times, 100, 200, 4'000, 5'000), (std::vector<Interval>{{3'000, 5'000}}));
  EXPECT_TRUE(reached(times, 200, 200, 4'000, 5'000).empty());
  EXPECT_TRUE(reached(times, 100, 199, 4'000, 5'000).empty());
}

TEST(CommitTimes, AnEndThatGoesBackIsNoNews) {
  CommitTimes times{};
  times.look(0, 100);
  times.look(1'000, 50);
  EXPECT_EQ(times.size(), 1U);
  EXPECT_EQ(times.waiting_us(100, 1'000), 0);
}

// Against an oracle that remembers every commit: whatever was thinned out, the truth lies in the interval, and a wait
// is never reported shorter than it is.
TEST(CommitTimes, IsTrueHoweverMuchWasThinnedOut) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 20; ++round) {
    CommitTimes times{};
    std::map<std::uint64_t, std::int64_t> committed;
    std::uint64_t end = 1;
    std::int64_t now = 10'000;
    times.look(now, end);
    for (int i = 0; i < 5'000; ++i) {
      const std::int64_t next = now + 1 + static_cast<std::int64_t>(random() % 1'000);
      for (std::uint64_t commits = random() % 3; commits > 0; --commits) {
        end += 1 + random() % 50;
        committed[end] = now + 1 + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(next - now));
      }
      now = next;
      times.look(now, end);
      ASSERT_LE(times.size(), CommitTimes::capacity);
    }
    for (int i = 0; i < 200; ++i) {
      const std::uint64_t passed = random() % end;
      const auto oldest = committed.upper_bound(passed);
      std::int64_t wait = 0;
      if (oldest != committed.end()) wait = now - oldest->second;
      ASSERT_GE(times.waiting_us(passed, now), wait);
      // A reader that was at `passed` a moment ago and has everything now.
      const std::int64_t looked = now;
      const auto intervals = reached(times, passed, end, looked, now + 100);
      if (oldest == committed.end()) {
        ASSERT_TRUE(intervals.empty());
      } else {
        ASSERT_FALSE(intervals.empty());
        ASSERT_GE(intervals.front().second, wait);
        const std::int64_t newest = now - committed.rbegin()->second;
        ASSERT_LE(intervals.back().first, newest + 100);
        for (const auto& [low, high] : intervals) ASSERT_LE(low, high);
      }
    }
  }
}

TEST(CommitTimes, KeepsRecentCommitsFine) {
  CommitTimes times{};
  std::int64_t now = 0;
  for (std::uint64_t position = 1; position <= 1'000'000; ++position) times.look(now += 100, position);
  EXPECT_LE(times.waiting_us(1'000'000 - 200, now), 200 * 100 + 100);
  EXPECT_GE(times.waiting_us(0, now), 1'000'000 * 100 - 100) << "and the oldest is still known";
}

}  // namespace
}  // namespace meridian
