#include "core/row_state.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

#include "core/error.hpp"
#include "unit/rows.hpp"

namespace meridian {
namespace {

using namespace meridian::testing;

TEST(RowState, InsertBeginsALife) {
  const Shape shape = shape_with_everything();
  const RowState row = inserted(shape, anna, at(3), "100.50");
  EXPECT_EQ(to_text(row),
            "{entries:[1@1700000000003.0 last 1700000000003.0 +2=100.50],"
            "groups:[0:1@1700000000003.0 last 1700000000003.0,1:1@1700000000003.0 last 1700000000003.0],"
            "lattices:[4@1700000000003.0]}");
  EXPECT_TRUE(row.live());
  EXPECT_EQ(row.highest_stamp(), at(3));
  EXPECT_EQ(row.largest_birth(), at(3));
}

TEST(RowState, InLatestModeEveryLifeIsTheFirst) {
  const RowState row = inserted(shape_of_latest(), anna, at(3));
  EXPECT_EQ(row.largest_birth(), first_birth);
  EXPECT_EQ(row.highest_stamp(), at(3));
}

TEST(RowState, RowFromBeforeReplicationIsNobodys) {
  const RowState row = state_before_replication(shape_with_everything(), view(amount(stock, "7")));
  EXPECT_EQ(to_text(row),
            "{entries:[0@0.1 last 0.0 +2=7],groups:[0:0@0.1 last 0.0,1:0@0.1 last 0.0],lattices:[4@0.1]}");
  EXPECT_EQ(stock_of(row), "7");
}

TEST(RowState, CounterIsTheSumOfContributions) {
  const Shape shape = shape_with_everything();
  RowState row = inserted(shape, bert, at(0), "100");
  add_to_stock(row, shape, anna, at(1), "-30.5");
  add_to_stock(row, shape, carl, at(2), "0.25");
  add_to_stock(row, shape, anna, at(3), "1");
  EXPECT_EQ(stock_of(row), "70.75");
  EXPECT_EQ(row.entries.size(), 3U);
  EXPECT_EQ(row.counter(balance), std::nullopt) << "nobody contributed: the column is NULL";
}

TEST(RowState, UpdateStampsOnlyWhatItChanged) {
  const Shape shape = shape_with_everything();
  RowState row = inserted(shape, anna, at(0));
  write_group(row, shape, bert, at(1), named_group);
  ASSERT_EQ(row.entries.size(), 2U);
  EXPECT_EQ(row.entries[1], (Entry{bert, at(0), at(1), {}}));
  EXPECT_EQ(row.groups[0], (GroupStamp{default_group, at(0), at(0), anna}));
  EXPECT_EQ(row.groups[1], (GroupStamp{named_group, at(0), at(1), bert}));
}

TEST(RowState, UpdateAddsSlotsOfYoungerRules) {
  const Shape shape = shape_with_everything();
  Shape old_shape;
  old_shape.groups.push_back(default_group);
  RowState row = insert_row(old_shape, anna, at(0), {});
  const std::array groups = {named_group};
  const std::array lattices = {highest_bid};
  const Contributions deltas = amount(balance, "5");
  update_row(row, shape, anna, at(1), {groups, view(deltas), lattices});
  EXPECT_EQ(to_text(row),
            "{entries:[1@1700000000000.0 last 1700000000001.0 +3=5],"
            "groups:[0:1@1700000000000.0 last 1700000000000.0,1:1@1700000000000.0 last 1700000000001.0],"
            "lattices:[4@1700000000000.0]}");
}

TEST(RowState, RefusesWritesThatCannotBe) {
  const Shape shape = shape_with_everything();
  RowState row = inserted(shape, anna, at(5));
  EXPECT_THROW(write_group(row, shape, bert, at(5)), std::invalid_argument) << "a stamp that is not new";
  RowState dead;
  EXPECT_THROW(write_group(dead, shape, bert, at(9)), std::invalid_argument);
}

TEST(RowState, CountersHaveTheLimitsOfNumericPerActor) {
  const Shape shape = shape_with_everything();
  const std::string widest(Decimal::max_integer_digits, '9');
  RowState row = inserted(shape, anna, at(0));
  add_to_stock(row, shape, bert, at(1), widest);
  const RowState before = row;
  EXPECT_THROW(add_to_stock(row, shape, bert, at(2), "1"), Error);
  const Contributions beyond{Contribution{stock, Decimal::parse(widest) + Decimal::from_int64(1)}};
  EXPECT_THROW(update_row(row, shape, carl, at(2), {{}, view(beyond), {}}), Error);
  EXPECT_THROW((void)insert_row(shape, carl, at(2), view(beyond)), Error);
  EXPECT_EQ(row, before) << "a refused write leaves no trace";
  add_to_stock(row, shape, carl, at(2), widest);
  EXPECT_FALSE(row.counter(stock)->fits_numeric()) << "the sum over actors is total";
}

}  // namespace
}  // namespace meridian
