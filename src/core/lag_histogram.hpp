// Percentiles of a lag over the recent past, in fixed memory that processes may share.
//
// Samples are counted in buckets whose width grows with their value: eight to each power of two, so a percentile is at
// most an eighth too large, never too small. Windows of equal length take turns; what is asked is answered over those
// of the whole span, so over its last part at least: of six windows, between 5/6 of the span and all of it. Source: the
// bucket layout of HdrHistogram.
//
// A plain value: the caller copies it and guards it against concurrent use. Zeros are an empty histogram.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <optional>

namespace meridian {

/// What is known of a span: how many samples, and lags in microseconds. Without samples all are 0.
struct LagSummary {
  std::uint64_t samples;
  std::int64_t p50_us;
  std::int64_t p95_us;
  std::int64_t p99_us;
  std::int64_t longest_us;
};

/// `WindowUs`: length of a window, microseconds. `Windows`: how many make the span.
template <std::int64_t WindowUs, std::size_t Windows>
class LagHistogramOf {
 public:
  static constexpr std::int64_t window_us = WindowUs;
  static constexpr std::size_t windows = Windows;
  /// Longer lags count as this one: twelve days.
  static constexpr std::int64_t longest_us = (std::int64_t{1} << 40) - 1;

  /// Adds a sample of `lag_us` (negative: 0) that was taken at `now_us`, of any clock that the caller uses throughout.
  void add(std::int64_t now_us, std::int64_t lag_us) noexcept {
    const std::int64_t epoch = epoch_at(now_us);
    Window& window = windows_[static_cast<std::size_t>(epoch) % windows];
    if (window.epoch != epoch) window = {epoch, 0, {}};
    const std::int64_t lag = std::clamp(lag_us, std::int64_t{0}, longest_us);
    window.longest_us = std::max(window.longest_us, lag);
    ++window.counts[bucket_of(lag)];
  }

  /// Samples of the span.
  [[nodiscard]] std::uint64_t count(std::int64_t now_us) const noexcept {
    std::uint64_t total = 0;
    for (const Window& window : windows_) {
      if (!is_recent(window, now_us)) continue;
      for (const std::uint32_t each : window.counts) total += each;
    }
    return total;
  }

  /// A lag, microseconds, that at least `percent` (0 to 100) of the span's samples did not exceed. Nothing if there is
  /// no sample.
  [[nodiscard]] std::optional<std::int64_t> percentile(std::int64_t now_us, std::uint32_t percent) const noexcept {
    return percentile_of(percent, [this, now_us](const Window& window) { return is_recent(window, now_us); });
  }

  [[nodiscard]] LagSummary summary(std::int64_t now_us) const noexcept {
    LagSummary found{count(now_us), 0, 0, 0, 0};
    if (found.samples == 0) return found;
    found.p50_us = *percentile(now_us, 50);
    found.p95_us = *percentile(now_us, 95);
    found.p99_us = *percentile(now_us, 99);
    for (const Window& window : windows_) {
      if (is_recent(window, now_us)) found.longest_us = std::max(found.longest_us, window.longest_us);
    }
    return found;
  }

  /// As percentile(), over one window alone: the running one (0), the one before it (1), ...
  [[nodiscard]] std::optional<std::int64_t> percentile_before(std::int64_t now_us, std::size_t back,
                                                              std::uint32_t percent) const noexcept {
    const std::int64_t epoch = epoch_at(now_us) - static_cast<std::int64_t>(back);
    return percentile_of(percent, [epoch](const Window& window) { return window.epoch == epoch && epoch > 0; });
  }

 private:
  static constexpr int steps_bits = 3;
  static constexpr std::size_t steps = std::size_t{1} << steps_bits;
  static constexpr std::size_t buckets = (40 - steps_bits + 1) * steps;

  struct Window {
    std::int64_t epoch;  ///< which one since the clock's zero; 0: none yet
    std::int64_t longest_us;
    std::array<std::uint32_t, buckets> counts;
  };

  /// From 1 on.
  static constexpr std::int64_t epoch_at(std::int64_t now_us) noexcept {
    return std::max(now_us, std::int64_t{0}) / window_us + 1;
  }

  static bool is_recent(const Window& window, std::int64_t now_us) noexcept {
    const std::int64_t epoch = epoch_at(now_us);
    return window.epoch != 0 && window.epoch <= epoch && window.epoch > epoch - static_cast<std::int64_t>(windows);
  }

  template <typename Wanted>
  [[nodiscard]] std::optional<std::int64_t> percentile_of(std::uint32_t percent, Wanted wanted) const noexcept {
    std::uint64_t total = 0;
    std::int64_t longest = 0;
    for (const Window& window : windows_) {
      if (!wanted(window)) continue;
      longest = std::max(longest, window.longest_us);
      for (const std::uint32_t each : window.counts) total += each;
    }
    if (total == 0) return std::nullopt;
    const std::uint64_t rank = std::max<std::uint64_t>((total * percent + 99) / 100, 1);
    std::uint64_t seen = 0;
    std::size_t bucket = 0;
    for (; bucket < buckets; ++bucket) {
      for (const Window& window : windows_) {
        if (wanted(window)) seen += window.counts[bucket];
      }
      if (seen >= rank) break;
    }
    return std::min(upper_bound_of(bucket), longest);
  }

  // Values below 8 have a bucket each; then each power of two has eight.
  static constexpr std::size_t bucket_of(std::int64_t lag_us) noexcept {
    const auto value = static_cast<std::uint64_t>(lag_us);
    if (value < steps) return static_cast<std::size_t>(value);
    const int shift = std::bit_width(value) - 1 - steps_bits;
    return (static_cast<std::size_t>(shift) << steps_bits) + static_cast<std::size_t>(value >> shift);
  }

  static constexpr std::int64_t upper_bound_of(std::size_t bucket) noexcept {
    if (bucket < 2 * steps) return static_cast<std::int64_t>(bucket);
    const std::size_t shift = (bucket >> steps_bits) - 1;
    const std::size_t step = (bucket & (steps - 1)) + steps;
    return (static_cast<std::int64_t>(step + 1) << shift) - 1;
  }

  std::array<Window, windows> windows_;
};

/// An hour, in windows of ten minutes.
using LagHistogram = LagHistogramOf<600'000'000, 6>;

/// The spans of view meridian.lag: a minute, a quarter of an hour, a day.
struct LagWindows {
  LagHistogramOf<10'000'000, 6> minute;
  LagHistogramOf<90'000'000, 10> quarter;
  LagHistogramOf<7'200'000'000, 12> day;

  void add(std::int64_t now_us, std::int64_t lag_us) noexcept {
    minute.add(now_us, lag_us);
    quarter.add(now_us, lag_us);
    day.add(now_us, lag_us);
  }
};

}  // namespace meridian
