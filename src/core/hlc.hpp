// Hybrid logical clock: a 64-bit stamp, 48 bits of Unix milliseconds and a 16-bit counter.
//
// Source: Kulkarni et al., "Logical Physical Clocks and Consistent Snapshots in Globally Distributed Databases" (2014).
// The stamp sorts as an unsigned (and, until the year 6429, as a signed) 64-bit integer. A counter that overflows
// carries into the milliseconds, so `next` is total and strictly increasing.
//
// Pure values: physical time is always an argument. Storage, persistence and the skew limit live in src/pg/hlc.cpp.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>

namespace meridian {

struct Hlc {
  std::uint64_t value = 0;

  static constexpr int counter_bits = 16;

  static constexpr Hlc from_parts(std::uint64_t milliseconds, std::uint16_t counter) noexcept {
    return Hlc{(milliseconds << counter_bits) | counter};
  }
  /// Unix time in milliseconds.
  [[nodiscard]] constexpr std::uint64_t milliseconds() const noexcept { return value >> counter_bits; }
  [[nodiscard]] constexpr std::uint16_t counter() const noexcept { return static_cast<std::uint16_t>(value); }

  friend constexpr auto operator<=>(const Hlc&, const Hlc&) noexcept = default;
};

/// The stamp of a row that was there before replication began.
inline constexpr Hlc never{0};
/// The birth of a row that was there before replication began.
inline constexpr Hlc first_birth{1};

/// The next stamp of a clock that stands at `last` while physical time is `now_ms`: larger than `last`, and not
/// behind physical time.
[[nodiscard]] constexpr Hlc next_stamp(Hlc last, std::uint64_t now_ms) noexcept {
  return Hlc{std::max(last.value + 1, Hlc::from_parts(now_ms, 0).value)};
}

/// True if `stamp` lies more than `max_skew_ms` after physical time. Only the future side is checked: an old stamp
/// is history, not an error.
[[nodiscard]] constexpr bool too_far_ahead(Hlc stamp, std::uint64_t now_ms, std::uint64_t max_skew_ms) noexcept {
  return stamp.milliseconds() > now_ms && stamp.milliseconds() - now_ms > max_skew_ms;
}

}  // namespace meridian
