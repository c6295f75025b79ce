// Set columns as values: arrays and jsonb objects to portable elements (core/set_element.hpp) and back.
//
// What a set column holds is always in one form, the same on every node: without repetitions, in the order of the
// elements' portable bytes, arrays with one dimension from 1. Local writes are brought into it at once.
#pragma once

#include "pg/row_values.hpp"

namespace meridian::pg {

/// True if the type (not a domain) can hold a set.
bool is_set_type(Oid type);

/// How to read what cannot be part of a set: NULL elements, arrays of several dimensions, jsonb that is no object.
enum class SetReading {
  strict,   ///< raise: a user writes it
  lenient,  ///< leave it out, take all dimensions as one: it was there before replication, and reading must not fail
};

/// The elements of the row's column, in order and without repetitions; `given` is true.
SetColumn read_set(Relation relation, const RowPlan* plan, AttrNumber column, const RowValues& row, SetReading reading);

/// All set columns of a row from before replication, in the order of Shape::sets.
SetColumn* read_sets(Relation relation, const RowPlan* plan, const RowValues& row);
SetColumn* allocate_sets(const RowPlan* plan);

/// Puts the elements into the row's column.
void write_set(const RowPlan* plan, AttrNumber column, const SetColumn& set, RowValues* row);

/// Brings the column of a row that a user writes into its form, and returns its elements. A set that was written once
/// is empty, never NULL: `was_set`.
SetColumn normalize_set(Relation relation, const RowPlan* plan, AttrNumber column, bool was_set, RowValues* row);

}  // namespace meridian::pg
