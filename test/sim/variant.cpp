#include "sim/variant.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace meridian::sim {

namespace {

constexpr std::array all_variants = {
    VariantName{Variant::none, "none"},
    VariantName{Variant::counter_maximum, "counter_maximum"},
    VariantName{Variant::lattice_without_birth, "lattice_without_birth"},
    VariantName{Variant::floor_from_clock, "floor_from_clock"},
    VariantName{Variant::tombstone_in_flight, "tombstone_in_flight"},
    VariantName{Variant::tie_incoming_wins, "tie_incoming_wins"},
    VariantName{Variant::tie_local_wins, "tie_local_wins"},
    VariantName{Variant::counter_across_lives, "counter_across_lives"},
    VariantName{Variant::set_remove_by_dominance, "set_remove_by_dominance"},
    VariantName{Variant::set_seen_by_actor, "set_seen_by_actor"},
    VariantName{Variant::set_dots_over_floor, "set_dots_over_floor"},
    VariantName{Variant::map_keeps_newest, "map_keeps_newest"},
    VariantName{Variant::rights_of_one_birth, "rights_of_one_birth"},
    VariantName{Variant::restore_keeps_rights, "restore_keeps_rights"},
    VariantName{Variant::entry_first_wins, "entry_first_wins"},
    VariantName{Variant::restore_same_epoch, "restore_same_epoch"},
    VariantName{Variant::progress_before_commit, "progress_before_commit"},
    VariantName{Variant::progress_over_parked, "progress_over_parked"},
    VariantName{Variant::progress_over_heal, "progress_over_heal"},
    VariantName{Variant::progress_of_one_stream, "progress_of_one_stream"},
    VariantName{Variant::received_over_rereading, "received_over_rereading"},
    VariantName{Variant::member_after_copy, "member_after_copy"},
    VariantName{Variant::copy_without_parked, "copy_without_parked"},
    VariantName{Variant::copy_parked_last, "copy_parked_last"},
    VariantName{Variant::join_with_own_clock, "join_with_own_clock"},
    VariantName{Variant::restore_past_drop, "restore_past_drop"},
    VariantName{Variant::parked_escapes, "parked_escapes"},
    VariantName{Variant::heal_without_parked, "heal_without_parked"},
    VariantName{Variant::missing_group_advances, "missing_group_advances"},
};

const Entry* find_entry(const RowState& state, const Entry& like) noexcept {
  const auto found = std::ranges::find_if(
      state.entries, [&](const Entry& entry) { return entry.actor == like.actor && entry.birth == like.birth; });
  return found == state.entries.end() ? nullptr : &*found;
}

void take_larger_amounts(Entry& merged, const Entry& other) {
  for (const Contribution& theirs : other.contributions) {
    const auto mine = std::ranges::lower_bound(merged.contributions, theirs.slot, {}, &Contribution::slot);
    if (mine == merged.contributions.end() || mine->slot != theirs.slot) {
      merged.contributions.insert(mine, theirs);
    } else if (compare(theirs.amount, mine->amount) > 0) {
      mine->amount = theirs.amount;
    }
  }
}

void merge_amounts_by_maximum(Merge& merge, const RowState& local, const RowState& incoming) {
  for (Entry& entry : merge.state.entries) {
    if (const Entry* mine = find_entry(local, entry)) take_larger_amounts(entry, *mine);
    if (const Entry* theirs = find_entry(incoming, entry)) take_larger_amounts(entry, *theirs);
  }
}

void keep_local_entries(Merge& merge, const RowState& local) {
  for (Entry& entry : merge.state.entries) {
    if (const Entry* mine = find_entry(local, entry)) entry = *mine;
  }
}

/// Decides every group that two actors wrote under one (birth, stamp) for one side.
void break_ties(Merge& merge, const RowState& local, const RowState& incoming, Take side) {
  for (SlotDecision& decision : merge.groups) {
    const auto mine = std::ranges::find(local.groups, decision.slot, &GroupStamp::slot);
    const auto theirs = std::ranges::find(incoming.groups, decision.slot, &GroupStamp::slot);
    if (mine == local.groups.end() || theirs == incoming.groups.end()) continue;
    if (mine->birth != theirs->birth || mine->stamp != theirs->stamp || mine->actor == theirs->actor) continue;
    const auto merged = std::ranges::find(merge.state.groups, decision.slot, &GroupStamp::slot);
    if (merged == merge.state.groups.end()) continue;
    decision.take = side;
    *merged = side == Take::local ? *mine : *theirs;
  }
}

/// Unites the dots of both sides anew: one that only one side has goes if `seen(other side, dot)`. `floor`: dots born
/// at or below it go.
template <typename Seen>
void unite_dots(Merge& merge, const RowState& local, const RowState& incoming, Hlc floor, Seen seen) {
  std::vector<SetDot> dots;
  const auto take = [&](const RowState& from, const RowState& other) {
    for (const SetDot& dot : from.dots) {
      const bool shared = std::ranges::find(other.dots, dot) != other.dots.end();
      if (dot.birth > floor && (shared || !seen(other, dot))) dots.push_back(dot);
    }
  };
  take(local, incoming);
  take(incoming, local);
  std::ranges::sort(dots, precedes);
  const auto rest = std::ranges::unique(dots);
  dots.erase(rest.begin(), rest.end());
  merge.state.dots = std::move(dots);
}

bool seen_in_any_life(const RowState& state, const SetDot& dot) {
  return std::ranges::any_of(state.entries,
                             [&](const Entry& entry) { return entry.actor == dot.actor && entry.last >= dot.stamp; });
}

void keep_newest_dots(RowState& state) {
  const auto age = [](const SetDot& dot) { return std::tuple(dot.birth, dot.stamp, dot.actor); };
  std::erase_if(state.dots, [&, all = state.dots](const SetDot& dot) {
    return std::ranges::any_of(all, [&](const SetDot& other) {
      return other.slot == dot.slot && other.element == dot.element && age(other) > age(dot);
    });
  });
}

/// Puts the dots of dead lives back.
void keep_dots(RowState& survivor, const RowState& before) {
  if (!survivor.live()) return;
  for (const SetDot& dot : before.dots) {
    const bool dead = find_entry(survivor, {dot.actor, dot.birth, dot.stamp, {}}) == nullptr;
    if (dead && std::ranges::find(survivor.dots, dot) == survivor.dots.end()) survivor.dots.push_back(dot);
  }
  std::ranges::sort(survivor.dots, precedes);
  for (const SetLife& life : before.sets) {
    if (!is_written(survivor, life.slot)) survivor.sets.push_back(life);
  }
  std::ranges::sort(survivor.sets, {}, &SetLife::slot);
}

/// Gives all shares of one birth and column the largest maker among them.
void unite_makers(RowState& state) {
  std::vector<Share> shares;
  for (Share share : state.shares) {
    for (const Share& other : state.shares) {
      if (other.birth == share.birth && other.slot == share.slot) share.maker = std::max(share.maker, other.maker);
    }
    const auto same = std::ranges::find_if(
        shares, [&](const Share& known) { return !is_before(known, share) && !is_before(share, known); });
    if (same == shares.end()) {
      shares.push_back(std::move(share));
    } else {
      same->amount += share.amount;
    }
  }
  std::ranges::sort(shares, is_before);
  state.shares = std::move(shares);
}

/// Puts the dead entries that count something back.
void keep_counted(RowState& survivor, const RowState& before) {
  if (!survivor.live()) return;
  for (const Entry& entry : before.entries) {
    if (!entry.contributions.empty() && find_entry(survivor, entry) == nullptr) survivor.entries.push_back(entry);
  }
  std::ranges::sort(survivor.entries, {}, [](const Entry& entry) { return std::pair(entry.actor, entry.birth); });
}

}  // namespace

