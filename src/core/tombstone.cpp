#include "core/tombstone.hpp"

#include <algorithm>
#include <utility>

#include "core/burial.hpp"

namespace meridian {

namespace {

/// What is known to have been seen of an actor; nullptr if nothing.
const LastSeen* find(const Tombstone& tombstone, Actor actor) noexcept {
  const auto position = std::ranges::lower_bound(tombstone.seen, actor, {}, &LastSeen::actor);
  return position != tombstone.seen.end() && position->actor == actor ? &*position : nullptr;
}

void see(Tombstone& tombstone, Actor actor, Hlc last) {
  auto& seen = tombstone.seen;
  const auto position = std::ranges::lower_bound(seen, actor, {}, &LastSeen::actor);
  if (position != seen.end() && position->actor == actor) {
    position->last = std::max(position->last, last);
  } else {
    seen.insert(position, LastSeen{actor, last});
  }
}

template <typename List>
void keep_only(List& list, const Burial& burial) {
  const auto dead = std::remove_if(list.begin(), list.end(), [&](const auto& item) { return !burial.keeps(item); });
  list.erase(dead, list.end());
}

}  // namespace

Tombstone delete_row(const RowState& state, const Shape& shape, Actor actor, Hlc stamp) {
  Tombstone tombstone;
  tombstone.floor = shape.delete_latest ? never : state.largest_birth();
  tombstone.stamp = stamp;
  tombstone.actor = actor;
  seen_from_state(tombstone, state);
  return tombstone;
}

void merge_tombstone(Tombstone& into, const Tombstone& other) {
  into.floor = std::max(into.floor, other.floor);
  if (std::pair(other.stamp, other.actor) > std::pair(into.stamp, into.actor)) {
    into.stamp = other.stamp;
    into.actor = other.actor;
  }
  for (const LastSeen& seen : other.seen) see(into, seen.actor, seen.last);
}

bool covers(const Tombstone& known, const Tombstone& other) noexcept {
  if (other.floor > known.floor) return false;
  if (std::pair(other.stamp, other.actor) > std::pair(known.stamp, known.actor)) return false;
  return std::ranges::all_of(other.seen, [&](const LastSeen& theirs) {
    const LastSeen* mine = find(known, theirs.actor);
    return mine != nullptr && mine->last >= theirs.last;
  });
}

void bury(RowState& state, const Shape& shape, const Tombstone& tombstone) {
  const Burial burial(shape, tombstone);
  keep_only(state.entries, burial);
  if (state.live()) {
    keep_only(state.groups, burial);
    keep_only(state.lattices, burial);
    keep_only(state.sets, burial);
    keep_only(state.dots, burial);
    std::erase_if(state.shares,
                  [&](const Share& share) { return find_entry(state, share.actor, share.birth) == nullptr; });
  } else {
    state.clear();
  }
}

bool unseen_by_deleter(const RowState& state, const Tombstone& tombstone) noexcept {
  return std::ranges::any_of(state.entries, [&](const Entry& entry) {
    const bool later_life = tombstone.floor != never && entry.birth > tombstone.floor;
    if (later_life || entry.actor == tombstone.actor || entry.last == never) return false;
    const LastSeen* seen = find(tombstone, entry.actor);
    return seen == nullptr || entry.last > seen->last;
  });
}

RowState seen_as_state(const Tombstone& tombstone) {
  RowState state;
  state.entries.reserve(tombstone.seen.size());
  for (const LastSeen& seen : tombstone.seen) state.entries.push_back(Entry{seen.actor, first_birth, seen.last, {}});
  return state;
}

void seen_from_state(Tombstone& into, const RowState& state) {
  into.seen.clear();
  for (const Entry& entry : state.entries) see(into, entry.actor, entry.last);
}

}  // namespace meridian
