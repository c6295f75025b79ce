// Storage of tombstones: meridian.tombstone, read and written without SQL.
//
// Rows are only added: a later delete of the same key adds another one, and what is known of a key is the merge of all
// its rows. So two apply workers never fight over one. The table is found by (table_id, hash of the key); the hash is
// the types' own, so keys that are equal by their operator (1.0 and 1.00, citext, ICU collations) meet, and it never
// leaves the node.
#pragma once

#include "pg/row_values.hpp"

namespace meridian::pg {

/// Columns of meridian.tombstone, from 0.
namespace tombstone_column {
enum : int { table_id, key_hash, key, floor, stamp, actor, seen, settled, written, laid_down, columns };
}

/// What is known to be deleted of the key of `row` and buries what arrives, under a fresh snapshot. All zero if nothing
/// is.
TombstoneData find_tombstone(Relation relation, const RowPlan* plan, const RowValues& row);

/// The same, with tombstones that are laid down and only lift new rows above the delete.
TombstoneData find_any_tombstone(Relation relation, const RowPlan* plan, const RowValues& row);

/// Adds a tombstone of a local delete of the key of `row`, unsettled: see tombstone_apply.cpp. The transaction has an
/// xid.
void add_tombstone(Relation relation, const RowPlan* plan, const RowValues& row, const TombstoneData& tombstone);

/// Hash of a key by its own types, for this node only.
std::int64_t hash_key(const RowPlan* plan, const RowValues& row);

/// The key of a row as text[], in the order of the key's columns; the same whatever the session's settings.
ArrayType* key_texts(const RowPlan* plan, const RowValues& row);

/// Reads key texts into the key columns of a row.
RowValues parse_key(Relation relation, const RowPlan* plan, ArrayType* key);

/// A tombstone that was parked arrives at last: applied and stored.
void receive_parked_tombstone(Relation tombstones, HeapTuple tuple);

/// Keeper task: probes once more the keys of tombstones that arrived when the row was not there, after all transactions
/// that ran at their commit have ended.
void settle_tombstones();

/// True if a tombstone that is not settled was written by a transaction before `limit`.
bool any_unsettled_before(TransactionId limit);

}  // namespace meridian::pg
