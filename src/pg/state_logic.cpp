#include "pg/lattice.hpp"
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

Decisions allocate_decisions(const RowPlan* plan) {
  Decisions decisions{.groups = static_cast<Take*>(palloc0(plan->shape->groups.size() + 1)),
                      .lattices = static_cast<Take*>(palloc0(plan->shape->lattices.size() + 1)),
                      .numbers = allocate_numbers(plan)};
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

bool takes_incoming(const ColumnPlan& column, const Decisions& decisions, bool has_groups) {
  // Keys are equal by their operator, but may look different (1.0 and 1.00): they go with the first group.
  if (column.is_key) return has_groups && decisions.groups[0] == Take::incoming;
  switch (column.rule) {
    case ColumnRule::lww:
    case ColumnRule::group:
      return decisions.groups[column.index] == Take::incoming;
    case ColumnRule::counter:
    case ColumnRule::bounded:
      return false;
    case ColumnRule::set:
      return decisions.set_takes[column.index] == Take::incoming;
    default:
      break;
  }
  return decisions.lattices[column.index] == Take::incoming;
}

// Replaces the values of `merged`, which begins as a copy of `local`, that are not to be the local ones. Returns true
// if a lattice rose. Last of all: user code that runs in it may overwrite what the core has returned.
bool take_values(Relation relation, const RowPlan* plan, const Decisions& decisions, const RowValues& local,
                 const RowValues& incoming, RowValues* merged) {
  const bool has_groups = !plan->shape->groups.empty();
  bool rose = false;
  for (int i = 0; i < plan->column_count; ++i) {
    const ColumnPlan& column = plan->columns[i];
    if (column.skip) continue;
    if (is_lattice(column.rule) && decisions.lattices[column.index] == Take::combine) {
      if (same_image(relation, column.attnum, local, incoming)) continue;
      merged->values[i] = combine_lattice(relation, plan, column, local, incoming, &merged->nulls[i]);
      rose = rose || !same_image(relation, column.attnum, local, *merged);
    } else if (takes_incoming(column, decisions, has_groups)) {
      merged->values[i] = incoming.values[i];
      merged->nulls[i] = incoming.nulls[i];
    }
  }
  return rose;
}

// A lattice may rise without the state changing: of a row from before replication two nodes may have had two values.
bool may_rise(Relation relation, const RowPlan* plan, const Decisions& decisions, const RowValues& local,
              const RowValues& incoming) {
  if (plan->shape->lattices.empty()) return false;
  for (int i = 0; i < plan->column_count; ++i) {
    const ColumnPlan& column = plan->columns[i];
    if (column.skip || !is_lattice(column.rule) || decisions.lattices[column.index] != Take::combine) continue;
    if (!same_image(relation, column.attnum, local, incoming)) return true;
  }
  return false;
}

// Somebody wrote with the triggers off: a value is no longer what the state says.
bool numbers_went_astray(Relation relation, const RowPlan* plan, const Decisions& decisions, const RowValues& local) {
  // What a NULL state stands for is read from the values themselves.
  if (plan->number_count == 0 || local.nulls[plan->state_attnum - 1]) return false;
  RowValues right = copy_values(plan, local);
  write_numbers(plan, decisions.numbers, &right);
  for (int n = 0; n < plan->number_count; ++n) {
    if (!same_image(relation, plan->number_attnums[n], local, right)) return true;
  }
  return false;
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
  bool changed = merge.state_changed || values_differ || numbers_went_astray(relation, plan, decisions, local);
  const bool look_closer = !shape.sets.empty() || may_rise(relation, plan, decisions, local, incoming);
  if (!changed && !look_closer) {
    verdict.action = Action::keep;
    return verdict;
  }
  verdict.row = copy_values(plan, local);
  // Two rows from before replication stay one: NULL, whichever arrived first.
  const int state = plan->state_attnum - 1;
  if (!local.nulls[state] || !incoming.nulls[state]) write_state(plan, merge.state, &verdict.row);
  write_numbers(plan, decisions.numbers, &verdict.row);
  changed = write_sets(relation, plan, decisions, local, &verdict.row) || changed;
  changed = take_values(relation, plan, decisions, local, incoming, &verdict.row) || changed;
  verdict.action = changed ? Action::replace : Action::keep;
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
  write_numbers(plan, decisions.numbers, &verdict.row);
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
