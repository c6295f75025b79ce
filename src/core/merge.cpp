#include "core/merge.hpp"

#include <algorithm>
#include <span>
#include <tuple>

#include "core/burial.hpp"
#include "core/rights.hpp"

namespace meridian {

namespace {

/// Total order that is equality exactly where == is. Only needed when two states claim different contributions for one
/// write (rows from before replication, a duplicated identity): any choice will do if all nodes make the same.
bool contributions_less(const Contributions& a, const Contributions& b) {
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (a[i].slot != b[i].slot) return a[i].slot < b[i].slot;
    if (const auto order = compare(a[i].amount, b[i].amount); order != 0) return order < 0;
    if (a[i].amount.scale() != b[i].amount.scale()) return a[i].amount.scale() < b[i].amount.scale();
  }
  return a.size() < b.size();
}

/// Of two versions of one actor's entry, the one that knows more.
const Entry& later(const Entry& a, const Entry& b) {
  if (a.last != b.last) return a.last > b.last ? a : b;
  return contributions_less(a.contributions, b.contributions) ? b : a;
}

/// Iterates over the elements of a sorted list that the burial keeps.
template <typename Item>
class Living {
 public:
  template <typename List>
  Living(const List& list, const Burial& burial) noexcept
      : next_(list.data()), end_(list.data() + list.size()), burial_(burial) {
    skip_dead();
  }
  [[nodiscard]] bool done() const noexcept { return next_ == end_; }
  [[nodiscard]] const Item& operator*() const noexcept { return *next_; }
  [[nodiscard]] const Item* operator->() const noexcept { return next_; }
  void operator++() noexcept {
    ++next_;
    skip_dead();
  }
  /// A dead state has no say.
  void drop_all() noexcept { next_ = end_; }

 private:
  void skip_dead() noexcept {
    while (next_ != end_ && !burial_.keeps(*next_)) ++next_;
  }

  const Item* next_;
  const Item* end_;
  const Burial& burial_;
};

void merge_entries(Living<Entry> local, Living<Entry> incoming, RowState& out) {
  const auto key = [](const Entry& entry) { return std::pair(entry.actor, entry.birth); };
  while (!local.done() && !incoming.done()) {
    if (key(*local) < key(*incoming)) {
      out.entries.push_back(*local);
      ++local;
    } else if (key(*incoming) < key(*local)) {
      out.entries.push_back(*incoming);
      ++incoming;
    } else {
      out.entries.push_back(later(*local, *incoming));
      ++local;
      ++incoming;
    }
  }
  for (; !local.done(); ++local) out.entries.push_back(*local);
  for (; !incoming.done(); ++incoming) out.entries.push_back(*incoming);
}

/// A dot that only one side has stays if the other side has not seen it.
void merge_dots(Living<SetDot> local, Living<SetDot> incoming, const RowState& local_state,
                const RowState& incoming_state, std::vector<SetDot>& out) {
  const auto keep_unseen = [&out](Living<SetDot>& dots, const RowState& other) {
    if (!has_seen(other, *dots)) out.push_back(*dots);
    ++dots;
  };
  while (!local.done() && !incoming.done()) {
    if (precedes(*local, *incoming)) {
      keep_unseen(local, incoming_state);
    } else if (precedes(*incoming, *local)) {
      keep_unseen(incoming, local_state);
    } else if (local->stamp != incoming->stamp) {
      // An actor made the newer dot in place of the older: who knows the newer has seen both.
      keep_unseen(local, incoming_state);
      keep_unseen(incoming, local_state);
    } else {
      out.push_back(local->value < incoming->value ? *incoming : *local);
      ++local;
      ++incoming;
    }
  }
  while (!local.done()) keep_unseen(local, incoming_state);
  while (!incoming.done()) keep_unseen(incoming, local_state);
}

/// True if the column shows the same in both states.
bool same_set(const RowState& a, const RowState& b, Slot slot) {
  return is_written(a, slot) == is_written(b, slot) && std::ranges::equal(dots_of(a, slot), dots_of(b, slot));
}

/// Which of the two states live; a dead state has no say.
struct Alive {
  bool local = false;
  bool incoming = false;
};

void merge_sets(const RowState& local, const RowState& incoming, Alive alive, const Burial& burial, RowState& out) {
  if (local.sets.empty() && incoming.sets.empty()) return;
  Living<SetLife> mine(local.sets, burial);
  Living<SetLife> theirs(incoming.sets, burial);
  if (!alive.local) mine.drop_all();
  if (!alive.incoming) theirs.drop_all();
  while (!mine.done() || !theirs.done()) {
    const bool take_mine = theirs.done() || (!mine.done() && mine->slot <= theirs->slot);
    const bool take_theirs = mine.done() || (!theirs.done() && theirs->slot <= mine->slot);
    out.sets.push_back(take_mine ? *mine : *theirs);
    if (take_mine && take_theirs) out.sets.back().birth = std::max(mine->birth, theirs->birth);
    if (take_mine) ++mine;
    if (take_theirs) ++theirs;
  }
  merge_dots(Living<SetDot>(local.dots, burial), Living<SetDot>(incoming.dots, burial), local, incoming, out.dots);
}

/// As contributions_less.
bool shares_less(std::span<const Share> a, std::span<const Share> b) {
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (is_before(a[i], b[i]) || is_before(b[i], a[i])) return is_before(a[i], b[i]);
    if (const auto order = compare(a[i].amount, b[i].amount); order != 0) return order < 0;
    if (a[i].amount.scale() != b[i].amount.scale()) return a[i].amount.scale() < b[i].amount.scale();
  }
  return a.size() < b.size();
}

