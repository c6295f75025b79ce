// How old the data of a replica is, by one clock.
//
// Who probes notes where the primary's WAL stood, and when. The lag of a replica is the age of the first moment at
// which the primary was seen beyond what the replica has replayed. So no clocks of two machines are compared; on an
// idle system the lag is 0 although nothing arrives; and behind a cut link it grows, because the primary is seen by
// another way than the replica receives. What the primary wrote between two probes counts from the later one, so a lag
// may be too small by one interval, never by more.
//
// A limit has two values and a dwell time: a replica that was beyond `enter` is used again when it has been within
// `exit` for `dwell`, so that one that hovers at the limit does not come and go with every probe.
//
// Plain values in fixed memory: no allocation, no exception.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

namespace meridian {

/// Where a primary's WAL stood at which time. Microseconds of any clock that does not go back.
class WalClock {
 public:
  static constexpr std::size_t capacity = 256;

  /// The position was reached by `now`. Times do not go back; a position that does not grow says nothing new.
  void note(std::int64_t now, std::uint64_t lsn) noexcept {
    if (count_ > 0 && lsn <= samples_[count_ - 1].lsn) return;
    if (count_ == capacity) thin(now);
    samples_[count_++] = {now, lsn};
  }

  /// Of a replica that has replayed up to `replayed`, as of `at`: positions that were noted later do not count. 0 if it
  /// has all that was seen; nothing if nothing was.
  [[nodiscard]] std::optional<std::int64_t> lag(std::uint64_t replayed, std::int64_t at) const noexcept {
    if (count_ == 0) return std::nullopt;
    const Sample* const end = samples_.data() + count_;
    const Sample* const beyond = std::upper_bound(samples_.data(), end, replayed,
                                                  [](std::uint64_t lsn, const Sample& s) { return lsn < s.lsn; });
    if (beyond == end || beyond->time > at) return 0;
    return at - beyond->time;
  }

  [[nodiscard]] std::optional<std::uint64_t> latest() const noexcept {
    return count_ == 0 ? std::nullopt : std::optional(samples_[count_ - 1].lsn);
  }

  /// Forgets all: another server writes, or on another timeline.
  void clear() noexcept { count_ = 0; }

 private:
  struct Sample {
    std::int64_t time;
    std::uint64_t lsn;
  };

  /// Makes room: two neighbours become one sample, with the time of the first and the position of the second, so that a
  /// lag between them becomes too large. Those are taken whose distance is the smallest part of their age: what is left
  /// becomes sparser with age, and no lag is wrong by more than a small part of itself.
  void thin(std::int64_t now) noexcept {
    std::size_t best = 0;
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i + 2 < count_; ++i) {
      const auto distance = static_cast<double>(samples_[i + 2].time - samples_[i].time);
      const double part = distance / static_cast<double>(std::max<std::int64_t>(now - samples_[i + 2].time, 1));
      if (part < least) {
        least = part;
        best = i;
      }
    }
    samples_[best].lsn = samples_[best + 1].lsn;
    std::copy(samples_.begin() + static_cast<std::ptrdiff_t>(best) + 2,
              samples_.begin() + static_cast<std::ptrdiff_t>(count_),
              samples_.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    --count_;
  }

  std::array<Sample, capacity> samples_;  ///< ascending by time and by position
  std::size_t count_ = 0;
};

/// Limits of one measure, in its unit. A negative `enter` sets none.
struct LagLimits {
  std::int64_t enter;
  std::int64_t exit;
  std::int64_t dwell;  ///< microseconds
};

/// Whether a replica is beyond a limit, with memory.
class LagGate {
 public:
  /// `value`: what was measured at `now`; nothing if it is not known, which changes nothing but begins the dwell anew.
  void update(std::int64_t now, const std::optional<std::int64_t>& value, const LagLimits& limits) noexcept {
    if (limits.enter < 0) {
      *this = {};
    } else if (!value) {
      within_since_ = never;
    } else if (*value > limits.enter) {
      beyond_ = true;
      within_since_ = never;
    } else if (*value > limits.exit) {
      within_since_ = never;
    } else {
      if (within_since_ == never) within_since_ = now;
      if (now - within_since_ >= limits.dwell) beyond_ = false;
    }
  }

  [[nodiscard]] bool beyond() const noexcept { return beyond_; }

 private:
  static constexpr std::int64_t never = INT64_MIN;
  bool beyond_ = false;
  std::int64_t within_since_ = never;
};

}  // namespace meridian
