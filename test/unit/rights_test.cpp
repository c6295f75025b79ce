#include "core/rights.hpp"

#include <gtest/gtest.h>

#include <set>

#include "core/error.hpp"
#include "core/merge.hpp"
#include "core/row_state_codec.hpp"
#include "unit/random_rows.hpp"
#include "unit/rows.hpp"

namespace meridian {
namespace {

using namespace meridian::testing;

constexpr Slot tickets = 7;

Bound from_zero_to(std::int64_t max) { return {tickets, Decimal{}, Decimal::from_int64(max), anna}; }

Shape shape_with(const Bound& bound) {
  Shape shape;
  shape.groups.push_back(default_group);
  shape.bounds.push_back(bound);
  return shape;
}

RowState row_of(const Shape& shape, Actor actor, Hlc stamp, std::int64_t value) {
  const std::array bounded = {Contribution{tickets, Decimal::from_int64(value)}};
  return insert_row(shape, actor, stamp, {}, {}, bounded);
}

void change(RowState& state, const Shape& shape, Actor actor, Hlc stamp, std::int64_t delta) {
  const std::array bounded = {Contribution{tickets, Decimal::from_int64(delta)}};
  update_row(state, shape, actor, stamp, {{}, {}, {}, {}, bounded});
}

ErrorKind refusal(RowState state, const Shape& shape, Actor actor, Hlc stamp, std::int64_t delta) {
  try {
    change(state, shape, actor, stamp, delta);
  } catch (const Error& error) {
    EXPECT_FALSE(error.hint().empty());
    return error.kind();
  }
  ADD_FAILURE() << "not refused";
  return ErrorKind::malformed_text;
}

std::string value_of(const RowState& state, const Bound& bound) {
  const auto value = bounded_value(state, bound);
  return value ? value->to_string() : "NULL";
}

std::string rights(const RowState& state, const Bound& bound, Right right, Actor actor) {
  return rights_of(state, bound, right, actor).to_string();
}

TEST(Rights, BelongToTheOneWhoMadeTheRow) {
  const Bound bound{tickets, Decimal::from_int64(10), Decimal::from_int64(100), anna};
  const Shape shape = shape_with(bound);
  RowState row = row_of(shape, anna, at(0), 30);
  EXPECT_EQ(value_of(row, bound), "30");
  EXPECT_EQ(rights(row, bound, Right::lower, anna), "20");
  EXPECT_EQ(rights(row, bound, Right::raise, anna), "70");
  EXPECT_EQ(rights(row, bound, Right::lower, bert), "0");
  EXPECT_EQ(refusal(row, shape, bert, at(1), -1), ErrorKind::rights_exceeded);
  EXPECT_EQ(refusal(row, shape, bert, at(1), 1), ErrorKind::rights_exceeded);
  EXPECT_EQ(refusal(row, shape, anna, at(1), -21), ErrorKind::rights_exceeded);
  EXPECT_EQ(refusal(row, shape, anna, at(1), 71), ErrorKind::rights_exceeded);
  change(row, shape, anna, at(1), -20);
  EXPECT_EQ(value_of(row, bound), "10");
  EXPECT_EQ(rights(row, bound, Right::raise, anna), "90") << "what was subtracted may be added again";
}

TEST(Rights, MoveByTransfer) {
  const Bound bound = from_zero_to(100);
  const Shape shape = shape_with(bound);
  RowState row = row_of(shape, anna, at(0), 10);
  transfer_rights(row, shape, bound, Right::lower, anna, at(1), bert, Decimal::from_int64(4));
  transfer_rights(row, shape, bound, Right::lower, anna, at(2), bert, Decimal::from_int64(2));
  EXPECT_EQ(value_of(row, bound), "10");
  EXPECT_EQ(rights(row, bound, Right::lower, anna), "4");
  EXPECT_EQ(rights(row, bound, Right::lower, bert), "6");
  EXPECT_THROW(transfer_rights(row, shape, bound, Right::lower, anna, at(3), bert, Decimal::from_int64(5)), Error);
  change(row, shape, bert, at(3), -6);
  EXPECT_EQ(value_of(row, bound), "4");
  EXPECT_EQ(refusal(row, shape, bert, at(4), -1), ErrorKind::rights_exceeded);
  EXPECT_EQ(rights(row, bound, Right::raise, bert), "6");
}

TEST(Rights, FirstValueMustFit) {
  const Shape shape = shape_with(from_zero_to(100));
  EXPECT_THROW((void)row_of(shape, anna, at(0), -1), Error);
  EXPECT_THROW((void)row_of(shape, anna, at(0), 101), Error);
  EXPECT_EQ(value_of(row_of(shape, anna, at(0), 100), shape.bounds.front()), "100");
}

TEST(Rights, WithoutMaximumEverybodyMayAdd) {
  const Bound bound{tickets, Decimal{}, std::nullopt, anna};
  const Shape shape = shape_with(bound);
  RowState row = row_of(shape, anna, at(0), 1);
  change(row, shape, bert, at(1), 1000);
  EXPECT_EQ(value_of(row, bound), "1001");
  EXPECT_EQ(rights(row, bound, Right::lower, bert), "1000") << "who adds may subtract";
  EXPECT_EQ(all_rights(row, bound, Right::raise), std::nullopt);
}

TEST(Rights, OnlyTheLargestBirthCounts) {
  const Bound bound = from_zero_to(100);
  const Shape shape = shape_with(bound);
  const RowState first = row_of(shape, anna, at(1), 100);
  const RowState second = row_of(shape, bert, at(2), 30);
  const RowState both = merge(first, second, shape, {}).state;
  EXPECT_EQ(value_of(both, bound), "30");
  EXPECT_EQ(rights(both, bound, Right::lower, anna), "0");
}

TEST(Rights, TwoInsertsOfOneBirthAreTwoLives) {
  const Bound bound = from_zero_to(20);
  const Shape shape = shape_with(bound);
  const RowState both = merge(row_of(shape, anna, at(1), 20), row_of(shape, bert, at(1), 11), shape, {}).state;
  EXPECT_EQ(value_of(both, bound), "11") << "the larger maker's";
  EXPECT_EQ(rights(both, bound, Right::lower, anna), "0");
}

TEST(Rights, RowsFromBeforeReplicationAreTheHolders) {
  const Bound bound = from_zero_to(100);
  const Shape shape = shape_with(bound);
  const std::array counters = {Contribution{tickets, Decimal::from_int64(5)}};
  RowState row = state_before_replication(shape, {}, {}, counters);
  EXPECT_EQ(rights(row, bound, Right::lower, anna), "5");
  EXPECT_EQ(rights(row, bound, Right::raise, anna), "95");
  EXPECT_EQ(refusal(row, shape, bert, at(1), -1), ErrorKind::rights_exceeded);
  change(row, shape, anna, at(1), -5);
  EXPECT_EQ(value_of(row, bound), "0");
  EXPECT_EQ(rights(row, bound, Right::raise, anna), "100");
}

TEST(Rights, WhoWantsThemGetsThem) {
  const Bound bound = from_zero_to(100);
  const Shape shape = shape_with(bound);
  RowState row = row_of(shape, anna, at(0), 10);
  want_rights(row, shape, bound, Right::lower, bert, at(1), Decimal::from_int64(3));
  EXPECT_EQ(wanted_rights(row, bound, Right::lower, bert), Decimal::from_int64(3));
  EXPECT_FALSE(may_grant(row, shape, bert));
  EXPECT_TRUE(may_grant(row, shape, anna));
  EXPECT_TRUE(grant_rights(row, shape, anna, at(2)));
  EXPECT_EQ(rights(row, bound, Right::lower, bert), "5") << "half of what she has";
  EXPECT_FALSE(grant_rights(row, shape, anna, at(3))) << "he has what he wants";
  change(row, shape, bert, at(3), -2);
  EXPECT_EQ(wanted_rights(row, bound, Right::lower, bert), std::nullopt) << "he could go on";
  want_rights(row, shape, bound, Right::lower, bert, at(4), Decimal::from_int64(7));
  EXPECT_TRUE(grant_rights(row, shape, anna, at(5)));
  EXPECT_EQ(rights(row, bound, Right::lower, bert), "7") << "what he lacks, if that is more";
  want_rights(row, shape, bound, Right::lower, bert, at(6), Decimal::from_int64(9));
  EXPECT_FALSE(may_grant(row, shape, anna)) << "all together would not do";
}

TEST(Rights, AWriteLeavesTheEntriesOfOtherLivesAlone) {
  const Bound bound = from_zero_to(100);
  const Shape shape = shape_with(bound);
  RowState old_life = row_of(shape, anna, at(0), 10);
  want_rights(old_life, shape, bound, Right::lower, bert, at(1), Decimal::from_int64(3));
  RowState row = merge(old_life, row_of(shape, bert, at(5), 20), shape, Tombstone{}).state;
  ASSERT_EQ(shares_of(row, bert, at(0)).size(), 1U);
  change(row, shape, bert, at(6), -2);
  EXPECT_EQ(shares_of(row, bert, at(0)).size(), 1U) << "the wish is part of a write that the others have as it was";
}

TEST(Rights, AreAskedForWithReason) {
  const Bound bound = from_zero_to(100);
  const Shape shape = shape_with(bound);
  RowState row = row_of(shape, anna, at(0), 10);
  const auto asks = [&](RowState& state, Actor actor, Hlc stamp, std::int64_t level) {
    return ask_for_rights(state, shape, bound, Right::lower, actor, stamp, Decimal::from_int64(level));
  };
  EXPECT_FALSE(asks(row, anna, at(1), 10)) << "she has them";
  EXPECT_FALSE(asks(row, bert, at(1), 11)) << "all together have less";
  EXPECT_TRUE(asks(row, bert, at(1), 4));
  EXPECT_FALSE(asks(row, bert, at(2), 3)) << "he has asked for more";
  EXPECT_TRUE(asks(row, bert, at(2), 5));
  EXPECT_FALSE(asks(row, bert, at(patience_ms), 5));
  EXPECT_TRUE(asks(row, bert, at(2 + patience_ms), 5)) << "nobody has answered";
  EXPECT_EQ(wanted_rights(row, bound, Right::lower, bert), Decimal::from_int64(5));
}

TEST(Rights, NobodyGivesToAnEpochThatIsOver) {
  const Bound bound = from_zero_to(100);
  const Shape shape = shape_with(bound);
  const Actor before = Actor::from_parts(1, 5);
  const Actor after = Actor::from_parts(2, 5);
  RowState row = row_of(shape, anna, at(0), 10);
  want_rights(row, shape, bound, Right::lower, before, at(1), Decimal::from_int64(3));
  want_rights(row, shape, bound, Right::raise, after, at(2), Decimal::from_int64(1));
  EXPECT_TRUE(grant_rights(row, shape, anna, at(3)));
  EXPECT_EQ(rights(row, bound, Right::lower, before), "0");
  EXPECT_EQ(rights(row, bound, Right::raise, after), "45");
}

TEST(Rights, OfAnEpochThatIsOverCanBeTaken) {
  const Bound bound = from_zero_to(100);
  const Shape shape = shape_with(bound);
  RowState row = row_of(shape, anna, at(0), 10);
  change(row, shape, anna, at(1), -3);
  EXPECT_FALSE(take_rights(row, shape, bound, bert, at(2), Actor::from_parts(1, 9)));
  EXPECT_TRUE(take_rights(row, shape, bound, bert, at(2), anna));
  EXPECT_EQ(rights(row, bound, Right::lower, anna) + " " + rights(row, bound, Right::lower, bert), "0 7");
  EXPECT_EQ(rights(row, bound, Right::raise, anna) + " " + rights(row, bound, Right::raise, bert), "0 93");
  EXPECT_EQ(right_owners(row, bound), (std::vector<Actor>{anna, bert}));
}

TEST(Rights, AColumnThatWasNeverWrittenCannotChange) {
  const Bound bound{tickets, Decimal{}, std::nullopt, anna};
  const Shape shape = shape_with(bound);
  const RowState row = state_before_replication(shape, {});
  EXPECT_EQ(value_of(row, bound), "NULL");
  EXPECT_EQ(refusal(row, shape, anna, at(1), 0), ErrorKind::rights_exceeded);
  EXPECT_EQ(refusal(row, shape, anna, at(1), 5), ErrorKind::rights_exceeded);
}

TEST(Rights, BytesAndTextCarryThem) {
  const Bound bound = from_zero_to(100);
  const Shape shape = shape_with(bound);
  RowState row = row_of(shape, anna, at(0), 10);
  transfer_rights(row, shape, bound, Right::lower, anna, at(1), bert, Decimal::from_int64(4));
  want_rights(row, shape, bound, Right::raise, anna, at(2), Decimal::from_int64(12));
  Bytes bytes;
  encode(row, bytes);
  EXPECT_EQ(decode({bytes.data(), bytes.size()}), row);
  EXPECT_EQ(parse_text(to_text(row)), row);
  const std::string rights_text =
      "rights:[7:1@1700000000000.0 of 1 change=10,7:1@1700000000000.0 of 1 gave lower 2=4,"
      "7:1@1700000000000.0 of 1 wants raise=12]";
  EXPECT_NE(to_text(row).find(rights_text), std::string::npos) << to_text(row);
  for (const std::string_view bad :
       {"rights:[7:2@1700000000000.0 of 1 change=10]", "rights:[7:1@1700000000000.0 of 1=10]",
        "rights:[7:1@1700000000000.0 of 1 gave lower=1]"}) {
    const std::string text = "{entries:[1@1700000000000.0 last 1700000000000.0]," + std::string(bad) + "}";
    EXPECT_THROW((void)parse_text(text), Error) << text;
  }
}

/// A few nodes that change one bounded value and exchange its images in any order; some are restored from an older
/// state. How a wrong model goes wrong is for the tests below.
class Market {
 public:
  enum class Model { right, epoch_reused, rights_of_all_lives };

