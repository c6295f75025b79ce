// Local writes, drawn at random.
#include <algorithm>
#include <utility>

#include "sim/history.hpp"

namespace meridian::sim {

namespace {

constexpr int spare_key = max_keys;
/// Room that the largest transaction needs in the operation log.
constexpr int log_reserve = 8;

Decimal random_amount(Prng& random) {
  switch (random.below(3)) {
    case 0:
      return Decimal::from_int64(random.between(-9, 9));
    case 1:
      return Decimal::from_mantissa(random.between(-99, 99), 1);
    default:
      return Decimal::from_mantissa(random.between(-999, 999), 2);
  }
}

/// Small, so that a value meets its bounds often.
Decimal random_bounded(Prng& random, const Bound& bound) {
  const std::int64_t min = *bound.min.to_int64();
  const std::int64_t max = bound.max ? *bound.max->to_int64() : min + 12;
  return random.chance(20)
             ? Decimal::from_mantissa(random.between(static_cast<int>(min) * 10, static_cast<int>(max) * 10), 1)
             : Decimal::from_int64(random.between(static_cast<int>(min), static_cast<int>(max)));
}

Decimal random_step(Prng& random) {
  return random.chance(20) ? Decimal::from_mantissa(random.between(-45, 30), 1)
                           : Decimal::from_int64(random.between(-9, 6));
}

Decimal random_part(Prng& random) { return Decimal::from_int64(random.between(1, 6)); }

std::optional<std::int64_t> random_lattice(Prng& random, ColumnRule rule) {
  const bool logical = rule == ColumnRule::logical_or || rule == ColumnRule::logical_and;
  if (random.chance(15)) return std::nullopt;
  return logical ? random.below(2) : random.below(50);
}

/// Some elements added, some removed, some given another value.
SetValue changed_set(Prng& random, SetValue value, bool has_values) {
  for (int element = 0; element < max_elements; ++element) {
    if (!random.chance(35)) continue;
    const bool remove = value.contains(element) && (!has_values || random.chance(50));
    if (remove) {
      value.erase(element);
    } else {
      value[element] = has_values ? random.between(1, 9) : 0;
    }
  }
  return value;
}

}  // namespace

Values History::random_values(Prng& random, const TableKind& kind) const {
  Values values;
  for (std::size_t i = 0; i < kind.shape.groups.size(); ++i) {
    values.groups[i] = static_cast<std::int64_t>(world_.operations.size()) + 1;
  }
  for (std::size_t i = 0; i < kind.shape.counters.size(); ++i) {
    if (!random.chance(15)) values.counters[i] = random_amount(random);
  }
  for (std::size_t i = 0; i < kind.shape.lattices.size(); ++i) {
    values.lattices[i] = random_lattice(random, kind.lattice_rules[i]);
  }
  for (std::size_t i = 0; i < kind.shape.sets.size(); ++i) {
    if (!random.chance(20)) values.sets[i] = changed_set(random, SetValue{}, kind.set_has_values[i]);
  }
  for (std::size_t i = 0; i < kind.shape.bounds.size(); ++i) {
    values.bounded[i] = random_bounded(random, kind.shape.bounds[i]);
  }
  return values;
}

void History::random_update(Prng& random, int index, int table, int key, Transaction& out) {
  const TableKind& kind = world_.table(table);
  Change change;
  for (std::size_t i = 0; i < kind.shape.groups.size(); ++i) {
    if (random.chance(kind.shape.groups.size() == 1 ? 80 : 40)) change.groups |= static_cast<std::uint8_t>(1U << i);
  }
  for (std::size_t i = 0; i < kind.shape.counters.size(); ++i) {
    if (random.chance(50)) change.deltas[i] = random_amount(random);
  }
  for (std::size_t i = 0; i < kind.shape.lattices.size(); ++i) {
    if (random.chance(40)) change.raises[i] = random_lattice(random, kind.lattice_rules[i]);
  }
  const Values& before = node(index).cell(table, key).values;
  for (std::size_t i = 0; i < kind.shape.sets.size(); ++i) {
    if (random.chance(50))
      change.sets[i] = changed_set(random, before.sets[i].value_or(SetValue{}), kind.set_has_values[i]);
  }
  for (std::size_t i = 0; i < kind.shape.bounds.size(); ++i) {
    if (random.chance(60)) change.bounded[i] = random_step(random);
  }
  if (world_.plan.missing_values && random.chance(60)) change.missing = static_cast<std::uint8_t>(random.below(256));
  const auto all = static_cast<std::uint8_t>((1U << kind.shape.groups.size()) - 1);
  change.missing &= all;
  node(index).update(table, key, change, out);
}

void History::move_rights(Prng& random, int index, int table, int key, Transaction& out) {
  const Shape& shape = world_.shape(table);
  const auto bound = at(random.below(static_cast<int>(shape.bounds.size())));
  const bool limited = shape.bounds[bound].max.has_value();
  const Right right = limited && random.chance(40) ? Right::raise : Right::lower;
  const int choice = random.below(100);
  if (choice < 40) {
    const int other = random_node(random);
    if (other != index) node(index).transfer(table, key, bound, right, world_.actor(other), random_part(random), out);
  } else if (choice < 60) {
    node(index).want(table, key, bound, right, random_part(random), out);
  } else {
    node(index).grant(table, key, out);
  }
}

void History::change_key(int index, int table, int key, int target, Transaction& out) {
  const Values values = node(index).cell(table, key).values;
  node(index).erase(table, key, out);
  node(index).insert(table, target, values, out);
}

void History::swap_keys(int index, int table, int first, int second, Transaction& out) {
  Node& here = node(index);
  const Values first_values = here.cell(table, first).values;
  const Values second_values = here.cell(table, second).values;
  here.erase(table, first, out);
  here.insert(table, spare_key, first_values, out);
  here.erase(table, second, out);
  here.insert(table, first, second_values, out);
  here.erase(table, spare_key, out);
  here.insert(table, second, first_values, out);
}

/// Session 0 commits at once; session 1 is the open transaction, and what it wrote is locked for session 0.
bool History::may_write(int index, int session, int table, int key) {
  return session == 1 || !node(index).locks(table, key);
}

bool History::write_one(Prng& random, int index, int session, Transaction& out) {
  const int table = random.below(static_cast<int>(world_.plan.tables.size()));
  const int key = random.below(world_.plan.keys);
  const int other = random.below(world_.plan.keys);
  if (!may_write(index, session, table, key)) return false;
  Node& here = node(index);
  const auto present = [&](int k) { return here.cell(table, k).present; };
  if (!present(key)) {
    here.insert(table, key, random_values(random, world_.table(table)), out);
    return true;
  }
  if (!world_.shape(table).bounds.empty() && random.chance(35)) {
    move_rights(random, index, table, key, out);
    return !out.empty();
  }
  const int choice = random.below(100);
  if (choice < 62) {
    random_update(random, index, table, key, out);
  } else if (choice < 80) {
    here.erase(table, key, out);
  } else if (choice < 88) {
    here.erase(table, key, out);
    here.insert(table, key, random_values(random, world_.table(table)), out);
  } else if (other == key || !may_write(index, session, table, other)) {
    return false;
  } else if (!present(other)) {
    change_key(index, table, key, other, out);
  } else if (!present(spare_key) && may_write(index, session, table, spare_key)) {
    swap_keys(index, table, key, other, out);
  }
  return !out.empty();
}

void History::lock_written(int index, const Transaction& changes) {
  auto& locked = node(index).open->locked;
  for (const Item& item : changes) {
    if (const auto* image = std::get_if<Image>(&item))
      locked.at(at(image->table)) |= static_cast<std::uint8_t>(1U << image->key);
    if (const auto* grave = std::get_if<Grave>(&item))
      locked.at(at(grave->table)) |= static_cast<std::uint8_t>(1U << grave->key);
  }
}

void History::commit(int index, Transaction changes, Prng& random) {
  if (changes.empty()) return;
  if (world_.plan.shuffled) {
    for (std::size_t i = changes.size() - 1; i > 0; --i)
      std::swap(changes[i], changes[at(random.below(static_cast<int>(i) + 1))]);
  }
  network_.streams[at(index)].push_back(std::move(changes));
}

void History::commit_open(int index, Prng& random) {
  Node& here = node(index);
  if (!here.open) return;
  world_.trace([&] { return "node " + std::to_string(index) + " commits its open transaction"; });
  Transaction changes = std::move(here.open->changes);
  here.open.reset();
  commit(index, std::move(changes), random);
  if (here.noted) {
    network_.streams[at(index)].push_back(Transaction{*here.noted});
    here.noted.reset();
  }
}

void History::write(Prng& random) {
  if (static_cast<int>(world_.operations.size()) + log_reserve > max_operations) return;
  const int index = random_node(random);
  Node& here = node(index);
  Transaction changes;
  if (here.open && random.chance(30)) {
    if (random.chance(50)) {
      commit_open(index, random);
    } else if (write_one(random, index, 1, changes)) {
      lock_written(index, changes);
      std::ranges::move(changes, std::back_inserter(here.open->changes));
    }
    return;
  }
  if (world_.plan.open_transactions && !here.open && random.chance(20)) {
    if (!write_one(random, index, 1, changes)) return;
    world_.trace([&] { return "node " + std::to_string(index) + " keeps that transaction open"; });
    here.open.emplace();
    lock_written(index, changes);
    here.open->changes = std::move(changes);
    return;
  }
  const int writes = random.chance(80) ? 1 : 2;
  for (int i = 0; i < writes; ++i) write_one(random, index, 0, changes);
  commit(index, std::move(changes), random);
}

}  // namespace meridian::sim
