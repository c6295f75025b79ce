// Walks every edge of core/rehome.hpp, and runs the protocol through all interleavings of a small mesh: writes,
// replication, steps of a coordinator, crashes of members and of coordinators, and a message that a dead coordinator
// sent and that arrives late. Broken variants of the protocol show that the checks can fail.
#include "core/rehome.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <set>
#include <string>
#include <tuple>
#include <unordered_set>
#include <utility>
#include <vector>

namespace meridian {
namespace {

TEST(HomeTransitions, CoverEveryStateAndStepOnce) {
  std::set<std::tuple<HomeChange, HomeStep>> seen;
  for (const HomeTransition& each : home_transitions) {
    EXPECT_TRUE(seen.emplace(each.from, each.step).second);
    EXPECT_FALSE(std::string(each.reason).empty());
    EXPECT_EQ(&home_transition(each.from, each.step), &each);
    if (!each.allowed) {
      EXPECT_EQ(each.from, each.to) << each.reason;
    }
  }
  EXPECT_EQ(seen.size(), home_change_names.size() * home_step_names.size());
}

TEST(HomeTransitions, AFinalStateIsNeverLeft) {
  for (const HomeTransition& each : home_transitions) {
    if (each.from == HomeChange::done || each.from == HomeChange::aborted) {
      EXPECT_EQ(each.to, each.from) << each.reason;
    }
  }
}

TEST(HomeTransitions, OnlyKeysThatStayAreWrittenDuringAMove) {
  for (const bool before : {false, true}) {
    for (const bool after : {false, true}) {
      EXPECT_EQ(accepts_write(HomeChange::unknown, before, after), before);
      EXPECT_EQ(accepts_write(HomeChange::aborted, before, after), before);
      EXPECT_EQ(accepts_write(HomeChange::done, before, after), after);
      EXPECT_EQ(accepts_write(HomeChange::moving, before, after), before && after);
    }
  }
}

TEST(HomeDecision, FollowsWhoeverHasFinished) {
  using enum HomeChange;
  const auto decide = [](std::vector<HomeChange> states, bool all) { return decide_change(states, all); };
  EXPECT_EQ(decide({moving, done, moving}, false), HomeDecision::commit);
  EXPECT_EQ(decide({unknown, done}, true), HomeDecision::commit);
  EXPECT_EQ(decide({moving, aborted}, false), HomeDecision::abort);
  EXPECT_EQ(decide({moving, unknown}, true), HomeDecision::abort);
  EXPECT_EQ(decide({moving, moving}, true), HomeDecision::abort);
  EXPECT_EQ(decide({moving, moving}, false), HomeDecision::wait);
  EXPECT_EQ(decide({done, done}, true), HomeDecision::nothing);
  EXPECT_EQ(decide({aborted, aborted}, true), HomeDecision::nothing);
  EXPECT_EQ(decide({unknown, unknown}, true), HomeDecision::nothing);
  EXPECT_EQ(decide({}, true), HomeDecision::nothing);
}

// --- the model ---
//
// A key moves from member 0 to member 1 (change 1). With force, member 0 is lost at some moment, and member 1 takes the
// key (change 2).

constexpr int members = 3;
constexpr int old_home = 0;
constexpr int new_home = 1;
constexpr int changes = 2;

enum class Phase : std::uint8_t { none, prepare, settle, drain, commit, claim, abort, finished };

/// What a broken variant leaves out.
struct Broken {
  bool settle = false;
  bool drain = false;
  bool ask_all = false;     ///< aborts although a member was not asked
  bool order = false;       ///< aborts from the last member on
  bool lost_first = false;  ///< a member that was lost and is back keeps its place in the order
  bool gate = false;        ///< a member that returns writes at once
};

struct Member {
  HomeChange change[changes];
  bool up;
  bool open;       ///< a write has been accepted and is not committed
  bool confirmed;  ///< has asked the others since it came up
};

struct State {
  Member member[members];
  bool written;    ///< a commit at the old home
  bool applied;    ///< it has reached the new one
  bool rewritten;  ///< a commit at the new home
  Phase phase;
  std::uint8_t at;       ///< the member whose turn it is
  std::uint8_t mask;     ///< the members that take part
  std::uint8_t current;  ///< the change that is worked on, from 0
  bool forcing;
  bool any_done;
  bool any_moving;
  bool stray;  ///< a message of a dead coordinator is on its way
  HomeStep stray_step;
  std::uint8_t stray_to;
  std::uint8_t stray_change;
  std::uint8_t member_crashes;
  std::uint8_t coordinator_crashes;
};
static_assert(std::is_trivially_copyable_v<State> && std::has_unique_object_representations_v<State>);

constexpr std::uint8_t everybody = (1U << members) - 1;

class Model {
 public:
  Model(Broken broken, bool with_force) : broken_(broken), with_force_(with_force) {}

