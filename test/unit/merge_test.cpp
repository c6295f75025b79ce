#include "core/merge.hpp"

#include <gtest/gtest.h>

#include "core/row_state_codec.hpp"
#include "unit/random_rows.hpp"
#include "unit/rows.hpp"

namespace meridian {
namespace {

using namespace meridian::testing;

const Tombstone nothing_deleted;

Take taken(const Merge& merged, Slot slot) {
  for (const auto& decision : merged.groups) {
    if (decision.slot == slot) return decision.take;
  }
  for (const auto& decision : merged.lattices) {
    if (decision.slot == slot) return decision.take;
  }
  ADD_FAILURE() << "no decision about slot " << slot;
  return Take::local;
}

TEST(Merge, ConcurrentPurchasesAddUp) {
  const Shape shape = shape_with_everything();
  RowState us = inserted(shape, anna, at(0));
  RowState eu = us;
  add_to_stock(us, shape, anna, at(1), "-50");
  add_to_stock(eu, shape, bert, at(1), "-30");
  const Merge merged = merge(us, eu, shape, nothing_deleted);
  EXPECT_EQ(stock_of(merged.state), "20");
  EXPECT_EQ(merged.knowledge, Knowledge::concurrent);
  EXPECT_TRUE(merged.state_changed);
  EXPECT_EQ(taken(merged, default_group), Take::either) << "nobody wrote it since";
}

TEST(Merge, EqualRowsFromBeforeReplicationAreOneRow) {
  const Shape shape = shape_with_everything();
  const Contributions counters = amount(stock, "100");
  RowState us = state_before_replication(shape, view(counters));
  RowState eu = us;
  EXPECT_EQ(merge(us, eu, shape, nothing_deleted).state, us);
  add_to_stock(us, shape, anna, at(1), "-50");
  add_to_stock(eu, shape, bert, at(1), "-30");
  EXPECT_EQ(stock_of(merge(us, eu, shape, nothing_deleted).state), "20") << "the 100 must not be counted twice";
}

TEST(Merge, DifferentRowsFromBeforeReplicationAgreeOnOne) {
  const Shape shape = shape_with_everything();
  const Contributions ten = amount(stock, "10");
  const Contributions ten_exactly = amount(stock, "10.00");
  const RowState us = state_before_replication(shape, view(ten));
  const RowState eu = state_before_replication(shape, view(ten_exactly));
  EXPECT_EQ(merge(us, eu, shape, nothing_deleted).state, merge(eu, us, shape, nothing_deleted).state);
  const RowState neither = state_before_replication(shape, {});
  EXPECT_EQ(merge(us, neither, shape, nothing_deleted).state, us);
  EXPECT_EQ(merge(neither, us, shape, nothing_deleted).state, us);
}

TEST(Merge, ConcurrentFirstInsertsAddCountersAndTheLargerBirthTakesTheGroups) {
  const Shape shape = shape_with_everything();
  RowState us = inserted(shape, anna, at(1), "100");
  const RowState eu = inserted(shape, bert, at(2), "7");
  write_group(us, shape, anna, at(9));
  const Merge merged = merge(us, eu, shape, nothing_deleted);
  EXPECT_EQ(stock_of(merged.state), "107");
  EXPECT_EQ(taken(merged, default_group), Take::incoming) << "even against a later update of the smaller birth";
  EXPECT_EQ(taken(merged, highest_bid), Take::incoming);
  EXPECT_EQ(merged.knowledge, Knowledge::concurrent);
}

TEST(Merge, UpdateGoesToTheLargestBirth) {
  const Shape shape = shape_with_everything();
  const RowState us = inserted(shape, anna, at(1));
  RowState row = merge(us, inserted(shape, bert, at(2)), shape, nothing_deleted).state;
  write_group(row, shape, anna, at(3));
  ASSERT_EQ(row.entries.size(), 3U);
  EXPECT_EQ(row.groups[default_group], (GroupStamp{default_group, at(2), at(3), anna}));
}

TEST(Merge, LaterWriteOfAGroupWins) {
  const Shape shape = shape_with_everything();
  RowState us = inserted(shape, anna, at(0));
  RowState eu = us;
  write_group(us, shape, anna, at(2), default_group);
  write_group(eu, shape, bert, at(3), named_group);
  const Merge merged = merge(us, eu, shape, nothing_deleted);
  EXPECT_EQ(taken(merged, default_group), Take::local);
  EXPECT_EQ(taken(merged, named_group), Take::incoming);
  EXPECT_EQ(taken(merged, highest_bid), Take::combine);
}

TEST(Merge, EqualStampsAreDecidedByTheActor) {
  const Shape shape = shape_of_latest();
  RowState us = inserted(shape, anna, at(0));
  RowState eu = us;
  write_group(us, shape, anna, at(1));
  write_group(eu, shape, bert, at(1));
  EXPECT_EQ(taken(merge(us, eu, shape, nothing_deleted), default_group), Take::incoming);
  EXPECT_EQ(taken(merge(eu, us, shape, nothing_deleted), default_group), Take::local);
}

TEST(Merge, RedeliveryChangesNothing) {
  const Shape shape = shape_with_everything();
  const RowState old = inserted(shape, anna, at(0));
  RowState row = old;
  add_to_stock(row, shape, anna, at(1), "5");
  write_group(row, shape, bert, at(2));
  for (const RowState& again : {old, row}) {
    const Merge merged = merge(row, again, shape, nothing_deleted);
    EXPECT_FALSE(merged.state_changed);
    EXPECT_EQ(merged.state, row);
  }
  EXPECT_EQ(merge(row, old, shape, nothing_deleted).knowledge, Knowledge::newer);
  EXPECT_EQ(merge(row, row, shape, nothing_deleted).knowledge, Knowledge::equal);
  EXPECT_EQ(merge(old, row, shape, nothing_deleted).knowledge, Knowledge::older);
}

TEST(Merge, MissingRowTakesTheOtherWhole) {
  const Shape shape = shape_with_everything();
  const RowState row = inserted(shape, anna, at(0));
  const Merge merged = merge(RowState{}, row, shape, nothing_deleted);
  EXPECT_EQ(merged.state, row);
  EXPECT_TRUE(merged.state_changed);
  for (const Slot slot : {default_group, named_group, highest_bid}) EXPECT_EQ(taken(merged, slot), Take::incoming);
  const Merge mirrored = merge(row, RowState{}, shape, nothing_deleted);
  EXPECT_FALSE(mirrored.state_changed);
  for (const Slot slot : {default_group, named_group, highest_bid}) EXPECT_EQ(taken(mirrored, slot), Take::local);
  EXPECT_FALSE(merge(RowState{}, RowState{}, shape, nothing_deleted).state.live());
}

TEST(Merge, GroupOfAYoungerRuleLosesToAnyWrite) {
  Shape old_shape;
  old_shape.groups.push_back(default_group);
  const Shape shape = shape_with_everything();
  const RowState before = insert_row(old_shape, anna, at(0), {});
  RowState written = before;
  write_group(written, shape, bert, at(1), named_group);
  EXPECT_EQ(taken(merge(before, written, shape, nothing_deleted), named_group), Take::incoming);
  EXPECT_EQ(taken(merge(written, before, shape, nothing_deleted), named_group), Take::local);
  EXPECT_EQ(taken(merge(before, before, shape, nothing_deleted), named_group), Take::either);
  EXPECT_EQ(taken(merge(before, before, shape, nothing_deleted), highest_bid), Take::combine);
}

TEST(Merge, UnknownSlotsAreKept) {
  const RowState row = inserted(shape_with_everything(), anna, at(0));
  const Merge merged = merge(row, row, Shape{}, nothing_deleted);
  EXPECT_EQ(merged.state, row);
  EXPECT_EQ(merged.groups.size(), 2U);
}

Take mirror(Take take) {
  if (take == Take::local) return Take::incoming;
  return take == Take::incoming ? Take::local : take;
}

template <typename Decisions>
bool are_mirrored(const Decisions& a, const Decisions& b) {
  return std::ranges::equal(
      a, b, [](const SlotDecision& x, const SlotDecision& y) { return x.slot == y.slot && x.take == mirror(y.take); });
}

Knowledge mirror(Knowledge knowledge) {
  if (knowledge == Knowledge::older) return Knowledge::newer;
  return knowledge == Knowledge::newer ? Knowledge::older : knowledge;
}

RowState buried(RowState state, const Shape& shape, const Tombstone& tombstone) {
  bury(state, shape, tombstone);
  return state;
}

/// What the merged row shows is what the decision says.
void expect_sets_taken_rightly(const Merge& merged, const RowState& local, const RowState& incoming,
                               const Shape& shape) {
  if (!merged.state.live()) return;
  ASSERT_EQ(merged.sets.size(), shape.sets.size());
  for (const SlotDecision& decision : merged.sets) {
    const std::string result = set_of(merged.state, decision.slot);
    if (decision.take == Take::local || decision.take == Take::either) {
      ASSERT_EQ(result, set_of(local, decision.slot));
    }
    if (decision.take == Take::incoming || decision.take == Take::either) {
      ASSERT_EQ(result, set_of(incoming, decision.slot));
    }
  }
}

void expect_laws(const RowState& a, const RowState& b, const RowState& c, const Shape& shape, const Tombstone& floor) {
  const Merge ab = merge(a, b, shape, floor);
  const Merge ba = merge(b, a, shape, floor);
  ASSERT_EQ(ab.state, ba.state) << "commutative";
  ASSERT_TRUE(are_mirrored(ab.groups, ba.groups));
  ASSERT_TRUE(are_mirrored(ab.lattices, ba.lattices));
  ASSERT_TRUE(are_mirrored(ab.sets, ba.sets));
  expect_sets_taken_rightly(ab, a, b, shape);
  ASSERT_EQ(ab.knowledge, mirror(ba.knowledge));
  ASSERT_EQ(ab.state_changed, ab.state != a);

  const RowState left = merge(ab.state, c, shape, floor).state;
  const RowState right = merge(a, merge(b, c, shape, floor).state, shape, floor).state;
  ASSERT_EQ(left, right) << "associative";

  ASSERT_EQ(merge(a, a, shape, floor).state, buried(a, shape, floor)) << "idempotent";
  ASSERT_EQ(merge(ab.state, a, shape, floor).state, ab.state) << "inflationary";
  ASSERT_EQ(merge(ab.state, b, shape, floor).state, ab.state) << "inflationary";

  ASSERT_EQ(buried(merge(a, b, shape, nothing_deleted).state, shape, floor), ab.state) << "burial commutes with merge";
  ASSERT_EQ(merge(buried(a, shape, floor), b, shape, floor).state, ab.state) << "burial commutes with merge";
  ASSERT_EQ(merge(buried(a, shape, floor), buried(b, shape, floor), shape, nothing_deleted).state, ab.state);

  const RowState everything = merge(a, b, shape, nothing_deleted).state;
  const Knowledge knowledge = compare_knowledge(everything, a);
  ASSERT_TRUE(knowledge == Knowledge::equal || knowledge == Knowledge::newer);
}

class MergeLaws : public ::testing::TestWithParam<bool> {
 protected:
  Shape shape() const { return GetParam() ? shape_of_latest() : shape_with_everything(); }
};
INSTANTIATE_TEST_SUITE_P(Modes, MergeLaws, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "latest" : "by_birth"; });

TEST_P(MergeLaws, HoldForReachableStates) {
  Random random(GetParam() ? 1 : 2);
  for (int history = 0; history < 1000 && !HasFatalFailure(); ++history) {
    RowHistory rows(shape(), 2 + below(random, 4), random);
    for (int step = 0; step < 25; ++step) rows.step();
    for (int sample = 0; sample < 20 && !HasFatalFailure(); ++sample) {
      const Tombstone floor = rows.any_tombstone();
      expect_laws(rows.any_image(), rows.any_image(), rows.any_image(), shape(), floor);
    }
  }
}

TEST_P(MergeLaws, HoldForTombstonesInAnyOrder) {
  Random random(GetParam() ? 3 : 4);
  for (int history = 0; history < 1000; ++history) {
    RowHistory rows(shape(), 2 + below(random, 4), random);
    for (int step = 0; step < 25; ++step) rows.step();
    const Tombstone one = rows.any_tombstone();
    const Tombstone other = rows.any_tombstone();
    Tombstone both = one;
    merge_tombstone(both, other);
    const RowState& image = rows.any_image();
    const RowState expected = buried(image, shape(), both);
    ASSERT_EQ(buried(buried(image, shape(), one), shape(), other), expected);
    ASSERT_EQ(buried(buried(image, shape(), other), shape(), one), expected);
  }
}

TEST_P(MergeLaws, KeepTheInvariantsOfAState) {
  Random random(GetParam() ? 5 : 6);
  for (int history = 0; history < 500; ++history) {
    RowHistory rows(shape(), 3, random);
    for (int step = 0; step < 25; ++step) rows.step();
    for (const RowState& state : rows.images) {
      Bytes bytes;
      encode(state, bytes);
      ASSERT_EQ(decode({bytes.data(), bytes.size()}), state) << "decoding checks order and uniqueness";
      for (const GroupStamp& group : state.groups) ASSERT_EQ(group.birth, state.largest_birth());
      for (const LatticeBirth& lattice : state.lattices) ASSERT_EQ(lattice.birth, state.largest_birth());
      ASSERT_TRUE(sets_are_sound(state));
    }
  }
}

TEST(MergeLaws, HoldForWellFormedStatesThatNoMeshReaches) {
  Random random(7);
  const Shape shape = shape_with_everything();
  for (int i = 0; i < 20'000; ++i) {
    const RowState a = any_state(random);
    const RowState b = any_state(random);
    ASSERT_EQ(merge(a, b, shape, nothing_deleted).state, merge(b, a, shape, nothing_deleted).state);
    const RowState once = merge(a, b, shape, nothing_deleted).state;
    ASSERT_EQ(merge(once, b, shape, nothing_deleted).state, once);
  }
}

TEST(Knowledge, ComparesWritersNotLives) {
  const Shape shape = shape_with_everything();
  const RowState first_life = inserted(shape, anna, at(1));
  const RowState second_life = inserted(shape, anna, at(5));
  EXPECT_EQ(compare_knowledge(second_life, first_life), Knowledge::newer) << "an actor knows what it wrote before";
  EXPECT_EQ(compare_knowledge(first_life, second_life), Knowledge::older);
  EXPECT_EQ(compare_knowledge(first_life, inserted(shape, carl, at(1))), Knowledge::concurrent);
  RowState latest_in_the_older_life = second_life;
  latest_in_the_older_life.entries.insert(latest_in_the_older_life.entries.begin(), Entry{anna, at(1), at(9), {}});
  EXPECT_EQ(compare_knowledge(latest_in_the_older_life, second_life), Knowledge::newer);
  EXPECT_EQ(compare_knowledge(RowState{}, first_life), Knowledge::older);
  EXPECT_EQ(compare_knowledge(RowState{}, state_before_replication(shape, {})), Knowledge::older);
  EXPECT_EQ(compare_knowledge(RowState{}, RowState{}), Knowledge::equal);
}

}  // namespace
}  // namespace meridian
