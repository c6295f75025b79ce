// What remains of a deleted row: enough to keep a late image of it dead, and to tell a concurrent update from one
// that the deleter had seen.
//
// Two delete modes. By birth (the default): `floor` is the largest birth among the deleted lives, and every entry or
// group at or below it is dead, whatever its stamp. Latest (`delete=latest`): the delete is one more write of the whole
// row, ordered by (stamp, actor) against the default group's stamp; `floor` stays 0.
//
// Tombstones of one key merge (maximum of each part), so their order and number do not matter.
#pragma once

#include <boost/container/small_vector.hpp>

#include "core/row_state.hpp"

namespace meridian {

/// The latest write of an actor that the deleter had seen, over all lives.
struct LastSeen {
  Actor actor;
  Hlc last;
  friend bool operator==(const LastSeen&, const LastSeen&) = default;
};

struct Tombstone {
  Hlc floor;    ///< by birth: dead at or below; 0 in latest mode or when nothing was deleted
  Hlc stamp;    ///< stamp of the delete
  Actor actor;  ///< who deleted
  boost::container::small_vector<LastSeen, 4> seen;  ///< sorted by actor
  friend bool operator==(const Tombstone&, const Tombstone&) = default;
};

/// A local DELETE of a row in `state`, stamped `stamp` > every stamp of the state.
[[nodiscard]] Tombstone delete_row(const RowState& state, const Shape& shape, Actor actor, Hlc stamp);

/// Adds what `other` knows. Commutative, associative, idempotent.
void merge_tombstone(Tombstone& into, const Tombstone& other);

/// True if merging `other` into `known` changes nothing.
[[nodiscard]] bool covers(const Tombstone& known, const Tombstone& other) noexcept;

/// Removes from `state` what the tombstone killed; the state is dead if nothing is left. By birth: entries, groups and
/// lattices born at or below the floor. Latest: entries and groups written at or before (stamp, actor) of the delete,
/// so the row dies with its last write. Both remove element by element, so burying before or after a merge is the same.
void bury(RowState& state, const Shape& shape, const Tombstone& tombstone);

/// True if the state holds a write, of a life that was deleted, which the deleter had not seen: a delete concurrent
/// with an update. A later life (by birth) and later writes of the deleter itself are no conflict.
[[nodiscard]] bool unseen_by_deleter(const RowState& state, const Tombstone& tombstone) noexcept;

/// The `seen` list as a row state (one entry per actor, born at `first_birth`, no contributions), which is how it is
/// stored; and back: of several lives of an actor the latest write counts.
[[nodiscard]] RowState seen_as_state(const Tombstone& tombstone);
void seen_from_state(Tombstone& into, const RowState& state);

}  // namespace meridian
