// When the positions of a log were committed, as somebody knows it who looks at the log's end from time to time; and
// from that, how long commits took to reach a reader of the log, by one clock.
//
// An entry is the end of the log at one look: the commits since the entry before it lie at or below `position`, and
// were made after `after` and not after `until`. Whoever looks at the reader's position as well, knows of each entry
// between which two looks the reader reached it. So a lag is known to lie in an interval whose width is the time
// between looks. A measurement from elsewhere (a walsender's) is believed inside of it.
//
// Memory is fixed. When it is full, neighbours among the older half become one entry, which is coarser and still true;
// so a reader may be behind for any time. A plain value; zeros are an empty one.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace meridian {

/// Times are microseconds of a monotonic clock.
class CommitTimes {
 public:
  static constexpr std::size_t capacity = 512;

  struct Entry {
    std::uint64_t position;
    std::int64_t after;
    std::int64_t until;
  };

  /// A look at `now_us`: the log ends at `position`. An end below an earlier one counts as that one.
  void look(std::int64_t now_us, std::uint64_t position) noexcept {
    const std::int64_t before = count_ == 0 && looked_at_ == 0 ? now_us : looked_at_;
    looked_at_ = now_us;
    if (position == 0 || (count_ > 0 && position <= entries_[count_ - 1].position)) return;
    if (count_ == capacity) thin_out();
    entries_[count_++] = {position, before, now_us};
  }

  /// Calls f(low_us, high_us) for each entry in (passed, reached]: the lag of its commits lies between the two, if the
  /// reader stood at `passed` at `looked_us` and stands at `reached` now.
  template <typename F>
  void for_each_reached(std::uint64_t passed, std::uint64_t reached, std::int64_t looked_us, std::int64_t now_us,
                        F f) const noexcept {
    for (std::size_t i = first_beyond(passed); i < count_ && entries_[i].position <= reached; ++i) {
      f(std::max<std::int64_t>(looked_us - entries_[i].until, 0), now_us - entries_[i].after);
    }
  }

  /// How long the oldest commit beyond `reached` has been waiting, at most one interval between looks too long; 0 if
  /// there is none.
  [[nodiscard]] std::int64_t waiting_us(std::uint64_t reached, std::int64_t now_us) const noexcept {
    const std::size_t i = first_beyond(reached);
    return i == count_ ? 0 : std::max<std::int64_t>(now_us - entries_[i].after, 0);
  }

  [[nodiscard]] std::size_t size() const noexcept { return count_; }

 private:
  [[nodiscard]] std::size_t first_beyond(std::uint64_t position) const noexcept {
    const auto* const end = entries_.data() + count_;
    const auto* const found =
        std::partition_point(entries_.data(), end, [position](const Entry& each) { return each.position <= position; });
    return static_cast<std::size_t>(found - entries_.data());
  }

  void thin_out() noexcept {
    constexpr std::size_t half = capacity / 2;
    for (std::size_t i = 0; i < half / 2; ++i) {
      const Entry& first = entries_[2 * i];
      const Entry& second = entries_[2 * i + 1];
      entries_[i] = {second.position, first.after, second.until};
    }
    std::copy(entries_.begin() + half, entries_.end(), entries_.begin() + half / 2);
    count_ = capacity - half / 2;
  }

  std::int64_t looked_at_;
  std::size_t count_;
  std::array<Entry, capacity> entries_;
};

}  // namespace meridian
