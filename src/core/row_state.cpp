#include "core/row_state.hpp"

#include <algorithm>
#include <stdexcept>
#include <tuple>

#include "core/error.hpp"
#include "core/rights.hpp"

namespace meridian {

namespace {

void check_limits(const Contribution& contribution) {
  if (!contribution.amount.fits_numeric()) {
    throw Error(ErrorKind::limit_exceeded, "counter exceeds the limits of numeric");
  }
}

/// A row whose every slot was written at (birth, stamp, actor).
RowState written_once(const Shape& shape, Hlc birth, Hlc stamp, Actor actor, std::span<const Contribution> counters,
                      std::span<const SetContent> sets, std::span<const Contribution> bounded) {
  std::ranges::for_each(counters, check_limits);
  RowState state;
  state.entries.push_back(Entry{actor, birth, stamp, Contributions(counters.begin(), counters.end())});
  state.groups.reserve(shape.groups.size());
  for (const Slot slot : shape.groups) state.groups.push_back(GroupStamp{slot, birth, stamp, actor});
  state.lattices.reserve(shape.lattices.size());
  for (const Slot slot : shape.lattices) state.lattices.push_back(LatticeBirth{slot, birth});
  for (const SetContent& content : sets) write_set(state, content, actor, birth, stamp);
  for (const Bound& bound : shape.bounds) begin_bounded(state, bound, bounded);
  return state;
}

/// The element of a list sorted by slot that has this slot, made if it is missing.
template <typename List>
typename List::reference at_slot(List& list, Slot slot) {
  const auto position = std::ranges::lower_bound(list, slot, {}, &List::value_type::slot);
  if (position != list.end() && position->slot == slot) return *position;
  const auto made = list.emplace(position);
  made->slot = slot;
  return *made;
}

/// The entry of (actor, birth), made if it is missing.
Entry& own_entry(RowState& state, Actor actor, Hlc birth) {
  const auto key = [](const Entry& entry) { return std::pair(entry.actor, entry.birth); };
  const auto position = std::ranges::lower_bound(state.entries, std::pair(actor, birth), {}, key);
  if (position != state.entries.end() && key(*position) == std::pair(actor, birth)) return *position;
  return *state.entries.insert(position, Entry{actor, birth, never, {}});
}

void check_stamp(const RowState& state, Hlc stamp) {
  if (!state.live()) throw std::invalid_argument("update of a dead row state");
  if (stamp <= state.highest_stamp()) throw std::invalid_argument("update of a row state without a new stamp");
}

/// Adds the deltas to an actor's contributions. Nothing is changed if a sum exceeds the limits.
void add(Contributions& contributions, std::span<const Contribution> deltas) {
  Contributions sums;
  for (const Contribution& delta : deltas) {
    const auto known = std::ranges::lower_bound(contributions, delta.slot, {}, &Contribution::slot);
    const bool found = known != contributions.end() && known->slot == delta.slot;
    sums.push_back(found ? Contribution{delta.slot, known->amount + delta.amount} : delta);
    check_limits(sums.back());
  }
  for (Contribution& sum : sums) at_slot(contributions, sum.slot) = std::move(sum);
}

}  // namespace

bool is_before(const Share& a, const Share& b) noexcept {
  const auto key = [](const Share& share) {
    return std::tuple(share.actor, share.birth, share.slot, share.maker, share.kind, share.other);
  };
  return key(a) < key(b);
}

const Entry* find_entry(const RowState& state, Actor actor, Hlc birth) noexcept {
  const auto key = [](const Entry& entry) { return std::pair(entry.actor, entry.birth); };
  const auto position = std::ranges::lower_bound(state.entries, std::pair(actor, birth), {}, key);
  return position != state.entries.end() && key(*position) == std::pair(actor, birth) ? &*position : nullptr;
}

Entry& write_entry(RowState& state, const Shape& shape, Actor actor, Hlc stamp) {
  check_stamp(state, stamp);
  Entry& entry = own_entry(state, actor, shape.delete_latest ? first_birth : state.largest_birth());
  entry.last = stamp;
  return entry;
}

Hlc RowState::highest_stamp() const noexcept {
  Hlc highest = never;
  for (const Entry& entry : entries) highest = std::max({highest, entry.birth, entry.last});
  for (const GroupStamp& group : groups) highest = std::max({highest, group.birth, group.stamp});
  for (const LatticeBirth& lattice : lattices) highest = std::max(highest, lattice.birth);
  for (const SetLife& life : sets) highest = std::max(highest, life.birth);
  return highest;
}

Hlc RowState::largest_birth() const noexcept {
  Hlc largest = never;
  for (const Entry& entry : entries) largest = std::max(largest, entry.birth);
  return largest;
}

std::optional<Decimal> RowState::counter(Slot slot) const {
  std::optional<Decimal> sum;
  for (const Entry& entry : entries) {
    for (const Contribution& contribution : entry.contributions) {
      if (contribution.slot != slot) continue;
      if (sum) {
        *sum += contribution.amount;
      } else {
        sum = contribution.amount;
      }
    }
  }
  return sum;
}

RowState state_before_replication(const Shape& shape, std::span<const Contribution> counters,
                                  std::span<const SetContent> sets, std::span<const Contribution> bounded) {
  return written_once(shape, first_birth, never, nobody, counters, sets, bounded);
}

RowState insert_row(const Shape& shape, Actor actor, Hlc stamp, std::span<const Contribution> counters,
                    std::span<const SetContent> sets, std::span<const Contribution> bounded) {
  for (const Bound& bound : shape.bounds) check_first_value(bound, bounded);
  return written_once(shape, shape.delete_latest ? first_birth : stamp, stamp, actor, counters, sets, bounded);
}

void update_row(RowState& state, const Shape& shape, Actor actor, Hlc stamp, const RowUpdate& update) {
  check_stamp(state, stamp);
  const Hlc birth = shape.delete_latest ? first_birth : state.largest_birth();
  std::ranges::for_each(update.deltas, check_limits);  // so that no entry is made for deltas that are refused
  for (const Bound& bound : shape.bounds) check_rights(state, bound, actor, update.bounded);
  Entry& entry = own_entry(state, actor, birth);
  add(entry.contributions, update.deltas);
  entry.last = stamp;
  for (const Bound& bound : shape.bounds) change_bounded(state, bound, actor, update.bounded);
  for (const Slot slot : update.groups) at_slot(state.groups, slot) = GroupStamp{slot, birth, stamp, actor};
  for (const Slot slot : update.lattices) at_slot(state.lattices, slot) = LatticeBirth{slot, birth};
  for (const SetContent& content : update.sets) write_set(state, content, actor, birth, stamp);
}

namespace {

/// Walks the entries of a state actor by actor: what is known of an actor is its latest write over all lives.
class ActorWalk {
 public:
  explicit ActorWalk(const RowState& state) noexcept : next_(state.entries.begin()), end_(state.entries.end()) {
    advance();
  }
  [[nodiscard]] bool done() const noexcept { return done_; }
  [[nodiscard]] Actor actor() const noexcept { return actor_; }
  [[nodiscard]] Hlc last() const noexcept { return last_; }
  void advance() noexcept {
    done_ = next_ == end_;
    if (done_) return;
    actor_ = next_->actor;
    last_ = never;
    for (; next_ != end_ && next_->actor == actor_; ++next_) last_ = std::max(last_, next_->last);
  }

 private:
  decltype(RowState::entries)::const_iterator next_;
  decltype(RowState::entries)::const_iterator end_;
  Actor actor_;
  Hlc last_;
  bool done_ = false;
};

}  // namespace

Knowledge compare_knowledge(const RowState& mine, const RowState& theirs) noexcept {
  bool mine_knows_more = false;
  bool theirs_knows_more = false;
  ActorWalk a(mine);
  ActorWalk b(theirs);
  while (!a.done() || !b.done()) {
    if (b.done() || (!a.done() && a.actor() < b.actor())) {
      mine_knows_more = true;
      a.advance();
    } else if (a.done() || b.actor() < a.actor()) {
      theirs_knows_more = true;
      b.advance();
    } else {
      mine_knows_more = mine_knows_more || a.last() > b.last();
      theirs_knows_more = theirs_knows_more || b.last() > a.last();
      a.advance();
      b.advance();
    }
  }
  if (mine_knows_more && theirs_knows_more) return Knowledge::concurrent;
  if (mine_knows_more) return Knowledge::newer;
  return theirs_knows_more ? Knowledge::older : Knowledge::equal;
}

}  // namespace meridian
