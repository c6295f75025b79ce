// Set columns of a row: add-wins sets of elements, remembered by dots.
//
// A *dot* says that a write added an element: (actor, birth, stamp). An element is in the set while it has a dot. A
// write that adds an element makes one dot, in place of the dots that it saw; a write that removes one drops the dots
// that it saw, and leaves nothing else behind: that the dot was seen and is gone can be told from the entry of the
// dot's author, because `Entry::last` of a state covers everything that the actor wrote in that life up to it, whatever
// it wrote to (states travel whole). So a dot that only one of two states has is
//  * new to the other, if the other's entry of (actor, birth) is missing or older than the dot: it stays;
//  * removed by the other, if that entry is at or above the dot: it goes.
// Only what was seen is removed: an element added elsewhere at the same time stays.
//
// Invariants of every RowState, with those of row_state.hpp:
//  * `dots` sorted by (slot, element, actor, birth), no two alike;
//  * every dot has the entry of its (actor, birth), and is not newer than its `last`;
//  * every dot has the SetLife of its slot, and is not born after it.
//
// Elements are portable bytes that the caller makes (set_element.hpp), and their order is the order of the set on every
// node. Bytes, not hashes: two elements are the same only if they are equal. For a jsonb object the element is a key,
// and each dot keeps the value that its write gave the key; the key shows that of its newest dot. All of them are kept,
// because the newest may be removed by a node that had not seen an older one, which then shows again.
// Source: Bieniusa et al., "An optimized conflict-free replicated set" (2012).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/actor.hpp"
#include "core/hlc.hpp"

namespace meridian {

using Slot = std::uint16_t;
struct RowState;

/// Largest total size of a row's sets that a local write may make, in bytes. Far below what a state can hold, so that
/// the sets of many members unite within the limits of a state.
inline constexpr std::size_t max_written_sets = std::size_t{256} << 10;

/// What a set column holds, as portable bytes. `value` is the text of a jsonb key's value, empty for array elements.
struct SetElement {
  std::string bytes;
  std::string value;
  friend bool operator==(const SetElement&, const SetElement&) = default;
};

/// One write that added one element.
struct SetDot {
  Slot slot = 0;
  std::string element;
  Actor actor;
  Hlc birth;  ///< the life that was written
  Hlc stamp;  ///< of the write
  std::string value;
  friend bool operator==(const SetDot&, const SetDot&) = default;
};

/// That a set column was written, and the largest life in which it was: an empty set, not NULL.
struct SetLife {
  Slot slot = 0;
  Hlc birth;
  friend bool operator==(const SetLife&, const SetLife&) = default;
};

/// All elements of one column, in any order; of equal ones the last counts.
struct SetContent {
  Slot slot = 0;
  std::vector<SetElement> elements;
};

/// Order of dots in a state.
[[nodiscard]] bool precedes(const SetDot& a, const SetDot& b) noexcept;

/// The dots of one slot.
[[nodiscard]] std::span<const SetDot> dots_of(const RowState& state, Slot slot) noexcept;

/// True if the column is a set, perhaps an empty one; false if it was never written in a living life: NULL.
[[nodiscard]] bool is_written(const RowState& state, Slot slot) noexcept;

/// The elements of the column in their order, each with the value of its newest dot.
[[nodiscard]] std::vector<SetElement> elements_of(const RowState& state, Slot slot);

/// True if the state holds the write behind the dot, whether or not the element was removed since.
[[nodiscard]] bool has_seen(const RowState& state, const SetDot& dot) noexcept;

/// Gives the column new contents, written by `actor` at `stamp` in the life `birth`: what is new gets a dot, what is
/// not there any more loses its dots, what is unchanged keeps them. Throws Error(limit_exceeded) beyond
/// max_written_sets; the state is then unchanged.
void write_set(RowState& state, const SetContent& content, Actor actor, Hlc birth, Hlc stamp);

/// True if the invariants above hold.
[[nodiscard]] bool sets_are_sound(const RowState& state) noexcept;

}  // namespace meridian
