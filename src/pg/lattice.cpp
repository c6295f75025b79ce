#include "pg/lattice.hpp"

#include "pg/merge_function.hpp"
#include "pg/row_access.hpp"
#include "pg/types/columns.hpp"

namespace meridian::pg {
namespace {

Oid collation_of(Relation relation, const ColumnPlan& column) {
  return TupleDescAttr(RelationGetDescr(relation), column.attnum - 1)->attcollation;
}

// True if the incoming value, of two that are not NULL, is the one to take. Values that the type calls equal but that
// look different (1.0 and 1.00) are ordered by their bytes, so that every node takes the same.
bool takes_incoming(Relation relation, const ColumnPlan& column, const RowValues& local, const RowValues& incoming) {
  const Datum mine = local.values[column.attnum - 1];
  const Datum theirs = incoming.values[column.attnum - 1];
  if (column.rule == ColumnRule::logical_or) return DatumGetBool(theirs);
  if (column.rule == ColumnRule::logical_and) return !DatumGetBool(theirs);
  const Oid collation = collation_of(relation, column);
  const bool rises = DatumGetBool(FunctionCall2Coll(column.combine_less, collation, mine, theirs));
  const bool falls = DatumGetBool(FunctionCall2Coll(column.combine_less, collation, theirs, mine));
  if (rises != falls) return rises == (column.rule == ColumnRule::max);
  return compare_portably(relation, column.attnum, local, incoming) < 0;
}

std::int64_t stamp_of(Relation relation, const RowPlan* plan, const RowValues& row) {
  return static_cast<std::int64_t>(highest_stamp(*plan->shape, read_image(relation, plan, row)).value);
}

Datum call_for_images(Relation relation, const RowPlan* plan, const ColumnPlan& column, const RowValues& local,
                      const RowValues& incoming) {
  const int i = column.attnum - 1;
  const bool stamps = column.merge->takes_stamps;
  return call_merge_function(column.merge, collation_of(relation, column), local.values[i], incoming.values[i],
                             stamps ? stamp_of(relation, plan, local) : 0,
                             stamps ? stamp_of(relation, plan, incoming) : 0);
}

}  // namespace

bool is_lattice(ColumnRule rule) {
  switch (rule) {
    case ColumnRule::max:
    case ColumnRule::min:
    case ColumnRule::logical_or:
    case ColumnRule::logical_and:
    case ColumnRule::typed:
    case ColumnRule::merge:
      return true;
    default:
      return false;
  }
}

Datum combine_lattice(Relation relation, const RowPlan* plan, const ColumnPlan& column, const RowValues& local,
                      const RowValues& incoming, bool* is_null) {
  const int i = column.attnum - 1;
  *is_null = local.nulls[i] && incoming.nulls[i];
  if (incoming.nulls[i]) return local.values[i];
  if (local.nulls[i]) return incoming.values[i];
  if (column.rule == ColumnRule::typed) return merge_column(column.type_kind, local.values[i], incoming.values[i]);
  if (column.rule == ColumnRule::merge) return call_for_images(relation, plan, column, local, incoming);
  return takes_incoming(relation, column, local, incoming) ? incoming.values[i] : local.values[i];
}

bool keep_inflationary(Relation relation, const RowPlan* plan, Hlc stamp, const RowValues& old_row,
                       RowValues* new_row) {
  bool combined = false;
  for (int i = 0; i < plan->column_count; ++i) {
    const ColumnPlan& column = plan->columns[i];
    if (column.merge == nullptr || old_row.nulls[i] || same_image(relation, column.attnum, old_row, *new_row)) continue;
    combined = true;
    if (new_row->nulls[i]) {
      new_row->values[i] = old_row.values[i];
      new_row->nulls[i] = false;
      continue;
    }
    // As for an image: it is the owner of the table who chose the function.
    const OwnerSwitch caller = become_owner(plan);
    new_row->values[i] =
        call_merge_function(column.merge, collation_of(relation, column), old_row.values[i], new_row->values[i],
                            stamp_of(relation, plan, old_row), static_cast<std::int64_t>(stamp.value));
    become_caller(caller);
  }
  return combined;
}

}  // namespace meridian::pg
