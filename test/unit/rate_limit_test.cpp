#include "core/rate_limit.hpp"

#include <gtest/gtest.h>

namespace meridian {
namespace {

constexpr std::uint64_t second = 1'000'000'000;

struct Bucket {
  std::uint32_t per_second;
  std::uint64_t full_at = 0;

  bool take(std::uint64_t now) {
    const auto next = take_token(full_at, now, per_second);
    if (next) full_at = *next;
    return next.has_value();
  }
  int take_all(std::uint64_t now) {
    int taken = 0;
    while (taken < 100'000 && take(now)) ++taken;
    return taken;
  }
};

TEST(RateLimit, AFullBucketHoldsOneSecond) {
  for (const std::uint32_t rate : {1U, 3U, 7U, 1000U}) {
    Bucket bucket{rate};
    EXPECT_EQ(bucket.take_all(5 * second), static_cast<int>(rate)) << rate;
    EXPECT_FALSE(bucket.take(5 * second)) << rate;
  }
}

TEST(RateLimit, TokensDripIn) {
  Bucket bucket{10};
  bucket.take_all(second);
  EXPECT_EQ(bucket.take_all(second + second / 20), 0);
  EXPECT_EQ(bucket.take_all(second + second / 10), 1);
  EXPECT_EQ(bucket.take_all(second + 3 * second / 10), 2);
  EXPECT_EQ(bucket.take_all(60 * second), 10) << "never more than a second's worth";
}

TEST(RateLimit, TheRateHoldsInTheLongRun) {
  constexpr int seconds = 20;
  Bucket bucket{100};
  int taken = 0;
  for (std::uint64_t now = second; now < (seconds + 1) * second; now += second / 977) taken += bucket.take(now);
  EXPECT_GE(taken, 100 * seconds);
  EXPECT_LE(taken, 100 * (seconds + 1));
}

TEST(RateLimit, ARateThatFallsCountsFromNowOn) {
  Bucket bucket{1000};
  bucket.take_all(second);
  bucket.per_second = 2;
  EXPECT_FALSE(bucket.take(second + second / 4));
  EXPECT_TRUE(bucket.take(second + second / 2)) << "half a second is one token";
}

}  // namespace
}  // namespace meridian
