// Finding one row of a user table by primary key, without SQL.
//
// With an MVCC snapshot, never a dirty one: a row that exists is found, however fast others update it. A dirty index
// scan misses rows whose new version lands on a page that was already read; that is how stock apply loses updates.
#pragma once

#include "pg/row_values.hpp"

namespace meridian::pg {

/// Copies the live row with the key of `key` into `row`. False if there is none visible now.
bool find_row(Relation relation, const RowPlan* plan, const RowValues& key, TupleTableSlot* row);

}  // namespace meridian::pg
