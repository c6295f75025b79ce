// Whether a server has what a token speaks of.
//
// An LSN alone lies after a failover: a promoted standby that lost a write soon has larger LSNs than the write had. So
// a position is judged by the history of the server's timeline: a write on an ancestor timeline is there if it was made
// before that timeline was left, and lost if it was made after.
#pragma once

#include <cstdint>
#include <span>

#include "core/token.hpp"

namespace meridian {

/// In the order in which they prevail when positions of one token differ.
enum class Verdict {
  yes,      ///< all of it can be read here
  not_yet,  ///< it has not arrived
  future,   ///< the server that issues such positions has not issued this one
  foreign,  ///< from a system that this server knows nothing of
  lost,     ///< a failover left it behind: it is not there, and never will be
  invalid,  ///< not a token, or not signed
};

/// Where an ancestor of the present timeline was left.
struct TimelineEnd {
  std::uint32_t timeline;
  std::uint64_t end;
};

/// How far one system's WAL can be read on this server: its own, or that of a peer whose changes it applies.
struct Reach {
  std::uint64_t system_id;
  std::uint32_t timeline;  ///< on which the position lies
  std::uint64_t lsn;
  std::span<const TimelineEnd> ancestors;
  bool history_known;  ///< `ancestors` is complete
  bool issues;         ///< this server is the primary that issues the positions
};

/// The verdict on one position of the system that `reach` describes.
[[nodiscard]] Verdict judge(const Position& position, const Reach& reach) noexcept;

/// For a node that applied a system's writes while it was on timeline `before`, up to `before.end`, and is told the
/// history `fresh` of a later one (or of the same again): a successor may have been left behind by less than this node
/// has, which then stays readable here. Raises each end to what is known: `before`, and the ends that it had come with.
void keep_known_ends(std::span<TimelineEnd> fresh, const TimelineEnd& before,
                     std::span<const TimelineEnd> ends_before) noexcept;

/// The verdict on the whole when its parts are judged so.
[[nodiscard]] constexpr Verdict combine(Verdict a, Verdict b) noexcept { return a < b ? b : a; }

/// Whether waiting can change the verdict.
[[nodiscard]] constexpr bool is_final(Verdict verdict) noexcept { return verdict != Verdict::not_yet; }

/// As check_token() says it.
[[nodiscard]] const char* name_of(Verdict verdict) noexcept;

}  // namespace meridian
