// Random row states for property tests: states that a mesh can reach, and states that are merely well formed.
#pragma once

#include <algorithm>
#include <random>
#include <tuple>
#include <vector>

#include "core/merge.hpp"
#include "core/rights.hpp"
#include "core/tombstone.hpp"
#include "unit/rows.hpp"

namespace meridian::testing {

using Random = std::mt19937_64;

inline std::uint64_t below(Random& random, std::uint64_t limit) { return random() % limit; }

/// A few nodes that write one row and exchange its images in any order, as the model allows: stamps grow, images and
/// tombstones are lost, repeated and reordered.
class RowHistory {
 public:
  RowHistory(Shape shape, std::size_t nodes, Random& random)
      : shape_(std::move(shape)), random_(random), nodes_(nodes) {
    if (below(random_, 3) != 0) return;
    const Contributions initial = amounts();
    const std::vector<SetContent> sets = contents();
    for (Node& node : nodes_) node.state = state_before_replication(shape_, {initial.data(), initial.size()}, sets);
    images.push_back(nodes_.front().state);
  }

  void step() {
    now_ += below(random_, 4);
    const auto index = static_cast<std::size_t>(below(random_, nodes_.size()));
    switch (below(random_, 5)) {
      case 0:
        receive_image(nodes_[index]);
        break;
      case 1:
        receive_tombstone(nodes_[index]);
        break;
      default:
        write(nodes_[index],
              Actor::from_parts(static_cast<std::uint16_t>(below(random_, 2)), static_cast<std::uint16_t>(index + 1)));
    }
  }

  [[nodiscard]] const RowState& any_image() { return images[below(random_, images.size())]; }
  [[nodiscard]] Tombstone any_tombstone() {
    return tombstones.empty() || below(random_, 3) == 0 ? Tombstone{} : tombstones[below(random_, tombstones.size())];
  }

  std::vector<RowState> images{RowState{}};  ///< every state that any node had after any step
  std::vector<Tombstone> tombstones;

 private:
  struct Node {
    RowState state;
    Tombstone tombstone;
    Hlc clock;
  };

  Hlc stamp(Node& node) {
    const Hlc known = std::max({node.clock, node.state.highest_stamp(), node.tombstone.stamp, node.tombstone.floor});
    return node.clock = next_stamp(known, now_);
  }

  Contributions amounts() {
    Contributions result;
    for (const Slot slot : shape_.counters) {
      if (below(random_, 3) == 0) continue;
      const auto mantissa = static_cast<std::int64_t>(below(random_, 2000)) - 1000;
      result.push_back({slot, Decimal::from_mantissa(mantissa, static_cast<std::uint16_t>(below(random_, 3)))});
    }
    return result;
  }

  std::vector<SetContent> contents() {
    std::vector<SetContent> result;
    for (const Slot slot : some(shape_.sets)) {
      SetContent& content = result.emplace_back(SetContent{slot, {}});
      for (const char letter : {'a', 'b', 'c'}) {
        if (below(random_, 2) == 0) continue;
        const std::string value = slot == attributes ? std::to_string(below(random_, 3)) : "";
        content.elements.push_back({std::string(1, letter), value});
      }
    }
    return result;
  }

  template <typename Slots>
  std::vector<Slot> some(const Slots& slots) {
    std::vector<Slot> result;
    std::copy_if(slots.begin(), slots.end(), std::back_inserter(result), [&](Slot) { return below(random_, 2) == 0; });
    return result;
  }

  void write(Node& node, Actor actor) {
    if (!node.state.live()) {
      const Contributions initial = amounts();
      node.state = insert_row(shape_, actor, stamp(node), {initial.data(), initial.size()}, contents());
    } else if (below(random_, 4) == 0) {
      const Tombstone tombstone = delete_row(node.state, shape_, actor, stamp(node));
      merge_tombstone(node.tombstone, tombstone);
      bury(node.state, shape_, node.tombstone);
      tombstones.push_back(node.tombstone);
    } else {
      const auto groups = shape_.delete_latest ? std::vector<Slot>{default_group} : some(shape_.groups);
      const auto lattices = some(shape_.lattices);
      const auto deltas = amounts();
      const auto sets = contents();
      update_row(node.state, shape_, actor, stamp(node), {groups, {deltas.data(), deltas.size()}, lattices, sets});
    }
    images.push_back(node.state);
  }

  void receive_image(Node& node) {
    node.state = merge(node.state, any_image(), shape_, node.tombstone).state;
    images.push_back(node.state);
  }

  void receive_tombstone(Node& node) {
    if (tombstones.empty()) return;
    merge_tombstone(node.tombstone, any_tombstone());
    bury(node.state, shape_, node.tombstone);
    images.push_back(node.state);
  }