  Market(Model model, std::uint64_t seed) : model_(model), random_(seed), nodes_(2 + below(random_, 3)) {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      nodes_[i].actor = Actor::from_parts(1, static_cast<std::uint16_t>(i + 1));
      actors_.insert(nodes_[i].actor);
    }
    bound_.holder = nodes_.front().actor;
    shape_ = shape_with(bound_);
    if (below(random_, 4) != 0) return;
    const std::array counters = {Contribution{tickets, Decimal::from_int64(7)}};
    for (Node& node : nodes_) node.state = state_before_replication(shape_, {}, {}, counters);
  }

  /// Empty if all was right, else what was not.
  std::string run(int steps) {
    for (int i = 0; i < steps; ++i) {
      step(nodes_[below(random_, nodes_.size())]);
      for (const Node& node : nodes_) {
        if (std::string fault = check(node.state); !fault.empty()) return fault;
      }
    }
    return fault_;
  }

 private:
  struct Node {
    Actor actor;
    RowState state;
    Tombstone tombstone;
    Hlc clock;
    RowState backup;
    Tombstone backup_tombstone;
  };

  Hlc stamp(Node& node) {
    const Hlc known = std::max({node.clock, node.state.highest_stamp(), node.tombstone.stamp, node.tombstone.floor});
    return node.clock = next_stamp(known, now_ += below(random_, 3));
  }

