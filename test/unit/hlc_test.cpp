#include "core/hlc.hpp"

#include <gtest/gtest.h>

#include "core/actor.hpp"

namespace meridian {
namespace {

TEST(Hlc, KeepsItsParts) {
  constexpr Hlc stamp = Hlc::from_parts(1'718'000'000'123, 45);
  EXPECT_EQ(stamp.milliseconds(), 1'718'000'000'123U);
  EXPECT_EQ(stamp.counter(), 45);
  EXPECT_LT(Hlc::from_parts(7, 0xffff), Hlc::from_parts(8, 0));
  EXPECT_LT(never, first_birth);
}

TEST(Hlc, SortsAsSignedIntegerToo) {
  // Year 6400, in milliseconds.
  EXPECT_GT(static_cast<std::int64_t>(Hlc::from_parts(139'796'150'400'000, 0xffff).value), 0);
}

TEST(Hlc, FollowsPhysicalTime) { EXPECT_EQ(next_stamp(Hlc::from_parts(10, 5), 11), Hlc::from_parts(11, 0)); }

TEST(Hlc, CountsWhilePhysicalTimeStands) {
  EXPECT_EQ(next_stamp(Hlc::from_parts(10, 5), 10), Hlc::from_parts(10, 6));
  EXPECT_EQ(next_stamp(Hlc::from_parts(10, 5), 3), Hlc::from_parts(10, 6)) << "physical time stepped back";
}

TEST(Hlc, CounterCarriesIntoMilliseconds) {
  EXPECT_EQ(next_stamp(Hlc::from_parts(10, 0xffff), 10), Hlc::from_parts(11, 0));
}

TEST(Hlc, OnlyTheFutureIsTooFarAhead) {
  const Hlc stamp = Hlc::from_parts(1000, 9);
  EXPECT_FALSE(too_far_ahead(stamp, 500, 500));
  EXPECT_TRUE(too_far_ahead(stamp, 499, 500));
  EXPECT_FALSE(too_far_ahead(stamp, 1'000'000, 0));
}

TEST(Actor, KeepsItsParts) {
  constexpr Actor actor = Actor::from_parts(3, 65535);
  EXPECT_EQ(actor.epoch(), 3);
  EXPECT_EQ(actor.member(), 65535);
  EXPECT_LT(Actor::from_parts(0, 9), Actor::from_parts(1, 1)) << "a later epoch is larger";
  EXPECT_EQ(nobody, Actor::from_parts(0, 0));
}

}  // namespace
}  // namespace meridian
