#include "core/stability.hpp"

#include <gtest/gtest.h>

#include <array>
#include <limits>

#include "unit/rows.hpp"

namespace meridian {
namespace {

using namespace meridian::testing;

constexpr std::array<std::uint16_t, 3> mesh = {1, 2, 3};

/// A peer that, at its clock `safe`, had applied both others up to `applied`, and whose stream arrived up to
/// `received`.
PeerProgress peer(std::uint16_t member, std::uint64_t safe, std::uint64_t applied, std::uint64_t received) {
  PeerProgress progress{member, at(safe), {}, at(received), never};
  for (const std::uint16_t origin : mesh) {
    if (origin != member) progress.applied.push_back({origin, at(applied)});
  }
  return progress;
}

TEST(Stability, CutIsWhatTheSlowestPeerHasApplied) {
  const std::array peers = {peer(2, 20, 15, 20), peer(3, 30, 12, 31)};
  EXPECT_EQ(stable_cut(1, mesh, peers), at(12));
  Tombstone tombstone;
  tombstone.stamp = at(12);
  EXPECT_TRUE(may_drop(tombstone, stable_cut(1, mesh, peers)));
  tombstone.stamp = at(13);
  EXPECT_FALSE(may_drop(tombstone, stable_cut(1, mesh, peers)));
}

TEST(Stability, WritesFromBeforeTheyAppliedItMustHaveArrived) {
  const std::array peers = {peer(2, 20, 15, 19), peer(3, 30, 15, 30)};
  EXPECT_EQ(stable_cut(1, mesh, peers), never) << "peer 2 applied the delete, but an older write of it is on the way";
}

TEST(Stability, EveryOriginCounts) {
  std::array peers = {peer(2, 20, 15, 20), peer(3, 20, 15, 20)};
  peers[1].applied[0].upto = at(5);  // member 1 as applied by member 3
  EXPECT_EQ(stable_cut(1, mesh, peers), at(5));
  peers[1].applied.pop_back();
  EXPECT_EQ(stable_cut(1, mesh, peers), never) << "peer 3 says nothing about member 2";
}

TEST(Stability, OwnDeletesOfAPeerAreStableOnceItsClockIsSafe) {
  const std::array peers = {peer(2, 10, 15, 20), peer(3, 20, 15, 20)};
  EXPECT_EQ(stable_cut(1, mesh, peers), at(10));
}

TEST(Stability, SilentPeerHoldsEverythingBack) {
  const std::array peers = {peer(2, 20, 15, 20)};
  EXPECT_EQ(stable_cut(1, mesh, peers), never);
  EXPECT_EQ(stable_cut(1, mesh, {}), never);
}

TEST(Stability, TombstonesThatLiftNewRowsGoWhenAllHaveLaidThemDown) {
  std::array peers = {peer(2, 20, 15, 20), peer(3, 20, 15, 20)};
  EXPECT_EQ(forgotten_cut(1, at(15), mesh, peers), never) << "nobody else has said so";
  peers[0].laid_down = at(14);
  EXPECT_EQ(forgotten_cut(1, at(15), mesh, peers), never) << "member 3 has not";
  peers[1].laid_down = at(13);
  EXPECT_EQ(forgotten_cut(1, at(15), mesh, peers), at(13));
  EXPECT_EQ(forgotten_cut(1, at(12), mesh, peers), at(12)) << "this node itself has not";
  EXPECT_EQ(forgotten_cut(1, at(15), mesh, {}), never);
}

TEST(Stability, EachPeerHasACutOfItsOwn) {
  EXPECT_EQ(peer_cut(peer(2, 20, 15, 20), mesh), at(15));
  EXPECT_EQ(peer_cut(peer(2, 20, 15, 19), mesh), never);
}

TEST(Stability, OfSeveralStreamsTheLatestOneCounts) {
  std::array streams = {peer(2, 30, 25, 30), peer(2, 20, 15, 20), peer(2, 40, 35, 40)};
  streams[2].laid_down = at(9);
  const PeerProgress all = over_streams(streams);
  EXPECT_EQ(all.member, 2);
  EXPECT_EQ(all.safe, at(20));
  EXPECT_EQ(all.received, at(20));
  EXPECT_EQ(all.laid_down, never);
  EXPECT_EQ(peer_cut(all, mesh), at(15)) << "the second stream lags: what it has yet to bring may be older";
  streams[1].applied.erase(streams[1].applied.begin());
  EXPECT_EQ(peer_cut(over_streams(streams), mesh), never) << "one of them knows nothing of member 1";
  std::swap(streams[0], streams[1]);
  EXPECT_EQ(peer_cut(over_streams(streams), mesh), never) << "whichever it is";
  EXPECT_EQ(over_streams(std::span(streams).first(1)).safe, at(20)) << "one stream is what it is";
}

TEST(Stability, AStreamThatIsReadAgainHoldsTheOthersBack) {
  const std::array streams = {peer(2, 30, 25, 30), peer(2, 20, 15, 0)};
  EXPECT_EQ(peer_cut(over_streams(streams), mesh), never);
}

TEST(Stability, AloneNothingIsHeldBack) {
  const std::array<std::uint16_t, 1> alone = {1};
  EXPECT_EQ(stable_cut(1, alone, {}), Hlc{std::numeric_limits<std::uint64_t>::max()});
  EXPECT_EQ(forgotten_cut(1, at(7), alone, {}), at(7));
}

}  // namespace
}  // namespace meridian