  void step(Node& node) {
    switch (below(random_, 12)) {
      case 0:
        node.backup = node.state;
        node.backup_tombstone = node.tombstone;
        break;
      case 1:
        if (node.backup.live()) restore(node);
        break;
      case 2:
        if (!node.state.live() || below(random_, 4) != 0) break;
        merge_tombstone(node.tombstone, delete_row(node.state, shape_, node.actor, stamp(node)));
        bury(node.state, shape_, node.tombstone);
        tombstones_.push_back(node.tombstone);
        break;
      case 3:
        if (tombstones_.empty()) break;
        merge_tombstone(node.tombstone, tombstones_[below(random_, tombstones_.size())]);
        bury(node.state, shape_, node.tombstone);
        break;
      case 4:
      case 5:
      case 6:
        if (!images_.empty()) receive(node);
        break;
      default:
        write(node);
        images_.push_back(node.state);
    }
  }

  void receive(Node& node) {
    const RowState& image = images_[below(random_, images_.size())];
    const RowState& third = images_[below(random_, images_.size())];
    const auto merged = [&](const RowState& a, const RowState& b) { return merge(a, b, shape_, node.tombstone).state; };
    const RowState result = merged(node.state, image);
    require(merged(image, node.state) == result, "merge is not commutative");
    require(merged(result, third) == merged(node.state, merged(image, third)), "merge is not associative");
    require(merged(result, image) == result && merged(result, result) == result, "merge is not idempotent");
    RowState buried = result;
    bury(buried, shape_, node.tombstone);
    require(buried == result && shares_are_sound(result), "a merged state is not sound");
    Bytes bytes;
    encode(result, bytes);
    require(decode({bytes.data(), bytes.size()}) == result && parse_text(to_text(result)) == result,
            "it is not lossless");
    node.state = result;
  }

