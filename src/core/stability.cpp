#include "core/stability.hpp"

#include <algorithm>
#include <limits>

namespace meridian {

namespace {

Hlc applied_of(const PeerProgress& peer, std::uint16_t origin) noexcept {
  const auto position = std::ranges::find(peer.applied, origin, &AppliedUpTo::member);
  return position == peer.applied.end() ? never : position->upto;
}

}  // namespace

PeerProgress over_streams(std::span<const PeerProgress> streams) {
  PeerProgress all = streams.front();
  for (const PeerProgress& stream : streams.subspan(1)) {
    all.safe = std::min(all.safe, stream.safe);
    all.received = std::min(all.received, stream.received);
    all.laid_down = std::min(all.laid_down, stream.laid_down);
    for (AppliedUpTo& mark : all.applied) mark.upto = std::min(mark.upto, applied_of(stream, mark.member));
  }
  return all;
}

Hlc peer_cut(const PeerProgress& peer, std::span<const std::uint16_t> members) noexcept {
  if (peer.received < peer.safe) return never;  // something it wrote before may still be on the way
  Hlc cut = peer.safe;                          // its own deletes
  for (const std::uint16_t origin : members) {
    if (origin != peer.member) cut = std::min(cut, applied_of(peer, origin));
  }
  return cut;
}

Hlc stable_cut(std::uint16_t self, std::span<const std::uint16_t> members,
               std::span<const PeerProgress> peers) noexcept {
  Hlc cut{std::numeric_limits<std::uint64_t>::max()};
  for (const std::uint16_t member : members) {
    if (member == self) continue;
    const auto peer = std::ranges::find(peers, member, &PeerProgress::member);
    cut = std::min(cut, peer == peers.end() ? never : peer_cut(*peer, members));
  }
  return cut;
}

Hlc forgotten_cut(std::uint16_t self, Hlc own, std::span<const std::uint16_t> members,
                  std::span<const PeerProgress> peers) noexcept {
  Hlc cut = own;
  for (const std::uint16_t member : members) {
    if (member == self) continue;
    const auto peer = std::ranges::find(peers, member, &PeerProgress::member);
    cut = std::min(cut, peer == peers.end() ? never : peer->laid_down);
  }
  return cut;
}

}  // namespace meridian
