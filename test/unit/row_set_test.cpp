#include "core/row_set.hpp"

#include <gtest/gtest.h>

#include "core/error.hpp"
#include "core/merge.hpp"
#include "unit/rows.hpp"

namespace meridian {
namespace {

using namespace meridian::testing;

const Shape shape = shape_with_everything();

RowState merged(const RowState& a, const RowState& b, const Tombstone& floor = {}) {
  return merge(a, b, shape, floor).state;
}

RowState row_with(Actor actor, Hlc stamp, const SetContent& contents) {
  const std::array sets = {contents};
  return insert_row(shape, actor, stamp, {}, sets);
}

TEST(RowSet, HoldsWhatWasWrittenInOrder) {
  RowState row = row_with(anna, at(0), content(tags, {"red", "blue", "red", ""}));
  EXPECT_EQ(set_of(row, tags), " blue red") << "the empty string is an element too";
  EXPECT_EQ(set_of(row, attributes), "NULL");
  write_elements(row, shape, bert, at(1), content(tags, {}));
  EXPECT_EQ(set_of(row, tags), "") << "empty, not NULL";
  EXPECT_TRUE(row.dots.empty());
}

TEST(RowSet, UnchangedElementsKeepTheirDots) {
  RowState row = row_with(anna, at(0), content(attributes, {"size:1", "weight:2"}));
  write_elements(row, shape, bert, at(1), content(attributes, {"size:1", "weight:3", "color:4"}));
  ASSERT_EQ(row.dots.size(), 3U);
  EXPECT_EQ(row.dots[0].stamp, at(1)) << "color is new";
  EXPECT_EQ(row.dots[1].actor, anna) << "size is not written";
  EXPECT_EQ(row.dots[2].actor, bert) << "weight has another value";
}

TEST(RowSet, ConcurrentAddsUnite) {
  const RowState start = row_with(anna, at(0), content(tags, {"old"}));
  RowState us = start;
  RowState eu = start;
  write_elements(us, shape, anna, at(1), content(tags, {"old", "us"}));
  write_elements(eu, shape, bert, at(1), content(tags, {"old", "eu"}));
  EXPECT_EQ(set_of(merged(us, eu), tags), "eu old us");
}

TEST(RowSet, RemovalIsRememberedBesideOtherWrites) {
  const RowState start = row_with(anna, at(0), content(tags, {"x"}));
  RowState us = start;
  RowState eu = start;
  write_elements(us, shape, anna, at(1), content(tags, {}));
  write_group(eu, shape, bert, at(2));
  EXPECT_EQ(set_of(merged(us, eu), tags), "") << "eu's write is not an add";
}

TEST(RowSet, AddWinsOverARemovalThatHadNotSeenIt) {
  RowState us = row_with(anna, at(0), content(tags, {"x"}));
  RowState eu = us;
  write_elements(us, shape, anna, at(1), content(tags, {}));
  write_elements(us, shape, anna, at(2), content(tags, {"x"}));
  write_elements(eu, shape, bert, at(3), content(tags, {}));
  EXPECT_EQ(set_of(merged(us, eu), tags), "x");
  EXPECT_EQ(set_of(merged(eu, us), tags), "x");
}

TEST(RowSet, ALaterWriteToOtherColumnsHidesNoAdd) {
  // The remover knows an older write of anna's; her entry has moved on since, but not in the remover's state.
  RowState us = row_with(anna, at(0), content(tags, {"x"}));
  RowState eu = us;
  write_elements(us, shape, anna, at(1), content(tags, {"x", "y"}));
  write_group(us, shape, anna, at(9));
  write_elements(eu, shape, bert, at(5), content(tags, {}));
  EXPECT_EQ(set_of(merged(us, eu), tags), "y");
}

TEST(RowSet, AnElementAddedTwiceIsRemovedTwice) {
  const RowState start = row_with(anna, at(0), content(tags, {}));
  RowState us = start;
  RowState eu = start;
  write_elements(us, shape, anna, at(1), content(tags, {"x"}));
  write_elements(eu, shape, bert, at(1), content(tags, {"x"}));
  RowState remover = us;
  write_elements(remover, shape, carl, at(2), content(tags, {}));
  RowState both = merged(us, eu);
  EXPECT_EQ(both.dots.size(), 2U);
  EXPECT_EQ(set_of(merged(both, remover), tags), "x") << "carl had not seen bert's";
  write_elements(both, shape, carl, at(2), content(tags, {}));
  EXPECT_EQ(set_of(merged(both, us), tags), "");
  EXPECT_EQ(set_of(merged(both, eu), tags), "");
}

TEST(RowSet, NewestValueOfAKeyShows) {
  const RowState start = row_with(anna, at(0), content(attributes, {"k:0"}));
  RowState us = start;
  RowState eu = start;
  write_elements(us, shape, anna, at(1), content(attributes, {"k:us"}));
  write_elements(eu, shape, bert, at(2), content(attributes, {"k:eu"}));
  EXPECT_EQ(set_of(merged(us, eu), attributes), "k:eu");
  EXPECT_EQ(set_of(merged(eu, us), attributes), "k:eu");
}

TEST(RowSet, AnOlderValueShowsWhenTheNewestIsRemovedByOneWhoHadNotSeenIt) {
  const RowState start = row_with(anna, at(0), content(attributes, {}));
  RowState us = start;
  RowState eu = start;
  write_elements(us, shape, anna, at(1), content(attributes, {"k:us"}));
  write_elements(eu, shape, bert, at(2), content(attributes, {"k:eu"}));
  RowState remover = eu;
  write_elements(remover, shape, carl, at(3), content(attributes, {}));
  const RowState one_way = merged(merged(us, eu), remover);
  const RowState other_way = merged(us, merged(eu, remover));
  EXPECT_EQ(set_of(one_way, attributes), "k:us");
  EXPECT_EQ(one_way, other_way);
}

TEST(RowSet, LivesUniteAndDieOneByOne) {
  RowState first = row_with(anna, at(1), content(tags, {"a"}));
  const RowState second = row_with(bert, at(2), content(tags, {"b"}));
  RowState both = merged(first, second);
  EXPECT_EQ(set_of(both, tags), "a b");
  const Tombstone tombstone = delete_row(first, shape, anna, at(3));
  bury(both, shape, tombstone);
  EXPECT_EQ(set_of(both, tags), "b");
  EXPECT_EQ(merged(first, second, tombstone), both);
}

TEST(RowSet, AColumnWrittenOnlyInADeadLifeIsNull) {
  const RowState first = row_with(anna, at(1), content(tags, {"a"}));
  const RowState second = insert_row(shape, bert, at(2), {});
  const Tombstone tombstone = delete_row(first, shape, anna, at(3));
  const RowState local = merged(first, second);
  const Merge result = merge(local, second, shape, tombstone);
  EXPECT_EQ(set_of(result.state, tags), "NULL");
  EXPECT_EQ(result.sets.front().take, Take::incoming);
}

TEST(RowSet, RowsFromBeforeReplicationAreOneWrite) {
  const std::array ab = {content(tags, {"a", "b"})};
  const std::array bc = {content(tags, {"b", "c"})};
  const RowState us = state_before_replication(shape, {}, ab);
  const RowState eu = state_before_replication(shape, {}, bc);
  EXPECT_EQ(set_of(merged(us, us), tags), "a b");
  EXPECT_EQ(set_of(merged(us, eu), tags), "b") << "c may have been removed by us, for all one can tell";
  EXPECT_EQ(merged(us, eu), merged(eu, us));
  RowState removed = us;
  write_elements(removed, shape, anna, at(1), content(tags, {"b"}));
  EXPECT_EQ(set_of(merged(removed, us), tags), "b");
}

TEST(RowSet, SaysWhoseContentsTheRowShows) {
  const RowState start = row_with(anna, at(0), content(tags, {"a"}));
  RowState us = start;
  RowState eu = start;
  const auto taken = [](const RowState& local, const RowState& incoming) {
    return merge(local, incoming, shape, {}).sets.front().take;
  };
  EXPECT_EQ(taken(us, eu), Take::either);
  write_elements(us, shape, anna, at(1), content(tags, {"a", "us"}));
  EXPECT_EQ(taken(us, eu), Take::local);
  EXPECT_EQ(taken(eu, us), Take::incoming);
  EXPECT_EQ(taken(RowState{}, us), Take::incoming);
  write_elements(eu, shape, bert, at(1), content(tags, {"a", "eu"}));
  EXPECT_EQ(taken(us, eu), Take::combine);
}

TEST(RowSet, LocalWritesAreBounded) {
  RowState row = row_with(anna, at(0), content(tags, {"a"}));
  const RowState before = row;
  SetContent large{tags, {{std::string(max_written_sets, 'x'), ""}}};
  EXPECT_THROW(write_set(row, large, anna, at(0), at(1)), Error);
  EXPECT_EQ(row, before);
  large.elements.front().bytes.resize(max_written_sets / 2);
  write_set(row, large, anna, at(0), at(1));
  large.slot = attributes;
  EXPECT_THROW(write_set(row, large, anna, at(0), at(2)), Error) << "all sets of a row count together";
}

TEST(RowSet, MergedSetsMayBeLargerThanWrittenOnes) {
  RowState row = row_with(anna, at(0), content(tags, {}));
  for (std::uint16_t member = 1; member <= 40; ++member) {
    RowState mine = row_with(anna, at(0), content(tags, {}));
    const SetContent large{tags, {{std::string(max_written_sets - 100, static_cast<char>('A' + member)), ""}}};
    const std::array sets = {large};
    update_row(mine, shape, Actor::from_parts(0, static_cast<std::uint16_t>(member + 10)), at(1), {{}, {}, {}, sets});
    row = merged(row, mine);
  }
  Bytes bytes;
  encode(row, bytes);
  EXPECT_GT(bytes.size(), max_encoded_size);
  EXPECT_EQ(decode({bytes.data(), bytes.size()}), row);
  EXPECT_EQ(parse_text(to_text(row)), row);
}

}  // namespace
}  // namespace meridian
