// Short names for unit tests of row states: actors, stamps, amounts.
#pragma once

#include <array>
#include <ostream>
#include <span>
#include <string>
#include <utility>

#include "core/row_state.hpp"
#include "core/row_state_codec.hpp"

namespace meridian {

inline void PrintTo(const RowState& state, std::ostream* out) { *out << to_text(state); }
inline void PrintTo(const Decimal& amount, std::ostream* out) { *out << amount.to_string(); }

namespace testing {

inline constexpr Actor anna = Actor::from_parts(0, 1);
inline constexpr Actor bert = Actor::from_parts(0, 2);
inline constexpr Actor carl = Actor::from_parts(0, 3);

/// Slots of the shapes below.
inline constexpr Slot named_group = 1;
inline constexpr Slot stock = 2;
inline constexpr Slot balance = 3;
inline constexpr Slot highest_bid = 4;
inline constexpr Slot tags = 5;
inline constexpr Slot attributes = 6;  ///< of a jsonb object: elements have values

inline Shape shape_with_everything() {
  Shape shape;
  for (const Slot slot : {default_group, named_group}) shape.groups.push_back(slot);
  for (const Slot slot : {stock, balance}) shape.counters.push_back(slot);
  shape.lattices.push_back(highest_bid);
  for (const Slot slot : {tags, attributes}) shape.sets.push_back(slot);
  return shape;
}

inline Shape shape_of_latest() {
  Shape shape;
  shape.groups.push_back(default_group);
  shape.delete_latest = true;
  return shape;
}

/// Some milliseconds after a fixed moment.
inline Hlc at(std::uint64_t time) { return Hlc::from_parts(1'700'000'000'000 + time, 0); }

inline Contributions amount(Slot slot, std::string_view text) { return {Contribution{slot, Decimal::parse(text)}}; }

inline std::span<const Contribution> view(const Contributions& contributions) {
  return {contributions.data(), contributions.size()};
}

/// A row with 100 in stock, if the shape has a counter.
inline RowState inserted(const Shape& shape, Actor actor, Hlc stamp, std::string_view stock_amount = "100") {
  const Contributions counters = shape.counters.empty() ? Contributions{} : amount(stock, stock_amount);
  return insert_row(shape, actor, stamp, view(counters));
}

inline void add_to_stock(RowState& state, const Shape& shape, Actor actor, Hlc stamp, std::string_view delta) {
  const Contributions deltas = amount(stock, delta);
  update_row(state, shape, actor, stamp, {{}, view(deltas), {}});
}

inline void write_group(RowState& state, const Shape& shape, Actor actor, Hlc stamp, Slot slot = default_group) {
  const std::array groups = {slot};
  update_row(state, shape, actor, stamp, {groups, {}, {}});
}

/// Contents of a set; `key:value` is an element with a value.
inline SetContent content(Slot slot, std::initializer_list<std::string_view> elements) {
  SetContent result{slot, {}};
  for (const std::string_view element : elements) {
    const auto colon = std::min(element.find(':'), element.size());
    result.elements.push_back(
        {std::string(element.substr(0, colon)), std::string(element.substr(std::min(colon + 1, element.size())))});
  }
  return result;
}

inline void write_elements(RowState& state, const Shape& shape, Actor actor, Hlc stamp, const SetContent& contents) {
  const std::array sets = {contents};
  update_row(state, shape, actor, stamp, {{}, {}, {}, sets});
}

/// As `a b:1`; NULL if the column was never written.
inline std::string set_of(const RowState& state, Slot slot) {
  if (!is_written(state, slot)) return "NULL";
  std::string text;
  bool first = true;
  for (const SetElement& element : elements_of(state, slot)) {
    if (!std::exchange(first, false)) text += ' ';
    text += element.bytes + (element.value.empty() ? "" : ":" + element.value);
  }
  return text;
}

inline std::string stock_of(const RowState& state) {
  const auto sum = state.counter(stock);
  return sum ? sum->to_string() : "NULL";
}

}  // namespace testing
}  // namespace meridian
