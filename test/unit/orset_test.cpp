#include "core/orset.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "core/gset.hpp"
#include "unit/replicas.hpp"

namespace meridian {
namespace {

using namespace meridian::testing;

constexpr Actor anna{0x10001};
constexpr Actor bert{0x10002};

struct Op {
  std::set<std::string> adds;
  std::set<std::string> removes;
  bool assigned = false;  ///< as a literal in an UPDATE
};

std::string print(const std::set<std::string>& elements) {
  return GrowSet::literal({elements.begin(), elements.end()}).to_text();
}

template <typename Type>
struct Model {
  using State = Type;
  using Op = meridian::Op;
  static constexpr bool has_codec = requires(const Type& state, Bytes& out) { state.encode(out); };

  static std::string random_element(sim::Prng& prng) { return std::string(1, static_cast<char>('a' + prng.below(4))); }

  static Op random_op(sim::Prng& prng, const State& state) {
    const std::string element = random_element(prng);
    if (prng.chance(40)) return {.adds = {element}, .removes = {}};
    if (prng.chance(70)) return {.adds = {}, .removes = {element}};
    Op op{{}, {}, true};
    const std::vector<std::string> now = state.elements();
    const std::set<std::string> target = {element, random_element(prng)};
    for (const std::string& wanted : target) {
      if (std::ranges::find(now, wanted) == now.end()) op.adds.insert(wanted);
    }
    for (const std::string& held : now) {
      if (!target.contains(held)) op.removes.insert(held);
    }
    return op;
  }
  static void apply(State& state, Actor actor, const Op& op) {
    if constexpr (std::is_same_v<Type, ObservedRemoveSet>) {
      if (op.assigned) {
        const std::vector<std::string> now = state.elements();
        std::set<std::string> target(now.begin(), now.end());
        for (const std::string& element : op.removes) target.erase(element);
        target.insert(op.adds.begin(), op.adds.end());
        state = State::absorb(state, State::literal({target.begin(), target.end()}), actor);
        return;
      }
    }
    for (const std::string& element : op.adds) state.add(actor, element);
    for (const std::string& element : op.removes) state.remove(element);
  }
  static std::string shown(const State& state) { return GrowSet::literal(state.elements()).to_text(); }
  static std::string expected(const Log<Op>& log, const Seen& seen) {
    std::set<std::string> elements;
    for (std::size_t i = 0; i < log.size(); ++i) {
      for (const std::string& element : log[i].op.adds) {
        if (seen[i] && !seen_by(log, seen, i, [&](const Op& op) { return op.removes.contains(element); })) {
          elements.insert(element);
        }
      }
    }
    return print(elements);
  }
  static void merge(State& state, const State& other) { state.merge(other); }
  static std::size_t size_bound(std::size_t actors, const State& state) {
    return 3 + 4 * actors + state.elements().size() * (3 + 3 * actors);
  }
};

TEST(ObservedRemoveSet, AnAddOutlivesARemoveThatHadNotSeenIt) {
  EXPECT_EQ(run_histories<Model<ObservedRemoveSet>>(many_histories), "");
}

/// A set like ours, but with the merge to choose.
struct ToySet {
  VersionVector seen;
  std::map<std::string, std::set<Dot>> dots;

