// Row states for benchmarks: an account row that three regions write, and a quiet row.
#pragma once

#include <array>
#include <cstdint>

#include "core/merge.hpp"
#include "core/row_state.hpp"

namespace meridian::bench {

inline constexpr Slot named_group = 1;
inline constexpr Slot balance = 2;

/// One counter and two groups.
inline Shape account_shape() {
  Shape shape;
  shape.groups.push_back(default_group);
  shape.groups.push_back(named_group);
  shape.counters.push_back(balance);
  return shape;
}

inline Shape plain_shape() {
  Shape shape;
  shape.groups.push_back(default_group);
  shape.delete_latest = true;
  return shape;
}

inline Actor actor(std::uint16_t member) { return Actor::from_parts(0, member); }

inline Hlc at(std::uint64_t time) { return Hlc::from_parts(1'750'000'000'000 + time, 0); }

inline void purchase(RowState& state, const Shape& shape, Actor buyer, Hlc stamp, Slot group) {
  const std::array deltas = {Contribution{balance, Decimal::from_mantissa(-1250, 2)}};
  const std::array groups = {group};
  update_row(state, shape, buyer, stamp, {groups, deltas, {}});
}

/// An account that all three regions have written; the region `last_buyer` wrote it last.
inline RowState account(std::uint16_t last_buyer) {
  const Shape shape = account_shape();
  const std::array initial = {Contribution{balance, Decimal::from_mantissa(10000, 2)}};
  RowState state = insert_row(shape, actor(1), at(0), initial);
  purchase(state, shape, actor(2), at(10), named_group);
  purchase(state, shape, actor(3), at(20), default_group);
  purchase(state, shape, actor(last_buyer), at(30 + last_buyer), named_group);
  return state;
}

inline RowState quiet_row() { return insert_row(plain_shape(), actor(1), at(0), {}); }

}  // namespace meridian::bench
