// What a server may say of a session: whether all that it wrote, and that was acknowledged before the question came,
// can be read here.
//
// A primary has what is written on it: yes. A standby knows nothing by itself. The rule:
//
//   yes       needs the *answer* to a request that was made to the primary after the question came: the primary says
//             where the session wrote last, and the standby has replayed that far
//   not_yet   may also be said by the *mirror*, what the primary has said before: a session's position only grows
//   refuse    the primary answers with its present timeline. An answer of an earlier timeline than this server follows
//             is from a server that was left behind in a failover, which hears of writes no longer. One of a later
//             timeline is not_yet, until this server follows
//
// A standby of a standby asks its upstream, which answers by asking in turn: the request to the primary is still made
// after the question came.
#pragma once

#include <optional>

#include "core/token_check.hpp"

namespace meridian {

enum class SessionVerdict {
  yes,
  not_yet,
  ask,     ///< nobody has said anything that decides it
  refuse,  ///< who answered is not the primary of this server
};

/// `reach`: how far this server's own WAL can be read here, looked at after the answer came. `answer`: to a request
/// that was made after the question came. `mirror`: of an earlier request. Both are positions that the primary gave
/// for the session, at or above its last write.
[[nodiscard]] SessionVerdict judge_session(const Reach& reach, const std::optional<Position>& answer,
                                           const std::optional<Position>& mirror) noexcept;

}  // namespace meridian
