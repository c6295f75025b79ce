// Which writes a state of an explicit type has seen: per actor, how many of that actor's writes.
//
// A state always covers the first n writes of an actor without a gap, because what travels is the whole state; so one
// number per actor suffices. A *dot* names one write. Source: Preguiça et al., "Dotted version vectors" (2010).
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/actor.hpp"
#include "core/error.hpp"

namespace meridian {

/// The nth write of an actor to one value; n begins at 1.
struct Dot {
  Actor actor;
  std::uint64_t number = 0;
  friend constexpr auto operator<=>(const Dot&, const Dot&) noexcept = default;
};

class VersionVector {
 public:
  using Items = std::vector<Dot>;

 private:
  template <typename List>
  static auto find(List& items, Actor actor) noexcept {
    return std::ranges::lower_bound(items, actor, {}, &Dot::actor);
  }

 public:
  /// The last write seen of each actor: sorted by actor, no number is zero.
  [[nodiscard]] const Items& items() const noexcept { return items_; }
  /// How many writes of the actor were seen.
  [[nodiscard]] std::uint64_t seen(Actor actor) const noexcept {
    const auto position = find(items_, actor);
    return position != items_.end() && position->actor == actor ? position->number : 0;
  }
  [[nodiscard]] bool covers(Dot dot) const noexcept { return dot.number <= seen(dot.actor); }
  /// Place of the actor in `items()`, or their number if it is not among them.
  [[nodiscard]] std::size_t index_of(Actor actor) const noexcept {
    const auto position = find(items_, actor);
    const bool found = position != items_.end() && position->actor == actor;
    return found ? static_cast<std::size_t>(position - items_.begin()) : items_.size();
  }

  /// A new write of the actor.
  Dot next(Actor actor) {
    const std::uint64_t before = seen(actor);
    if (before == std::numeric_limits<std::uint64_t>::max()) {
      throw Error(ErrorKind::limit_exceeded, "the value has been written too often");
    }
    const Dot dot{actor, before + 1};
    see(dot);
    return dot;
  }
  /// Everything up to the dot is seen.
  void see(Dot dot) {
    const auto position = find(items_, dot.actor);
    if (position == items_.end() || position->actor != dot.actor) {
      items_.insert(position, dot);
    } else {
      position->number = std::max(position->number, dot.number);
    }
  }
  void merge(const VersionVector& other) {
    for (const Dot& dot : other.items_) see(dot);
  }
  /// True if `other` has seen the same of everybody but `actor`, and of `actor` at least as much.
  [[nodiscard]] bool advanced_by(Actor actor, const VersionVector& other) const {
    VersionVector mine = *this;
    if (other.seen(actor) < mine.seen(actor)) return false;
    if (other.seen(actor) > 0) mine.see({actor, other.seen(actor)});
    return mine == other;
  }

  friend bool operator==(const VersionVector&, const VersionVector&) = default;

 private:
  Items items_;
};

}  // namespace meridian