  void require(bool condition, const char* claim) {
    if (!condition && fault_.empty()) fault_ = claim;
  }

  void restore(Node& node) {
    node.state = node.backup;
    node.tombstone = node.backup_tombstone;
    if (model_ == Model::epoch_reused) return;
    node.actor = Actor::from_parts(static_cast<std::uint16_t>(node.actor.epoch() + 1), node.actor.member());
    actors_.insert(node.actor);
  }

  void write(Node& node) {
    if (!node.state.live()) {
      node.state = row_of(shape_, node.actor, stamp(node), static_cast<std::int64_t>(below(random_, 21)));
      return;
    }
    try {
      const Right asked = below(random_, 2) == 0 ? Right::lower : Right::raise;
      if (below(random_, 6) == 0) {
        want_rights(node.state, shape_, bound_, asked, node.actor, stamp(node),
                    Decimal::from_int64(1 + static_cast<std::int64_t>(below(random_, 8))));
      } else if (below(random_, 4) == 0) {
        (void)grant_rights(node.state, shape_, node.actor, stamp(node));
      } else if (below(random_, 3) == 0) {
        const Actor to = nodes_[below(random_, nodes_.size())].actor;
        const Right right = below(random_, 2) == 0 ? Right::lower : Right::raise;
        if (to == node.actor) return;
        transfer_rights(node.state, shape_, bound_, right, node.actor, stamp(node), to,
                        Decimal::from_int64(1 + static_cast<std::int64_t>(below(random_, 6))));
      } else {
        change(node.state, shape_, node.actor, stamp(node), static_cast<std::int64_t>(below(random_, 13)) - 6);
      }
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::rights_exceeded);
    }
  }

