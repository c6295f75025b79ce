#include "core/row_set.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "core/error.hpp"
#include "core/row_state.hpp"

namespace meridian {

namespace {

/// Bytes that a dot takes in an encoded state beside its element and value, about.
constexpr std::size_t dot_overhead = 12;

auto order_of(const SetDot& dot) noexcept { return std::tie(dot.slot, dot.element, dot.actor, dot.birth); }

auto age_of(const SetDot& dot) noexcept { return std::tuple(dot.birth, dot.stamp, dot.actor); }

const Entry* entry_of(const RowState& state, const SetDot& dot) noexcept {
  const auto key = [](const Entry& entry) { return std::pair(entry.actor, entry.birth); };
  const auto wanted = std::pair(dot.actor, dot.birth);
  const auto position = std::ranges::lower_bound(state.entries, wanted, {}, key);
  return position != state.entries.end() && key(*position) == wanted ? &*position : nullptr;
}

std::vector<SetElement> in_order(const std::vector<SetElement>& elements) {
  std::vector<SetElement> result = elements;
  std::ranges::stable_sort(result, {}, &SetElement::bytes);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (i + 1 < result.size() && result[i].bytes == result[i + 1].bytes) continue;
    if (kept != i) result[kept] = std::move(result[i]);
    ++kept;
  }
  result.resize(kept);
  return result;
}

/// The end of the dots that share the element of the first.
std::span<const SetDot>::iterator end_of_element(std::span<const SetDot>::iterator first,
                                                 std::span<const SetDot>::iterator end) noexcept {
  const auto begin = first;
  while (first != end && first->element == begin->element) ++first;
  return first;
}

void check_size(const RowState& state, Slot replaced, const std::vector<SetDot>& dots) {
  std::size_t size = 0;
  const auto add = [&](const SetDot& dot) { size += dot.element.size() + dot.value.size() + dot_overhead; };
  std::ranges::for_each(dots, add);
  for (const SetDot& dot : state.dots) {
    if (dot.slot != replaced) add(dot);
  }
  if (size <= max_written_sets) return;
  throw Error(ErrorKind::limit_exceeded, "the set columns of a row hold more than 256 kB",
              "Keep large sets in a table of their own, one row for each element.");
}

}  // namespace

bool precedes(const SetDot& a, const SetDot& b) noexcept { return order_of(a) < order_of(b); }

std::span<const SetDot> dots_of(const RowState& state, Slot slot) noexcept {
  // Not equal_range: clang 14 cannot compile the subrange that it returns.
  return {std::ranges::lower_bound(state.dots, slot, {}, &SetDot::slot),
          std::ranges::upper_bound(state.dots, slot, {}, &SetDot::slot)};
}

bool is_written(const RowState& state, Slot slot) noexcept {
  return std::ranges::any_of(state.sets, [slot](const SetLife& life) { return life.slot == slot; });
}

std::vector<SetElement> elements_of(const RowState& state, Slot slot) {
  std::vector<SetElement> elements;
  const auto dots = dots_of(state, slot);
  for (auto next = dots.begin(); next != dots.end();) {
    const auto end = end_of_element(next, dots.end());
    elements.push_back({next->element, std::ranges::max_element(next, end, {}, age_of)->value});
    next = end;
  }
  return elements;
}

bool has_seen(const RowState& state, const SetDot& dot) noexcept {
  const Entry* entry = entry_of(state, dot);
  return entry != nullptr && entry->last >= dot.stamp;
}

void write_set(RowState& state, const SetContent& content, Actor actor, Hlc birth, Hlc stamp) {
  std::vector<SetDot> dots;
  const auto known = dots_of(state, content.slot);
  auto next = known.begin();
  for (SetElement& element : in_order(content.elements)) {
    while (next != known.end() && next->element < element.bytes) ++next;
    const auto first = next;
    if (next != known.end() && next->element == element.bytes) next = end_of_element(next, known.end());
    const bool unchanged = first != next && std::ranges::max_element(first, next, {}, age_of)->value == element.value;
    if (unchanged) {
      dots.insert(dots.end(), first, next);
    } else {
      dots.push_back({content.slot, std::move(element.bytes), actor, birth, stamp, std::move(element.value)});
    }
  }
  check_size(state, content.slot, dots);
  const auto position = state.dots.erase(std::ranges::lower_bound(state.dots, content.slot, {}, &SetDot::slot),
                                         std::ranges::upper_bound(state.dots, content.slot, {}, &SetDot::slot));
  state.dots.insert(position, std::make_move_iterator(dots.begin()), std::make_move_iterator(dots.end()));
  const auto life = std::ranges::lower_bound(state.sets, content.slot, {}, &SetLife::slot);
  if (life != state.sets.end() && life->slot == content.slot) {
    life->birth = std::max(life->birth, birth);
  } else {
    state.sets.insert(life, SetLife{content.slot, birth});
  }
}

bool sets_are_sound(const RowState& state) noexcept {
  const auto in_order = [](const SetDot& a, const SetDot& b) { return !precedes(a, b); };
  if (std::ranges::adjacent_find(state.dots, in_order) != state.dots.end()) return false;
  return std::ranges::all_of(state.dots, [&](const SetDot& dot) {
    const auto life = std::ranges::lower_bound(state.sets, dot.slot, {}, &SetLife::slot);
    return has_seen(state, dot) && life != state.sets.end() && life->slot == dot.slot && dot.birth <= life->birth;
  });
}

}  // namespace meridian
