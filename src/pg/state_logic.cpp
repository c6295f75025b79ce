#include "pg/row_logic.hpp"
#include "pg/types/columns.hpp"

namespace meridian::pg {
namespace {

// Smallest difference of two rows' values in one group that every node sees alike: columns in the order of their names,
// since column order may differ between nodes. Which side's values win a tie of one and the same write.
Take break_tie(Relation relation, const RowPlan* plan, std::uint16_t group, const RowValues& local,
               const RowValues& incoming) {
  const char* first_name = nullptr;
  Take winner = Take::local;
  for (int i = 0; i < plan->column_count; ++i) {
    const ColumnPlan& column = plan->columns[i];
    const bool by_stamp = column.rule == ColumnRule::lww || column.rule == ColumnRule::group;
    // Keys go with the first group (see takes_incoming).
    const bool in_group = !column.skip && (column.is_key ? group == 0 : by_stamp && column.index == group);
    if (!in_group || same_image(relation, column.attnum, local, incoming)) continue;
    const int order = compare_portably(relation, column.attnum, local, incoming);
    const char* name = NameStr(TupleDescAttr(RelationGetDescr(relation), i)->attname);
    if (order == 0 || (first_name != nullptr && std::strcmp(name, first_name) > 0)) continue;
    first_name = name;
    winner = order < 0 ? Take::incoming : Take::local;
  }
  return winner;
}

// The larger (max) or smaller (min) of two values. Where the type calls different images equal (1.0 and 1.00), every
// node must take the same one.
Datum extreme(Relation relation, const ColumnPlan& column, const RowValues& local, const RowValues& incoming) {
  const int i = column.attnum - 1;
  const Oid collation = TupleDescAttr(RelationGetDescr(relation), i)->attcollation;
  const Datum mine = local.values[i];
  const Datum theirs = incoming.values[i];
  const Datum low = column.rule == ColumnRule::max ? mine : theirs;
  const Datum high = column.rule == ColumnRule::max ? theirs : mine;
  if (DatumGetBool(FunctionCall2Coll(column.combine_less, collation, low, high))) return theirs;
  if (same_image(relation, column.attnum, local, incoming)) return mine;
  if (DatumGetBool(FunctionCall2Coll(column.combine_less, collation, high, low))) return mine;
  return compare_portably(relation, column.attnum, local, incoming) < 0 ? theirs : mine;
}

// The value of a lattice column out of two of the same life, neither NULL. It may be neither side's.
Datum combine(Relation relation, const ColumnPlan& column, const RowValues& local, const RowValues& incoming) {
  const Datum mine = local.values[column.attnum - 1];
  const Datum theirs = incoming.values[column.attnum - 1];
  switch (column.rule) {
    case ColumnRule::logical_or:
      return BoolGetDatum(DatumGetBool(mine) || DatumGetBool(theirs));
    case ColumnRule::logical_and:
      return BoolGetDatum(DatumGetBool(mine) && DatumGetBool(theirs));
    case ColumnRule::max:
    case ColumnRule::min:
      return extreme(relation, column, local, incoming);
    case ColumnRule::typed:
      return merge_column(column.type_kind, mine, theirs);
    default:
      return mine;
  }
}

struct Decisions {
  Take* groups;
  Take* lattices;
  Number* counters;
};

Decisions allocate_decisions(const RowPlan* plan) {
  return {static_cast<Take*>(palloc0(plan->shape->groups.size() + 1)),
          static_cast<Take*>(palloc0(plan->shape->lattices.size() + 1)), allocate_counters(plan)};
}

void take(const RowValues& from, int column, RowValues* row) {
  row->values[column] = from.values[column];
  row->nulls[column] = from.nulls[column];
}

// Gives `row`, which holds the local values, the value that was decided for the column. Counters are not decided here.
void settle(Relation relation, const ColumnPlan& column, const Decisions& decisions, const RowValues& incoming,
            bool has_groups, RowValues* row) {
  const int i = column.attnum - 1;
  // Keys are equal by their operator, but may look different (1.0 and 1.00): they go with the first group.
  if (column.is_key) {
    if (has_groups && decisions.groups[0] == Take::incoming) take(incoming, i, row);
    return;
  }
  switch (column.rule) {
    case ColumnRule::lww:
    case ColumnRule::group:
      if (decisions.groups[column.index] == Take::incoming) take(incoming, i, row);
      return;
    case ColumnRule::counter:
      return;
    default:
      break;
  }
  const Take decision = decisions.lattices[column.index];
  if (decision == Take::incoming) take(incoming, i, row);
  if (decision != Take::combine || incoming.nulls[i]) return;
  // NULL is the bottom.
  if (row->nulls[i]) {
    take(incoming, i, row);
  } else {
    row->values[i] = combine(relation, column, *row, incoming);
  }
}

RowValues copy_of(const RowPlan* plan, const RowValues& row) {
  const RowValues copy = allocate_values(plan);
  std::memcpy(copy.values, row.values, sizeof(Datum) * plan->column_count);
  std::memcpy(copy.nulls, row.nulls, sizeof(bool) * plan->column_count);
  return copy;
}

const char* winner_of(const MergeResult& merge) {
  if (merge.lost_local == merge.lost_incoming) return "merged";
  return merge.lost_local ? "incoming" : "local";
}

}  // namespace

Verdict by_state::merge_rows(Relation relation, const RowPlan* plan, const RowValues& local, const RowValues& incoming,
                             const TombstoneData& tombstone) {
  const Shape& shape = *plan->shape;
  const Decisions decisions = allocate_decisions(plan);
  const MergeResult merge = merge_states(shape, read_image(relation, plan, local), read_image(relation, plan, incoming),
                                         tombstone, decisions.groups, decisions.lattices, decisions.counters);
  Verdict verdict{};
  if (!merge.live)
    return {
        .action = Action::remove, .row = {}, .merged = false, .conflict = false, .kind = nullptr, .winner = nullptr};
  bool values_differ = false;
  for (std::size_t g = 0; merge.compare_values && g < shape.groups.size(); ++g) {
    if (decisions.groups[g] != Take::either) continue;
    decisions.groups[g] = break_tie(relation, plan, static_cast<std::uint16_t>(g), local, incoming);
    values_differ = values_differ || decisions.groups[g] == Take::incoming;
  }
  verdict.conflict = merge.knowledge == Knowledge::concurrent;
  verdict.merged = verdict.conflict;
  verdict.kind = merge.strangers ? "insert_insert" : "update_update";
  verdict.winner = winner_of(merge);
  // With equal states, too, the values may differ, if the row was there before replication.
  if (!merge.state_changed && !merge.compare_values) {
    verdict.action = Action::keep;
    return verdict;
  }
  verdict.row = copy_of(plan, local);
  // Two rows from before replication stay one: NULL, whichever arrived first.
  const int state = plan->state_attnum - 1;
  if (!local.nulls[state] || !incoming.nulls[state]) write_state(plan, merge.state, &verdict.row);
  write_counters(plan, decisions.counters, &verdict.row);
  for (int i = 0; i < plan->column_count; ++i) {
    const ColumnPlan& column = plan->columns[i];
    if (column.skip) continue;
    settle(relation, column, decisions, incoming, !shape.groups.empty(), &verdict.row);
    if (merge.state_changed || values_differ) continue;
    values_differ = !same_image(relation, column.attnum, local, verdict.row);
  }
  verdict.action = merge.state_changed || values_differ ? Action::replace : Action::keep;
  return verdict;
}

Verdict by_state::bury_row(Relation relation, const RowPlan* plan, const RowValues& row,
                           const TombstoneData& tombstone) {
  Verdict verdict{};
  const ImageState image = read_image(relation, plan, row);
  verdict.conflict = unseen_by_deleter(*plan->shape, image, tombstone);
  Number* counters = allocate_counters(plan);
  const MergeResult rest = bury_state(*plan->shape, image, tombstone, counters);
  if (!rest.live) {
    verdict.action = Action::remove;
    return verdict;
  }
  if (!rest.state_changed) {
    verdict.action = Action::keep;
    return verdict;
  }
  verdict.action = Action::replace;
  verdict.row = copy_of(plan, row);
  write_state(plan, rest.state, &verdict.row);
  write_counters(plan, counters, &verdict.row);
  return verdict;
}

Verdict merge_rows(Relation relation, const RowPlan* plan, const RowValues& local, const RowValues& incoming,
                   const TombstoneData& tombstone) {
  if (plan->mode == RowMode::timestamp) return by_timestamp::merge_rows(relation, plan, local, incoming);
  return by_state::merge_rows(relation, plan, local, incoming, tombstone);
}

Verdict bury_row(Relation relation, const RowPlan* plan, const RowValues& row, const TombstoneData& tombstone) {
  if (tombstone.seen.data == nullptr) return Verdict{};
  if (plan->mode == RowMode::timestamp) return by_timestamp::bury_row(plan, row, tombstone);
  return by_state::bury_row(relation, plan, row, tombstone);
}

bool needs_tombstone(Relation relation, const RowPlan* plan, const RowValues& local, const RowValues& incoming) {
  if (plan->mode == RowMode::timestamp) return false;
  return may_be_buried(*plan->shape, read_image(relation, plan, local), read_image(relation, plan, incoming));
}

ConflictSide conflict_side(Relation relation, const RowPlan* plan, const RowValues& row) {
  if (plan->mode == RowMode::timestamp) return {&row, by_timestamp::timestamp_of(plan, row), 0};
  const GroupStamp newest = newest_group(*plan->shape, read_image(relation, plan, row));
  return {&row, static_cast<std::int64_t>(newest.stamp.value), static_cast<std::int64_t>(newest.actor.value)};
}

}  // namespace meridian::pg
