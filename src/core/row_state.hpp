// The state of one replicated row: what `_meridian meridian.row_state` holds.
//
// Invariants of every RowState that leaves this library:
//  * `entries` sorted by (actor, birth), no two alike; contributions of an entry sorted by slot, no two alike;
//  * `groups`, `lattices` and `sets` sorted by slot, no two alike; the dots of sets as row_set.hpp says;
//  * `shares` sorted by `is_before`, no two alike, each with the entry of its (actor, birth);
//  * a state is *live* if it has an entry; then every group's birth is the birth of some entry or larger than the
//  floor;
//  * equal states have equal bytes (see row_state_codec.hpp).
//
// A *slot* names a group, counter, lattice, set or bounded column mesh-wide: 0 is the default group, n is the nth rule
// of the table's rule list, which is the same on every node and only ever grows. Never an attnum.
#pragma once

#include <boost/container/small_vector.hpp>
#include <cstdint>
#include <optional>
#include <span>

#include "core/actor.hpp"
#include "core/decimal.hpp"
#include "core/hlc.hpp"
#include "core/row_set.hpp"

namespace meridian {

inline constexpr Slot default_group = 0;

/// What one actor added to one counter column.
struct Contribution {
  Slot slot = 0;
  Decimal amount;
  friend bool operator==(const Contribution&, const Contribution&) = default;
};
using Contributions = boost::container::small_vector<Contribution, 2>;

/// What one actor did to a bounded column in one life (rights.hpp); a part of its entry of (actor, birth), and replaced
/// with it.
struct Share {
  enum class Kind : std::uint8_t {
    change,      ///< by how much the actor changed the value; for who made the life, its first value included
    gave_lower,  ///< rights to lower the value that the actor gave to `other`
    gave_raise,  ///< the same to raise it
    took_lower,  ///< rights to lower the value that the actor took over from `other`, who will not write any more
    took_raise,  ///< the same to raise it
    want_lower,  ///< as many rights to lower the value does the actor want to have
    want_raise,  ///< the same to raise it
  };
  Actor actor;
  Hlc birth;
  Slot slot = 0;
  Actor maker;  ///< whose INSERT began the life: two of them can have one birth
  Kind kind = Kind::change;
  Actor other;  ///< nobody where the kind speaks of none
  Decimal amount;
  friend bool operator==(const Share&, const Share&) = default;
};

/// Order of shares in a state: by (actor, birth, slot, maker, kind, other).
[[nodiscard]] bool is_before(const Share& a, const Share& b) noexcept;

/// What one actor knows to have written in one life of the row. Only that actor ever makes a new version of it.
struct Entry {
  Actor actor;
  Hlc birth;  ///< stamp of the INSERT that began this life
  Hlc last;   ///< stamp of the actor's latest write in this life
  Contributions contributions;
  friend bool operator==(const Entry&, const Entry&) = default;
};

/// Which write the values of one last-writer-wins group come from. Ordered by (birth, stamp, actor).
struct GroupStamp {
  Slot slot = default_group;
  Hlc birth;
  Hlc stamp;
  Actor actor;
  friend bool operator==(const GroupStamp&, const GroupStamp&) = default;
};

/// The life that a single-valued lattice column (max, min, or, and, merge) belongs to.
struct LatticeBirth {
  Slot slot = 0;
  Hlc birth;
  friend bool operator==(const LatticeBirth&, const LatticeBirth&) = default;
};

struct RowState {
  boost::container::small_vector<Entry, 4> entries;
  boost::container::small_vector<GroupStamp, 4> groups;
  boost::container::small_vector<LatticeBirth, 2> lattices;
  std::vector<SetLife> sets;
  std::vector<SetDot> dots;
  std::vector<Share> shares;
  friend bool operator==(const RowState&, const RowState&) = default;

