#include "core/cdc_time.hpp"

#include <limits>

#include "core/cdc_json.hpp"

namespace meridian::cdc {
namespace {

constexpr std::int64_t us_per_second = 1'000'000;
constexpr std::int64_t us_per_day = 86'400 * us_per_second;
constexpr std::int32_t days_to_postgres_epoch = 10'957;

// What Debezium makes of the infinities of the JDBC driver, accidents included.
constexpr std::int64_t date_infinity = -2'147'472'692;
constexpr std::int64_t date_minus_infinity = -2'147'472'691;
constexpr std::int64_t timestamp_infinity = 9'223'372'036'825'200'000;
constexpr std::int64_t timestamp_minus_infinity = -9'223'372'036'832'400'000;

template <typename Integer>
constexpr Integer highest = std::numeric_limits<Integer>::max();
template <typename Integer>
constexpr Integer lowest = std::numeric_limits<Integer>::min();

constexpr std::int64_t floor_div(std::int64_t a, std::int64_t b) noexcept { return a / b - (a % b < 0 ? 1 : 0); }

struct Civil {
  std::int64_t year;  ///< proleptic: 0 is 1 BC
  int month;
  int day;
};

/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
Civil civil_from_days(std::int64_t days_since_1970) noexcept {
  const std::int64_t z = days_since_1970 + 719'468;
  const std::int64_t era = floor_div(z, 146'097);
  const auto day_of_era = static_cast<unsigned>(z - era * 146'097);
  const unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146'096) / 365;
  const unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const unsigned shifted_month = (5 * day_of_year + 2) / 153;
  const auto day = static_cast<int>(day_of_year - (153 * shifted_month + 2) / 5 + 1);
  const auto month = static_cast<int>(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
  return {static_cast<std::int64_t>(year_of_era) + era * 400 + (month <= 2 ? 1 : 0), month, day};
}

char* put_two(char* to, std::int64_t value) noexcept {
  *to++ = static_cast<char>('0' + value / 10);
  *to++ = static_cast<char>('0' + value % 10);
  return to;
}

/// As java.time: four digits at least, a sign before 0000 and beyond 9999.
void write_civil_date(Buffer& out, std::int64_t days_since_1970) {
  const Civil date = civil_from_days(days_since_1970);
  if (date.year < 0) out.append('-');
  if (date.year > 9999) out.append('+');
  write_padded(out, static_cast<std::uint64_t>(date.year < 0 ? -date.year : date.year), 4);
  char* to = out.room(6);
  *to++ = '-';
  to = put_two(to, date.month);
  *to++ = '-';
  out.advance(put_two(to, date.day));
}

constexpr int as_needed = -1;

/// HH:MM:SS and the fraction: that many digits, or as few as say all.
void write_clock(Buffer& out, std::int64_t us, int fraction_digits) {
  char* to = out.room(16);
  const std::int64_t seconds = us / us_per_second;
  to = put_two(to, seconds / 3600);
  *to++ = ':';
  to = put_two(to, seconds / 60 % 60);
  *to++ = ':';
  to = put_two(to, seconds % 60);
  std::int64_t fraction = us % us_per_second;
  int digits = fraction_digits;
  if (fraction_digits == as_needed) {
    digits = fraction == 0 ? 0 : 6;
    for (std::int64_t rest = fraction; digits > 0 && rest % 10 == 0; rest /= 10) --digits;
  }
  if (digits > 0) {
    *to++ = '.';
    for (int i = 0; i < 6; ++i, fraction = fraction % 100'000 * 10) {
      if (i < digits) *to++ = static_cast<char>('0' + fraction / 100'000);
    }
  }
  out.advance(to);
}

void write_infinity(Buffer& out, bool positive) {
  out.append(positive ? std::string_view("\"infinity\"") : "\"-infinity\"");
}

void write_civil_timestamp(Buffer& out, std::int64_t us, int fraction_digits) {
  const std::int64_t day = floor_div(us, us_per_day);
  out.append('"');
  write_civil_date(out, day + days_to_postgres_epoch);
  out.append('T');
  write_clock(out, us - day * us_per_day, fraction_digits);
  out.append("Z\"");
}

enum class Unit { milliseconds, microseconds, nanoseconds };

Unit unit_of(TimeMode mode, int precision) noexcept {
  switch (mode) {
    case TimeMode::connect:
      return Unit::milliseconds;
    case TimeMode::nanoseconds:
      return Unit::nanoseconds;
    case TimeMode::adaptive:
      return precision >= 0 && precision <= 3 ? Unit::milliseconds : Unit::microseconds;
    case TimeMode::adaptive_microseconds:
    case TimeMode::microseconds:
    case TimeMode::isostring:
      break;
  }
  return Unit::microseconds;
}

void write_in_unit(Buffer& out, std::int64_t us, Unit unit) {
  switch (unit) {
    case Unit::milliseconds:
      return write_integer(out, floor_div(us, 1000));
    case Unit::microseconds:
      return write_integer(out, us);
    case Unit::nanoseconds:
      // Digit by digit: nanoseconds of the far past or future do not fit 64 bits.
      write_integer(out, us);
      if (us != 0) out.append("000");
  }
}

}  // namespace

void write_date(Buffer& out, std::int32_t days, TimeMode mode) {
  const bool infinite = days == highest<std::int32_t> || days == lowest<std::int32_t>;
  if (mode == TimeMode::isostring) {
    if (infinite) return write_infinity(out, days > 0);
    out.append('"');
    write_civil_date(out, std::int64_t{days} + days_to_postgres_epoch);
    return out.append("Z\"");
  }
  if (infinite) return write_integer(out, days > 0 ? date_infinity : date_minus_infinity);
  write_integer(out, std::int64_t{days} + days_to_postgres_epoch);
}

void write_time(Buffer& out, std::int64_t us, int precision, TimeMode mode) {
  if (mode == TimeMode::isostring) {
    out.append('"');
    write_clock(out, us, as_needed);
    return out.append("Z\"");
  }
  const Unit unit = mode == TimeMode::adaptive_microseconds ? Unit::microseconds : unit_of(mode, precision);
  write_in_unit(out, us, unit);
}

void write_timetz(Buffer& out, std::int64_t us, std::int32_t zone) {
  std::int64_t utc = (us + std::int64_t{zone} * us_per_second) % us_per_day;
  if (utc < 0) utc += us_per_day;
  out.append('"');
  write_clock(out, utc, as_needed);
  out.append("Z\"");
}

void write_timestamp(Buffer& out, std::int64_t us, int precision, TimeMode mode) {
  const bool infinite = us == highest<std::int64_t> || us == lowest<std::int64_t>;
  if (mode == TimeMode::isostring) {
    return infinite ? write_infinity(out, us > 0) : write_civil_timestamp(out, us, as_needed);
  }
  if (infinite) return write_integer(out, us > 0 ? timestamp_infinity : timestamp_minus_infinity);
  const Unit unit = unit_of(mode == TimeMode::adaptive_microseconds ? TimeMode::adaptive : mode, precision);
  write_in_unit(out, us + postgres_epoch_us, unit);
}

void write_timestamptz(Buffer& out, std::int64_t us, int precision) {
  if (us == highest<std::int64_t> || us == lowest<std::int64_t>) return write_infinity(out, us > 0);
  write_civil_timestamp(out, us, precision < 0 ? 6 : precision);
}

void write_interval(Buffer& out, std::int32_t months, std::int32_t days, std::int64_t us, IntervalMode mode) {
  if (mode == IntervalMode::numeric) {
    constexpr std::int64_t us_per_month = 2'629'800 * us_per_second;  // 365.25 / 12 days
    // Unsigned: what is beyond 64 bits wraps around, as in Java.
    const std::uint64_t sum = static_cast<std::uint64_t>(std::int64_t{months}) * us_per_month +
                              static_cast<std::uint64_t>(std::int64_t{days}) * us_per_day +
                              static_cast<std::uint64_t>(us);
    return write_integer(out, static_cast<std::int64_t>(sum));
  }
  const auto part = [&out](std::int64_t value, char unit) {
    write_integer(out, value);
    out.append(unit);
  };
  out.append("\"P");
  part(months / 12, 'Y');
  part(months % 12, 'M');
  part(days, 'D');
  out.append('T');
  part(us / (3600 * us_per_second), 'H');
  part(us / (60 * us_per_second) % 60, 'M');
  const std::int64_t rest = us % (60 * us_per_second);
  if (rest < 0) out.append('-');
  write_integer(out, (rest < 0 ? -rest : rest) / us_per_second);
  std::int64_t fraction = (rest < 0 ? -rest : rest) % us_per_second;
  if (fraction != 0) {
    int digits = 6;
    for (; fraction % 10 == 0; fraction /= 10) --digits;
    out.append('.');
    write_padded(out, static_cast<std::uint64_t>(fraction), digits);
  }
  out.append("S\"");
}

}  // namespace meridian::cdc
