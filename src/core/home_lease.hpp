// Leases: how long a region may go on writing the keys that it is home of without hearing from the others, so that a
// region that is cut off has stopped when its keys are taken by force (core/rehome.hpp).
//
// Every member asks the others again and again. One that acknowledges promises to wait out the lease before it takes
// part in taking the asker's keys; the lease begins when the question was *sent*, on the asker's clock, which never
// goes back. A member holds its lease while acknowledgements that have not run out, and its own vote, are a majority
// of the voters. So with two members both stop when they lose each other, and one of them goes on when it has taken
// the other's keys by force.
//
// The voters are the members, without those that were given up in the last change of homes: else a mesh of two could
// not go on without one. They change when a change is done. The *number* of an electorate says which one a member
// means, and is another one while a change of voters is in progress; an acknowledgement counts only between members of
// the same number. So from prepare on no member that takes part acknowledges one that does not.
//
// Taking keys by force is safe if the members that are lost cannot keep a majority among themselves, neither of the
// voters as they are nor as a change in progress makes them; then each of them needs an acknowledgement of one that
// takes part, and these were all given before prepare. Who takes waits, after prepare, until every promise has run out
// on the clock of the member that gave it. Half of an even number of members may do that, so both halves may: with an
// even number, keys must be taken on one side only.
//
// Clocks may differ in rate by 5 %. A second is added for what lies between the last look at the lease and the commit.
// A process or machine that is stopped for longer in between can commit later. test/unit/home_lease_model_test.cpp runs
// meshes through partitions, delays and takeovers.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>

namespace meridian {

/// More members hold no leases.
inline constexpr std::size_t most_voters = 64;

/// How many others must have acknowledged, so that with the own vote, if there is one, they are a majority.
[[nodiscard]] constexpr std::size_t acknowledgements_needed(std::size_t voters, bool votes) noexcept {
  return voters / 2 + (votes ? 0 : 1);
}

/// Whether those of the voters that are lost cannot be a majority.
[[nodiscard]] constexpr bool can_outwait(std::size_t voters, std::size_t lost) noexcept { return lost <= voters / 2; }

/// How long a member that has acknowledged waits, in microseconds, for a lease of this length.
[[nodiscard]] constexpr std::int64_t outwait_us(std::int64_t lease_us) noexcept {
  return lease_us + lease_us / 20 + 1'000'000;
}

/// A change of homes that was not aborted.
struct VoterChange {
  std::uint64_t epoch;
  bool done;    ///< else it is in progress
  bool forced;  ///< members were given up
};

struct Electorate {
  std::uint64_t number;
  std::uint64_t given_up_in;       ///< the change that gave members up; 0: all vote
  std::uint64_t next_given_up_in;  ///< the same when the change in progress is done
};

/// What follows from the changes that a member knows, by epoch.
[[nodiscard]] constexpr Electorate electorate_of(std::span<const VoterChange> changes) noexcept {
  Electorate now{};
  for (const VoterChange& change : changes) {
    const bool differs = change.forced || now.given_up_in != 0;
    const std::uint64_t given_up_in = change.forced ? change.epoch : 0;
    if (differs) now.number = 2 * change.epoch + (change.done ? 0 : 1);
    if (change.done) now.given_up_in = given_up_in;
    now.next_given_up_in = given_up_in;
  }
  return now;
}

/// The acknowledgements that one member has got, the last of each other member.
class Acknowledgements {
 public:
  /// `until`: on the clock of the member that got it.
  void note(std::int32_t from, std::uint64_t electorate, std::int64_t until) noexcept {
    const auto at = std::find_if(entries_.begin(), entries_.end(),
                                 [from](const Entry& each) { return each.from == from || each.from == 0; });
    if (at != entries_.end()) *at = {from, electorate, until};
  }

  /// When the lease of `self` ends; 0 if it has none, the largest number if it needs nobody.
  [[nodiscard]] std::int64_t lease_end(std::uint64_t electorate, std::span<const std::int32_t> voters,
                                       std::int32_t self) const noexcept {
    const auto votes = [voters](std::int32_t member) {
      return std::find(voters.begin(), voters.end(), member) != voters.end();
    };
    if (voters.size() > most_voters) return 0;
    const std::size_t needed = acknowledgements_needed(voters.size(), votes(self));
    if (needed == 0) return std::numeric_limits<std::int64_t>::max();
    std::array<std::int64_t, most_voters> ends{};
    std::size_t count = 0;
    for (const Entry& each : entries_) {
      if (each.from != self && each.electorate == electorate && votes(each.from)) ends[count++] = each.until;
    }
    if (count < needed) return 0;
    std::nth_element(ends.begin(), ends.begin() + (needed - 1), ends.begin() + count, std::greater<>());
    return ends[needed - 1];
  }

  /// How many of them have not run out.
  [[nodiscard]] std::size_t running(std::uint64_t electorate, std::span<const std::int32_t> voters,
                                    std::int64_t now) const noexcept {
    return static_cast<std::size_t>(std::count_if(entries_.begin(), entries_.end(), [&](const Entry& each) {
      return each.electorate == electorate && each.until > now &&
             std::find(voters.begin(), voters.end(), each.from) != voters.end();
    }));
  }

 private:
  struct Entry {
    std::int32_t from;  ///< 0: free
    std::uint64_t electorate;
    std::int64_t until;
  };
  std::array<Entry, most_voters> entries_{};
};

/// What one member has promised the others: until when it takes part in no takeover of their keys, on its own clock.
/// Lies in shared memory.
class LeasePromises {
 public:
  /// False if there is no room; then nothing is promised.
  bool note(std::int32_t to, std::int64_t until) noexcept {
    const auto at = std::find_if(entries_.begin(), entries_.end(),
                                 [to](const Entry& each) { return each.to == to || each.to == 0; });
    if (at == entries_.end()) return false;
    *at = {to, at->to == to ? std::max(at->until, until) : until};
    return true;
  }

  /// The latest that these members were promised; `unknown` for each that was promised nothing.
  [[nodiscard]] std::int64_t latest(std::span<const std::int32_t> members, std::int64_t unknown) const noexcept {
    std::int64_t latest = 0;
    for (const std::int32_t member : members) {
      const auto at =
          std::find_if(entries_.begin(), entries_.end(), [member](const Entry& each) { return each.to == member; });
      latest = std::max(latest, at == entries_.end() ? unknown : at->until);
    }
    return latest;
  }

 private:
  struct Entry {
    std::int32_t to;  ///< 0: free
    std::int64_t until;
  };
  std::array<Entry, most_voters> entries_{};
};

}  // namespace meridian