  [[nodiscard]] std::string check(const RowState& state) const {
    if (!state.live()) return {};
    Decimal value = bounded_value(state, bound_).value_or(bound_.min);
    if (model_ == Model::rights_of_all_lives) {
      value = Decimal{};
      for (const Share& share : state.shares) {
        if (share.kind == Share::Kind::change) value += share.amount;
      }
    }
    if (compare(value, bound_.min) < 0 || compare(value, *bound_.max) > 0) return "out of bounds: " + value.to_string();
    for (const Right right : {Right::lower, Right::raise}) {
      Decimal sum;
      for (const Actor actor : actors_) {
        const Decimal rights = rights_of(state, bound_, right, actor);
        if (rights.is_negative()) return "an actor has less than no rights";
        sum += rights;
      }
      if (compare(sum, *all_rights(state, bound_, right)) != 0) return "rights are not conserved";
    }
    return {};
  }

  Model model_;
  Random random_;
  Bound bound_ = from_zero_to(20);
  Shape shape_;
  std::uint64_t now_ = 1'700'000'000'000;
  std::vector<Node> nodes_;
  std::set<Actor> actors_;
  std::vector<RowState> images_;
  std::vector<Tombstone> tombstones_;
  std::string fault_;
};

int faults(Market::Model model, std::uint64_t histories) {
  int count = 0;
  for (std::uint64_t seed = 1; seed <= histories; ++seed) {
    const std::string fault = Market(model, seed).run(150);
    count += fault.empty() ? 0 : 1;
    if (model == Market::Model::right) {
      EXPECT_EQ(fault, "") << "seed " << seed;
      if (!fault.empty()) break;
    }
  }
  return count;
}

TEST(RightsLaws, TheValueNeverLeavesItsBounds) { EXPECT_EQ(faults(Market::Model::right, 2000), 0); }
TEST(RightsLaws, AReusedEpochOversells) { EXPECT_GT(faults(Market::Model::epoch_reused, 1000), 0); }
TEST(RightsLaws, LivesThatAddUpLeaveTheBounds) { EXPECT_GT(faults(Market::Model::rights_of_all_lives, 1000), 0); }

}  // namespace
}  // namespace meridian
