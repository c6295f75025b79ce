// Merge of two states of one row: the heart of Meridian.
//
// merge(X, Y) is commutative, associative and idempotent on states and on values, and inflationary; it never throws
// on well-formed input. Source: the model in docs/architecture.md, "The row model"; Shapiro et al., "A comprehensive
// study of Convergent and Commutative Replicated Data Types" (2011).
//
// The core decides; it does not hold column values, except those of sets. For every group, lattice and set column it
// says whose values the merged row takes, and the caller (or the simulator) moves them.
#pragma once

#include <boost/container/small_vector.hpp>

#include "core/row_state.hpp"
#include "core/tombstone.hpp"

namespace meridian {

enum class Take : std::uint8_t {
  local,     ///< keep the local values
  incoming,  ///< take the incoming values
  either,    ///< same write on both sides: values are equal, unless an identity was duplicated; compare them, larger
             ///< bytes win
  combine,   ///< lattice columns of one life: apply the column's own rule to both values; sets: neither side's
             ///< contents, but those of the merged state
};

struct SlotDecision {
  Slot slot = 0;
  Take take = Take::local;
  friend bool operator==(const SlotDecision&, const SlotDecision&) = default;
};

struct Merge {
  RowState state;  ///< merged and buried; dead if nothing is left
  boost::container::small_vector<SlotDecision, 4> groups;
  boost::container::small_vector<SlotDecision, 2> lattices;
  boost::container::small_vector<SlotDecision, 2> sets;  ///< one for each set of the shape; `either`: all three agree
  Knowledge knowledge = Knowledge::equal;                ///< local against incoming, as they came
  bool state_changed = false;                            ///< merged state differs from the local one
};

/// Merges an incoming image into the local one. `floor` is what is known to be deleted of this key (default
/// constructed if nothing is). Both states may be dead; a dead state has no say.
[[nodiscard]] Merge merge(const RowState& local, const RowState& incoming, const Shape& shape, const Tombstone& floor);

}  // namespace meridian
