// Secondary unique keys under merge: two nodes may give one to different rows, and every node must let the same row
// keep it.
//
// The order that decides is (birth, primary key): the row that was born first keeps the key; births that are equal
// (rows from before replication, tables that compare deletes by time) are ordered by the bytes of the primary key. Both
// are the same on every node and do not change while a row lives, so the decision does not depend on who heard of whom
// first, nor on later updates.
#pragma once

#include "pg/row_access.hpp"
#include "pg/row_values.hpp"

namespace meridian::pg {

/// True if the table's index number `i` (of the writer's open indexes) is a unique index other than the primary key.
bool is_secondary_unique(const RowPlan* plan, const ResultRelInfo* target, int i);

/// True if an update from `before` to `after` asks for another key in index `i`.
bool asks_for_another_key(const ResultRelInfo* target, int i, TupleTableSlot* before, TupleTableSlot* after);

/// Finds the live row with another primary key that holds the key which `row` asks for in index `i`, and copies it into
/// `holder`. Waits for transactions that are writing such a row. Deferrable constraints count as well.
bool find_holder(RowWriter* writer, int i, TupleTableSlot* row, TupleTableSlot* holder);

/// True if `mine` keeps a unique key that both rows ask for.
bool keeps_unique_key(Relation relation, const RowPlan* plan, const RowValues& mine, const RowValues& other);

}  // namespace meridian::pg
