// Finding one row of a user table by primary key, without SQL.
//
// With an MVCC snapshot, never a dirty one: a row that exists is found, however fast others update it. A dirty index
// scan misses rows whose new version lands on a page that was already read; that is how stock apply loses updates.
#pragma once

#include "pg/row_values.hpp"

namespace meridian::pg {

/// Under which snapshot.
enum class Seen {
  at_start,  ///< the active one: saves taking another, but a row may be gone, changed or new since
  now,
};

/// Copies the live row with the key of `key` into `row`, a slot of make_found_slot(). False if there is none visible.
bool find_row(Relation relation, const RowPlan* plan, const RowValues& key, Seen seen, TupleTableSlot* row);

}  // namespace meridian::pg
