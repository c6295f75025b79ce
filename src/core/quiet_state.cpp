#include "core/quiet_state.hpp"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

namespace meridian {
namespace {

// As in row_state_codec.cpp: the format, and a head of (entries << 4 | flags).
constexpr std::byte plain_format{1};
constexpr std::uint64_t flag_one_birth = 1;
constexpr std::uint64_t flag_plain_group = 4;

constexpr std::uint64_t max_milliseconds = std::numeric_limits<std::uint64_t>::max() >> Hlc::counter_bits;

/// Reads minimal LEB128 numbers. The first that does not fit ends it: `ok` turns false for good.
class Numbers {
 public:
  explicit Numbers(std::span<const std::byte> bytes) noexcept
      : next_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  std::uint64_t up_to(std::uint64_t limit) noexcept {
    std::uint64_t value = 0;
    for (int shift = 0; next_ != end_ && shift < 63; shift += 7) {
      const auto byte = std::to_integer<std::uint64_t>(*next_++);
      value |= (byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      ok = ok && value <= limit && (byte != 0 || shift == 0);
      return value;
    }
    ok = false;
    return 0;
  }

  Hlc stamp(std::uint64_t base) noexcept {
    const std::uint64_t milliseconds = base + up_to(max_milliseconds - base);
    return Hlc::from_parts(milliseconds, static_cast<std::uint16_t>(up_to(0xffff)));
  }

  Actor actor() noexcept {
    const auto member = static_cast<std::uint16_t>(up_to(0xffff));
    return Actor::from_parts(static_cast<std::uint16_t>(up_to(0xffff)), member);
  }

  [[nodiscard]] bool at_end() const noexcept { return next_ == end_; }

  bool ok = true;

 private:
  const std::byte* next_;
  const std::byte* end_;
};

/// What the canonical form demands of the entries: their order, the base, and that one birth is said to be one.
bool is_canonical(const QuietState& state, std::uint64_t base, bool one_birth) noexcept {
  Hlc lowest{std::numeric_limits<std::uint64_t>::max()};
  bool births_equal = true;
  for (std::size_t i = 0; i < state.count; ++i) {
    const QuietEntry& entry = state.entries[i];
    lowest = std::min({lowest, entry.birth, entry.last});
    births_equal = births_equal && entry.birth == state.entries[0].birth;
    if (i == 0) continue;
    const QuietEntry& previous = state.entries[i - 1];
    if (std::pair(previous.actor, previous.birth) >= std::pair(entry.actor, entry.birth)) return false;
  }
  return lowest.milliseconds() == base && births_equal == one_birth;
}

}  // namespace

Hlc QuietState::highest_stamp() const noexcept {
  Hlc highest;
  for (const QuietEntry& entry : all()) highest = std::max({highest, entry.birth, entry.last});
  return highest;
}

const QuietEntry& QuietState::leading() const noexcept {
  const auto order = [](const QuietEntry& entry) { return std::tuple(entry.birth, entry.last, entry.actor); };
  const QuietEntry* leading = entries.data();
  for (const QuietEntry& entry : all()) {
    if (order(entry) > order(*leading)) leading = &entry;
  }
  return *leading;
}

bool read_quiet(std::span<const std::byte> bytes, QuietState& out) noexcept {
  if (bytes.empty() || bytes.front() != plain_format) return false;
  Numbers in(bytes.subspan(1));
  const std::uint64_t head = in.up_to((QuietState::max_writers << 4) | 0xf);
  const std::uint64_t flags = head & 0xf;
  const bool one_birth = (flags & flag_one_birth) != 0;
  out.count = static_cast<std::size_t>(head >> 4);
  if (!in.ok || out.count == 0 || (flags & ~flag_one_birth) != flag_plain_group) return false;
  const std::uint64_t base = in.up_to(max_milliseconds);
  if (!in.ok) return false;
  const Hlc common_birth = one_birth ? in.stamp(base) : never;
  for (std::size_t i = 0; i < out.count; ++i) {
    QuietEntry& entry = out.entries[i];
    entry.actor = in.actor();
    entry.birth = one_birth ? common_birth : in.stamp(base);
    entry.last = in.stamp(base);
  }
  return in.ok && in.at_end() && is_canonical(out, base, one_birth);
}

bool supersedes(const QuietState& incoming, const QuietState& local) noexcept {
  const QuietEntry* theirs = incoming.entries.data();
  const QuietEntry* const end = theirs + incoming.count;
  const auto key = [](const QuietEntry& entry) { return std::pair(entry.actor, entry.birth); };
  for (const QuietEntry& mine : local.all()) {
    while (theirs != end && key(*theirs) < key(mine)) ++theirs;
    if (theirs == end || key(*theirs) != key(mine) || theirs->last < mine.last) return false;
    ++theirs;
  }
  const auto order = [](const QuietEntry& entry) { return std::tuple(entry.birth, entry.last, entry.actor); };
  return order(incoming.leading()) > order(local.leading());
}

}  // namespace meridian
