// May this server write under the identity that its tables hold?
//
// The tables of a member travel: to its standbys, into base backups, through pg_upgrade. The server that finds
// itself in them is therefore compared with the server that was last confirmed, by three facts: the system
// identifier (initdb), the timeline (promotion, point-in-time recovery) and the name (meridian.node).
//
//   - A promoted standby may lack the last writes of the old primary, so it goes on under a new epoch. It usually has
//     another name.
//   - A file copy that was started beside the original shares everything but the name. Two servers must never write
//     under one actor, so it waits for a human being.
//   - A dump, restored or upgraded into a new system under the old name replaces the old server: a new epoch.
//
// The rules are data, one row per combination, so that every edge can be read and tested. What no rule can see: a
// file copy started under the name of the original, and two standbys of one primary promoted at once. Peers see them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace meridian {

/// The server that runs, or the server that was last confirmed.
struct ServerFacts {
  std::string_view system_id;
  std::uint32_t timeline = 0;
  std::string_view name;
};

enum class IdentityAction : std::uint8_t {
  accept,       ///< write under the confirmed epoch
  raise_epoch,  ///< the keeper raises the epoch and confirms this server
  refuse,       ///< write nothing until an administrator calls confirm_identity()
};

enum class SystemMatch : std::uint8_t { same, other };
enum class TimelineMatch : std::uint8_t { same, later, earlier };
enum class NameMatch : std::uint8_t { same, other };

struct IdentityRule {
  SystemMatch system;
  TimelineMatch timeline;
  NameMatch name;
  IdentityAction action;
  /// Why, as a message to people.
  const char* reason;
};

inline constexpr std::array<IdentityRule, 12> identity_rules{{
    {SystemMatch::same, TimelineMatch::same, NameMatch::same, IdentityAction::accept,
     "this server is the one that was confirmed"},
    {SystemMatch::same, TimelineMatch::same, NameMatch::other, IdentityAction::refuse,
     "this server has another name than the one that was confirmed: it may be a copy"},
    {SystemMatch::same, TimelineMatch::later, NameMatch::same, IdentityAction::raise_epoch,
     "this server is on a later timeline: it was promoted or recovered to a point in time"},
    {SystemMatch::same, TimelineMatch::later, NameMatch::other, IdentityAction::raise_epoch,
     "this server is on a later timeline under another name: a standby was promoted"},
    {SystemMatch::same, TimelineMatch::earlier, NameMatch::same, IdentityAction::refuse,
     "this server is on an earlier timeline than the one that was confirmed"},
    {SystemMatch::same, TimelineMatch::earlier, NameMatch::other, IdentityAction::refuse,
     "this server has another name and an earlier timeline than the one that was confirmed"},
    {SystemMatch::other, TimelineMatch::same, NameMatch::same, IdentityAction::raise_epoch,
     "this server is a new system under the confirmed name: it was upgraded or restored"},
    {SystemMatch::other, TimelineMatch::same, NameMatch::other, IdentityAction::refuse,
     "this server is another system under another name: it may be a copy"},
    {SystemMatch::other, TimelineMatch::later, NameMatch::same, IdentityAction::raise_epoch,
     "this server is a new system under the confirmed name: it was upgraded or restored"},
    {SystemMatch::other, TimelineMatch::later, NameMatch::other, IdentityAction::refuse,
     "this server is another system under another name: it may be a copy"},
    {SystemMatch::other, TimelineMatch::earlier, NameMatch::same, IdentityAction::raise_epoch,
     "this server is a new system under the confirmed name: it was upgraded or restored"},
    {SystemMatch::other, TimelineMatch::earlier, NameMatch::other, IdentityAction::refuse,
     "this server is another system under another name: it may be a copy"},
}};

/// The largest epoch of a member: an actor has 16 bits for it.
inline constexpr std::uint32_t last_epoch = 65535;

struct IdentityDecision {
  IdentityAction action;
  const char* reason;
};

/// What `running` may do with the identity that was last confirmed for `confirmed` in epoch `epoch`.
[[nodiscard]] constexpr IdentityDecision decide_identity(const ServerFacts& running, const ServerFacts& confirmed,
                                                         std::uint32_t epoch) noexcept {
  if (running.name.empty()) return {IdentityAction::refuse, "this server has no name: meridian.node is not set"};
  const auto system = running.system_id == confirmed.system_id ? SystemMatch::same : SystemMatch::other;
  const auto name = running.name == confirmed.name ? NameMatch::same : NameMatch::other;
  const auto timeline = running.timeline == confirmed.timeline  ? TimelineMatch::same
                        : running.timeline > confirmed.timeline ? TimelineMatch::later
                                                                : TimelineMatch::earlier;
  const auto rule = std::find_if(identity_rules.begin(), identity_rules.end(), [&](const IdentityRule& candidate) {
    return candidate.system == system && candidate.timeline == timeline && candidate.name == name;
  });
  if (rule->action == IdentityAction::raise_epoch && epoch >= last_epoch)
    return {IdentityAction::refuse, "this member has used up its 65535 epochs"};
  return {rule->action, rule->reason};
}

}  // namespace meridian
