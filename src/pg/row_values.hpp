// Column values of a replicated row: comparing, counting, reading and writing the state column.
#pragma once

#include "pg/row_plan.hpp"
#include "pg/state_ops.hpp"

namespace meridian::pg {

/// All columns of one row, deformed.
struct RowValues {
  Datum* values;
  bool* nulls;
};

RowValues allocate_values(const RowPlan* plan);
RowValues deform(Relation relation, const RowPlan* plan, HeapTuple tuple);
RowValues deform(const RowPlan* plan, TupleTableSlot* slot);

/// True if the two values are the same image, byte for byte after detoasting.
bool same_image(Relation relation, AttrNumber column, const RowValues& a, const RowValues& b);

/// Total order over two values of one column that is the same on every node: NULL first, then the bytes of the type's
/// binary (or else text) output. Only for ties.
int compare_portably(Relation relation, AttrNumber column, const RowValues& a, const RowValues& b);

/// True if the primary keys are equal by the key's own operators.
bool same_key(const RowPlan* plan, const RowValues& a, const RowValues& b);

/// State, numbers (counters and bounded columns) and sets of a row. The columns are only read if the state is NULL.
ImageState read_image(Relation relation, const RowPlan* plan, const RowValues& row);
Number* read_numbers(const RowPlan* plan, const RowValues& row);
Number* allocate_numbers(const RowPlan* plan);

/// Writes the values of counters and bounded columns into the row, clamped to what the column's type can hold: a sum of
/// contributions may exceed it, and a merge must not fail. The state keeps the exact contributions.
void write_numbers(const RowPlan* plan, const Number* numbers, RowValues* row);
void write_state(const RowPlan* plan, StateBytes state, RowValues* row);

/// Texts that travel or are kept must not depend on a session's settings: pins DateStyle and the like until
/// unpin_settings(level). An error unpins with its (sub)transaction.
int pin_settings();
void unpin_settings(int level);

/// Replaces values that are stored out of line by copies in line, so that they are written to WAL again: an
/// unchanged out-of-line value does not travel. Returns true if there were any.
bool fetch_external_values(Relation relation, const RowPlan* plan, RowValues* row);

}  // namespace meridian::pg
