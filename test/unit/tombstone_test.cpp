#include "core/tombstone.hpp"

#include <gtest/gtest.h>

#include "core/merge.hpp"
#include "unit/random_rows.hpp"
#include "unit/rows.hpp"

namespace meridian {
namespace {

using namespace meridian::testing;

TEST(TombstoneByBirth, KillsEveryStateOfTheDeletedLives) {
  const Shape shape = shape_with_everything();
  RowState row = inserted(shape, anna, at(0));
  const Tombstone tombstone = delete_row(row, shape, bert, at(1));
  EXPECT_EQ(tombstone.floor, at(0));
  write_group(row, shape, anna, at(99));
  bury(row, shape, tombstone);
  EXPECT_FALSE(row.live()) << "even a later update of the deleted life";
  EXPECT_EQ(row, RowState{});
}

TEST(TombstoneByBirth, LeavesALaterLifeAlone) {
  const Shape shape = shape_with_everything();
  const Tombstone tombstone = delete_row(inserted(shape, anna, at(0), "100"), shape, anna, at(1));
  RowState reborn = inserted(shape, anna, at(2), "7");
  const RowState before = reborn;
  bury(reborn, shape, tombstone);
  EXPECT_EQ(reborn, before);
  EXPECT_EQ(stock_of(merge(reborn, inserted(shape, anna, at(0), "100"), shape, tombstone).state), "7")
      << "a late image of the first life adds nothing";
}

TEST(TombstoneByBirth, KillsOneOfTwoConcurrentLives) {
  const Shape shape = shape_with_everything();
  const RowState first = inserted(shape, anna, at(1), "100");
  const RowState second = inserted(shape, bert, at(2), "7");
  const Tombstone tombstone = delete_row(first, shape, anna, at(3));
  RowState both = merge(first, second, shape, Tombstone{}).state;
  bury(both, shape, tombstone);
  EXPECT_EQ(both, second);
}

TEST(TombstoneByBirth, KillsARowFromBeforeReplication) {
  const Shape shape = shape_with_everything();
  RowState row = state_before_replication(shape, {});
  const Tombstone tombstone = delete_row(row, shape, anna, at(1));
  EXPECT_EQ(tombstone.floor, first_birth);
  bury(row, shape, tombstone);
  EXPECT_FALSE(row.live());
}

TEST(TombstoneLatest, LaterWriteSurvivesAndEarlierDies) {
  const Shape shape = shape_of_latest();
  const RowState row = inserted(shape, anna, at(0));
  const Tombstone tombstone = delete_row(row, shape, bert, at(5));
  EXPECT_EQ(tombstone.floor, never);
  RowState earlier = row;
  write_group(earlier, shape, carl, at(4));
  EXPECT_FALSE(merge(RowState{}, earlier, shape, tombstone).state.live());
  RowState later = row;
  write_group(later, shape, carl, at(6));
  EXPECT_TRUE(merge(RowState{}, later, shape, tombstone).state.live());
}

TEST(TombstoneLatest, EqualStampsAreDecidedByTheActor) {
  const Shape shape = shape_of_latest();
  const Tombstone tombstone = delete_row(inserted(shape, anna, at(0)), shape, bert, at(5));
  EXPECT_FALSE(merge(RowState{}, inserted(shape, anna, at(5)), shape, tombstone).state.live());
  EXPECT_TRUE(merge(RowState{}, inserted(shape, carl, at(5)), shape, tombstone).state.live());
}

TEST(TombstoneLatest, ConvergesWhateverArrivesFirst) {
  const Shape shape = shape_of_latest();
  const RowState early = inserted(shape, anna, at(1));
  const RowState late = inserted(shape, bert, at(3));
  const Tombstone tombstone = delete_row(early, shape, carl, at(2));

  RowState images_first = merge(early, late, shape, Tombstone{}).state;
  bury(images_first, shape, tombstone);
  RowState tombstone_between = early;
  bury(tombstone_between, shape, tombstone);
  tombstone_between = merge(tombstone_between, late, shape, tombstone).state;
  EXPECT_EQ(images_first, tombstone_between);
}

TEST(TombstoneLatest, KillsARowFromBeforeReplicationOnlyIfThereWasADelete) {
  const Shape shape = shape_of_latest();
  RowState row = state_before_replication(shape, {});
  bury(row, shape, Tombstone{});
  EXPECT_TRUE(row.live());
  bury(row, shape, delete_row(row, shape, anna, at(1)));
  EXPECT_FALSE(row.live());
}

TEST(Tombstone, ConcurrentUpdateIsToldFromOneTheDeleterHadSeen) {
  const Shape shape = shape_with_everything();
  RowState row = inserted(shape, anna, at(0));
  write_group(row, shape, bert, at(1));
  const RowState seen = row;
  const Tombstone tombstone = delete_row(row, shape, carl, at(5));
  EXPECT_FALSE(unseen_by_deleter(seen, tombstone));
  write_group(row, shape, bert, at(2));
  EXPECT_TRUE(unseen_by_deleter(row, tombstone)) << "although it is older than the delete";
  EXPECT_FALSE(unseen_by_deleter(inserted(shape, bert, at(9)), tombstone)) << "a later life is no conflict";
}

TEST(Tombstone, InLatestModeALaterWriteOfTheDeleterIsNoConflict) {
  const Shape shape = shape_of_latest();
  const Tombstone tombstone = delete_row(inserted(shape, anna, at(0)), shape, anna, at(1));
  EXPECT_FALSE(unseen_by_deleter(inserted(shape, anna, at(2)), tombstone));
  EXPECT_TRUE(unseen_by_deleter(inserted(shape, bert, at(2)), tombstone));
  EXPECT_FALSE(unseen_by_deleter(state_before_replication(shape, {}), tombstone));
}

TEST(Tombstone, SeenSurvivesStorageAsAState) {
  const Shape shape = shape_with_everything();
  RowState row = merge(inserted(shape, anna, at(0)), inserted(shape, bert, at(1)), shape, Tombstone{}).state;
  write_group(row, shape, anna, at(2));
  const Tombstone tombstone = delete_row(row, shape, carl, at(3));
  ASSERT_EQ(tombstone.seen.size(), 2U) << "one per actor, over all lives";
  EXPECT_EQ(tombstone.seen[0], (LastSeen{anna, at(2)}));
  Bytes stored;
  encode(seen_as_state(tombstone), stored);
  Tombstone restored = tombstone;
  restored.seen.clear();
  seen_from_state(restored, decode({stored.data(), stored.size()}));
  EXPECT_EQ(restored, tombstone);
}

Tombstone any_tombstone(Random& random) {
  Tombstone tombstone;
  tombstone.floor = any_stamp(random);
  tombstone.stamp = any_stamp(random);
  tombstone.actor = any_actor(random);
  seen_from_state(tombstone, any_state(random));
  return tombstone;
}

Tombstone united(Tombstone a, const Tombstone& b) {
  merge_tombstone(a, b);
  return a;
}

TEST(TombstoneProperty, MergeIsALattice) {
  Random random(11);
  for (int i = 0; i < 20'000; ++i) {
    const Tombstone a = any_tombstone(random);
    const Tombstone b = any_tombstone(random);
    const Tombstone c = any_tombstone(random);
    ASSERT_EQ(united(a, b), united(b, a));
    ASSERT_EQ(united(united(a, b), c), united(a, united(b, c)));
    ASSERT_EQ(united(a, a), a);
    ASSERT_TRUE(covers(united(a, b), a));
    ASSERT_EQ(covers(a, b), united(a, b) == a) << "covered is what a merge would not change";
  }
}

}  // namespace
}  // namespace meridian
