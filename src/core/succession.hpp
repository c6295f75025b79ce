// Who writes for a member, when several servers say that they do.
//
// After a failover the old primary may come back as it was. It takes writes that nobody follows, so nobody may be sent
// there. Two servers of one member are told apart by their *reigns*: the system (initdb), the timeline that they write,
// and the epoch of the member, which grows with every promotion, restore and copy (core/actor.hpp).
//
// In one system a promotion begins a timeline with a larger number, so the larger timeline is the later. A new system
// (a restored dump, pg_upgrade) is the later one only if its epoch says so. What was seen once is remembered: an old
// primary does not become the primary again because the new one is down.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace meridian {

struct Reign {
  std::uint64_t system_id = 0;  ///< 0: no reign
  std::uint32_t timeline = 0;
  std::uint32_t epoch = 0;  ///< 0: not known

  friend bool operator==(const Reign&, const Reign&) = default;
};

/// Whether `claim` was over when `seen` began.
[[nodiscard]] constexpr bool is_over(const Reign& claim, const Reign& seen) noexcept {
  if (seen.system_id == 0) return false;
  if (claim.system_id != seen.system_id) return claim.epoch <= seen.epoch;
  if (claim.timeline != seen.timeline) return claim.timeline < seen.timeline;
  return claim.epoch < seen.epoch;
}

/// A server that says that it is the primary.
struct Claim {
  Reign reign;
  bool was_primary;  ///< it was the one that wrote, when this was decided last
  bool is_expected;  ///< the member's connection string leads to it
};

inline constexpr std::size_t nobody_writes = SIZE_MAX;

/// Which of the claims counts; nobody_writes if none does. `seen` is the latest reign of the member that was ever seen;
/// it becomes that of the primary. Of each system the latest claim stands, and of several systems that of the largest
/// epoch. Of those that cannot be told apart, the one stays that was primary, and else the expected one, and else the
/// first.
[[nodiscard]] constexpr std::size_t find_primary(std::span<const Claim> claims, Reign& seen) noexcept {
  const auto counts = [&](const Claim& claim) { return claim.reign.system_id != 0 && !is_over(claim.reign, seen); };
  const auto stands = [&](const Claim& claim) {
    if (!counts(claim)) return false;
    for (const Claim& other : claims) {
      const bool rival = counts(other) && other.reign.system_id == claim.reign.system_id;
      if (rival && is_over(claim.reign, other.reign)) return false;
    }
    return true;
  };
  const auto is_better = [](const Claim& claim, const Claim& other) {
    if (claim.reign.epoch != other.reign.epoch) return claim.reign.epoch > other.reign.epoch;
    const auto rank = [](const Claim& each) { return each.was_primary ? 2 : each.is_expected ? 1 : 0; };
    return rank(claim) > rank(other);
  };
  std::size_t best = nobody_writes;
  for (std::size_t i = 0; i < claims.size(); ++i) {
    if (stands(claims[i]) && (best == nobody_writes || is_better(claims[i], claims[best]))) best = i;
  }
  if (best != nobody_writes) seen = claims[best].reign;
  return best;
}

}  // namespace meridian
