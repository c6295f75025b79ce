// The explicit types as columns of a replicated table: which type a column has, and what a merge or a local write
// leaves in it. No SQL-callable function is looked up: the core does the work.
#pragma once

#include "core/actor.hpp"
#include "core/type_codec.hpp"
#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// Which explicit type this is, or what it is a domain over; TypeKind::none if it is another.
TypeKind explicit_type(Oid type);

/// The merge of two values: one of the arguments where that says it all, else a new datum.
Datum merge_column(TypeKind kind, Datum mine, Datum theirs);

/// What a local write of `after` over `before` leaves in the column (see core/type_ops.hpp): one of the arguments where
/// possible. `before` does not count if `is_new`: a new row, or NULL.
Datum absorb_column(TypeKind kind, bool is_new, Datum before, Datum after, Actor actor);

}  // namespace meridian::pg
