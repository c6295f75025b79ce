// Columns whose own rule merges two values of one life: max, min, or, and, an explicit type, merge:<function>. NULL is
// the bottom.
#pragma once

#include "pg/row_values.hpp"

namespace meridian::pg {

bool is_lattice(ColumnRule rule);

/// The value that holds both what `local` and what `incoming` hold in the column; it may be neither of the two. May
/// raise if the plan says so (RowPlan::has_merge_function). Overwrites the scratch area of state_ops.hpp.
Datum combine_lattice(Relation relation, const RowPlan* plan, const ColumnPlan& column, const RowValues& local,
                      const RowValues& incoming, bool* is_null);

/// A local UPDATE at `stamp`: a merge:<function> column that it changes holds f(OLD, NEW), so that no later merge can
/// take the write back; set to NULL it keeps OLD. Returns true if there was such a column, whose value may then be
/// another than the user wrote.
bool keep_inflationary(Relation relation, const RowPlan* plan, Hlc stamp, const RowValues& old_row, RowValues* new_row);

}  // namespace meridian::pg
