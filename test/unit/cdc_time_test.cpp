#include "core/cdc_time.hpp"

#include <cstdint>
#include <limits>

#include "unit/cdc_text.hpp"

namespace meridian::cdc {
namespace {

constexpr std::int64_t second = 1'000'000;
constexpr std::int64_t hour = 3600 * second;
constexpr std::int64_t day = 24 * hour;
constexpr std::int64_t forever = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t never = std::numeric_limits<std::int64_t>::min();

std::string date(std::int32_t days, TimeMode mode = TimeMode::adaptive) {
  return written([=](Buffer& out) { write_date(out, days, mode); });
}
std::string time_of_day(std::int64_t us, int precision, TimeMode mode = TimeMode::adaptive) {
  return written([=](Buffer& out) { write_time(out, us, precision, mode); });
}
std::string timestamp(std::int64_t us, int precision, TimeMode mode = TimeMode::adaptive) {
  return written([=](Buffer& out) { write_timestamp(out, us, precision, mode); });
}
std::string timestamptz(std::int64_t us, int precision) {
  return written([=](Buffer& out) { write_timestamptz(out, us, precision); });
}
std::string timetz(std::int64_t us, std::int32_t zone) {
  return written([=](Buffer& out) { write_timetz(out, us, zone); });
}
std::string interval(std::int32_t months, std::int32_t days, std::int64_t us, IntervalMode mode) {
  return written([=](Buffer& out) { write_interval(out, months, days, us, mode); });
}

TEST(CdcTime, Dates) {
  EXPECT_EQ(date(0), "10957");
  EXPECT_EQ(date(-10957), "0");
  EXPECT_EQ(date(6152), "17109");  // 2016-11-04
  EXPECT_EQ(date(6152, TimeMode::isostring), "\"2016-11-04Z\"");
  EXPECT_EQ(date(std::numeric_limits<std::int32_t>::max()), "-2147472692");
  EXPECT_EQ(date(std::numeric_limits<std::int32_t>::min()), "-2147472691");
  EXPECT_EQ(date(std::numeric_limits<std::int32_t>::max(), TimeMode::isostring), "\"infinity\"");
}

TEST(CdcTime, TimesOfDay) {
  const std::int64_t us = 11 * hour + 51 * 60 * second + 30 * second + 123789;
  EXPECT_EQ(time_of_day(us, 3), "42690123");
  EXPECT_EQ(time_of_day(us, 6), "42690123789");
  EXPECT_EQ(time_of_day(us, -1), "42690123789");
  EXPECT_EQ(time_of_day(us, 3, TimeMode::adaptive_microseconds), "42690123789");
  EXPECT_EQ(time_of_day(us, 6, TimeMode::connect), "42690123");
  EXPECT_EQ(time_of_day(us, 6, TimeMode::nanoseconds), "42690123789000");
  EXPECT_EQ(time_of_day(us, 6, TimeMode::isostring), "\"11:51:30.123789Z\"");
  EXPECT_EQ(time_of_day(day, 6), "86400000000");
  EXPECT_EQ(timetz(us, 0), "\"11:51:30.123789Z\"");
  EXPECT_EQ(timetz(13 * hour + 51 * 60 * second + 30 * second + 123000, -7200), "\"11:51:30.123Z\"");
  EXPECT_EQ(timetz(23 * hour, 2 * 3600), "\"01:00:00Z\"");
  EXPECT_EQ(timetz(1 * hour, -2 * 3600), "\"23:00:00Z\"");
}

TEST(CdcTime, Timestamps) {
  const std::int64_t us = 6152 * day + 13 * hour + 51 * 60 * second + 30 * second + 123456;
  EXPECT_EQ(timestamp(us, 3), "1478267490123");
  EXPECT_EQ(timestamp(us, 6), "1478267490123456");
  EXPECT_EQ(timestamp(us, -1), "1478267490123456");
  EXPECT_EQ(timestamp(us, 3, TimeMode::adaptive_microseconds), "1478267490123");
  EXPECT_EQ(timestamp(us, 6, TimeMode::connect), "1478267490123");
  EXPECT_EQ(timestamp(us, 6, TimeMode::nanoseconds), "1478267490123456000");
  EXPECT_EQ(timestamp(us, 6, TimeMode::isostring), "\"2016-11-04T13:51:30.123456Z\"");
  EXPECT_EQ(timestamp(-postgres_epoch_us - 1, 3), "-1");  // rounds down, not to zero
  EXPECT_EQ(timestamp(forever, 6), "9223372036825200000");
  EXPECT_EQ(timestamp(never, 6), "-9223372036832400000");
}

TEST(CdcTime, TimestampsWithTimeZone) {
  const std::int64_t us = 6152 * day + 11 * hour + 51 * 60 * second + 30 * second;
  EXPECT_EQ(timestamptz(us, -1), "\"2016-11-04T11:51:30.000000Z\"");
  EXPECT_EQ(timestamptz(us + 123000, 3), "\"2016-11-04T11:51:30.123Z\"");
  EXPECT_EQ(timestamptz(us, 0), "\"2016-11-04T11:51:30Z\"");
  EXPECT_EQ(timestamptz(forever, -1), "\"infinity\"");
  EXPECT_EQ(timestamptz(never, -1), "\"-infinity\"");
  EXPECT_EQ(timestamptz(-730120 * day, 0), "\"0000-12-31T00:00:00Z\"");      // 1 BC
  EXPECT_EQ(timestamptz(-2451545LL * day, 0), "\"-4713-11-24T00:00:00Z\"");  // the first day that PostgreSQL knows
  EXPECT_EQ(timestamptz(2921940LL * day, 0), "\"+10000-01-01T00:00:00Z\"");
}

TEST(CdcTime, EveryDayFollowsTheOneBefore) {
  // The calendar as an oracle: counts days up from 1996 over two centuries.
  constexpr int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int year = 1996;
  int month = 1;
  int of_month = 1;
  for (std::int32_t days = -1461; days < 70000; ++days) {
    char expected[64];
    std::snprintf(expected, sizeof expected, "\"%04d-%02d-%02dZ\"", year, month, of_month);
    ASSERT_EQ(date(days, TimeMode::isostring), expected);
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (++of_month <= lengths[month - 1] + (leap && month == 2 ? 1 : 0)) continue;
    of_month = 1;
    if (++month <= 12) continue;
    month = 1;
    ++year;
  }
}

TEST(CdcTime, Intervals) {
  const std::int64_t us = 4 * hour + 5 * 60 * second + 6'780'000;
  EXPECT_EQ(interval(14, 3, us, IntervalMode::numeric), "37091106780000");
  EXPECT_EQ(interval(14, 3, us, IntervalMode::string), "\"P1Y2M3DT4H5M6.78S\"");
  EXPECT_EQ(interval(0, 0, 0, IntervalMode::numeric), "0");
  EXPECT_EQ(interval(0, 0, 0, IntervalMode::string), "\"P0Y0M0DT0H0M0S\"");
  EXPECT_EQ(interval(-14, -3, -500'000, IntervalMode::string), "\"P-1Y-2M-3DT0H0M-0.5S\"");
}

}  // namespace
}  // namespace meridian::cdc
