// How a key changes its home, or many keys do because the map changes, without ever having two.
//
// One change at a time is in progress in a mesh; it has a number, the *epoch*, that is never used twice. A coordinator
// (any process, one at a time) takes it through these steps, each on every member before the next on any:
//
//   prepare   the member notes the change, durably: from now on it accepts a write of a key only if it is the key's
//             home before *and* after the change. So a key that moves has no home.
//   settle    writes that were accepted before, and are not committed yet, are waited for.
//   drain     what the old homes committed is waited for until it is applied and visible on the new ones.
//   commit    the member knows the change as done: it accepts the writes of keys whose home it has become.
//
// Every phase goes through the members in one order, so the first commit, on the first of them, decides. Whoever finds
// a change in progress asks all: if some member has committed, all have prepared, settled and drained, so it commits on
// the others; if none has, it aborts, again from the first, where a commit that was sent by a coordinator that died
// meets the abort. A member that has not been asked may have committed, so without it nothing is decided, and the keys
// wait.
//
// Taking keys from a region that is lost is a change of its own, by the members that are left, under a higher epoch;
// before it they settle what was in progress among themselves, and of it the lost members come last in the order. What
// the lost region had accepted and not sent is lost. A member that comes back asks the others before it accepts a
// write, and takes the whole state of one that knows more: its own view of a change may then be the wrong one.
//
// A member keeps the final state of an epoch for ever: a prepare or commit that was delayed on the network finds it
// and is refused. test/unit/rehome_test.cpp runs all interleavings, with crashes of members and of coordinators.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace meridian {

/// What a member knows of a change.
enum class HomeChange : std::uint8_t {
  unknown,  ///< nothing
  moving,   ///< prepared: keys that move have no home
  done,
  aborted,
};

enum class HomeStep : std::uint8_t { prepare, commit, abort };

struct HomeTransition {
  HomeChange from;
  HomeStep step;
  bool allowed;
  HomeChange to;
  /// What it means, or why it is refused.
  const char* reason;
};

/// Every state with every step.
inline constexpr std::array<HomeTransition, 12> home_transitions{{
    {HomeChange::unknown, HomeStep::prepare, true, HomeChange::moving, "the change is prepared"},
    {HomeChange::unknown, HomeStep::commit, false, HomeChange::unknown, "the change was not prepared here"},
    {HomeChange::unknown, HomeStep::abort, true, HomeChange::aborted, "a prepare that comes late is refused"},
    {HomeChange::moving, HomeStep::prepare, true, HomeChange::moving, "the change is prepared already"},
    {HomeChange::moving, HomeStep::commit, true, HomeChange::done, "the change is made"},
    {HomeChange::moving, HomeStep::abort, true, HomeChange::aborted, "the change is given up"},
    {HomeChange::done, HomeStep::prepare, false, HomeChange::done, "the change was made already"},
    {HomeChange::done, HomeStep::commit, true, HomeChange::done, "the change was made already"},
    {HomeChange::done, HomeStep::abort, false, HomeChange::done, "the change was made already"},
    {HomeChange::aborted, HomeStep::prepare, false, HomeChange::aborted, "the change was given up"},
    {HomeChange::aborted, HomeStep::commit, false, HomeChange::aborted, "the change was given up"},
    {HomeChange::aborted, HomeStep::abort, true, HomeChange::aborted, "the change was given up already"},
}};

[[nodiscard]] constexpr const HomeTransition& home_transition(HomeChange from, HomeStep step) noexcept {
  return *std::find_if(home_transitions.begin(), home_transitions.end(),
                       [=](const HomeTransition& each) { return each.from == from && each.step == step; });
}

/// Whether a member accepts a write of a key that has its home here before the change, and after it.
[[nodiscard]] constexpr bool accepts_write(HomeChange state, bool before, bool after) noexcept {
  switch (state) {
    case HomeChange::moving:
      return before && after;
    case HomeChange::done:
      return after;
    default:
      return before;
  }
}

enum class HomeDecision : std::uint8_t {
  nothing,  ///< every member has finished, or none has heard of it
  commit,   ///< on all that have not
  abort,    ///< on all
  wait,     ///< for the members that could not be asked
};

/// What whoever finds a change in progress has to do. `states`: of the members that could be asked.
[[nodiscard]] constexpr HomeDecision decide_change(std::span<const HomeChange> states, bool all_asked) noexcept {
  const auto any = [&](HomeChange state) { return std::find(states.begin(), states.end(), state) != states.end(); };
  const bool open = any(HomeChange::moving) || any(HomeChange::unknown);
  if (any(HomeChange::done)) return open ? HomeDecision::commit : HomeDecision::nothing;
  if (any(HomeChange::aborted)) return open ? HomeDecision::abort : HomeDecision::nothing;
  if (!any(HomeChange::moving)) return HomeDecision::nothing;
  return all_asked ? HomeDecision::abort : HomeDecision::wait;
}

/// The states and steps as tables and functions name them.
inline constexpr std::array<std::string_view, 4> home_change_names{"unknown", "moving", "done", "aborted"};
inline constexpr std::array<std::string_view, 3> home_step_names{"prepare", "commit", "abort"};

}  // namespace meridian