std::span<const VariantName> variant_names() noexcept { return all_variants; }

std::optional<Variant> variant_by_name(std::string_view name) noexcept {
  const auto found = std::ranges::find(all_variants, name, &VariantName::name);
  if (found == all_variants.end()) return std::nullopt;
  return found->variant;
}

Merge Model::merge(const RowState& local, const RowState& incoming, const Shape& shape, const Tombstone& floor) const {
  Merge result = meridian::merge(local, incoming, shape, floor);
  switch (variant_) {
    case Variant::counter_maximum:
      merge_amounts_by_maximum(result, local, incoming);
      break;
    case Variant::entry_first_wins:
      keep_local_entries(result, local);
      break;
    case Variant::tie_incoming_wins:
      break_ties(result, local, incoming, Take::incoming);
      break;
    case Variant::tie_local_wins:
      break_ties(result, local, incoming, Take::local);
      break;
    case Variant::set_remove_by_dominance:
      unite_dots(result, local, incoming, floor.floor, [&](const RowState& other, const SetDot&) {
        const bool incoming_is_newer = result.knowledge == Knowledge::older;
        const bool local_is_newer = result.knowledge == Knowledge::newer;
        return &other == &incoming ? incoming_is_newer : local_is_newer;
      });
      break;
    case Variant::set_seen_by_actor:
      unite_dots(result, local, incoming, floor.floor, seen_in_any_life);
      break;
    case Variant::set_dots_over_floor:
      keep_dots(result.state, local);
      keep_dots(result.state, incoming);
      break;
    case Variant::map_keeps_newest:
      keep_newest_dots(result.state);
      break;
    case Variant::rights_of_one_birth:
      unite_makers(result.state);
      break;
    case Variant::counter_across_lives:
      keep_counted(result.state, local);
      keep_counted(result.state, incoming);
      break;
    default:
      break;
  }
  return result;
}

Tombstone Model::delete_row(const RowState& state, const Shape& shape, Actor actor, Hlc stamp) const {
  Tombstone result = meridian::delete_row(state, shape, actor, stamp);
  if (variant_ == Variant::floor_from_clock && !shape.delete_latest) result.floor = stamp;
  return result;
}

void Model::bury(RowState& state, const Shape& shape, const Tombstone& tombstone) const {
  if (variant_ == Variant::set_dots_over_floor) {
    const RowState before = state;
    meridian::bury(state, shape, tombstone);
    keep_dots(state, before);
    return;
  }
  if (variant_ != Variant::counter_across_lives) {
    meridian::bury(state, shape, tombstone);
    return;
  }
  const RowState before = state;
  meridian::bury(state, shape, tombstone);
  keep_counted(state, before);
}

Take Model::lattice_take(Take decided, bool local_exists) const noexcept {
  return variant_ == Variant::lattice_without_birth && local_exists ? Take::combine : decided;
}

}  // namespace meridian::sim