  /// Visits every reachable state. Returns the first violation, or an empty text.
  std::string run() {
    State start;
    std::memset(&start, 0, sizeof start);
    for (Member& member : start.member) member = {{HomeChange::unknown, HomeChange::unknown}, true, false, true};
    start.phase = Phase::prepare;
    start.mask = everybody;
    add(start);
    while (!open_.empty() && violation_.empty()) {
      const State state = open_.front();
      open_.pop_front();
      check(state);
      expand(state);
    }
    return violation_;
  }
  [[nodiscard]] std::size_t states() const { return seen_.size(); }
  [[nodiscard]] bool moved() const { return moved_; }

 private:
  static bool in(const State& state, int i) { return (state.mask >> i & 1) != 0; }

  static bool accepts(const State& state, int i) {
    const Member& member = state.member[i];
    if (!member.up || !member.confirmed) return false;
    const bool first = accepts_write(member.change[0], i == old_home, i == new_home);
    return accepts_write(member.change[1], first, i == new_home);
  }

  void add(const State& state) {
    std::string bytes(sizeof state, '\0');
    std::memcpy(bytes.data(), &state, sizeof state);
    if (seen_.insert(std::move(bytes)).second) open_.push_back(state);
  }

  void check(const State& state) {
    if ((accepts(state, old_home) || state.member[old_home].open) && accepts(state, new_home)) violation_ = "two homes";
    const auto some = [&](HomeChange what) {
      return std::any_of(std::begin(state.member), std::end(state.member),
                         [&](const Member& member) { return member.change[0] == what; });
    };
    if (!with_force_ && some(HomeChange::done) && some(HomeChange::aborted)) violation_ = "members disagree";
    const bool taken = state.member[new_home].change[1] == HomeChange::done;
    if (accepts(state, new_home) && state.written && !state.applied && !taken)
      violation_ = "the new home lacks a write of the old one";
    moved_ = moved_ || (state.rewritten && (taken || !with_force_));
  }

  void expand(const State& state) {
    for (int i = 0; i < members; ++i) {
      write(state, i);
      crash(state, i);
      restart(state, i);
      confirm(state, i);
    }
    replicate(state);
    coordinate(state);
    crash_coordinator(state);
    begin_recovery(state);
    deliver_stray(state);
  }

  void write(State state, int i) {
    if (i > new_home) return;
    Member& member = state.member[i];
    bool& committed = i == old_home ? state.written : state.rewritten;
    if (member.open) {
      member.open = false;
      committed = true;
      add(state);
    } else if (accepts(state, i) && !committed) {
      member.open = true;
      add(state);
    }
  }

  void replicate(State state) {
    if (!state.member[old_home].up || !state.member[new_home].up || state.applied == state.written) return;
    state.applied = true;
    add(state);
  }

  void crash(State state, int i) {
    if (!state.member[i].up || state.member_crashes == 1) return;
    ++state.member_crashes;
    state.member[i].up = false;
    state.member[i].open = false;
    state.member[i].confirmed = broken_.gate;
    // What was sent to it is gone with its connections.
    if (state.stray && state.stray_to == i) clear_stray(state);
    add(state);
  }