  Shape shape_;
  Random& random_;
  std::uint64_t now_ = 1'700'000'000'000;
  std::vector<Node> nodes_;
};

/// Numbers of every length, small ones more often.
inline std::uint64_t any_number(Random& random, int bits) {
  const auto width = below(random, static_cast<std::uint64_t>(bits) + 1);
  return width == 0 ? 0 : random() >> (64 - width);
}

inline Hlc any_stamp(Random& random) {
  switch (below(random, 4)) {
    case 0:
      return Hlc{below(random, 3)};
    case 1:
      return Hlc{any_number(random, 64)};
    default:
      return Hlc::from_parts(1'700'000'000'000 + below(random, 5), static_cast<std::uint16_t>(below(random, 2)));
  }
}

inline Actor any_actor(Random& random) {
  return below(random, 8) == 0 ? Actor{static_cast<std::uint32_t>(any_number(random, 32))}
                               : Actor{static_cast<std::uint32_t>(below(random, 4))};
}

inline Slot any_slot(Random& random) {
  return static_cast<Slot>(below(random, 8) == 0 ? any_number(random, 16) : below(random, 5));
}

inline Decimal any_decimal(Random& random) {
  const auto scale = static_cast<std::uint16_t>(below(random, 6) == 0 ? below(random, 16384) : below(random, 4));
  const auto mantissa = static_cast<std::int64_t>(any_number(random, 64));
  if (below(random, 4) != 0) return Decimal::from_mantissa(mantissa, scale);
  BigInteger big(mantissa);
  big.scale_up(below(random, 60));
  return Decimal::from_mantissa(std::move(big), scale);
}

/// Sorts a list by `key` and keeps one of equal elements.
template <typename List, typename Key>
void sort_uniquely(List& list, Key key) {
  std::ranges::sort(list, {}, key);
  const auto same = [&](const auto& a, const auto& b) { return key(a) == key(b); };
  list.erase(std::unique(list.begin(), list.end(), same), list.end());
}

inline std::string any_bytes(Random& random) {
  std::string bytes;
  for (auto left = below(random, 4); left > 0; --left) {
    bytes += static_cast<char>(below(random, 2) == 0 ? 'a' + below(random, 3) : random());
  }
  return bytes;
}

/// Sets whose dots are covered by entries of the state, as the invariants of row_set.hpp want them.
inline void add_any_sets(RowState& state, Random& random) {
  if (below(random, 2) == 0) return;
  for (auto left = below(random, 3); left > 0; --left) {
    state.sets.push_back(
        {any_slot(random), state.live() && below(random, 2) == 0 ? state.largest_birth() : any_stamp(random)});
  }
  sort_uniquely(state.sets, [](const SetLife& life) { return life.slot; });
  for (auto left = below(random, 6); left > 0 && state.live() && !state.sets.empty(); --left) {
    const Entry& writer = state.entries[below(random, state.entries.size())];
    SetLife& life = state.sets[below(random, state.sets.size())];
    life.birth = std::max(life.birth, writer.birth);
    const Hlc stamp = below(random, 3) == 0   ? std::min(any_stamp(random), writer.last)
                      : below(random, 2) == 0 ? std::min(writer.birth, writer.last)
                                              : writer.last;
    const std::string value = below(random, 2) == 0 ? "" : any_bytes(random);
    state.dots.push_back({life.slot, any_bytes(random), writer.actor, writer.birth, stamp, value});
  }
  sort_uniquely(state.dots, [](const SetDot& dot) { return std::tuple(dot.slot, dot.element, dot.actor, dot.birth); });
}

/// What was done to bounded columns, of entries of the state.
inline void add_any_shares(RowState& state, Random& random) {
  if (!state.live() || below(random, 2) == 0) return;
  for (auto left = below(random, 5); left > 0; --left) {
    const Entry& writer = state.entries[below(random, state.entries.size())];
    const auto kind = static_cast<Share::Kind>(below(random, 7));
    state.shares.push_back({.actor = writer.actor,
                            .birth = writer.birth,
                            .slot = any_slot(random),
                            .maker = any_actor(random),
                            .kind = kind,
                            .other = names_other(kind) ? any_actor(random) : nobody,
                            .amount = any_decimal(random)});
  }
  std::ranges::sort(state.shares, is_before);
  const auto same = [](const Share& a, const Share& b) { return !is_before(a, b) && !is_before(b, a); };
  state.shares.erase(std::unique(state.shares.begin(), state.shares.end(), same), state.shares.end());
}

/// A state that keeps the invariants of row_state.hpp, reachable or not.
inline RowState any_state(Random& random) {
  const auto by_slot = [](const auto& item) { return item.slot; };
  RowState state;
  for (auto left = below(random, 6); left > 0; --left) {
    Entry entry{any_actor(random), any_stamp(random), any_stamp(random), {}};
    for (auto more = below(random, 2) * below(random, 4); more > 0; --more) {
      entry.contributions.push_back({any_slot(random), any_decimal(random)});
    }
    sort_uniquely(entry.contributions, by_slot);
    state.entries.push_back(std::move(entry));
  }
  sort_uniquely(state.entries, [](const Entry& entry) { return std::pair(entry.actor, entry.birth); });
  for (auto left = below(random, 4); left > 0; --left) {
    GroupStamp group{any_slot(random), any_stamp(random), any_stamp(random), any_actor(random)};
    if (state.live() && below(random, 3) != 0) {
      const Entry& writer = state.entries[below(random, state.entries.size())];
      group.birth = writer.birth;
      group.actor = writer.actor;
      if (below(random, 2) == 0) group.stamp = writer.last;
    }
    state.groups.push_back(group);
  }
  sort_uniquely(state.groups, by_slot);
  for (auto left = below(random, 3); left > 0; --left) {
    const bool of_a_life = state.live() && below(random, 2) == 0;
    state.lattices.push_back({any_slot(random), of_a_life ? state.largest_birth() : any_stamp(random)});
  }
  sort_uniquely(state.lattices, by_slot);
  add_any_sets(state, random);
  add_any_shares(state, random);
  return state;
}

}  // namespace meridian::testing
