// Percentiles of a lag over the last hour, in fixed memory that processes may share.
//
// Samples are counted in buckets whose width grows with their value: eight to each power of two, so a percentile is at
// most an eighth too large, never too small. Six windows of ten minutes take turns; a percentile is over those of the
// last hour, so between 50 and 60 minutes of samples. Source: the bucket layout of HdrHistogram.
//
// A plain value: the caller copies it and guards it against concurrent use. Zeros are an empty histogram.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <optional>

namespace meridian {

class LagHistogram {
 public:
  static constexpr std::int64_t window_us = 600'000'000;
  static constexpr std::size_t windows = 6;
  /// Longer lags count as this one: twelve days.
  static constexpr std::int64_t longest_us = (std::int64_t{1} << 40) - 1;

  /// Adds a sample of `lag_us` (negative: 0) that was taken at `now_us`, of any clock that the caller uses throughout.
  void add(std::int64_t now_us, std::int64_t lag_us) noexcept {
    const std::int64_t epoch = epoch_at(now_us);
    Window& window = windows_[static_cast<std::size_t>(epoch) % windows];
    if (window.epoch != epoch) window = {epoch, {}};
    ++window.counts[bucket_of(std::clamp(lag_us, std::int64_t{0}, longest_us))];
  }

  /// Samples of the last hour.
  [[nodiscard]] std::uint64_t count(std::int64_t now_us) const noexcept {
    std::uint64_t total = 0;
    for (const Window& window : windows_) {
      if (!is_recent(window, now_us)) continue;
      for (const std::uint32_t each : window.counts) total += each;
    }
    return total;
  }

  /// A lag, microseconds, that at least `percent` (0 to 100) of the last hour's samples did not exceed. Nothing if
  /// there is no sample.
  [[nodiscard]] std::optional<std::int64_t> percentile(std::int64_t now_us, std::uint32_t percent) const noexcept {
    const std::uint64_t total = count(now_us);
    if (total == 0) return std::nullopt;
    const std::uint64_t wanted = std::max<std::uint64_t>((total * percent + 99) / 100, 1);
    std::uint64_t seen = 0;
    std::size_t bucket = 0;
    for (; bucket < buckets; ++bucket) {
      for (const Window& window : windows_) {
        if (is_recent(window, now_us)) seen += window.counts[bucket];
      }
      if (seen >= wanted) break;
    }
    return upper_bound_of(bucket);
  }

 private:
  static constexpr int steps_bits = 3;
  static constexpr std::size_t steps = std::size_t{1} << steps_bits;
  static constexpr std::size_t buckets = (40 - steps_bits + 1) * steps;

  struct Window {
    std::int64_t epoch;  ///< which ten minutes; 0: none yet
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

}  // namespace meridian
