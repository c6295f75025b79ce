#include "sim/oracle.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <tuple>

#include "core/row_state_codec.hpp"

namespace meridian::sim {

namespace {

const Operation& operation_at(const World& world, int operation) {
  return world.operations[static_cast<std::size_t>(operation)];
}

auto group_order(const Operation& operation) { return std::tuple(operation.birth, operation.stamp, operation.actor); }

std::string name_cell(int index, int table, int key) {
  return "node " + std::to_string(index) + ", t" + std::to_string(table) + "/k" + std::to_string(key) + ": ";
}

/// Of several rows from before replication that differ, all nodes count the one with the largest amounts, of counters
/// and of bounded columns each.
template <typename Amounts>
OperationSet without_other_origins(const World& world, const OperationSet& writes, Amounts Operation::*amounts) {
  int chosen = -1;
  writes.for_each([&](int i) {
    const Operation& operation = operation_at(world, i);
    if (operation.actor != nobody) return;
    if (chosen < 0 || operation_at(world, chosen).*amounts < operation.*amounts) chosen = i;
  });
  OperationSet result;
  writes.for_each([&](int i) {
    if (i == chosen || operation_at(world, i).actor != nobody) result.add(i);
  });
  return result;
}

void check_groups(const World& world, const Shape& shape, const Cell& cell, const std::string& where) {
  for (std::size_t g = 0; g < shape.groups.size(); ++g) {
    const Operation* winner = nullptr;
    living_writes(world, shape, cell.ghost.groups[g], cell.deletes).for_each([&](int i) {
      const Operation& operation = operation_at(world, i);
      if ((operation.groups >> g & 1) == 0) return;
      const bool wins =
          winner == nullptr || group_order(operation) > group_order(*winner) ||
          (group_order(operation) == group_order(*winner) && operation.group_values[g] > winner->group_values[g]);
      if (wins) winner = &operation;
    });
    if (winner != nullptr && winner->group_values[g] != cell.values.groups[g]) {
      throw Violation(where + "group " + std::to_string(g) + " holds " + std::to_string(cell.values.groups[g]) +
                      ", the winner wrote " + std::to_string(winner->group_values[g]));
    }
  }
}

void check_counters(const World& world, const Shape& shape, const Cell& cell, const OperationSet& living,
                    const std::string& where) {
  const OperationSet counted = without_other_origins(world, living, &Operation::deltas);
  for (std::size_t c = 0; c < shape.counters.size(); ++c) {
    std::optional<std::int64_t> sum;
    counted.for_each([&](int i) {
      if (const auto delta = operation_at(world, i).deltas[c]) sum = sum.value_or(0) + *delta;
    });
    const auto& value = cell.values.counters[c];
    const bool equal =
        sum.has_value() == value.has_value() && (!sum || compare(*value, Decimal::from_mantissa(*sum, 2)) == 0);
    if (!equal) {
      throw Violation(where + "counter " + std::to_string(c) + " holds " + (value ? value->to_string() : "NULL") +
                      ", its writes add up to " + (sum ? Decimal::from_mantissa(*sum, 2).to_string() : "NULL"));
    }
  }
}

void check_lattices(const World& world, const TableKind& kind, const Cell& cell, const OperationSet& living,
                    const std::string& where) {
  const Hlc birth = largest_birth(world, living);
  for (std::size_t l = 0; l < kind.shape.lattices.size(); ++l) {
    std::optional<std::int64_t> expected;
    living.for_each([&](int i) {
      const Operation& operation = operation_at(world, i);
      if (operation.birth != birth || (operation.lattices >> l & 1) == 0) return;
      expected = combine(kind.lattice_rules[l], expected, operation.lattice_values[l]);
    });
    if (expected != cell.values.lattices[l]) {
      throw Violation(where + "lattice column " + std::to_string(l) + " holds " + describe(kind.shape, cell.values) +
                      " instead of " + (expected ? std::to_string(*expected) : "NULL"));
    }
  }
}

/// The adds of one element that no write of `living` has undone. Rows from before replication are one write: an element
/// that one of them lacks is gone.
OperationSet standing_adds(const World& world, const OperationSet& living, std::size_t set, int element) {
  OperationSet undone;
  bool origin_undone = false;
  living.for_each([&](int i) {
    const Operation& operation = operation_at(world, i);
    if (operation.actor == nobody) {
      origin_undone = origin_undone || !operation.added[set] || !operation.added[set]->contains(element);
    }
    const auto replaced = operation.replaced[set].find(element);
    if (replaced != operation.replaced[set].end()) undone |= replaced->second;
  });
  undone.for_each([&](int i) { origin_undone = origin_undone || operation_at(world, i).actor == nobody; });
  OperationSet standing;
  living.for_each([&](int i) {
    const Operation& operation = operation_at(world, i);
    const bool adds = operation.added[set] && operation.added[set]->contains(element);
    if (adds && !undone.has(i) && !(operation.actor == nobody && origin_undone)) standing.add(i);
  });
  return standing;
}

std::optional<SetValue> expected_set(const World& world, const OperationSet& living, std::size_t set) {
  bool written = false;
  living.for_each([&](int i) { written = written || operation_at(world, i).added[set].has_value(); });
  if (!written) return std::nullopt;
  SetValue value;
  for (int element = 0; element < max_elements; ++element) {
    const Operation* newest = nullptr;
    standing_adds(world, living, set, element).for_each([&](int i) {
      const Operation& operation = operation_at(world, i);
      const auto order = [&](const Operation& add) { return std::pair(group_order(add), add.added[set]->at(element)); };
      if (newest == nullptr || order(operation) > order(*newest)) newest = &operation;
    });
    if (newest != nullptr) value[element] = newest->added[set]->at(element);
  }
  return value;
}

void check_sets(const World& world, const Shape& shape, const Cell& cell, const OperationSet& living,
                const std::string& where) {
  for (std::size_t s = 0; s < shape.sets.size(); ++s) {
    if (cell.values.sets[s] == expected_set(world, living, s)) continue;
    Values expected = cell.values;
    expected.sets[s] = expected_set(world, living, s);
    throw Violation(where + "set " + std::to_string(s) + " of " + describe(shape, cell.values) + " should be that of " +
                    describe(shape, expected));
  }
}

/// What the oracle knows of a bounded column, in hundredths.
struct Account {
  std::optional<std::int64_t> value;
  std::map<Actor, std::int64_t> lower;
  std::map<Actor, std::int64_t> raise;
};

std::int64_t in_hundredths(const Decimal& amount) { return amount.with_scale(2).small_mantissa(); }

/// Of the latest life alone.
Account account_of(const World& world, const Bound& bound, std::size_t index, const OperationSet& living) {
  Account account;
  const Hlc birth = largest_birth(world, living);
  const Actor maker = largest_maker(world, living);
  const auto owner = [&](Actor actor) { return actor == nobody ? bound.holder : actor; };
  without_other_origins(world, living, &Operation::bounded).for_each([&](int i) {
    const Operation& operation = operation_at(world, i);
    if (operation.birth != birth || operation.maker != maker) return;
    if (const auto change = operation.bounded[index]) {
      account.value = account.value.value_or(0) + *change;
      account.lower[owner(operation.actor)] += *change;
      account.raise[owner(operation.actor)] -= *change;
    }
    for (const RightsGift& gift : operation.gifts) {
      if (gift.bound != index) continue;
      auto& rights = gift.right == Right::lower ? account.lower : account.raise;
      rights[owner(gift.from)] -= gift.amount;
      rights[gift.to] += gift.amount;
    }
  });
  account.lower[owner(maker)] -= in_hundredths(bound.min);
  if (bound.max) account.raise[owner(maker)] += in_hundredths(*bound.max);
  return account;
}

void check_rights_of(const Bound& bound, const RowState& state, Right right,
                     const std::map<Actor, std::int64_t>& expected, bool exact, const std::string& where) {
  for (const auto& [actor, amount] : expected) {
    const Decimal rights = rights_of(state, bound, right, actor);
    if (compare(rights, Decimal::from_mantissa(amount, 2)) != 0) {
      throw Violation(where + "rights of an actor are " + rights.to_string() + ", by its writes they are " +
                      Decimal::from_mantissa(amount, 2).to_string());
    }
    if (exact && amount < 0) throw Violation(where + "an actor has less than no rights");
  }
}

/// The value is what the writes of the latest life make it, never leaves its bounds, and so do the rights of each.
void check_bounded(const World& world, const Shape& shape, const Cell& cell, const RowState& state,
                   const OperationSet& living, const std::string& where) {
  for (std::size_t b = 0; b < shape.bounds.size(); ++b) {
    const Bound& bound = shape.bounds[b];
    const Account account = account_of(world, bound, b, living);
    const auto& value = cell.values.bounded[b];
    if (value.has_value() != account.value.has_value())
      throw Violation(where + "a bounded column is NULL, or should be");
    if (!value) continue;
    const bool within = compare(*value, bound.min) >= 0 && (!bound.max || compare(*value, *bound.max) <= 0);
    if (!within) throw Violation(where + "a bounded column holds " + value->to_string());
    // Rows from before replication that differ may add up to what is out of bounds, which no read shows.
    const Decimal sum = Decimal::from_mantissa(*account.value, 2);
    const bool sum_within = compare(sum, bound.min) >= 0 && (!bound.max || compare(sum, *bound.max) <= 0);
    if (sum_within ? compare(*value, sum) != 0 : !world.plan.rows_differ) {
      throw Violation(where + "bounded column " + std::to_string(b) + " holds " + value->to_string() +
                      ", its writes add up to " + sum.to_string());
    }
    check_rights_of(bound, state, Right::lower, account.lower, !world.plan.rows_differ, where);
    if (bound.max) check_rights_of(bound, state, Right::raise, account.raise, !world.plan.rows_differ, where);
  }
}

bool same_birth(const World& world, const OperationSet& writes) {
  const Hlc largest = largest_birth(world, writes);
  bool same = true;
  writes.for_each([&](int i) { same = same && operation_at(world, i).birth == largest; });
  return same;
}

int deletes_of(const World& world, int table, int key) {
  return static_cast<int>(std::ranges::count_if(world.operations, [&](const Operation& operation) {
    return operation.is_delete && operation.table == table && operation.key == key;
  }));
}

Take mirrored(Take take) noexcept {
  if (take == Take::local) return Take::incoming;
  return take == Take::incoming ? Take::local : take;
}

template <typename Decisions>
bool mirror(const Decisions& a, const Decisions& b) {
  return std::ranges::equal(a, b, [](const SlotDecision& x, const SlotDecision& y) {
    return x.slot == y.slot && x.take == mirrored(y.take);
  });
}

}  // namespace

OperationSet living_writes(const World& world, const Shape& shape, const OperationSet& writes,
                           const OperationSet& deletes) {
  Hlc floor = never;
  std::pair<Hlc, Actor> deleted{never, nobody};
  deletes.for_each([&](int i) {
    const Operation& operation = operation_at(world, i);
    floor = std::max(floor, operation.floor);
    deleted = std::max(deleted, std::pair(operation.stamp, operation.actor));
  });
  if (deletes.empty()) return writes;
  OperationSet living;
  writes.for_each([&](int i) {
    const Operation& operation = operation_at(world, i);
    const bool lives =
        shape.delete_latest ? std::pair(operation.stamp, operation.actor) > deleted : operation.birth > floor;
    if (lives) living.add(i);
  });
  return living;
}

OperationSet living_writes(const World& world, const Shape& shape, const Cell& cell) {
  return living_writes(world, shape, cell.ghost.writes, cell.deletes);
}

Hlc largest_birth(const World& world, const OperationSet& writes) {
  Hlc largest = never;
  writes.for_each([&](int i) { largest = std::max(largest, operation_at(world, i).birth); });
  return largest;
}

Actor largest_maker(const World& world, const OperationSet& writes) {
  const Hlc birth = largest_birth(world, writes);
  Actor largest = nobody;
  writes.for_each([&](int i) {
    const Operation& operation = operation_at(world, i);
    if (operation.is_insert && operation.birth == birth) largest = std::max(largest, operation.maker);
  });
  return largest;
}

bool may_change(const World& world, const Shape& shape, const Cell& cell, std::size_t bound, Actor actor,
                const Decimal& delta) {
  const OperationSet living = living_writes(world, shape, cell);
  const Account account = account_of(world, shape.bounds[bound], bound, living);
  if (!account.value) return false;
  const std::int64_t amount = in_hundredths(delta);
  if (amount >= 0 && !shape.bounds[bound].max) return true;
  const auto& rights = amount < 0 ? account.lower : account.raise;
  const auto own = rights.find(actor);
  return amount == 0 || (own == rights.end() ? 0 : own->second) >= std::abs(amount);
}

void note_set_write(const World& world, const Shape& shape, const Cell& cell, std::size_t index,
                    const SetValue& contents, Operation& operation) {
  const OperationSet living = living_writes(world, shape, cell);
  const SetValue before = expected_set(world, living, index).value_or(SetValue{});
  operation.added[index].emplace();
  for (int element = 0; element < max_elements; ++element) {
    const auto old_value = before.find(element);
    const auto new_value = contents.find(element);
    const bool stays =
        old_value != before.end() && new_value != contents.end() && old_value->second == new_value->second;
    if (stays) continue;
    if (new_value != contents.end()) operation.added[index]->insert(*new_value);
    if (old_value != before.end()) {
      operation.replaced[index][element] = standing_adds(world, living, index, element);
    }
  }
}

void check_cell(const World& world, const Node& node, int index, int table, int key) {
  const Cell& cell = node.cell(table, key);
  const TableKind& kind = world.table(table);
  const OperationSet living = living_writes(world, kind.shape, cell);
  const std::string where = name_cell(index, table, key);
  if (cell.present == living.empty())
    throw Violation(where + (cell.present ? "a dead row is there" : "a living row is missing"));
  if (!cell.present) return;
  check_groups(world, kind.shape, cell, where);
  check_counters(world, kind.shape, cell, living, where);
  check_lattices(world, kind, cell, living, where);
  check_sets(world, kind.shape, cell, living, where);
  if (!kind.shape.bounds.empty()) {
    check_bounded(world, kind.shape, cell, node.state_of(table, key), living, where);
  }
}

void check_merge(const Shape& shape, const RowState& local, const RowState& incoming, const Tombstone& floor,
                 const Merge& merge) {
  const Merge swapped = meridian::merge(incoming, local, shape, floor);
  if (swapped.state != merge.state) throw Violation("merge is not commutative");
  if (!mirror(merge.groups, swapped.groups) || !mirror(merge.lattices, swapped.lattices) ||
      !mirror(merge.sets, swapped.sets)) {
    throw Violation("merge takes other values when the sides are exchanged");
  }
  if (merge.state_changed != (merge.state != local)) throw Violation("state_changed is wrong");
  if (meridian::merge(merge.state, incoming, shape, floor).state_changed) throw Violation("merge is not idempotent");
  if (local.live() && meridian::merge(merge.state, local, shape, floor).state_changed) {
    throw Violation("merge is not inflationary");
  }
  RowState buried = merge.state;
  bury(buried, shape, floor);
  if (buried != merge.state) throw Violation("a merged state is not buried");
}

void check_knowledge(const World& world, const Shape& shape, const Cell& local, const Image& incoming,
                     Knowledge knowledge) {
  if (!local.present || world.plan.rows_differ) return;
  if (shape.delete_latest && deletes_of(world, incoming.table, incoming.key) != 0) return;
  const OperationSet mine = living_writes(world, shape, local);
  const OperationSet& theirs = incoming.ghost.writes;
  OperationSet all = mine;
  all |= theirs;
  if (!same_birth(world, all)) return;
  const bool older = mine.within(theirs);
  const bool newer = theirs.within(mine);
  const Knowledge expected = older && newer ? Knowledge::equal
                             : older        ? Knowledge::older
                             : newer        ? Knowledge::newer
                                            : Knowledge::concurrent;
  if (knowledge != expected) throw Violation("the states' knowledge does not compare as the operations do");
}

void check_unseen(const World& world, const Shape& shape, const Cell& local, const RowState& state,
                  const Grave& grave) {
  if (!local.present || world.plan.rows_differ) return;
  if (shape.delete_latest && deletes_of(world, grave.table, grave.key) != 1) return;
  const Operation* erased = nullptr;
  int count = 0;
  grave.operations.for_each([&](int i) {
    erased = &operation_at(world, i);
    ++count;
  });
  const OperationSet mine = living_writes(world, shape, local);
  OperationSet all = mine;
  all |= erased->seen;
  if (count != 1 || !same_birth(world, all)) return;
  bool expected = false;
  mine.for_each([&](int i) {
    const Operation& operation = operation_at(world, i);
    expected = expected || (!erased->seen.has(i) && operation.actor != erased->actor && operation.stamp != never);
  });
  if (unseen_by_deleter(state, grave.tombstone) != expected) {
    throw Violation("what the deleter had not seen is judged wrongly");
  }
}

void check_codec(const RowState& state) {
  Bytes bytes;
  encode(state, bytes);
  if (decode({bytes.data(), bytes.size()}) != state) throw Violation("bytes of a state read back differently");
  if (parse_text(to_text(state)) != state) throw Violation("text of a state reads back differently");
}

}  // namespace meridian::sim
