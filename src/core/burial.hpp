// What a tombstone kills, element by element: the one definition that merging and burying share.
//
// Judging each entry, group and dot by itself is what makes burial commute with union: it does not matter whether a
// node learns of the delete before or after it learns of a write.
#pragma once

#include <utility>

#include "core/row_state.hpp"
#include "core/tombstone.hpp"

namespace meridian {

class Burial {
 public:
  Burial(const Shape& shape, const Tombstone& tombstone) noexcept
      : latest_(shape.delete_latest),
        floor_(tombstone.floor),
        deleted_(latest_ && tombstone.stamp != never),
        stamp_(tombstone.stamp),
        actor_(tombstone.actor) {}

  [[nodiscard]] bool keeps(const Entry& entry) const noexcept {
    return latest_ ? written_after(entry.last, entry.actor) : entry.birth > floor_;
  }
  [[nodiscard]] bool keeps(const GroupStamp& group) const noexcept {
    return latest_ ? written_after(group.stamp, group.actor) : group.birth > floor_;
  }
  [[nodiscard]] bool keeps(const LatticeBirth& lattice) const noexcept { return latest_ || lattice.birth > floor_; }
  [[nodiscard]] bool keeps(const SetLife& life) const noexcept { return latest_ || life.birth > floor_; }
  /// A dot never outlives its entry, which is not older.
  [[nodiscard]] bool keeps(const SetDot& dot) const noexcept {
    return latest_ ? written_after(dot.stamp, dot.actor) : dot.birth > floor_;
  }

 private:
  [[nodiscard]] bool written_after(Hlc stamp, Actor actor) const noexcept {
    return !deleted_ || std::pair(stamp, actor) > std::pair(stamp_, actor_);
  }

  bool latest_;
  Hlc floor_;
  bool deleted_;  ///< the row was deleted at all: a row from before replication has stamp `never` itself
  Hlc stamp_;
  Actor actor_;
};

}  // namespace meridian
