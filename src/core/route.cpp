#include "core/route.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace meridian {
namespace {

/// Of an earlier timeline than the server's: whether it was left behind the position.
[[gnu::noinline]] bool has_inherited(const RouteServer& server, const Position& position,
                                     const RouteQuery& query) noexcept {
  // Only of this server's own history is known where a timeline was left.
  if (position.system_id != query.system_id || server.timeline > query.timeline) return false;
  const auto end = std::find_if(query.ancestors.begin(), query.ancestors.end(),
                                [&](const TimelineEnd& each) { return each.timeline == position.timeline; });
  return end != query.ancestors.end() && position.lsn <= end->end;
}

bool has_own(const RouteServer& server, const Position& position, const RouteQuery& query) noexcept {
  if (position.lsn > server.lsn || position.timeline > server.timeline) return false;
  return position.timeline == server.timeline || has_inherited(server, position, query);
}

[[gnu::noinline]] bool has_applied(const AppliedPositions* applied, const Position& position) noexcept {
  if (applied == nullptr) return false;
  const std::size_t count = std::min<std::size_t>(applied->count, Token::max_positions);
  return std::any_of(applied->positions, applied->positions + count, [&](const Position& each) {
    return each.system_id == position.system_id && each.timeline == position.timeline && each.lsn >= position.lsn;
  });
}

bool has_required(const RouteServer& server, const AppliedPositions* applied, const RouteQuery& query) noexcept {
  if (query.required.empty()) return true;
  if (server.is_self) return query.self_has_required;
  for (const Position& position : query.required) {
    const bool there =
        position.system_id == server.system_id ? has_own(server, position, query) : has_applied(applied, position);
    if (!there) return false;
  }
  return true;
}

bool is_well(const RouteServer& server) noexcept {
  return server.health == Health::up || server.health == Health::promoted || server.health == Health::drained;
}

Refusal lag_refusal(const RouteServer& server, const RouteQuery& query) noexcept {
  if (query.max_lag_us >= 0) {
    if (!server.lag_known) return Refusal::lag_unknown;
    if (server.lag_us > query.max_lag_us) return Refusal::too_late;
  } else {
    // While the primary is silent nobody can tell the lag; only who insists on a limit is refused then.
    if (!server.lag_known && server.primary_answers) return Refusal::lag_unknown;
    if (server.over_time) return Refusal::too_late;
  }
  return server.over_bytes ? Refusal::too_many_bytes : Refusal::none;
}

constexpr std::size_t tiers = 3;
constexpr auto no_tier = static_cast<std::uint8_t>(tiers);

std::uint8_t tier_of(const RouteServer& server, const RouteQuery& query) noexcept {
  const bool near = server.region == query.region;
  const RouteTier tier = !server.in_recovery ? (near ? RouteTier::region_primary : RouteTier::nothing)
                         : near              ? RouteTier::region_replica
                                             : RouteTier::other_replica;
  return std::min(static_cast<std::uint8_t>(tier), no_tier);
}

/// Of the servers of the tier the one in whose share of all their weights the number falls. The weights may have
/// changed since they were added up.
std::size_t draw(std::span<const RouteServer> servers, const std::uint8_t* tier, std::uint8_t wanted,
                 std::uint64_t weight, std::uint64_t random) noexcept {
  std::uint64_t left = ((random >> 32) * weight) >> 32;
  std::size_t last = 0;
  for (std::size_t i = 0; i < servers.size(); ++i) {
    if (tier[i] != wanted) continue;
    last = i;
    if (left < servers[i].weight) break;
    left -= servers[i].weight;
  }
  return last;
}

}  // namespace

const char* text_of(Refusal refusal) noexcept {
  switch (refusal) {
    case Refusal::none:
      return "qualifies";
    case Refusal::primary_only:
      return "cannot tell where the session wrote last";
    case Refusal::unreached:
      return "did not answer just now";
    case Refusal::diverged:
      return "takes writes that its member does not follow";
    case Refusal::no_address:
      return "is not registered with a connection string";
    case Refusal::other_timeline:
      return "is not on the timeline of the primary";
    case Refusal::drained:
      return "is drained";
    case Refusal::weightless:
      return "has weight 0";
    case Refusal::paused:
      return "has paused its replay";
    case Refusal::lag_unknown:
      return "is behind by an unknown time";
    case Refusal::too_late:
      return "is behind by more than the limit";
    case Refusal::too_many_bytes:
      return "is behind by more bytes than the limit";
    case Refusal::lacks_write:
      return "does not have the write yet";
  }
  return "";
}

