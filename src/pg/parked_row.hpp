// Parked rows as they are stored: one row of meridian.parked_image, its columns as text in a jsonb object.
//
// By name and as text, so that a row still fits when the table has been altered: a column that is gone is left out, one
// that came later gets its default. Settings that text depends on are pinned.
#pragma once

#include "pg/parked.hpp"

namespace meridian::pg {

enum ParkedColumn {
  parked_id,
  parked_rel,
  parked_key_hash,
  parked_key,
  parked_values,
  parked_reason,
  parked_sqlstate,
  parked_detail,
  parked_images,
  parked_parked_at,
  parked_retry_at,
  parked_attempts,
  parked_columns
};

struct ParkedRow {
  HeapTuple stored;
  Oid table;
  std::int64_t key_hash;
  Datum values;        ///< jsonb
  const char* detail;  ///< why it waits
  bool is_future;
  ParkedHistory history;
};

/// {"column": "text", ...} of the columns that travel, or of the key alone.
Datum row_to_texts(Relation relation, const RowPlan* plan, const RowValues& row, bool key_only);
/// The row again, by the table's present definition. May run code of the table's owner (domain checks, defaults).
RowValues row_from_texts(Relation relation, Datum texts);

ParkedRow read_parked(HeapTuple tuple, TupleDesc descriptor);
/// The parked row with this id, under a fresh snapshot. False if it is gone.
bool find_parked(Relation parked, std::int64_t id, ParkedRow* row);
/// Waits until no other process takes parked rows away, until the end of the transaction.
void lock_parked_rows();

}  // namespace meridian::pg