  void restart(State state, int i) {
    if (state.member[i].up) return;
    // Who forces says that the lost member stays away until the others have prepared.
    if (state.forcing && (state.current == 0 || state.phase != Phase::commit)) return;
    state.member[i].up = true;
    add(state);
  }

  /// Asks one confirmed member.
  void confirm(const State& state, int i) {
    if (!state.member[i].up || state.member[i].confirmed) return;
    for (int j = 0; j < members; ++j) {
      if (!state.member[j].up || !state.member[j].confirmed) continue;
      State next = state;
      Member& member = next.member[i];
      const Member& other = state.member[j];
      if (knowledge(other) > knowledge(member)) std::copy_n(other.change, changes, member.change);
      member.confirmed = true;
      add(next);
    }
  }

  /// The last change that the member knows of, and whether it is final.
  static std::pair<int, bool> knowledge(const Member& member) {
    for (int last = changes - 1; last >= 0; --last) {
      if (member.change[last] != HomeChange::unknown) return {last + 1, member.change[last] != HomeChange::moving};
    }
    return {0, false};
  }

  /// Members are gone through from the first to the last, and the one that was lost comes last. In a broken variant an
  /// abort goes the other way round, or the lost one keeps its place.
  [[nodiscard]] std::uint8_t member_at(const State& state, int turn) const {
    if (broken_.order && state.phase == Phase::abort) return static_cast<std::uint8_t>(members - 1 - turn);
    const int first = state.current == 1 && !broken_.lost_first ? new_home : old_home;
    return static_cast<std::uint8_t>((turn + first) % members);
  }

  /// Goes on to the next turn of a member that takes part.
  void skip_absent(State& state) const {
    while (state.at < members && !in(state, member_at(state, state.at))) ++state.at;
  }

  void enter(State& state, Phase phase) const {
    state.phase = phase;
    state.at = 0;
    skip_absent(state);
  }

  /// True when the last member has had its turn.
  bool advance(State& state) const {
    ++state.at;
    skip_absent(state);
    return state.at >= members;
  }

  void step_on(State state, HomeStep step, Phase next) {
    Member& member = state.member[member_at(state, state.at)];
    if (!member.up) return;
    const HomeTransition& transition = home_transition(member.change[state.current], step);
    member.change[state.current] = transition.to;
    if (!transition.allowed) {
      end_coordinator(state);
    } else if (advance(state)) {
      next == Phase::finished ? finish(state) : enter(state, next);
    }
    add(state);
  }

  /// Who forces goes on with the change of his own.
  void finish(State& state) const {
    if (state.forcing && state.current == 0) {
      state.current = 1;
      enter(state, Phase::prepare);
    } else {
      end_coordinator(state);
      state.phase = Phase::finished;
    }
  }

  static void end_coordinator(State& state) {
    state.phase = Phase::none;
    state.at = 0;
    state.forcing = false;
    state.any_done = false;
    state.any_moving = false;
  }

  void coordinate(State state) {
    switch (state.phase) {
      case Phase::prepare:
        step_on(state, HomeStep::prepare, broken_.settle ? Phase::drain : Phase::settle);
        break;
      case Phase::settle:
        if (!state.member[member_at(state, state.at)].up || state.member[member_at(state, state.at)].open) break;
        if (advance(state)) enter(state, Phase::drain);
        add(state);
        break;
      case Phase::drain:
        if (!broken_.drain && in(state, old_home) && state.applied != state.written) break;
        enter(state, Phase::commit);
        add(state);
        break;
      case Phase::commit:
        step_on(state, HomeStep::commit, Phase::finished);
        break;
      case Phase::abort:
        step_on(state, HomeStep::abort, Phase::finished);
        break;
      case Phase::claim:
        ask(state);
        break;
      case Phase::none:
      case Phase::finished:
        break;
    }
  }

  void ask(State state) {
    const Member& member = state.member[member_at(state, state.at)];
    if (!member.up) return;
    state.any_done = state.any_done || member.change[state.current] == HomeChange::done;
    state.any_moving = state.any_moving || member.change[state.current] == HomeChange::moving;
    if (advance(state)) decide(state);
    add(state);
  }

