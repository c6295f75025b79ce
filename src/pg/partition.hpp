// Partitions of a replicated table.
//
// The mesh knows a partitioned table as one table: its number, rules, owner and statistics are the root's, and rows and
// tombstones travel under the root's name, so every node may partition it in its own way. Rows are found and written in
// the partition that holds them. The primary key contains every partition key, so the key alone says which that is.
#pragma once

#include "pg/row_values.hpp"

namespace meridian::pg {

/// The replicated table that a relation belongs to: the topmost registered one among itself and the partitioned tables
/// above it; itself if none is.
Oid replicated_root(Relation relation);

/// Opens (and locks) the partition of `root`, a partitioned table, for rows with the key of `row`; null if none takes
/// it.
Relation open_leaf(Relation root, const RowValues& row);

/// True if an UPDATE of a row of this partition to `row` would move it to another: PostgreSQL then deletes it here and
/// inserts it there, with the triggers of both.
bool leaves_partition(Relation relation, const RowValues& row);

}  // namespace meridian::pg
