#include "pg/row_logic.hpp"
#include "pg/set_values.hpp"

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

// One value of a lattice column out of two of the same life. NULL is the bottom.
bool incoming_is_above(Relation relation, const ColumnPlan& column, const RowValues& local, const RowValues& incoming) {
  const int i = column.attnum - 1;
  if (incoming.nulls[i]) return false;
  if (local.nulls[i]) return true;
  const Datum mine = local.values[i];
  const Datum theirs = incoming.values[i];
  switch (column.rule) {
    case ColumnRule::logical_or:
      return DatumGetBool(theirs) && !DatumGetBool(mine);
    case ColumnRule::logical_and:
      return !DatumGetBool(theirs) && DatumGetBool(mine);
    case ColumnRule::max:
    case ColumnRule::min:
      break;
    default:
      return false;
  }
  const Oid collation = TupleDescAttr(RelationGetDescr(relation), i)->attcollation;
  const Datum low = column.rule == ColumnRule::max ? mine : theirs;
  const Datum high = column.rule == ColumnRule::max ? theirs : mine;
  return DatumGetBool(FunctionCall2Coll(column.combine_less, collation, low, high));
}

Decisions allocate_decisions(const RowPlan* plan) {
  Decisions decisions{.groups = static_cast<Take*>(palloc0(plan->shape->groups.size() + 1)),
                      .lattices = static_cast<Take*>(palloc0(plan->shape->lattices.size() + 1)),
                      .counters = allocate_counters(plan)};
  if (plan->shape->sets.empty()) return decisions;
  decisions.set_takes = static_cast<Take*>(palloc0(plan->shape->sets.size()));
  decisions.sets = allocate_sets(plan);
  return decisions;
}

// Contents that belong to neither side. Returns true if one of them differs from what the row holds.
bool write_sets(Relation relation, const RowPlan* plan, const Decisions& decisions, const RowValues& before,
                RowValues* row) {
  bool differs = false;
  for (std::size_t s = 0; s < plan->shape->sets.size(); ++s) {
    if (!decisions.sets[s].given) continue;
    write_set(plan, plan->set_attnums[s], decisions.sets[s], row);
    differs = differs || !same_image(relation, plan->set_attnums[s], before, *row);
  }
  return differs;
}

RowValues copy_values(const RowPlan* plan, const RowValues& row) {
  const RowValues copy = allocate_values(plan);
  std::memcpy(copy.values, row.values, sizeof(Datum) * plan->column_count);
  std::memcpy(copy.nulls, row.nulls, sizeof(bool) * plan->column_count);
  return copy;
}

bool takes_incoming(Relation relation, const ColumnPlan& column, const Decisions& decisions, const RowValues& local,
                    const RowValues& incoming, bool has_groups) {
  // Keys are equal by their operator, but may look different (1.0 and 1.00): they go with the first group.
  if (column.is_key) return has_groups && decisions.groups[0] == Take::incoming;
  switch (column.rule) {
    case ColumnRule::lww:
    case ColumnRule::group:
      return decisions.groups[column.index] == Take::incoming;
    case ColumnRule::counter:
      return false;
    case ColumnRule::set:
      return decisions.set_takes[column.index] == Take::incoming;
    default:
      break;
  }
  const Take take = decisions.lattices[column.index];
  return take == Take::incoming || (take == Take::combine && incoming_is_above(relation, column, local, incoming));
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
                                         tombstone, decisions);
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
  // A lattice value can rise without the state changing only if one write had two values, which a repeat never has.
  if (merge.state_changed || values_differ || !shape.sets.empty()) verdict.row = copy_values(plan, local);
  values_differ = write_sets(relation, plan, decisions, local, &verdict.row) || values_differ;
  if (!merge.state_changed && !values_differ) {
    verdict.action = Action::keep;
    return verdict;
  }
  verdict.action = Action::replace;
  // Two rows from before replication stay one: NULL, whichever arrived first.
  const int state = plan->state_attnum - 1;
  if (!local.nulls[state] || !incoming.nulls[state]) write_state(plan, merge.state, &verdict.row);
  write_counters(plan, decisions.counters, &verdict.row);
  for (int i = 0; i < plan->column_count; ++i) {
    if (plan->columns[i].skip) continue;
    if (!takes_incoming(relation, plan->columns[i], decisions, local, incoming, !shape.groups.empty())) continue;
    verdict.row.values[i] = incoming.values[i];
    verdict.row.nulls[i] = incoming.nulls[i];
  }
  return verdict;
}

Verdict by_state::bury_row(Relation relation, const RowPlan* plan, const RowValues& row,
                           const TombstoneData& tombstone) {
  Verdict verdict{};
  const ImageState image = read_image(relation, plan, row);
  verdict.conflict = unseen_by_deleter(*plan->shape, image, tombstone);
  const Decisions decisions = allocate_decisions(plan);
  const MergeResult rest = bury_state(*plan->shape, image, tombstone, decisions);
  if (!rest.live) {
    verdict.action = Action::remove;
    return verdict;
  }
  if (!rest.state_changed) {
    verdict.action = Action::keep;
    return verdict;
  }
  verdict.action = Action::replace;
  verdict.row = copy_values(plan, row);
  write_state(plan, rest.state, &verdict.row);
  write_counters(plan, decisions.counters, &verdict.row);
  write_sets(relation, plan, decisions, row, &verdict.row);
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