  void decide(State& state) {
    std::vector<HomeChange> heard;
    if (state.any_done) heard.push_back(HomeChange::done);
    if (state.any_moving) heard.push_back(HomeChange::moving);
    const bool all = broken_.ask_all || state.forcing || state.mask == everybody;
    state.any_done = false;
    state.any_moving = false;
    switch (decide_change(heard, all)) {
      case HomeDecision::nothing:
        finish(state);
        break;
      case HomeDecision::commit:
        enter(state, Phase::commit);
        break;
      case HomeDecision::abort:
        enter(state, Phase::abort);
        break;
      case HomeDecision::wait:
        end_coordinator(state);
        break;
    }
  }

  /// It may have sent its next message.
  void crash_coordinator(State state) {
    if (state.phase == Phase::none || state.phase == Phase::finished || state.coordinator_crashes == 2) return;
    const State before = state;
    ++state.coordinator_crashes;
    end_coordinator(state);
    add(state);
    const bool sends = before.phase == Phase::prepare || before.phase == Phase::commit || before.phase == Phase::abort;
    if (!sends || state.stray || !state.member[member_at(before, before.at)].up) return;
    state.stray = true;
    state.stray_step = before.phase == Phase::prepare  ? HomeStep::prepare
                       : before.phase == Phase::commit ? HomeStep::commit
                                                       : HomeStep::abort;
    state.stray_to = member_at(before, before.at);
    state.stray_change = before.current;
    add(state);
  }

  static void clear_stray(State& state) {
    state.stray = false;
    state.stray_step = HomeStep::prepare;
    state.stray_to = 0;
    state.stray_change = 0;
  }

  void deliver_stray(State state) {
    if (!state.stray) return;
    HomeChange& change = state.member[state.stray_to].change[state.stray_change];
    change = home_transition(change, state.stray_step).to;
    clear_stray(state);
    add(state);
  }

  /// A new coordinator asks the members that are up. It works on the last change that one of them knows.
  void begin_recovery(State state) {
    if (state.phase != Phase::none) return;
    state.mask = 0;
    state.current = 0;
    for (int i = 0; i < members; ++i) {
      if (!state.member[i].up || !state.member[i].confirmed) continue;
      state.mask |= static_cast<std::uint8_t>(1U << i);
      if (state.member[i].change[1] != HomeChange::unknown) state.current = 1;
    }
    if (state.mask == 0) return;
    enter(state, Phase::claim);
    add(state);
    if (!with_force_ || state.member[old_home].up || !in(state, new_home)) return;
    state.forcing = true;
    add(state);
  }

  Broken broken_;
  bool with_force_;
  std::deque<State> open_;
  std::unordered_set<std::string> seen_;
  std::string violation_;
  bool moved_ = false;
};

TEST(RehomeModel, NeverTwoHomesAndNoWriteIsMissed) {
  Model model({}, false);
  EXPECT_EQ(model.run(), "");
  EXPECT_TRUE(model.moved());
  EXPECT_GT(model.states(), 5'000U);
}

TEST(RehomeModel, NeverTwoHomesWhenTheKeysOfALostRegionAreTaken) {
  Model model({}, true);
  EXPECT_EQ(model.run(), "");
  EXPECT_TRUE(model.moved());
}

TEST(RehomeModel, TheChecksCatchBrokenProtocols) {
  EXPECT_EQ(Model({.settle = true}, false).run(), "two homes");
  EXPECT_EQ(Model({.drain = true}, false).run(), "the new home lacks a write of the old one");
  EXPECT_EQ(Model({.ask_all = true}, false).run(), "members disagree");
  EXPECT_EQ(Model({.order = true}, false).run(), "members disagree");
  EXPECT_EQ(Model({.lost_first = true}, true).run(), "two homes");
  EXPECT_EQ(Model({.gate = true}, true).run(), "two homes");
}

}  // namespace
}  // namespace meridian
