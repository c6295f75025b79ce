// Parked rows as they are stored: one row of meridian.parked_image, its columns as text in a jsonb object.
//
// By name and as text, so that a row still fits when the table has been altered: a column that is gone is left out, one
// that came later gets its default. Settings that text depends on are pinned.
//
// A misfit is a row that never was read by the table's definition, because it does not fit it: it waits as it was sent,
// under the name that its sender calls the table by, and no column of it may be left out. A value of which there is no
// text, because its type is not here or does not take it, is kept as {"schema", "type", "binary"}: the type's name, and
// the bytes in hexadecimal.
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
  parked_sent_schema,
  parked_sent_table,
  parked_columns
};

struct ParkedRow {
  HeapTuple stored;
  Oid table;
  std::int64_t key_hash;
  Datum values;        ///< jsonb
  const char* detail;  ///< why it waits
  bool is_future;
  SentTable sent;  ///< of a misfit
  ParkedHistory history;
};

/// The type of that name, or InvalidOid.
Oid find_type(const char* schema, const char* name);
/// A value from its binary form, all of which must be used up. May run code of the table's owner (domain checks).
Datum receive_value(Oid type, std::int32_t modifier, StringInfo bytes);

/// A value of a row that arrived.
struct SentValue {
  const char* column;
  const char* bytes;  ///< text, or the binary form; null: NULL
  std::size_t size;
  const char* type_schema;  ///< of the binary form; null: text
  const char* type_name;
};
/// A misfit as it is stored.
Datum sent_to_texts(const SentValue* row, int count);

/// {"column": "text", ...} of the columns that travel, or of the key alone.
Datum row_to_texts(Relation relation, const RowPlan* plan, const RowValues& row, bool key_only);
/// The row again, by the table's present definition. May run code of the table's owner (domain checks, defaults).
RowValues row_from_texts(Relation relation, Datum texts);
/// Only what decides about the row's life: key, state or timestamp. All other columns are NULL. Raises 42703 if a
/// column of the key is not among the texts.
RowValues vital_from_texts(Relation relation, const RowPlan* plan, Datum texts);
/// Raises 42703 if the row has a column that the table has not, or generates.
void require_columns(Relation relation, Datum texts);

ParkedRow read_parked(HeapTuple tuple, TupleDesc descriptor);
/// The parked row with this id, under a fresh snapshot. False if it is gone.
bool find_parked(Relation parked, std::int64_t id, ParkedRow* row);
/// Waits until no other process takes parked rows away, until the end of the transaction.
void lock_parked_rows();

}  // namespace meridian::pg
