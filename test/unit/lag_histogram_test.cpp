#include "core/lag_histogram.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

namespace meridian {
namespace {

constexpr std::int64_t start = 800'000'000'000'000;  // some time in 2025, microseconds since 2000

TEST(LagHistogram, HasNoPercentileWithoutSamples) {
  const LagHistogram empty{};
  EXPECT_EQ(empty.count(start), 0U);
  EXPECT_FALSE(empty.percentile(start, 99));
}

TEST(LagHistogram, SmallAndExtremeValues) {
  for (const std::int64_t lag : {0L, 1L, 7L, 8L, 15L}) {
    LagHistogram histogram{};
    histogram.add(start, lag);
    EXPECT_EQ(histogram.percentile(start, 99), lag);
  }
  LagHistogram histogram{};
  histogram.add(start, -5);
  EXPECT_EQ(histogram.percentile(start, 99), 0);
  histogram.add(start, INT64_MAX);
  EXPECT_EQ(histogram.percentile(start, 50), 0);
  EXPECT_EQ(histogram.percentile(start, 99), LagHistogram::longest_us);
}

TEST(LagHistogram, IsNeverTooSmallAndAtMostAnEighthTooLarge) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    LagHistogram histogram{};
    std::vector<std::int64_t> samples(1 + random() % 500);
    const std::int64_t scale = std::int64_t{1} << (1 + random() % 39);
    for (std::int64_t& sample : samples) {
      sample = static_cast<std::int64_t>(random()) & (scale - 1);
      histogram.add(start + static_cast<std::int64_t>(random() % 1000), sample);
    }
    std::sort(samples.begin(), samples.end());
    for (const std::uint32_t percent : {0U, 1U, 50U, 95U, 99U, 100U}) {
      const std::size_t rank = std::max<std::size_t>((samples.size() * percent + 99) / 100, 1) - 1;
      const auto found = histogram.percentile(start, percent);
      ASSERT_TRUE(found);
      EXPECT_GE(*found, samples[rank]);
      EXPECT_LE(*found, samples[rank] + samples[rank] / 8);
    }
  }
}

TEST(LagHistogram, ForgetsAfterAnHour) {
  LagHistogram histogram{};
  constexpr std::int64_t minute = 60'000'000;
  histogram.add(start, 1'000'000);
  histogram.add(start + 30 * minute, 5);
  EXPECT_EQ(histogram.count(start + 30 * minute), 2U);
  EXPECT_GE(histogram.percentile(start + 49 * minute, 99), 1'000'000);
  EXPECT_EQ(histogram.percentile(start + 61 * minute, 99), 5);
  EXPECT_EQ(histogram.count(start + 100 * minute), 0U);
  histogram.add(start + 100 * minute, 7);
  EXPECT_EQ(histogram.count(start + 100 * minute), 1U) << "windows are used again empty";
}

TEST(LagHistogram, SummarizesItsSpan) {
  LagHistogramOf<10, 3> histogram{};
  EXPECT_EQ(histogram.summary(start).samples, 0U);
  EXPECT_EQ(histogram.summary(start).longest_us, 0);
  for (int i = 1; i <= 100; ++i) histogram.add(start, i * 1000);
  const LagSummary found = histogram.summary(start + 20);
  EXPECT_EQ(found.samples, 100U);
  EXPECT_GE(found.p50_us, 50'000);
  EXPECT_LE(found.p50_us, 57'000);
  EXPECT_GE(found.p95_us, 95'000);
  EXPECT_GE(found.p99_us, 99'000);
  EXPECT_LE(found.p99_us, found.longest_us) << "no percentile is beyond the longest, which is exact";
  EXPECT_EQ(found.longest_us, 100'000);
  EXPECT_EQ(histogram.summary(start + 30).samples, 0U);
}

TEST(LagHistogram, TellsOfEachWindow) {
  LagHistogramOf<10, 3> histogram{};
  histogram.add(start, 1);
  histogram.add(start + 20, 3);
  EXPECT_EQ(histogram.percentile_before(start + 20, 0, 95), 3);
  EXPECT_FALSE(histogram.percentile_before(start + 20, 1, 95));
  EXPECT_EQ(histogram.percentile_before(start + 20, 2, 95), 1);
  EXPECT_FALSE(histogram.percentile_before(start + 20, 3, 95)) << "its place was taken";
  EXPECT_FALSE(histogram.percentile_before(5, 7, 95)) << "before the clock's zero";
}

TEST(LagHistogram, AMinuteAQuarterADay) {
  constexpr std::int64_t minute = 60'000'000;
  const auto lags = std::make_unique<LagWindows>();
  lags->add(start, 7);
  EXPECT_EQ(lags->minute.summary(start + minute / 2).samples, 1U);
  EXPECT_EQ(lags->minute.summary(start + minute).samples, 0U);
  EXPECT_EQ(lags->quarter.summary(start + 13 * minute).samples, 1U);
  EXPECT_EQ(lags->quarter.summary(start + 15 * minute).samples, 0U);
  EXPECT_EQ(lags->day.summary(start + 21 * 60 * minute).samples, 1U);
  EXPECT_EQ(lags->day.summary(start + 24 * 60 * minute).samples, 0U);
}

TEST(LagHistogram, AClockThatGoesBackHidesNothingForLong) {
  LagHistogram histogram{};
  histogram.add(start, 9);
  EXPECT_EQ(histogram.count(start - 2 * 3'600'000'000), 0U) << "samples of the future do not count";
  for (int i = 0; i < 6; ++i) histogram.add(start - 2 * 3'600'000'000 + i * LagHistogram::window_us, 3);
  EXPECT_EQ(histogram.count(start - 2 * 3'600'000'000 + 5 * LagHistogram::window_us), 6U);
}

}  // namespace
}  // namespace meridian
