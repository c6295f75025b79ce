#include "core/token_check.hpp"

#include <algorithm>

namespace meridian {

Verdict judge(const Position& position, const Reach& reach) noexcept {
  if (position.system_id != reach.system_id) return Verdict::foreign;
  if (position.timeline == reach.timeline) {
    if (position.lsn <= reach.lsn) return Verdict::yes;
    return reach.issues ? Verdict::future : Verdict::not_yet;
  }
  // A standby may still follow to the later timeline. A primary does not: it was left behind by a promotion elsewhere.
  if (position.timeline > reach.timeline) return reach.issues ? Verdict::future : Verdict::not_yet;
  const auto ancestor = std::find_if(reach.ancestors.begin(), reach.ancestors.end(),
                                     [&](const TimelineEnd& each) { return each.timeline == position.timeline; });
  if (ancestor == reach.ancestors.end()) return reach.history_known ? Verdict::lost : Verdict::not_yet;
  if (position.lsn > ancestor->end) return Verdict::lost;
  return position.lsn <= reach.lsn ? Verdict::yes : Verdict::not_yet;
}

const char* name_of(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::yes:
      return "yes";
    case Verdict::not_yet:
      return "not_yet";
    case Verdict::future:
      return "future";
    case Verdict::foreign:
      return "foreign";
    case Verdict::lost:
      return "lost";
    case Verdict::invalid:
      return "invalid";
  }
  return "";
}

}  // namespace meridian
