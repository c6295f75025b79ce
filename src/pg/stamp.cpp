// Stamping of local writes to resolve(...) tables.
//
// A BEFORE trigger that sorts last compares OLD and NEW, ticks the clock once, and writes the new state. What the user
// put into the state column is ignored: the state is always derived from OLD's, so it cannot be forged. An UPDATE that
// changes nothing is not a write: it keeps the state, and only sends the row once more. A changed primary key is a
// delete and an insert; where it moves the row to another partition, PostgreSQL makes it one.
#include "pg/stamp.hpp"

#include "pg/bounded.hpp"
#include "pg/hlc.hpp"
#include "pg/identity.hpp"
#include "pg/late_insert.hpp"
#include "pg/lattice.hpp"
#include "pg/partition.hpp"
#include "pg/set_values.hpp"
#include "pg/stat_tables.hpp"
#include "pg/tombstone.hpp"
#include "pg/types/columns.hpp"

namespace meridian::pg {
namespace {

// A counter may hold only what can be added up; numeric NaN and infinities are refused by the core when it reads them.
struct Changes {
  Slot* groups;
  int group_count;
  Slot* lattices;
  int lattice_count;
  bool numbers;
  bool sets;
  SetColumn* set_columns;  ///< those that changed are given
};

// A column that merges by its type holds what this node made of it, whatever the user wrote: a new state that says so
// in this node's name, at or above the old one. Returns true if that is not what the user wrote. `old_row` is null for
// a new row.
bool absorb_typed(Relation relation, const RowPlan* plan, const RowValues* old_row, RowValues* row) {
  bool any = false;
  for (int i = 0; i < plan->column_count; ++i) {
    const ColumnPlan& column = plan->columns[i];
    if (column.skip || column.rule != ColumnRule::typed) continue;
    if (old_row != nullptr && same_image(relation, column.attnum, *old_row, *row)) continue;
    const bool is_new = old_row == nullptr || old_row->nulls[i];
    if (row->nulls[i]) {
      if (is_new) continue;
      ereport(ERROR, (errcode(ERRCODE_CHECK_VIOLATION),
                      errmsg("column \"%s\" of table \"%s\" merges by its type and cannot be set to NULL",
                             NameStr(TupleDescAttr(RelationGetDescr(relation), i)->attname),
                             RelationGetRelationName(relation)),
                      errhint("Set it to another value, or delete the row and insert it again to start over.")));
    }
    const Datum before = is_new ? static_cast<Datum>(0) : old_row->values[i];
    const Datum absorbed = absorb_column(column.type_kind, is_new, before, row->values[i], local_actor());
    any = any || absorbed != row->values[i];
    row->values[i] = absorbed;
  }
  return any;
}

// A max, min, or, and column only moves one way; a local write against it would be undone by the next merge, so it is
// refused at once.
void check_direction(Relation relation, const ColumnPlan& column, const RowValues& old_row, const RowValues& new_row) {
  const int i = column.attnum - 1;
  if (old_row.nulls[i]) return;
  bool wrong = new_row.nulls[i];
  if (!wrong && column.combine_less != nullptr) {
    const Oid collation = TupleDescAttr(RelationGetDescr(relation), i)->attcollation;
    const bool less =
        DatumGetBool(FunctionCall2Coll(column.combine_less, collation, new_row.values[i], old_row.values[i]));
    wrong = column.rule == ColumnRule::max
                ? less
                : DatumGetBool(FunctionCall2Coll(column.combine_less, collation, old_row.values[i], new_row.values[i]));
  } else if (!wrong) {
    wrong = DatumGetBool(new_row.values[i]) != (column.rule == ColumnRule::logical_or);
  }
  if (!wrong) return;
  ereport(ERROR,
          (errcode(ERRCODE_CHECK_VIOLATION),
           errmsg("column \"%s\" of table \"%s\" cannot move against its rule",
                  NameStr(TupleDescAttr(RelationGetDescr(relation), i)->attname), RelationGetRelationName(relation)),
           errhint("A max column only grows, a min column only falls, or stays true, and stays false. "
                   "Delete the row and insert it again to start over.")));
}

// Sets are brought into their form in `new_row`. `rewritten`: that changed it, though a set may be what it was.
Changes find_changes(Relation relation, const RowPlan* plan, const RowValues& old_row, RowValues* new_row,
                     bool* rewritten) {
  const Shape& shape = *plan->shape;
  Changes changes{static_cast<Slot*>(palloc(sizeof(Slot) * (shape.groups.size() + 1))),
                  0,
                  static_cast<Slot*>(palloc(sizeof(Slot) * (shape.lattices.size() + 1))),
                  0,
                  false,
                  false,
                  shape.sets.empty() ? nullptr : allocate_sets(plan)};
  auto* group_changed = static_cast<bool*>(palloc0(shape.groups.size() + 1));
  auto* lattice_changed = static_cast<bool*>(palloc0(shape.lattices.size() + 1));
  for (int i = 0; i < plan->column_count; ++i) {
    const ColumnPlan& column = plan->columns[i];
    if (column.skip || same_image(relation, column.attnum, old_row, *new_row)) continue;
    if (column.rule == ColumnRule::counter || column.rule == ColumnRule::bounded) {
      changes.numbers = true;
    } else if (column.rule == ColumnRule::set) {
      *rewritten = true;
      const SetColumn set = normalize_set(relation, plan, column.attnum, !old_row.nulls[i], new_row);
      if (same_image(relation, column.attnum, old_row, *new_row)) continue;
      changes.set_columns[column.index] = set;
      changes.sets = true;
    } else if (is_lattice(column.rule)) {
      if (column.rule != ColumnRule::typed && column.rule != ColumnRule::merge) {
        check_direction(relation, column, old_row, *new_row);
      }
      lattice_changed[column.index] = true;
    } else {
      group_changed[column.is_key ? 0 : column.index] = true;
    }
  }
  for (std::size_t g = 0; g < shape.groups.size(); ++g) {
    if (group_changed[g]) changes.groups[changes.group_count++] = shape.groups[g];
  }
  for (std::size_t l = 0; l < shape.lattices.size(); ++l) {
    if (lattice_changed[l]) changes.lattices[changes.lattice_count++] = shape.lattices[l];
  }
  return changes;
}

HeapTuple form(Relation relation, const RowValues& row) {
  return heap_form_tuple(RelationGetDescr(relation), row.values, row.nulls);
}

// The state travels on unchanged, whatever the user wrote into it. `rewritten`: `new_row` is not what `new_tuple`
// holds.
HeapTuple keep_state(Relation relation, const RowPlan* plan, const RowValues& old_row, RowValues* new_row,
                     HeapTuple new_tuple, bool rewritten) {
  const bool external = fetch_external_values(relation, plan, new_row);
  if (!external && !rewritten && same_image(relation, plan->state_attnum, old_row, *new_row)) return new_tuple;
  const int i = plan->state_attnum - 1;
  new_row->values[i] = old_row.values[i];
  new_row->nulls[i] = old_row.nulls[i];
  return form(relation, *new_row);
}

// A row from before replication may hold its elements in any order, and NULLs among them.
void normalize_unchanged_sets(Relation relation, const RowPlan* plan, const Changes& changes, RowValues* row) {
  for (std::size_t s = 0; s < plan->shape->sets.size(); ++s) {
    if (changes.set_columns[s].given) continue;
    const AttrNumber column = plan->set_attnums[s];
    write_set(plan, column, read_set(relation, plan, column, *row, SetReading::lenient), row);
  }
}

void bury_old_key(Relation relation, const RowPlan* plan, const RowValues& row) {
  const ImageState image = read_image(relation, plan, row);
  const Actor actor = local_actor();
  TombstoneData tombstone;
  Hlc exceed;
  if (!stamp_delete(*plan->shape, actor, tick(), image, &tombstone, &exceed)) {
    const Hlc above = tick(exceed);
    stamp_delete(*plan->shape, actor, above, image, &tombstone, &exceed);
  }
  add_tombstone(relation, plan, row, tombstone);
}

// The set columns of a new row, brought into their form.
SetColumn* normalize_sets(Relation relation, const RowPlan* plan, RowValues* row) {
  SetColumn* sets = plan->shape->sets.empty() ? nullptr : allocate_sets(plan);
  for (std::size_t s = 0; s < plan->shape->sets.size(); ++s) {
    sets[s] = normalize_set(relation, plan, plan->set_attnums[s], false, row);
  }
  return sets;
}

}  // namespace

HeapTuple stamp_state_insert(Relation relation, const RowPlan* plan, HeapTuple tuple) {
  RowValues row = deform(relation, plan, tuple);
  const Actor actor = local_actor();
  begin_insert();
  fetch_external_values(relation, plan, &row);
  absorb_typed(relation, plan, nullptr, &row);
  const Number* numbers = read_numbers(plan, row);
  const SetColumn* sets = normalize_sets(relation, plan, &row);
  write_state(plan, stamp_insert(*plan->shape, actor, tick(), numbers, sets), &row);
  count_stat(plan->relation, Stat::stamped);
  return form(relation, row);
}

HeapTuple stamp_state_update(Relation relation, const RowPlan* plan, HeapTuple old_tuple, HeapTuple new_tuple) {
  const RowValues old_row = deform(relation, plan, old_tuple);
  RowValues new_row = deform(relation, plan, new_tuple);
  if (!same_key(plan, old_row, new_row)) {
    if (leaves_partition(relation, new_row)) return new_tuple;
    bury_old_key(relation, plan, old_row);
    return stamp_state_insert(relation, plan, new_tuple);
  }
  const bool absorbed = absorb_typed(relation, plan, &old_row, &new_row);
  // A merge function is told the stamp of the write before it is known whether it changes anything.
  const Hlc early = plan->has_merge_function ? tick() : Hlc{};
  const bool combined = plan->has_merge_function && keep_inflationary(relation, plan, early, old_row, &new_row);
  bool rewritten = absorbed || combined;
  const Changes changes = find_changes(relation, plan, old_row, &new_row, &rewritten);
  if (changes.group_count == 0 && changes.lattice_count == 0 && !changes.numbers && !changes.sets) {
    return keep_state(relation, plan, old_row, &new_row, new_tuple, rewritten);
  }
  const Hlc stamp = plan->has_merge_function ? early : tick();
  const Actor actor = local_actor();
  const LocalChange change{.groups = changes.groups,
                           .group_count = changes.group_count,
                           .lattices = changes.lattices,
                           .lattice_count = changes.lattice_count,
                           .before = read_numbers(plan, old_row),
                           .after = read_numbers(plan, new_row),
                           .sets = changes.set_columns};
  const ImageState old_image = read_image(relation, plan, old_row);
  StateBytes state;
  if (!plan->shape->bounds.empty() && changes.numbers)
    require_rights(relation, plan, actor, old_row, old_image, change);
  Number* numbers = allocate_numbers(plan);
  Hlc exceed;
  if (!stamp_update(*plan->shape, actor, stamp, old_image, change, &state, numbers, &exceed)) {
    // The clock has seen every stamp that was merged here; only a row copied in by hand can be ahead of it.
    const Hlc above = tick(exceed);
    stamp_update(*plan->shape, actor, above, old_image, change, &state, numbers, &exceed);
  }
  write_state(plan, state, &new_row);
  if (old_row.nulls[plan->state_attnum - 1]) normalize_unchanged_sets(relation, plan, changes, &new_row);
  if (changes.numbers) write_numbers(plan, numbers, &new_row);
  fetch_external_values(relation, plan, &new_row);
  if (!plan->shape->bounds.empty()) notice_wanted_rights(relation, plan, new_row);
  count_stat(plan->relation, Stat::stamped);
  return form(relation, new_row);
}

bool stamp_rights(Relation relation, const RowPlan* plan, const RightsMove& move, RowValues* row) {
  const ImageState image = read_image(relation, plan, *row);
  const Actor actor = local_actor();
  StateBytes state;
  Hlc exceed;
  Moved moved = move_rights(*plan->shape, actor, tick(), image, move, &state, &exceed);
  if (moved == Moved::stamp_too_old) {
    const Hlc above = tick(exceed);
    moved = move_rights(*plan->shape, actor, above, image, move, &state, &exceed);
  }
  if (moved != Moved::done) return false;
  const bool was_there_before = row->nulls[plan->state_attnum - 1];
  write_state(plan, state, row);
  if (was_there_before && !plan->shape->sets.empty()) {
    const Changes none{.groups = nullptr,
                       .group_count = 0,
                       .lattices = nullptr,
                       .lattice_count = 0,
                       .numbers = false,
                       .sets = false,
                       .set_columns = allocate_sets(plan)};
    normalize_unchanged_sets(relation, plan, none, row);
  }
  fetch_external_values(relation, plan, row);
  count_stat(plan->relation, Stat::stamped);
  return true;
}

void restamp_state_insert(Relation relation, const RowPlan* plan, const TombstoneData& tombstone, RowValues* row) {
  fetch_external_values(relation, plan, row);
  const Hlc above{std::max(tombstone.stamp.value, tombstone.floor.value)};
  const Number* numbers = read_numbers(plan, *row);
  const SetColumn* sets = normalize_sets(relation, plan, row);
  write_state(plan, stamp_insert(*plan->shape, local_actor(), tick(above), numbers, sets), row);
}

void stamp_state_delete(Relation relation, const RowPlan* plan, HeapTuple tuple) {
  bury_old_key(relation, plan, deform(relation, plan, tuple));
}

}  // namespace meridian::pg
