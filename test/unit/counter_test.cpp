#include "core/counter.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <map>

#include "unit/replicas.hpp"

namespace meridian {
namespace {

using namespace meridian::testing;

constexpr Actor anna{0x10001};
constexpr Actor bert{0x10002};
constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t smallest = std::numeric_limits<std::int64_t>::min();

/// A change by `delta` after a reset, if it is one.
struct Op {
  bool resets = false;
  std::int64_t delta = 0;
  bool assigned = false;  ///< as a literal in an UPDATE
};

template <typename Type>
struct Model {
  using State = Type;
  using Op = meridian::Op;
  static constexpr bool has_codec = requires(const Type& state, Bytes& out) { state.encode(out); };

  static Op random_op(sim::Prng& prng, const State& state) {
    switch (prng.below(10)) {
      case 0:
        return {.resets = true};
      case 1:
        return {.resets = true, .delta = prng.between(-9, 9)};
      case 2: {
        const std::int64_t target = prng.between(-9, 9);
        const bool same = std::to_string(target) == shown(state);
        return {.resets = !same, .delta = same ? 0 : target, .assigned = true};
      }
      default:
        return {.delta = prng.between(-9, 9)};
    }
  }
  static void apply(State& state, Actor actor, const Op& op) {
    if constexpr (std::is_same_v<Type, Counter>) {
      if (op.assigned) {
        const std::int64_t target = op.resets ? op.delta : *state.small_value();
        state = Counter::absorb(state, Counter::literal(target), actor);
        return;
      }
    }
    if (op.resets) state.reset();
    state.add(actor, op.delta);
  }
  static std::string shown(const State& state) { return to_text(state.value()); }
  static std::string expected(const Log<Op>& log, const Seen& seen) {
    Int128 sum = 0;
    for (std::size_t i = 0; i < log.size(); ++i) {
      if (seen[i] && !seen_by(log, seen, i, [](const Op& op) { return op.resets; })) sum += log[i].op.delta;
    }
    return to_text(sum);
  }
  static void merge(State& state, const State& other) { state.merge(other); }
  static std::size_t size_bound(std::size_t actors, const State&) { return 2 + 10 * actors; }
};

TEST(Counter, ShowsWhatNoResetHasSeen) { EXPECT_EQ(run_histories<Model<Counter>>(many_histories), ""); }

/// Wrong: the maximum of what can fall.
struct NetCounter {
  std::map<Actor, std::int64_t> net;
  [[nodiscard]] Int128 value() const {
    Int128 sum = 0;
    for (const auto& [actor, amount] : net) sum += amount;
    return sum;
  }
  void add(Actor actor, std::int64_t delta) { net[actor] += delta; }
  void reset() { net.clear(); }
  void merge(const NetCounter& other) {
    for (const auto& [actor, amount] : other.net) {
      const auto [known, fresh] = net.try_emplace(actor, amount);
      if (!fresh) known->second = std::max(known->second, amount);
    }
  }
  friend bool operator==(const NetCounter&, const NetCounter&) = default;
};

/// Wrong: a reset that forgets what it has seen.
struct ForgetfulCounter : Counter {
  void reset() { *this = {}; }
};

/// Wrong: a reset that takes the value back as a decrement of one's own, so that two of them take it back twice.
struct SubtractingCounter : Counter {
  void reset() { add(anna, -value()); }
};

TEST(Counter, TheOracleCatchesWrongCounters) {
  EXPECT_NE(run_histories<Model<NetCounter>>(many_histories), "");
  EXPECT_NE(run_histories<Model<ForgetfulCounter>>(many_histories), "");
  EXPECT_NE(run_histories<Model<SubtractingCounter>>(many_histories), "");
}

TEST(Counter, OverflowIsRefusedLocallyAndNeverByAMerge) {
  Counter left = Counter::literal(largest);
  const Counter before = left;
  EXPECT_THROW(left.add(anna, 1), Error);
  EXPECT_EQ(left, before);
  left.add(anna, -5);
  EXPECT_EQ(left.small_value(), largest - 5);
  left = before;
  Counter right = before;
  left.reset();
  left.add(anna, largest);
  right.reset();
  right.add(bert, largest);
  left.merge(right);
  EXPECT_EQ(to_text(left.value()), "18446744073709551614");
  EXPECT_EQ(left.small_value(), std::nullopt);
  EXPECT_THROW(left.add(anna, 1), Error);
  EXPECT_THROW(left.set(anna, largest), Error) << "this actor has counted up all it can";
  left.add(bert, -largest);
  EXPECT_EQ(left.small_value(), largest);
  EXPECT_EQ(Counter::literal(smallest).small_value(), smallest);
  EXPECT_EQ(Counter::parse(std::to_string(smallest)), Counter::literal(smallest));
}

TEST(Counter, AnAssignmentBecomesOperationsOfTheActor) {
  Counter old = Counter::literal(3);
  old.add(anna, 4);
  Counter grown = old;
  grown.add(bert, 2);
  EXPECT_EQ(Counter::absorb(old, grown, bert), grown) << "bert's own operation is kept as it is";
  Counter reset = grown;
  reset.reset();
  EXPECT_EQ(Counter::absorb(old, reset, bert), reset);
  EXPECT_EQ(Counter::absorb(old, old, bert), old);
  // A state with what others did, planted or copied from another row, counts by its value alone.
  for (const Counter& foreign : {grown, reset, Counter::literal(5), Counter::literal(-5), Counter{}}) {
    const Counter taken = Counter::absorb(old, foreign, anna);
    EXPECT_EQ(taken.value(), foreign.value());
    Counter both = old;
    both.merge(taken);
    EXPECT_EQ(both, taken) << "inflationary";
    EXPECT_EQ(taken.to_text().find("2/1"), std::string::npos) << "nothing in bert's name";
  }
  EXPECT_EQ(Counter::absorb(old, Counter::literal(7), anna), old) << "the value that it has";
  EXPECT_EQ(Counter::absorb({}, Counter::literal(7), anna).to_text(), "{1/1:+7}");
}

TEST(Counter, TextIsCanonical) {
  Counter counter = Counter::literal(-3);
  EXPECT_EQ(counter.to_text(), "-3");
  counter.add(anna, 5);
  counter.add(anna, -2);
  EXPECT_EQ(counter.to_text(), "{0:-3,1/1:+5-2}");
  counter.reset();
  EXPECT_EQ(counter.to_text(), "{0:-3(-3),1/1:+5-2(+5-2)}");
  EXPECT_EQ(Counter{}.to_text(), "0");
  EXPECT_EQ(counter.to_json(),
            R"({"value": 0, "actors": {"0": {"increments": 0, "decrements": 3, "reset_increments": 0, )"
            R"("reset_decrements": 3}, "1/1": {"increments": 5, "decrements": 2, "reset_increments": 5, )"
            R"("reset_decrements": 2}}})");
  for (const char* text : {"",           " 5",           "5 ",           "+5",          "-0",
                           "05",         "1.5",          "1e3",          "NaN",         "99999999999999999999",
                           "{}",         "{0:+5}",       "{1/1:}",       "{1/1:+0}",    "{1/1:-1+1}",
                           "{1/1:+1()}", "{1/1:+1(+2)}", "{1/1:+1(-1)}", "{2:+1,1:+1}", "{1:+1,1:+1}",
                           "{1/0:+1}",   "{1/1:+1,}",    "{1/1:+1",      "{1/1:+1}x",   "{65536:+1}"}) {
    EXPECT_NE(refusal<Counter>(text), "") << text;
  }
}

TEST(Counter, BytesAreCanonicalAndSmall) {
  Counter counter;
  counter.add(anna, 5);
  EXPECT_EQ(bytes_of(counter).size(), 5U);
  counter.add(bert, -700);
  counter.reset();
  counter.add(bert, 70);
  EXPECT_EQ(damage<Counter>(bytes_of(counter)), "");
  EXPECT_THROW((void)Counter::decode(as_span(std::string("\x11\xff\xff\xff\xff\x0f", 6))), Error) << "many in no bytes";
}

TEST(Counter, ValuesAreOrderedWhateverTheState) {
  Counter counter = Counter::literal(2);
  counter.add(anna, 3);
  EXPECT_EQ(Counter::compare_values(counter, Counter::literal(5)), std::strong_ordering::equal);
  EXPECT_EQ(counter.value_key(), Counter::literal(5).value_key());
  EXPECT_EQ(Counter::compare_values(counter, Counter::literal(6)), std::strong_ordering::less);
  EXPECT_EQ(Counter::compare_values(Counter{}, Counter::literal(-1)), std::strong_ordering::greater);
}

}  // namespace
}  // namespace meridian
