// The counting behind leases; how meshes fare with it: home_lease_model_test.cpp.
#include "core/home_lease.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace meridian {
namespace {

TEST(HomeLease, AMajorityIsNeeded) {
  EXPECT_EQ(acknowledgements_needed(1, true), 0U);
  EXPECT_EQ(acknowledgements_needed(2, true), 1U);
  EXPECT_EQ(acknowledgements_needed(3, true), 1U);
  EXPECT_EQ(acknowledgements_needed(4, true), 2U);
  EXPECT_EQ(acknowledgements_needed(5, true), 2U);
  EXPECT_EQ(acknowledgements_needed(1, false), 1U);
  EXPECT_EQ(acknowledgements_needed(2, false), 2U);
  EXPECT_TRUE(can_outwait(2, 1));
  EXPECT_TRUE(can_outwait(3, 1));
  EXPECT_FALSE(can_outwait(3, 2));
  EXPECT_TRUE(can_outwait(4, 2));
  EXPECT_FALSE(can_outwait(5, 3));
}

TEST(HomeLease, ALostMinorityCannotHoldOne) {
  for (std::size_t voters = 1; voters <= most_voters; ++voters) {
    for (std::size_t lost = 1; lost <= voters; ++lost) {
      // Among themselves, one of them has at most this many acknowledgements.
      if (can_outwait(voters, lost)) {
        EXPECT_LT(lost - 1, acknowledgements_needed(voters, true));
      }
      if (can_outwait(voters, lost)) {
        EXPECT_LT(lost, acknowledgements_needed(voters, false));
      }
    }
  }
}

TEST(HomeLease, ItEndsWhenTheMajorityDoes) {
  Acknowledgements all;
  const std::int32_t voters[] = {1, 2, 3, 4, 5};
  EXPECT_EQ(all.lease_end(0, voters, 1), 0);
  all.note(2, 0, 100);
  EXPECT_EQ(all.lease_end(0, voters, 1), 0);
  all.note(3, 0, 300);
  EXPECT_EQ(all.lease_end(0, voters, 1), 100);
  all.note(4, 0, 200);
  EXPECT_EQ(all.lease_end(0, voters, 1), 200);
  EXPECT_EQ(all.lease_end(0, voters, 9), 100);  // who does not vote needs one more
  all.note(4, 7, 900);
  EXPECT_EQ(all.lease_end(0, voters, 1), 100);  // of another electorate
  all.note(9, 0, 900);
  EXPECT_EQ(all.lease_end(0, voters, 1), 100);  // no voter
  all.note(3, 0, 400);
  EXPECT_EQ(all.lease_end(0, voters, 1), 100);
  EXPECT_EQ(all.running(0, voters, 99), 2U);
  EXPECT_EQ(all.running(0, voters, 100), 1U);
  EXPECT_EQ(all.lease_end(0, std::span(voters, 1), 1), std::numeric_limits<std::int64_t>::max());
  const std::vector<std::int32_t> many(most_voters + 1, 2);
  EXPECT_EQ(all.lease_end(0, many, 1), 0);
}

TEST(HomeLease, PromisesOnlyGrow) {
  LeasePromises promises;
  const std::int32_t both[] = {1, 2};
  EXPECT_EQ(promises.latest(both, 50), 50);
  EXPECT_TRUE(promises.note(1, 10));
  EXPECT_EQ(promises.latest(both, 50), 50);
  EXPECT_TRUE(promises.note(2, 70));
  EXPECT_TRUE(promises.note(2, 60));
  EXPECT_EQ(promises.latest(both, 50), 70);
  EXPECT_EQ(promises.latest(std::span(both, 1), 50), 10);
  for (std::int32_t member = 3; member <= static_cast<std::int32_t>(most_voters); ++member)
    EXPECT_TRUE(promises.note(member, 1));
  EXPECT_FALSE(promises.note(1000, 1));
}

TEST(HomeLease, ElectoratesAreNumbered) {
  const auto of = [](std::vector<VoterChange> changes) { return electorate_of(changes); };
  EXPECT_EQ(of({}).number, 0U);
  EXPECT_EQ(of({{1, true, false}, {2, false, false}}).number, 0U);
  const Electorate taking = of({{1, true, false}, {2, false, true}});
  EXPECT_EQ(taking.number, 5U);
  EXPECT_EQ(taking.given_up_in, 0U);
  EXPECT_EQ(taking.next_given_up_in, 2U);
  const Electorate taken = of({{1, true, false}, {2, true, true}});
  EXPECT_EQ(taken.number, 4U);
  EXPECT_EQ(taken.given_up_in, 2U);
  const Electorate returning = of({{2, true, true}, {3, false, false}});
  EXPECT_EQ(returning.number, 7U);
  EXPECT_EQ(returning.given_up_in, 2U);
  EXPECT_EQ(returning.next_given_up_in, 0U);
  EXPECT_EQ(of({{2, true, true}, {3, true, false}, {4, true, false}, {5, false, false}}).number, 6U);
}

}  // namespace
}  // namespace meridian