/// Which of two versions of an entry brings its shares; null if the side does not have it.
bool takes_incoming_shares(const Entry* mine, const Entry* theirs, std::span<const Share> my_shares,
                           std::span<const Share> their_shares) {
  if (mine == nullptr || theirs == nullptr) return mine == nullptr;
  if (mine->last != theirs->last) return theirs->last > mine->last;
  return shares_less(my_shares, their_shares);
}

void merge_shares(const RowState& local, const RowState& incoming, RowState& out) {
  if (local.shares.empty() && incoming.shares.empty()) return;
  for (const Entry& entry : out.entries) {
    const auto mine = shares_of(local, entry.actor, entry.birth);
    const auto theirs = shares_of(incoming, entry.actor, entry.birth);
    const bool take_theirs = takes_incoming_shares(find_entry(local, entry.actor, entry.birth),
                                                   find_entry(incoming, entry.actor, entry.birth), mine, theirs);
    const auto taken = take_theirs ? theirs : mine;
    out.shares.insert(out.shares.end(), taken.begin(), taken.end());
  }
}

void decide_sets(const RowState& local, const RowState& incoming, const Shape& shape, Merge& result) {
  for (const Slot slot : shape.sets) {
    const bool mine = local.live() && same_set(local, result.state, slot);
    const bool theirs = incoming.live() && same_set(incoming, result.state, slot);
    const Take take = mine && theirs ? Take::either : mine ? Take::local : theirs ? Take::incoming : Take::combine;
    result.sets.push_back({slot, take});
  }
}

template <typename List>
std::span<const Slot> as_span(const List& slots) noexcept {
  return {slots.data(), slots.size()};
}

/// How to decide the slots of one kind: `tie` if both sides have equal elements, `absent` if neither has one.
struct Verdicts {
  Take tie;
  Take absent;
};

/// Unites two lists by slot, taking the larger element of each; a missing element loses. Every slot of the shape and of
/// either list gets a decision.
template <typename Item, typename Order, typename Out, typename Decisions>
void merge_slots(Living<Item> local, Living<Item> incoming, std::span<const Slot> shape, Order order, Verdicts verdicts,
                 Out& out, Decisions& decisions) {
  auto expected = shape.begin();
  while (!local.done() || !incoming.done() || expected != shape.end()) {
    constexpr std::uint32_t none = 0x10000;
    const std::uint32_t local_slot = local.done() ? none : local->slot;
    const std::uint32_t incoming_slot = incoming.done() ? none : incoming->slot;
    const std::uint32_t expected_slot = expected == shape.end() ? none : *expected;
    const std::uint32_t slot = std::min({local_slot, incoming_slot, expected_slot});

    Take take = verdicts.absent;
    if (local_slot == slot && incoming_slot == slot) {
      const auto mine = order(*local);
      const auto theirs = order(*incoming);
      take = mine == theirs ? verdicts.tie : mine > theirs ? Take::local : Take::incoming;
      out.push_back(take == Take::incoming ? *incoming : *local);
    } else if (local_slot == slot) {
      take = Take::local;
      out.push_back(*local);
    } else if (incoming_slot == slot) {
      take = Take::incoming;
      out.push_back(*incoming);
    }
    decisions.push_back(SlotDecision{static_cast<Slot>(slot), take});

    if (local_slot == slot) ++local;
    if (incoming_slot == slot) ++incoming;
    if (expected_slot == slot) ++expected;
  }
}

}  // namespace

Merge merge(const RowState& local, const RowState& incoming, const Shape& shape, const Tombstone& floor) {
  const Burial burial(shape, floor);
  const Living<Entry> local_entries(local.entries, burial);
  const Living<Entry> incoming_entries(incoming.entries, burial);
  const bool local_lives = !local_entries.done();
  const bool incoming_lives = !incoming_entries.done();

  Merge result;
  result.knowledge = compare_knowledge(local, incoming);
  if (local_lives || incoming_lives) {
    Living<GroupStamp> local_groups(local.groups, burial);
    Living<GroupStamp> incoming_groups(incoming.groups, burial);
    Living<LatticeBirth> local_lattices(local.lattices, burial);
    Living<LatticeBirth> incoming_lattices(incoming.lattices, burial);
    if (!local_lives) local_groups.drop_all(), local_lattices.drop_all();
    if (!incoming_lives) incoming_groups.drop_all(), incoming_lattices.drop_all();
    const bool both = local_lives && incoming_lives;
    const Take only = local_lives ? Take::local : Take::incoming;

    merge_entries(local_entries, incoming_entries, result.state);
    merge_slots(
        local_groups, incoming_groups, as_span(shape.groups),
        [](const GroupStamp& group) { return std::tuple(group.birth, group.stamp, group.actor); },
        Verdicts{Take::either, both ? Take::either : only}, result.state.groups, result.groups);
    merge_slots(
        local_lattices, incoming_lattices, as_span(shape.lattices),
        [](const LatticeBirth& lattice) { return lattice.birth; }, Verdicts{Take::combine, both ? Take::combine : only},
        result.state.lattices, result.lattices);
    merge_sets(local, incoming, {local_lives, incoming_lives}, burial, result.state);
    merge_shares(local, incoming, result.state);
    decide_sets(local, incoming, shape, result);
  }
  result.state_changed = result.state != local;
  return result;
}

}  // namespace meridian
