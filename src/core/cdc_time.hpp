// Dates, times and intervals as Debezium writes them, from PostgreSQL's own representation: days and microseconds since
// 2000-01-01. Without a time zone database: `timestamp` is taken as if it were UTC, `timestamptz` is UTC.
#pragma once

#include <cstdint>

#include "core/cdc_buffer.hpp"
#include "core/cdc_modes.hpp"

namespace meridian::cdc {

/// Microseconds from 1970-01-01 to 2000-01-01.
inline constexpr std::int64_t postgres_epoch_us = 946'684'800'000'000;

/// `days` since 2000-01-01; the largest and smallest int32 are the infinities.
void write_date(Buffer& out, std::int32_t days, TimeMode mode);

/// Microseconds since midnight, up to 24:00. `precision`: declared digits of the fraction, -1 for none declared.
void write_time(Buffer& out, std::int64_t us, int precision, TimeMode mode);

/// `zone`: seconds west of UTC, as PostgreSQL stores them. Always text, in UTC.
void write_timetz(Buffer& out, std::int64_t us, std::int32_t zone);

/// `us` since 2000-01-01 in no time zone; the largest and smallest int64 are the infinities.
void write_timestamp(Buffer& out, std::int64_t us, int precision, TimeMode mode);

/// `us` since 2000-01-01 UTC. Always text with exactly the declared digits of the fraction.
void write_timestamptz(Buffer& out, std::int64_t us, int precision);

/// A month counts as a twelfth of 365.25 days in `numeric`.
void write_interval(Buffer& out, std::int32_t months, std::int32_t days, std::int64_t us, IntervalMode mode);

}  // namespace meridian::cdc
