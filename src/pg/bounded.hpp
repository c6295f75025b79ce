// Bounded columns on this server: refusing what goes beyond its rights, and moving rights (core/rights.hpp).
//
// A refused write asks for what it lacks: the keeper writes the wish into the row's state, which travels as any change
// does. A server that merges or writes a row in which somebody wants rights that it can spare tells its keeper, which
// gives them. Both are local writes of the row that change its state alone.
#pragma once

#include "pg/row_values.hpp"

namespace meridian::pg {

/// A local UPDATE of `old_row`. Raises MD040 unless `actor` may change the bounded columns so, after asking for the
/// rights if others have them.
void require_rights(Relation relation, const RowPlan* plan, Actor actor, const RowValues& old_row,
                    const ImageState& old_image, const LocalChange& change);

/// `row` was written here, by whomever: if somebody wants rights to it that this server can spare, the keeper hears of
/// it.
void notice_wanted_rights(Relation relation, const RowPlan* plan, const RowValues& row);

/// Keeper task: asks for rights, and gives some to those that asked.
void move_wanted_rights();

}  // namespace meridian::pg
