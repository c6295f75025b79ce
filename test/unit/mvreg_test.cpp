#include "core/mvreg.hpp"

#include <gtest/gtest.h>

#include <set>

#include "core/gset.hpp"
#include "unit/replicas.hpp"

namespace meridian {
namespace {

using namespace meridian::testing;

constexpr Actor anna{0x10001};
constexpr Actor bert{0x10002};

struct Op {
  std::string value;
  bool assigned = false;  ///< as a literal in an UPDATE
  bool written = true;    ///< false for an assignment of what the register holds already
};

template <typename Type>
struct Model {
  using State = Type;
  using Op = meridian::Op;
  static constexpr bool has_codec = requires(const Type& state, Bytes& out) { state.encode(out); };

  static Op random_op(sim::Prng& prng, const State& state) {
    const std::string value(1, static_cast<char>('a' + prng.below(6)));
    const bool assigned = prng.chance(20);
    return {value, assigned, !assigned || state.values() != std::vector<std::string>{value}};
  }
  static void apply(State& state, Actor actor, const Op& op) {
    if constexpr (std::is_same_v<Type, MultiValueRegister>) {
      if (op.assigned) {
        state = State::absorb(state, State::literal(op.value), actor);
        return;
      }
    }
    if (op.written) state.write(actor, op.value);
  }
  static std::string shown(const State& state) { return GrowSet::literal(state.values()).to_text(); }
  static std::string expected(const Log<Op>& log, const Seen& seen) {
    std::vector<std::string> values;
    for (std::size_t i = 0; i < log.size(); ++i) {
      if (!seen[i] || !log[i].op.written || seen_by(log, seen, i, [](const Op& op) { return op.written; })) continue;
      values.push_back(log[i].op.value);
    }
    return GrowSet::literal(values).to_text();
  }
  static void merge(State& state, const State& other) { state.merge(other); }
  static std::size_t size_bound(std::size_t actors, const State&) { return 3 + 4 * actors + 5 * actors; }
};

TEST(MultiValueRegister, KeepsWhatNoWriteHasSeen) {
  EXPECT_EQ(run_histories<Model<MultiValueRegister>>(many_histories), "");
}

/// Wrong: one vector for all values. A value that a later write has replaced stays with its sibling.
struct VectorRegister {
  VersionVector seen;
  std::set<std::string> held;
  [[nodiscard]] std::vector<std::string> values() const { return {held.begin(), held.end()}; }
  void write(Actor actor, const std::string& value) {
    seen.next(actor);
    held = {value};
  }
  void merge(const VectorRegister& other) {
    VersionVector both = seen;
    both.merge(other.seen);
    if (both == seen) return;
    if (both == other.seen) {
      *this = other;
      return;
    }
    seen = both;
    held.insert(other.held.begin(), other.held.end());
  }
  friend bool operator==(const VectorRegister&, const VectorRegister&) = default;
};

TEST(MultiValueRegister, TheOracleCatchesARegisterWithoutDots) {
  EXPECT_NE(run_histories<Model<VectorRegister>>(many_histories), "");
}

TEST(MultiValueRegister, AnAssignmentBecomesAWriteOfTheActor) {
  MultiValueRegister left;
  left.write(anna, "x");
  MultiValueRegister right;
  right.write(bert, "y");
  MultiValueRegister both = left;
  both.merge(right);
  EXPECT_EQ(both.values(), (std::vector<std::string>{"x", "y"}));
  MultiValueRegister written = both;
  written.write(bert, "z");
  EXPECT_EQ(MultiValueRegister::absorb(both, written, bert), written);
  const MultiValueRegister taken = MultiValueRegister::absorb(left, both, anna);
  EXPECT_EQ(taken.values(), both.values());
  EXPECT_EQ(taken.to_text(), R"({seen:[1/1:3],values:["x"@1/1:2,"y"@1/1:3]})") << "nothing in bert's name";
  EXPECT_EQ(MultiValueRegister::absorb(left, MultiValueRegister::literal("x"), bert), left) << "the value that it has";
  EXPECT_EQ(MultiValueRegister::absorb(both, MultiValueRegister::literal("x"), bert).values(),
            std::vector<std::string>{"x"});
}

TEST(MultiValueRegister, OfTwoLiteralsOneStays) {
  MultiValueRegister left = MultiValueRegister::literal("a");
  MultiValueRegister right = MultiValueRegister::literal("b");
  const auto before = std::pair(left, right);
  left.merge(before.second);
  right.merge(before.first);
  EXPECT_EQ(left, right);
  EXPECT_EQ(left.values().size(), 1U);
}

TEST(MultiValueRegister, TextAndBytesAreCanonical) {
  EXPECT_EQ(MultiValueRegister{}.to_text(), "{seen:[],values:[]}");
  EXPECT_EQ(MultiValueRegister::literal("say \"hi\"").to_text(), R"("say \"hi\"")");
  MultiValueRegister reg;
  reg.write(anna, "x");
  EXPECT_EQ(reg.to_text(), R"({seen:[1/1:1],values:["x"@1/1:1]})");
  EXPECT_EQ(reg.to_json(), R"({"values": [{"value": "x", "written_by": "1/1", "write": 1}], "seen": {"1/1": 1}})");
  MultiValueRegister other;
  other.write(bert, "yy");
  reg.merge(other);
  EXPECT_EQ(damage<MultiValueRegister>(bytes_of(reg)), "");
  for (const char* text : {"", "x", "\"x", "\"x\"y", "{}", "{seen:[0:1],values:[\"x\"@1:1]}",
                           "{seen:[1:1],values:[\"x\"]}", "{seen:[1:2],values:[\"x\"@1:2,\"y\"@1:1]}",
                           "{seen:[1:2],values:[\"x\"@1:2]}x", "{seen:[1:1],values:[x@1:1]}"}) {
    EXPECT_NE(refusal<MultiValueRegister>(text), "") << text;
  }
  const std::string literal = bytes_of(MultiValueRegister::literal("x"));
  EXPECT_EQ(damage<MultiValueRegister>(literal), "");
}

}  // namespace
}  // namespace meridian
