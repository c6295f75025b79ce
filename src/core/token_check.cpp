#include "core/token_check.hpp"

#include <algorithm>

namespace meridian {

namespace {

const TimelineEnd* find_timeline(std::span<const TimelineEnd> ends, std::uint32_t timeline) noexcept {
  const auto found =
      std::find_if(ends.begin(), ends.end(), [&](const TimelineEnd& each) { return each.timeline == timeline; });
  return found == ends.end() ? nullptr : &*found;
}

}  // namespace

Verdict judge(const Position& position, const Reach& reach) noexcept {
  if (position.system_id != reach.system_id) return Verdict::foreign;
  if (position.timeline == reach.timeline) {
    if (position.lsn <= reach.lsn) return Verdict::yes;
    return reach.issues ? Verdict::future : Verdict::not_yet;
  }
  // A standby may still follow to the later timeline. A primary does not: it was left behind by a promotion elsewhere.
  if (position.timeline > reach.timeline) return reach.issues ? Verdict::future : Verdict::not_yet;
  const TimelineEnd* const ancestor = find_timeline(reach.ancestors, position.timeline);
  if (ancestor == nullptr) return reach.history_known ? Verdict::lost : Verdict::not_yet;
  if (position.lsn > ancestor->end) return Verdict::lost;
  return position.lsn <= reach.lsn ? Verdict::yes : Verdict::not_yet;
}

void keep_known_ends(std::span<TimelineEnd> fresh, const TimelineEnd& before,
                     std::span<const TimelineEnd> ends_before) noexcept {
  for (TimelineEnd& each : fresh) {
    if (each.timeline == before.timeline) each.end = std::max(each.end, before.end);
    if (const TimelineEnd* const known = find_timeline(ends_before, each.timeline))
      each.end = std::max(each.end, known->end);
  }
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
