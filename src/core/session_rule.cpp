#include "core/session_rule.hpp"

namespace meridian {

SessionVerdict judge_session(const Reach& reach, const std::optional<Position>& answer,
                             const std::optional<Position>& mirror) noexcept {
  if (reach.issues) return SessionVerdict::yes;
  if (answer) {
    if (answer->system_id != reach.system_id || answer->timeline < reach.timeline) return SessionVerdict::refuse;
    return judge(*answer, reach) == Verdict::yes ? SessionVerdict::yes : SessionVerdict::not_yet;
  }
  // Of another timeline it may never come.
  if (mirror && mirror->system_id == reach.system_id && mirror->timeline == reach.timeline && mirror->lsn > reach.lsn)
    return SessionVerdict::not_yet;
  return SessionVerdict::ask;
}

}  // namespace meridian