Refusal refusal_of(const RouteServer& server, const AppliedPositions* applied, const RouteQuery& query) noexcept {
  if (server.health == Health::diverged || (!server.in_recovery && !server.writes && is_well(server)))
    return Refusal::diverged;
  if (!is_well(server) || server.sampled_at < query.oldest_sample) return Refusal::unreached;
  if (!server.has_address) return Refusal::no_address;
  if (server.in_recovery && !server.follows) return Refusal::other_timeline;
  if (server.drained) return Refusal::drained;
  if (server.weight == 0) return Refusal::weightless;
  if (server.paused) return Refusal::paused;
  if (server.in_recovery) {
    if (const Refusal refusal = lag_refusal(server, query); refusal != Refusal::none) return refusal;
  }
  if (!has_required(server, applied, query)) return Refusal::lacks_write;
  if (query.primary_only && !(server.writes && server.member == query.home)) return Refusal::primary_only;
  return Refusal::none;
}

RouteChoice choose_server(std::span<const RouteServer> servers, std::span<const AppliedPositions> applied,
                          const RouteQuery& query) noexcept {
  RouteChoice choice;
  if (query.primary_only) {
    choice.closest = Refusal::primary_only;
  } else {
    std::array<std::uint8_t, most_routed> tier;
    std::array<std::uint64_t, tiers + 1> weights{};
    servers = servers.first(std::min(servers.size(), most_routed));
    for (std::size_t i = 0; i < servers.size(); ++i) {
      const RouteServer& server = servers[i];
      const Refusal refusal = refusal_of(server, applied.empty() ? nullptr : &applied[i], query);
      tier[i] = refusal == Refusal::none ? tier_of(server, query) : no_tier;
      weights[tier[i]] += server.weight;
      // What an expected primary lacks says nothing of replicas.
      const bool replica = server.in_recovery || !server.expected_primary;
      if (refusal != Refusal::none && replica) choice.closest = std::max(choice.closest, refusal);
    }
    for (std::uint8_t wanted = 0; wanted < no_tier; ++wanted) {
      if (weights[wanted] == 0) continue;
      choice.tier = static_cast<RouteTier>(wanted);
      choice.index = draw(servers, tier.data(), wanted, weights[wanted], query.random);
      return choice;
    }
  }
  choice.index = primary_of(servers, query.home);
  choice.tier = choice.index < servers.size() ? RouteTier::home_primary : RouteTier::nothing;
  return choice;
}

std::uint16_t home_of(std::span<const RouteServer> servers, std::span<const Position> token,
                      std::uint16_t own) noexcept {
  std::uint16_t home = own;
  bool found = false;
  for (const Position& position : token) {
    for (const RouteServer& server : servers) {
      if (server.system_id != position.system_id) continue;
      if (server.member == own) return own;
      if (!found) home = server.member;
      found = true;
    }
  }
  return home;
}

std::size_t primary_of(std::span<const RouteServer> servers, std::uint16_t member) noexcept {
  const auto find = [&](auto is_it) {
    return static_cast<std::size_t>(
        std::find_if(servers.begin(), servers.end(),
                     [&](const RouteServer& each) { return each.member == member && is_it(each); }) -
        servers.begin());
  };
  const std::size_t writer = find([](const RouteServer& each) { return each.writes; });
  if (writer < servers.size()) return writer;
  // Nobody is known to write. A primary that was left behind must not be told as the one to go to.
  return find([](const RouteServer& each) { return each.expected_primary && each.health != Health::diverged; });
}

void write_reason(const RouteChoice& choice, const RouteServer& server, char (&to)[route_reason_size]) noexcept {
  const char* head = "";
  const char* middle = "";
  const char* tail = "";
  switch (choice.tier) {
    case RouteTier::region_replica:
      head = "a replica in the region";
      break;
    case RouteTier::other_replica:
      head = "a replica in another region";
      break;
    case RouteTier::region_primary:
    case RouteTier::home_primary:
      head = is_well(server) ? "the primary" : "the primary, which did not answer just now";
      middle = choice.closest == Refusal::none           ? ": there is no replica"
               : choice.closest == Refusal::primary_only ? ": a standby "
                                                         : ": the best replica ";
      if (choice.closest != Refusal::none) tail = text_of(choice.closest);
      break;
    case RouteTier::nothing:
      break;
  }
  char* at = to;
  char* const end = to + route_reason_size - 1;
  const auto put = [&at, end](std::string_view text) {
    const std::size_t size = std::min(text.size(), static_cast<std::size_t>(end - at));
    std::memcpy(at, text.data(), size);
    at += size;
  };
  put(head);
  put(middle);
  put(tail);
  *at = '\0';
}

}  // namespace meridian
