// Which server a read goes to: a choice over what was probed, a pure function.
//
//   replicas in the wanted region      one of those that nothing speaks against, at random by weight
//   else a primary in that region      unless something speaks against it
//   else replicas of other regions     likewise
//   else the primary of home           whatever its state: who has nothing better can only try
//
// So the answer is never "none" because of what we think of servers, and always says why it is the primary. What speaks
// against a server is tested in the order of Refusal; the refusal of the one that came farthest is the reason given.
//
// What must be readable there (a token, a session's last write) is a set of positions. A server has a position if it
// was *probed* with it or with more, on the same timeline or a known later one. An old sample can only say too little,
// so it costs an offload. (A replica that crashes may restart behind what it had shown: a client that must not read old
// data sets meridian.read_after there, which costs nothing where the write is.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/health.hpp"
#include "core/token_check.hpp"

namespace meridian {

/// A server as it was probed. Times are microseconds of one clock that does not go back.
struct RouteServer {
  std::uint64_t system_id;
  std::uint64_t lsn;     ///< what can be read there: replayed, or on a primary written
  std::uint64_t region;  ///< region_key() of its name
  std::int64_t sampled_at;
  std::int64_t lag_us;
  std::uint32_t timeline;
  std::uint16_t member;
  std::uint16_t weight;
  Health health;
  bool in_recovery;
  bool writes;            ///< its member follows it: the only one that may be written to
  bool expected_primary;  ///< the connection string of its member leads to it
  bool follows;           ///< a standby on the timeline that its member's primary writes
  bool primary_answers;   ///< that primary was heard of just now, so that the lag is of now
  bool drained;
  bool paused;
  bool lag_known;
  bool over_time;  ///< beyond meridian.max_lag, with hysteresis
  bool over_bytes;
  bool has_address;  ///< clients can be told where it is
  bool is_self;
};

/// What a server has of other systems: the ends up to which it has applied, as in its heartbeats.
struct AppliedPositions {
  std::uint32_t count;
  Position positions[Token::max_positions];
};

/// A number for the name of a region; different for different names, but for chance of 2^-64.
[[nodiscard]] constexpr std::uint64_t region_key(std::string_view name) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

struct RouteQuery {
  std::int64_t now;
  std::int64_t oldest_sample;  ///< samples from before do not count
  std::int64_t max_lag_us;     ///< negative: the limit of the settings
  std::uint64_t region;        ///< region_key() of the wanted one
  std::uint16_t home;          ///< member whose primary is the last resort
  bool primary_only;           ///< nothing else can answer
  std::span<const Position> required;
  std::span<const TimelineEnd> ancestors;  ///< of `system_id` at `timeline`, as far as known here
  std::uint64_t system_id;
  std::uint32_t timeline;
  bool self_has_required;  ///< this server was asked itself
  std::uint64_t random;
};

/// What speaks against a server, in the order of testing.
enum class Refusal : std::uint8_t {
  none,
  primary_only,
  unreached,  ///< it has not answered, or not just now
  diverged,
  no_address,
  other_timeline,  ///< a standby that does not follow its member's primary (yet)
  drained,
  weightless,
  paused,
  lag_unknown,
  too_late,
  too_many_bytes,
  lacks_write,
};

/// What is to be said of such a server, without a subject.
[[nodiscard]] const char* text_of(Refusal refusal) noexcept;

/// What speaks against reading from the server. `applied` may be null: nothing is known then.
[[nodiscard]] Refusal refusal_of(const RouteServer& server, const AppliedPositions* applied,
                                 const RouteQuery& query) noexcept;

enum class RouteTier : std::uint8_t { region_replica, region_primary, other_replica, home_primary, nothing };

struct RouteChoice {
  RouteTier tier = RouteTier::nothing;
  std::size_t index = 0;
  /// Of the replica that came farthest, if none was chosen; none if there are no replicas.
  Refusal closest = Refusal::none;
};

/// Servers beyond so many are not looked at.
inline constexpr std::size_t most_routed = 1000;

/// `applied` has one element per server, or is empty.
[[nodiscard]] RouteChoice choose_server(std::span<const RouteServer> servers, std::span<const AppliedPositions> applied,
                                        const RouteQuery& query) noexcept;

/// The member whose primary is the last resort for a token: that of one of its positions, `own` if one is of its
/// system.
[[nodiscard]] std::uint16_t home_of(std::span<const RouteServer> servers, std::span<const Position> token,
                                    std::uint16_t own) noexcept;

/// The server that writes for the member, or the one that is expected to; servers.size() if there is none.
[[nodiscard]] std::size_t primary_of(std::span<const RouteServer> servers, std::uint16_t member) noexcept;

/// Longest text of a reason, with its terminating zero.
inline constexpr std::size_t route_reason_size = 128;
/// Why the server was chosen.
void write_reason(const RouteChoice& choice, const RouteServer& server, char (&to)[route_reason_size]) noexcept;

}  // namespace meridian
