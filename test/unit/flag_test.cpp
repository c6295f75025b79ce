#include "core/flag.hpp"

#include <gtest/gtest.h>

#include "unit/replicas.hpp"

namespace meridian {
namespace {

using namespace meridian::testing;

constexpr Actor anna{0x10001};
constexpr Actor bert{0x10002};

struct Op {
  bool value = false;
  bool assigned = false;  ///< as a literal in an UPDATE
  bool written = true;    ///< false for an assignment of what the flag says already
};

template <typename Type, Flag::Policy policy>
struct Model {
  using State = Type;
  using Op = meridian::Op;
  static constexpr bool has_codec = requires(const Type& state, Bytes& out) { state.encode(out); };

  static Op random_op(sim::Prng& prng, const State& state) {
    const bool value = prng.chance(50);
    const bool assigned = prng.chance(20) && state.policy() == policy;
    return {value, assigned, !assigned || state.value() != value};
  }
  static void apply(State& state, Actor actor, const Op& op) {
    if constexpr (std::is_same_v<Type, Flag>) {
      const Flag before = state;
      state.merge(Flag::literal(policy, false));
      if (op.assigned) {
        state = Flag::absorb(before, Flag::literal(Flag::Policy::enable_wins, op.value), actor);
        return;
      }
    }
    if (op.written) state.set(actor, op.value);
  }
  static std::string shown(const State& state) { return state.value() ? "true" : "false"; }
  static std::string expected(const Log<Op>& log, const Seen& seen) {
    bool enabled = false;
    bool disabled = false;
    for (std::size_t i = 0; i < log.size(); ++i) {
      if (!seen[i] || !log[i].op.written || seen_by(log, seen, i, [](const Op& op) { return op.written; })) continue;
      (log[i].op.value ? enabled : disabled) = true;
    }
    return enabled && (policy == Flag::Policy::enable_wins || !disabled) ? "true" : "false";
  }
  static void merge(State& state, const State& other) { state.merge(other); }
  static std::size_t size_bound(std::size_t actors, const State&) { return 2 + 4 * actors; }
};

TEST(Flag, EnableWins) { EXPECT_EQ((run_histories<Model<Flag, Flag::Policy::enable_wins>>(many_histories)), ""); }
TEST(Flag, DisableWins) { EXPECT_EQ((run_histories<Model<Flag, Flag::Policy::disable_wins>>(many_histories)), ""); }

/// Wrong: on if it is on anywhere.
struct OrFlag {
  bool on = false;
  [[nodiscard]] bool value() const { return on; }
  [[nodiscard]] static Flag::Policy policy() { return Flag::Policy::enable_wins; }
  void set(Actor, bool value) { on = value; }
  void merge(const OrFlag& other) { on = on || other.on; }
  friend bool operator==(const OrFlag&, const OrFlag&) = default;
};

/// Wrong: whoever has written more often.
struct CountingFlag {
  int writes = 0;
  bool on = false;
  [[nodiscard]] bool value() const { return on; }
  [[nodiscard]] static Flag::Policy policy() { return Flag::Policy::enable_wins; }
  void set(Actor, bool value) {
    ++writes;
    on = value;
  }
  void merge(const CountingFlag& other) {
    if (std::pair(other.writes, other.on) > std::pair(writes, on)) *this = other;
  }
  friend bool operator==(const CountingFlag&, const CountingFlag&) = default;
};

TEST(Flag, TheOracleCatchesWrongFlags) {
  EXPECT_NE((run_histories<Model<OrFlag, Flag::Policy::enable_wins>>(many_histories)), "");
  EXPECT_NE((run_histories<Model<CountingFlag, Flag::Policy::enable_wins>>(many_histories)), "");
  EXPECT_NE((run_histories<Model<CountingFlag, Flag::Policy::disable_wins>>(many_histories)), "");
}

TEST(Flag, AnAssignmentBecomesOperationsOfTheActor) {
  Flag old = Flag::literal(Flag::Policy::disable_wins, false);
  old.set(anna, true);
  Flag changed = old;
  changed.set(bert, false);
  EXPECT_EQ(Flag::absorb(old, changed, bert), changed);
  const Flag taken = Flag::absorb(old, changed, anna);
  EXPECT_FALSE(taken.value());
  EXPECT_EQ(taken.to_text(), "{disable_wins,1/1:2-}") << "nothing in bert's name";
  EXPECT_EQ(Flag::absorb(old, Flag::literal(Flag::Policy::enable_wins, true), bert), old) << "the value that it has";
  EXPECT_EQ(Flag::absorb({}, Flag::literal(Flag::Policy::enable_wins, true), anna).to_text(), "{1/1:1+}");
  const Flag other_first_write = Flag::parse("{disable_wins,1/1:1-}");
  EXPECT_EQ(Flag::absorb(old, other_first_write, anna).to_text(), "{disable_wins,1/1:2-}") << "not the same write";
}

TEST(Flag, TextAndBytesAreCanonical) {
  EXPECT_EQ(Flag{}.to_text(), "false");
  EXPECT_EQ(Flag::literal(Flag::Policy::enable_wins, true).to_text(), "true");
  EXPECT_EQ(Flag::literal(Flag::Policy::disable_wins, false).to_text(), "{disable_wins}");
  Flag flag;
  flag.set(anna, true);
  EXPECT_EQ(bytes_of(flag).size(), 5U);
  flag.set(bert, false);
  EXPECT_EQ(flag.to_text(), "{1/1:1,2/1:1-}");
  EXPECT_EQ(flag.to_json(),
            R"({"value": false, "policy": "enable_wins", "actors": {"1/1": {"writes": 1, "says": null}, )"
            R"("2/1": {"writes": 1, "says": false}}})");
  EXPECT_EQ(damage<Flag>(bytes_of(flag)), "");
  for (const char* text : {"", "t", "TRUE", "true ", "{}", "{0:1+}", "{1:0+}", "{1:1*}", "{2:1,1:1}", "{1:1", "{1:1}x",
                           "{1:1,disable_wins}", "{disable_wins1:1}", "{1:4611686018427387904}"}) {
    EXPECT_NE(refusal<Flag>(text), "") << text;
  }
}

}  // namespace
}  // namespace meridian
