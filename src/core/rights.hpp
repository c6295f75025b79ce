// Bounded columns: numbers that stay within their bounds on every node, in every read, under any partition.
//
// What a value is above its minimum, and what it is below its maximum, are *rights* that belong to actors. To lower the
// value an actor uses up rights to lower it, and gains as many to raise it; who has too few must refuse the write.
// Whoever makes the row has all of them; they move by transfers, which only the giver writes. So in each life
//   rights to lower = what the actor changed (the first value included) - minimum if it made the life + got - gave
//   rights to raise = maximum if it made the life - what the actor changed                            + got - gave
// are never negative in a state that a mesh can reach: a state that holds a write holds everything that its author had
// seen, the transfers to it included. All rights to lower add up to value - minimum, all rights to raise to
// maximum - value, because transfers cancel out. Hence the bounds hold in every state, however little it knows.
//
// Only one life counts, the one with the largest (birth, maker): the rights of two INSERTs that did not know each other
// would add up to too much, and two of them can have one birth. An actor is one epoch of a member, so a restored node,
// whose old epoch may have used rights that it does not know of, starts with none. A row from before replication was
// made by nobody; its rights are those of `Bound::holder`. If such rows differ between nodes, what they add up to may
// leave the bounds; the value that is shown never does.
//
// An actor that has too few rights can say how many it *wants* to have; who has some to spare and sees that gives.
// Source: Balegas et al., "Extending eventually consistent cloud databases for enforcing numeric invariants" (2015).
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "core/row_state.hpp"

namespace meridian {

/// What a right allows.
enum class Right : std::uint8_t { lower, raise };

/// The value of the column in the life that counts; nullopt if it was NULL before replication.
[[nodiscard]] std::optional<Decimal> bounded_value(const RowState& state, const Bound& bound);

/// By how much `actor` may lower or raise the value; not above 0: not at all. Without a maximum rights to raise mean
/// nothing, everybody may.
[[nodiscard]] Decimal rights_of(const RowState& state, const Bound& bound, Right right, Actor actor);
/// The same of all actors together; nullopt: without limit.
[[nodiscard]] std::optional<Decimal> all_rights(const RowState& state, const Bound& bound, Right right);
/// Who has written, been given or taken rights in the life that counts, in order.
[[nodiscard]] std::vector<Actor> right_owners(const RowState& state, const Bound& bound);

/// Why a change is refused.
struct Shortage {
  Right right = Right::lower;
  Decimal needed;
  Decimal here;                  ///< what the actor may
  std::optional<Decimal> total;  ///< what all may together
};
/// What `actor` lacks to change the value by `delta`; nullopt: nothing.
[[nodiscard]] std::optional<Shortage> find_shortage(const RowState& state, const Bound& bound, Actor actor,
                                                    const Decimal& delta);

// Local writes at `stamp`, which must exceed state.highest_stamp(). `right` and amounts > 0 as above.

/// Gives rights to another actor. Throws Error(rights_exceeded) if `actor` does not have them; the state is then
/// unchanged.
void transfer_rights(RowState& state, const Shape& shape, const Bound& bound, Right right, Actor actor, Hlc stamp,
                     Actor to, const Decimal& amount);
/// Takes over all that `from` has. Only right if `from` will not write any more, everything it wrote is in the state,
/// and nobody else takes it over. False if there is nothing to take; the state is then unchanged.
bool take_rights(RowState& state, const Shape& shape, const Bound& bound, Actor actor, Hlc stamp, Actor from);
/// Says how many rights `actor` wants to have; it does so until it changes the value in that direction.
void want_rights(RowState& state, const Shape& shape, const Bound& bound, Right right, Actor actor, Hlc stamp,
                 const Decimal& level);
/// The same if there is reason to: false, and the state is unchanged, if `actor` has that many, if all together have
/// not, or if it has asked less than `patience_ms` ago. (After that, whom the question reached may have forgotten it.)
bool ask_for_rights(RowState& state, const Shape& shape, const Bound& bound, Right right, Actor actor, Hlc stamp,
                    const Decimal& level);
inline constexpr std::uint64_t patience_ms = 5000;
/// How many rights `actor` says that it wants; nullopt if it says nothing.
[[nodiscard]] std::optional<Decimal> wanted_rights(const RowState& state, const Bound& bound, Right right, Actor actor);

/// True if grant_rights() would give something.
[[nodiscard]] bool may_grant(const RowState& state, const Shape& shape, Actor actor);
/// Gives those that want rights what they lack, or half of what `actor` has if that is more, as far as it reaches.
/// Nothing where all rights together would not do. False if there is nothing to give; the state is then unchanged.
bool grant_rights(RowState& state, const Shape& shape, Actor actor, Hlc stamp);

/// True if shares of this kind speak of another actor.
[[nodiscard]] constexpr bool names_other(Share::Kind kind) noexcept {
  return kind >= Share::Kind::gave_lower && kind <= Share::Kind::took_raise;
}
/// The shares of one entry.
[[nodiscard]] std::span<const Share> shares_of(const RowState& state, Actor actor, Hlc birth) noexcept;
/// True if the invariants of row_state.hpp hold for the shares.
[[nodiscard]] bool shares_are_sound(const RowState& state) noexcept;

// Parts of insert_row and update_row (row_state.hpp). `values` and `deltas` may be of several columns.

/// Throws Error(out_of_bounds) unless a row may begin with the column's value.
void check_first_value(const Bound& bound, std::span<const Contribution> values);
/// Records the first value, if there is one, of a row that has one entry.
void begin_bounded(RowState& state, const Bound& bound, std::span<const Contribution> values);
/// Throws Error(rights_exceeded) unless `actor` may change the column by its delta.
void check_rights(const RowState& state, const Bound& bound, Actor actor, std::span<const Contribution> deltas);
/// Records the change in the latest life. Throws Error(limit_exceeded) beyond the limits of numeric.
void change_bounded(RowState& state, const Bound& bound, Actor actor, std::span<const Contribution> deltas);

}  // namespace meridian
