#include "core/lag_rule.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace meridian {
namespace {

constexpr std::int64_t second = 1'000'000;

TEST(WalClock, UnknownIsUnknown) {
  WalClock clock;
  EXPECT_EQ(clock.lag(0, second), std::nullopt);
  EXPECT_EQ(clock.latest(), std::nullopt);
  clock.note(0, 100);
  EXPECT_EQ(clock.lag(100, second), 0);
  clock.clear();
  EXPECT_EQ(clock.lag(100, second), std::nullopt);
}

TEST(WalClock, AnIdlePrimaryHasNoLag) {
  WalClock clock;
  for (int i = 0; i < 10; ++i) clock.note(i * second, 100);
  EXPECT_EQ(clock.lag(100, 1000 * second), 0);
  EXPECT_EQ(clock.lag(101, 1000 * second), 0) << "a replica may have replayed more than was seen";
}

TEST(WalClock, BehindACutLinkItGrows) {
  WalClock clock;
  clock.note(0, 100);
  clock.note(5 * second, 101);
  for (std::int64_t now = 5; now < 100; ++now) EXPECT_EQ(clock.lag(100, now * second), (now - 5) * second);
}

TEST(WalClock, WhatIsNotedLaterDoesNotCount) {
  WalClock clock;
  clock.note(0, 100);
  clock.note(2 * second, 200);
  EXPECT_EQ(clock.lag(100, second), 0);
  EXPECT_EQ(clock.lag(99, second), second);
}

// Against an oracle that keeps everything: never too small, and too large by a tenth at most.
TEST(WalClock, ForgetsOnTheSafeSide) {
  std::mt19937 random(7);
  const auto pick = [&random](int below) { return std::uniform_int_distribution<int>(0, below - 1)(random); };
  for (int history = 0; history < 50; ++history) {
    WalClock clock;
    std::vector<std::pair<std::int64_t, std::uint64_t>> all;
    std::int64_t now = 0;
    std::uint64_t lsn = 1000;
    const int steps = 100 + pick(3000);
    for (int i = 0; i < steps; ++i) {
      now += second;
      lsn += static_cast<std::uint64_t>(pick(3));
      clock.note(now, lsn);
      if (all.empty() || lsn > all.back().second) all.emplace_back(now, lsn);
    }
    EXPECT_EQ(clock.latest(), lsn);
    for (int i = 0; i < 200; ++i) {
      const std::uint64_t replayed = 999 + static_cast<std::uint64_t>(pick(static_cast<int>(lsn - 998)));
      const auto found =
          std::find_if(all.begin(), all.end(), [replayed](const auto& sample) { return sample.second > replayed; });
      const std::int64_t exact = found == all.end() ? 0 : now - found->first;
      const auto lag = clock.lag(replayed, now);
      ASSERT_TRUE(lag);
      EXPECT_GE(*lag, exact);
      EXPECT_LE(*lag, exact + exact / 10) << "of " << steps << " steps";
    }
  }
}

constexpr LagLimits limits{10 * second, 5 * second, 3 * second};

TEST(LagGate, EntersAtOnceAndLeavesAfterTheDwell) {
  LagGate gate;
  gate.update(0, 10 * second, limits);
  EXPECT_FALSE(gate.beyond()) << "at the limit is within it";
  gate.update(second, 10 * second + 1, limits);
  EXPECT_TRUE(gate.beyond());
  gate.update(2 * second, 6 * second, limits);
  gate.update(9 * second, 6 * second, limits);
  EXPECT_TRUE(gate.beyond()) << "below enter is not below exit";
  gate.update(10 * second, 5 * second, limits);
  gate.update(12 * second, 0, limits);
  EXPECT_TRUE(gate.beyond()) << "for two seconds only";
  gate.update(13 * second, 0, limits);
  EXPECT_FALSE(gate.beyond());
}

TEST(LagGate, ARelapseBeginsTheDwellAnew) {
  LagGate gate;
  gate.update(0, 11 * second, limits);
  gate.update(second, 0, limits);
  gate.update(3 * second, 6 * second, limits);
  gate.update(4 * second, 0, limits);
  gate.update(6 * second, 0, limits);
  EXPECT_TRUE(gate.beyond());
  gate.update(7 * second, 0, limits);
  EXPECT_FALSE(gate.beyond());
}

TEST(LagGate, UnknownIsNotWell) {
  LagGate gate;
  gate.update(0, 11 * second, limits);
  gate.update(second, 0, limits);
  gate.update(2 * second, std::nullopt, limits);
  gate.update(5 * second, 0, limits);
  EXPECT_TRUE(gate.beyond());
  LagGate fresh;
  fresh.update(0, std::nullopt, limits);
  EXPECT_FALSE(fresh.beyond());
}

TEST(LagGate, WithoutALimitNobodyIsBeyond) {
  LagGate gate;
  gate.update(0, 11 * second, limits);
  gate.update(1, 11 * second, {-1, 0, 0});
  EXPECT_FALSE(gate.beyond());
}

// However the lag moves, a server does not change sides more often than once per dwell.
TEST(LagGate, DoesNotFlap) {
  std::mt19937 random(3);
  LagGate gate;
  std::int64_t left_at = -limits.dwell;
  std::int64_t beyond_at = 0;
  bool before = false;
  for (std::int64_t now = 0; now < 10'000; ++now) {
    gate.update(now * second, std::uniform_int_distribution<std::int64_t>(0, 12 * second)(random), limits);
    if (gate.beyond() && !before) beyond_at = now * second;
    if (!gate.beyond() && before) {
      EXPECT_GE(now * second - beyond_at, limits.dwell);
      left_at = now * second;
    }
    before = gate.beyond();
  }
  EXPECT_GT(left_at, 0);
}

}  // namespace
}  // namespace meridian