  [[nodiscard]] bool live() const noexcept { return !entries.empty(); }
  /// Empties the state and keeps its memory.
  void clear() noexcept {
    entries.clear();
    groups.clear();
    lattices.clear();
    sets.clear();
    dots.clear();
    shares.clear();
  }
  /// Largest stamp anywhere in the state; a new local write must be stamped above it.
  [[nodiscard]] Hlc highest_stamp() const noexcept;
  /// Largest birth among the entries: the life that a local UPDATE writes under, and the floor that a DELETE leaves.
  [[nodiscard]] Hlc largest_birth() const noexcept;
  /// Sum over the live entries; nullopt if no entry contributes (the column is NULL).
  [[nodiscard]] std::optional<Decimal> counter(Slot slot) const;
};

/// A bounded column: the limits of its value, and who holds the rights of rows from before replication.
struct Bound {
  Slot slot = 0;
  Decimal min;
  std::optional<Decimal> max;
  Actor holder;
  friend bool operator==(const Bound&, const Bound&) = default;
};

/// Which slots a table has. Sorted; compiled once from its rules (rules.hpp).
struct Shape {
  boost::container::small_vector<Slot, 4> groups;  ///< includes default_group when any column has no rule
  boost::container::small_vector<Slot, 2> counters;
  boost::container::small_vector<Slot, 2> lattices;
  boost::container::small_vector<Slot, 2> sets;
  std::vector<Bound> bounds;
  /// `delete=latest`: every life has birth `first_birth`, lives and deletes are ordered by (stamp, actor).
  bool delete_latest = false;
};

/// The state that a NULL `_meridian` stands for: birth 1, stamp 0, actor 0. `counters` are the columns' present values
/// (leave NULL columns out), and so are `sets` and `bounded`. All such rows of one key are one write, so where they
/// differ only the elements that all of them hold stay: an element that one lacks cannot be told from one that was
/// removed there.
[[nodiscard]] RowState state_before_replication(const Shape& shape, std::span<const Contribution> counters,
                                                std::span<const SetContent> sets = {},
                                                std::span<const Contribution> bounded = {});

/// A local INSERT at `stamp`. Throws Error(out_of_bounds) unless every bounded column has a value within its bounds.
/// The spans as above.
[[nodiscard]] RowState insert_row(const Shape& shape, Actor actor, Hlc stamp, std::span<const Contribution> counters,
                                  std::span<const SetContent> sets = {}, std::span<const Contribution> bounded = {});

/// What a local UPDATE changed. Spans are sorted by slot and hold only slots of the shape.
struct RowUpdate {
  std::span<const Slot> groups;
  std::span<const Contribution> deltas;  ///< NEW - OLD
  std::span<const Slot> lattices;
  std::span<const SetContent> sets = {};       ///< whole new contents of each set that changed
  std::span<const Contribution> bounded = {};  ///< NEW - OLD of bounded columns
};

/// A local UPDATE at `stamp`, which must exceed `state.highest_stamp()`. An update that changed nothing must not be
/// passed: it is not a write. Throws Error(limit_exceeded) if a counter leaves the limits of numeric, or a set its own,
/// Error(rights_exceeded) if `actor` may not change a bounded column that far; the state is then of no use.
void update_row(RowState& state, const Shape& shape, Actor actor, Hlc stamp, const RowUpdate& update);

/// The entry of (actor, birth); null if there is none.
[[nodiscard]] const Entry* find_entry(const RowState& state, Actor actor, Hlc birth) noexcept;

/// The entry in which `actor` records a write to the latest life at `stamp`, which must exceed `state.highest_stamp()`.
Entry& write_entry(RowState& state, const Shape& shape, Actor actor, Hlc stamp);

/// How the knowledge in two states of one row relates: a version-vector comparison of the entries' `last`.
enum class Knowledge { equal, older, newer, concurrent };
/// `older`: everything `mine` knows, `theirs` knows too, and more.
[[nodiscard]] Knowledge compare_knowledge(const RowState& mine, const RowState& theirs) noexcept;

}  // namespace meridian
