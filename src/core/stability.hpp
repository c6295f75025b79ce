// Causal stability: when a tombstone may be dropped.
//
// A node x may forget a delete only when every member has applied it, and x has received all that each member wrote
// before that member applied it: such a write may still show the row alive. Age does not tell that, and neither does a
// slot position (a member that has confirmed the delete may have an older write of its own still on the way).
//
// How members learn it: a member notes its clock (`safe`) and what it has applied, waits until every transaction that
// was running at that moment has ended, and then publishes both, in the same stream as its changes. It does so
// periodically, so a quiet member does not hold the others back; a dead one does, until it is dropped from the mesh.
//
// Where deletes are ordered by a timestamp that users set (lww()), forgetting takes two steps. New rows are not stamped
// by the clock, so a tombstone still lifts a new row of its key above the delete, and a node that has forgotten must
// not make rows that are dead elsewhere. First every member, for itself, lets a stable tombstone bury nothing any more
// and publishes its cut (`laid_down`); what all have laid down may go.
//
// Source: Baquero, Almeida, Shoker, "Making operation-based CRDTs operation-based" (2014), on causal stability.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/hlc.hpp"
#include "core/tombstone.hpp"

namespace meridian {

/// How far one member's writes have been applied: all that it stamped at or below `upto`.
struct AppliedUpTo {
  std::uint16_t member = 0;
  Hlc upto;
};

/// What a node knows of one other member.
struct PeerProgress {
  std::uint16_t member = 0;
  Hlc safe;  ///< the peer's clock when it read `applied`; its writes stamped at or below have ended
  std::vector<AppliedUpTo> applied;  ///< by the peer, at that moment; in any order
  Hlc received;                      ///< this node has received all that the peer stamped at or below
  Hlc laid_down;                     ///< the peer's own cut: its tombstones at or below bury nothing any more
};

/// What has arrived of a peer that is read through several streams (core/stream.hpp): each mark is the smallest of
/// those that came through them. A publication travels in all streams, and in each of them behind what the peer wrote
/// before; so what the oldest of the last ones says is true of all. `streams` is not empty; where one names no mark of
/// an origin, none counts.
[[nodiscard]] PeerProgress over_streams(std::span<const PeerProgress> streams);

/// The stamp up to which deletes are applied by the peer, and all that it wrote before applying them has arrived here.
[[nodiscard]] Hlc peer_cut(const PeerProgress& peer, std::span<const std::uint16_t> members) noexcept;

/// The stamp up to which deletes are causally stable at node `self`: tombstones stamped at or below it may go.
/// `members` are all members of the mesh; one without progress, or whose progress lacks another member, holds
/// everything back
/// (`never`). Alone in the mesh, nothing does.
[[nodiscard]] Hlc stable_cut(std::uint16_t self, std::span<const std::uint16_t> members,
                             std::span<const PeerProgress> peers) noexcept;

/// The stamp up to which all members have laid down their tombstones; `own` is what node `self` has laid down.
[[nodiscard]] Hlc forgotten_cut(std::uint16_t self, Hlc own, std::span<const std::uint16_t> members,
                                std::span<const PeerProgress> peers) noexcept;

/// True if a tombstone may be dropped. A merged tombstone carries its latest delete's stamp, and the cut covers all
/// members' deletes, so those merged into it are stable too.
[[nodiscard]] constexpr bool may_drop(const Tombstone& tombstone, Hlc cut) noexcept { return tombstone.stamp <= cut; }

}  // namespace meridian