  [[nodiscard]] std::vector<std::string> elements() const {
    std::vector<std::string> texts;
    for (const auto& [text, adds] : dots) texts.push_back(text);
    return texts;
  }
  void add(Actor actor, const std::string& element) { dots[element] = {seen.next(actor)}; }
  void remove(const std::string& element) { dots.erase(element); }
  void merge_by_dots(const ToySet& other) {
    std::map<std::string, std::set<Dot>> merged;
    const auto keep = [&merged](const ToySet& from, const ToySet& against) {
      for (const auto& [text, adds] : from.dots) {
        const auto known = against.dots.find(text);
        for (const Dot& dot : adds) {
          const bool shared = known != against.dots.end() && known->second.contains(dot);
          if (shared || !against.seen.covers(dot)) merged[text].insert(dot);
        }
      }
    };
    keep(*this, other);
    keep(other, *this);
    dots = std::move(merged);
    seen.merge(other.seen);
  }
  friend bool operator==(const ToySet&, const ToySet&) = default;
};

struct RightSet : ToySet {
  void merge(const RightSet& other) { merge_by_dots(other); }
};

/// Wrong: the side whose vector dominates. A remove does not move the vector.
struct DominatedSet : ToySet {
  void merge(const DominatedSet& other) {
    VersionVector both = seen;
    both.merge(other.seen);
    if (both == other.seen) {
      *this = other;
    } else if (both != seen) {
      merge_by_dots(other);
    }
  }
};

/// Wrong: the union, in which nothing is ever removed.
struct UnitedSet : ToySet {
  void merge(const UnitedSet& other) {
    for (const auto& [text, adds] : other.dots) dots[text].insert(adds.begin(), adds.end());
    seen.merge(other.seen);
  }
};

TEST(ObservedRemoveSet, TheOracleCatchesWrongMerges) {
  EXPECT_EQ(run_histories<Model<RightSet>>(many_histories), "") << "it is the merge that is wrong below";
  EXPECT_NE(run_histories<Model<DominatedSet>>(many_histories), "");
  EXPECT_NE(run_histories<Model<UnitedSet>>(many_histories), "");
}

TEST(ObservedRemoveSet, AnAssignmentBecomesOperationsOfTheActor) {
  ObservedRemoveSet old = ObservedRemoveSet::literal({"a", "b"});
  old.add(anna, "c");
  ObservedRemoveSet changed = old;
  changed.add(bert, "d");
  changed.remove("a");
  EXPECT_EQ(ObservedRemoveSet::absorb(old, changed, bert), changed);
  ObservedRemoveSet stale = old;
  stale.remove("c");
  ObservedRemoveSet revived = stale;
  revived.add(bert, "x");
  EXPECT_EQ(ObservedRemoveSet::absorb(stale, old, bert).elements(), old.elements()) << "what was removed is added anew";
  for (const ObservedRemoveSet& foreign :
       {changed, revived, ObservedRemoveSet::literal({"b", "z"}), ObservedRemoveSet{}}) {
    const ObservedRemoveSet taken = ObservedRemoveSet::absorb(old, foreign, anna);
    EXPECT_EQ(taken.elements(), foreign.elements());
    ObservedRemoveSet both = old;
    both.merge(taken);
    EXPECT_EQ(both, taken) << "inflationary";
    EXPECT_EQ(taken.to_text().find("2/1"), std::string::npos) << "nothing in bert's name";
  }
  EXPECT_EQ(ObservedRemoveSet::absorb(old, ObservedRemoveSet::literal({"a", "b", "c"}), bert), old);
}

TEST(ObservedRemoveSet, OfTwoLiteralsOneStays) {
  ObservedRemoveSet left = ObservedRemoveSet::literal({"a", "b"});
  ObservedRemoveSet right = ObservedRemoveSet::literal({"b", "c"});
  const auto before = std::pair(left, right);
  left.merge(before.second);
  right.merge(before.first);
  EXPECT_EQ(left, right);
  EXPECT_TRUE(left == before.first || left == before.second);
}

TEST(ObservedRemoveSet, TextAndBytesAreCanonical) {
  ObservedRemoveSet set = ObservedRemoveSet::literal({"b", "a", "b"});
  EXPECT_EQ(set.to_text(), R"(["a","b"])");
  EXPECT_EQ(ObservedRemoveSet::parse(set.to_text()), set);
  EXPECT_EQ(ObservedRemoveSet{}.to_text(), "[]");
  set = {};
  set.add(anna, "x\"y");
  ObservedRemoveSet other;
  other.add(bert, "x\"y");
  other.add(bert, "z");
  set.merge(other);
  set.remove("z");
  EXPECT_EQ(set.to_text(), R"({seen:[1/1:1,2/1:2],elements:["x\"y"@1/1:1@2/1:1]})");
  EXPECT_EQ(set.to_json(), R"({"elements": {"x\"y": {"1/1": 1, "2/1": 1}}, "seen": {"1/1": 1, "2/1": 2}})");
  EXPECT_EQ(damage<ObservedRemoveSet>(bytes_of(set)), "");
  EXPECT_EQ(damage<ObservedRemoveSet>(bytes_of(ObservedRemoveSet::literal({"a", "b"}))), "");
  set = {};
  set.add(anna, std::string(16, 'u'));
  EXPECT_EQ(bytes_of(set).size(), 1 + 4 + 1 + 17 + 3U);
  for (const char* text :
       {"", "{}", "{seen:[],elements:[]}", "{seen:[1:1],elements:[\"a\"]}", "{seen:[1:1],elements:[\"a\"@1:2]}",
        "{seen:[1:1],elements:[\"a\"@2:1]}", "{seen:[1:0],elements:[]}", "{seen:[2:1,1:1],elements:[]}",
        "{seen:[1:1],elements:[\"b\"@1:1,\"a\"@1:1]}", "{seen:[1:1],elements:[\"a\"@1:1]}x", "{seen:[1:1]}"}) {
    EXPECT_NE(refusal<ObservedRemoveSet>(text), "") << text;
  }
  EXPECT_EQ(refusal<ObservedRemoveSet>("{seen:[1:1],elements:[]}"), "") << "an element that was removed";
}

}  // namespace
}  // namespace meridian
