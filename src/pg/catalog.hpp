// Meridian's own catalog, read and written without SQL.
//
// Direct heap and index calls: no search_path, no privileges of the current user, no plan cache. Rows are written with
// their indexes but without triggers. Object ids are looked up by name in schema `meridian` and cached per backend; a
// syscache invalidation of pg_class or pg_namespace (DROP EXTENSION, another database object of that name) drops the
// cache.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

enum class Table {
  replicated_table,
  tombstone,
  conflict_history,
  parked_image,
  progress,
  heartbeat,
  member,
  local_member,
  home_map,
  home_pin,
  home_change,
  count
};

/// Indexes of our tables that are scanned without SQL.
enum class Index {
  tombstone_key,        ///< by (table_id, key_hash)
  tombstone_unsettled,  ///< the tombstones that are not settled yet
  table_by_id,
  table_by_rel,
  progress_by_member,
  heartbeat_by_member,
  parked_id,
  parked_key,  ///< by (rel, key_hash)
  parked_due,  ///< by retry_at
  home_pin_key,
  count
};

/// Oid of one of our tables. Raises 55000 with a hint if the extension is not installed in this database.
Oid table_oid(Table table);
/// Oid of schema `meridian`, or InvalidOid.
Oid schema_oid();
/// True for meridian.resolve and meridian.lww.
bool is_resolving_function(Oid function);
bool is_lww_function(Oid function);
/// Oid of the type meridian.row_state.
Oid row_state_type();

/// Oid of one of our indexes.
Oid index_oid(Index index);

/// Mesh-wide id of a table; 0 if it is not registered here.
std::int32_t find_table_id(Oid relation);
/// The table that has the id here, or InvalidOid.
Oid find_table(std::int32_t table_id);

/// Inserts a row into one of our tables, with its index entries and no triggers.
void insert_row_into(Relation relation, const Datum* values, const bool* nulls);

/// Replaces a row of one of our tables. Raises if somebody else changed it meanwhile.
void update_row_of(Relation relation, ItemPointer tid, HeapTuple tuple);

/// Replaces the row of one of our tables that has the key of `values`, or adds it. The key is the first `key_columns`
/// columns, at most 4, all integers, with a unique index on them. The caller sees to it that nobody else writes that
/// row.
void replace_row_in(Relation relation, Index index, int key_columns, const Datum* values, const bool* nulls);

/// Next value of one of our sequences or identity columns, whoever the current user is.
std::int64_t next_sequence_value(Relation relation, AttrNumber column);

/// Registers the invalidation callbacks. Called once, from _PG_init.
void register_catalog_callbacks();

}  // namespace meridian::pg
