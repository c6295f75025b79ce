#include "core/succession.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace meridian {
namespace {

constexpr std::uint64_t here = 7001;
constexpr std::uint64_t elsewhere = 7002;

Reign reign(std::uint64_t system, std::uint32_t timeline, std::uint32_t epoch) { return {system, timeline, epoch}; }

Claim claim(const Reign& of, bool was_primary = false, bool is_expected = false) {
  return {of, was_primary, is_expected};
}

std::size_t decide(std::vector<Claim> claims, Reign& seen) { return find_primary(claims, seen); }

TEST(Succession, NobodyClaims) {
  Reign seen{};
  EXPECT_EQ(decide({}, seen), nobody_writes);
  EXPECT_EQ(decide({claim({})}, seen), nobody_writes);
  EXPECT_EQ(seen, Reign{});
}

TEST(Succession, TheLaterTimelineWins) {
  Reign seen{};
  EXPECT_EQ(decide({claim(reign(here, 1, 1), true, true), claim(reign(here, 2, 1))}, seen), 1U);
  EXPECT_EQ(seen, reign(here, 2, 1));
}

TEST(Succession, AnOldPrimaryStaysOldWhileTheNewOneIsDown) {
  Reign seen = reign(here, 2, 2);
  EXPECT_EQ(decide({claim(reign(here, 1, 1), true, true)}, seen), nobody_writes);
  EXPECT_EQ(seen, reign(here, 2, 2));
}

TEST(Succession, ARaisedEpochIsTheSameReignGoneOn) {
  Reign seen = reign(here, 2, 1);
  EXPECT_EQ(decide({claim(reign(here, 2, 2), true)}, seen), 0U);
  EXPECT_EQ(seen.epoch, 2U);
}

TEST(Succession, ANewSystemNeedsALaterEpoch) {
  Reign seen = reign(here, 5, 3);
  EXPECT_EQ(decide({claim(reign(elsewhere, 1, 3))}, seen), nobody_writes);
  EXPECT_EQ(decide({claim(reign(here, 5, 3), true), claim(reign(elsewhere, 1, 4))}, seen), 1U);
  EXPECT_EQ(decide({claim(reign(here, 5, 3), true)}, seen), nobody_writes);
}

TEST(Succession, OfTwoPromotedAtOnceTheFirstSeenStays) {
  Reign seen{};
  EXPECT_EQ(decide({claim(reign(here, 2, 2)), claim(reign(here, 2, 2), true)}, seen), 1U);
  EXPECT_EQ(decide({claim(reign(here, 2, 2)), claim(reign(here, 2, 2), false, true)}, seen), 1U);
  EXPECT_EQ(decide({claim(reign(here, 2, 2)), claim(reign(here, 2, 2))}, seen), 0U);
}

// Whatever comes and goes: who is chosen is never over for what was seen, and what was seen never goes back.
TEST(Succession, NeverGoesBack) {
  std::mt19937 random(1);
  const auto pick = [&random](std::uint32_t below) {
    return std::uniform_int_distribution<std::uint32_t>(0, below - 1)(random);
  };
  for (int history = 0; history < 2000; ++history) {
    Reign seen{};
    for (int step = 0; step < 20; ++step) {
      std::vector<Claim> claims;
      for (std::uint32_t n = pick(4); n > 0; --n)
        claims.push_back(
            claim(reign(pick(4) == 0 ? elsewhere : here, 1 + pick(4), 1 + pick(3)), pick(2) == 0, pick(2) == 0));
      const Reign before = seen;
      const std::size_t chosen = decide(claims, seen);
      if (chosen == nobody_writes) {
        ASSERT_EQ(seen, before);
        for (const Claim& each : claims) ASSERT_TRUE(is_over(each.reign, before));
        continue;
      }
      ASSERT_EQ(seen, claims[chosen].reign);
      ASSERT_FALSE(is_over(seen, before));
      for (const Claim& each : claims) {
        const bool rival = each.reign.system_id == seen.system_id && !is_over(each.reign, before);
        ASSERT_FALSE(rival && is_over(seen, each.reign)) << "a later one of the same system was there";
      }
    }
  }
}

}  // namespace
}  // namespace meridian
