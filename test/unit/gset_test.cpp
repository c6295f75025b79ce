#include "core/gset.hpp"

#include <gtest/gtest.h>

#include <set>

#include "core/type_text.hpp"
#include "unit/replicas.hpp"

namespace meridian {
namespace {

using namespace meridian::testing;

template <typename Type>
struct Model {
  using State = Type;
  using Op = std::string;
  static constexpr bool has_codec = true;
  static Op random_op(sim::Prng& prng, const State&) { return std::string(1, static_cast<char>('a' + prng.below(20))); }
  static void apply(State& state, Actor, const Op& op) { state.add(op); }
  static std::string shown(const State& state) { return state.to_text(); }
  static std::string expected(const Log<Op>& log, const Seen& seen) {
    std::vector<std::string> elements;
    for (std::size_t i = 0; i < log.size(); ++i) {
      if (seen[i]) elements.push_back(log[i].op);
    }
    return GrowSet::literal(elements).to_text();
  }
  static void merge(State& state, const State& other) { state.merge(other); }
  static std::size_t size_bound(std::size_t, const State& state) { return 2 + 2 * state.elements().size(); }
};

TEST(GrowSet, HoldsWhatWasAdded) { EXPECT_EQ(run_histories<Model<GrowSet>>(many_histories), ""); }

/// Wrong: the larger set.
struct LargerSet : GrowSet {
  void merge(const LargerSet& other) {
    if (other.elements().size() > elements().size()) *this = other;
  }
  static LargerSet decode(std::span<const std::byte> bytes) { return {GrowSet::decode(bytes)}; }
  static LargerSet parse(std::string_view text) { return {GrowSet::parse(text)}; }
};

TEST(GrowSet, TheOracleCatchesAWrongSet) { EXPECT_NE(run_histories<Model<LargerSet>>(many_histories), ""); }

TEST(GrowSet, OnlyGrows) {
  const GrowSet small = GrowSet::literal({"a"});
  const GrowSet large = GrowSet::literal({"b", "a", "a"});
  EXPECT_EQ(GrowSet::absorb(small, large, nobody), large);
  EXPECT_TRUE(large.contains("a"));
  EXPECT_FALSE(small.contains("b"));
  try {
    (void)GrowSet::absorb(large, small, nobody);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::against_rule);
    EXPECT_FALSE(error.hint().empty());
  }
}

TEST(GrowSet, TextAndBytesAreCanonical) {
  const GrowSet set = GrowSet::literal({"", "a,b", "say \"hi\" \\ there", "größe"});
  EXPECT_EQ(set.to_text(), R"(["","a,b","größe","say \"hi\" \\ there"])");
  EXPECT_EQ(GrowSet::parse(set.to_text()), set);
  EXPECT_EQ(GrowSet{}.to_text(), "[]");
  EXPECT_EQ(GrowSet::literal({"a\nb"}).to_json(), R"({"elements": ["a\u000ab"]})");
  EXPECT_EQ(damage<GrowSet>(bytes_of(set)), "");
  for (const char* text : {"", "[", "]", "{}", "[a]", "[\"a]", "[\"a\",]", "[\"b\",\"a\"]", "[\"a\",\"a\"]", "[\"a\"]x",
                           "[\"\\n\"]", "[\"a\" ]", "[\"\\"}) {
    EXPECT_NE(refusal<GrowSet>(text), "") << text;
  }
  EXPECT_NE(refusal<GrowSet>(std::string_view("[\"\0\"]", 5)), "");
  // Refused by its length alone, so there need be no such text.
  EXPECT_THROW((void)GrowSet::parse(std::string_view("[]", max_type_text_size + 1)), Error);
}

}  // namespace
}  // namespace meridian
