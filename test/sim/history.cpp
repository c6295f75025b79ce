#include "sim/history.hpp"

#include <algorithm>

#include "core/row_state_codec.hpp"
#include "sim/oracle.hpp"

namespace meridian::sim {

namespace {

/// Streams of randomness that belong to no step.
constexpr std::uint64_t begin_stream = 1'000'000;
constexpr std::uint64_t end_stream = 1'000'001;

/// Physical time that passes before the end, so that nothing is in the future any more.
constexpr std::int64_t long_enough_ms = 3'600'000;

/// Writes after the first quiescence, when the tombstones are gone.
constexpr int late_steps = 12;

}  // namespace

History::History(const HistoryOptions& options)
    : world_(Plan::from_seed(options.seed, options.variant), options.variant, options.trace) {
  for (int i = 0; i < world_.plan.nodes; ++i) {
    world_.alive[at(i)] = !world_.plan.joins || i + 1 < world_.plan.nodes;
    world_.actors[at(i)] = Actor::from_parts(1, member_of(i));
    nodes_[at(i)].start(world_, i);
  }
}

void History::begin(Prng& random) {
  for (auto& row : network_.links) {
    for (Network::Links& links : row) {
      for (int stream = 0; stream < world_.plan.streams; ++stream)
        links[at(stream)].speed = random.chance(30) ? random.between(5, 30) : random.between(50, 100);
    }
  }
  world_.trace([&] { return world_.plan.describe(); });
  if (world_.plan.rows_before) put_rows_before(random);
}

/// Where such rows differ, counters are not NULL, and numbers of one scale, so that the oracle can tell which
/// row's counters count.
Values History::random_values_before(Prng& random, int table) const {
  Values values = random_values(random, world_.table(table));
  if (!world_.plan.rows_differ) return values;
  for (std::size_t i = 0; i < world_.shape(table).counters.size(); ++i) {
    values.counters[i] = values.counters[i].value_or(Decimal{}).with_scale(2);
  }
  for (auto& value : values.bounded) {
    if (value) value = value->with_scale(2);
  }
  return values;
}

/// Some nodes have rows with no state; each sends its own to the others.
void History::put_rows_before(Prng& random) {
  for (int table = 0; table < static_cast<int>(world_.plan.tables.size()); ++table) {
    for (int key = 0; key < world_.plan.keys; ++key) {
      if (random.chance(30)) continue;
      Values values = random_values_before(random, table);
      int operation = log_before_replication(world_, table, key, values);
      for (int index = 0; index < world_.plan.nodes; ++index) {
        if (!world_.lives(index) || (index != 0 && random.chance(50))) continue;
        if (world_.plan.rows_differ && random.chance(50)) {
          values = random_values_before(random, table);
          operation = log_before_replication(world_, table, key, values);
        }
        node(index).put_before_replication(table, key, values, operation);
        Transaction copy;
        node(index).touch(table, key, copy);
        commit(index, std::move(copy), random);
      }
    }
  }
}

void History::happen(Prng& random) {
  const Plan& plan = world_.plan;
  if (plan.tombstone_removal && random.chance(plan.upkeep_percent)) {
    const int only = random.chance(50) ? random_node(random) : -1;
    const bool publish = random.chance(60);
    for (int index = 0; index < plan.nodes; ++index) {
      if (!world_.lives(index) || (only >= 0 && index != only)) continue;
      if (publish) {
        publish_progress(index);
      } else {
        drop_tombstones(index);
      }
    }
    return;
  }
  if (plan.joins && random.chance(30)) {
    if (copy_) {
      for (int i = 0; i < 3; ++i) advance_copy(random);
    } else {
      join(random);
    }
    return;
  }
  const int choice = random.between(45, 99);
  if (choice < 55) {
    node(random_node(random)).retry_parked();
  } else if (choice < 65) {
    answer_request();
  } else if (choice < 73) {
    if (plan.redelivery) redeliver(random);
  } else if (choice < 80) {
    if (plan.touches) touch(random);
  } else if (choice < 87) {
    if (plan.cuts) toggle_cut(random);
  } else if (choice < 93) {
    if (plan.restores) take_backup(random);
  } else if (choice < 98) {
    if (plan.restores) restore(random);
  } else if (plan.drops) {
    drop_node(random);
  }
}

void History::step(Prng& random) {
  world_.now_ms += random.between(0, world_.plan.advance_ms);
  const int choice = random.below(100);
  if (choice < world_.plan.write_percent) {
    write(random);
  } else if (choice < world_.plan.write_percent + world_.plan.deliver_percent) {
    deliver(random);
  } else {
    happen(random);
  }
  for (int index = 0; index < world_.plan.nodes; ++index) {
    if (world_.lives(index)) check_node(index);
  }
}

void History::check_node(int index) const {
  for (int table = 0; table < static_cast<int>(world_.plan.tables.size()); ++table) {
    for (int key = 0; key < all_keys; ++key) check_cell(world_, nodes_[at(index)], index, table, key);
  }
}

bool History::deliver_all(Prng& random) {
  bool delivered = false;
  for (bool more = true; more;) {
    more = false;
    for (int receiver = 0; receiver < world_.plan.nodes; ++receiver) {
      for (int sender = 0; sender < world_.plan.nodes; ++sender) {
        for (int stream = 0; stream < world_.plan.streams; ++stream) {
          const int transactions = random.between(1, 5);
          for (int i = 0; i < transactions && deliver_one(receiver, sender, stream); ++i) more = true;
        }
      }
      if (world_.lives(receiver)) check_node(receiver);
    }
    delivered = delivered || more;
  }
  return delivered;
}

/// Everything is committed, delivered, answered and retried.
void History::quiesce(Prng& random) {
  world_.now_ms += long_enough_ms;
  for (auto& row : network_.links) {
    for (Network::Links& links : row) {
      for (Link& reading : links) reading.cut = false;
    }
  }
  for (int index = 0; index < world_.plan.nodes; ++index) {
    if (world_.lives(index)) commit_open(index, random);
  }
  for (bool more = true; more;) {
    more = deliver_all(random);
    for (int index = 0; index < world_.plan.nodes; ++index) {
      if (world_.lives(index)) node(index).retry_parked();
    }
    while (answer_request()) more = true;
    while (advance_copy(random)) more = true;
  }
  check_converged();
}

void History::check_converged() {
  int first = -1;
  for (int index = 0; index < world_.plan.nodes; ++index) {
    if (!world_.lives(index)) continue;
    check_node(index);
    // What only a lost node could have completed may wait for ever.
    if (drops_ == 0 && restores_ == 0 && node(index).parks_anything()) {
      throw Violation("node " + std::to_string(index) + " still parks" + node(index).describe_parked());
    }
    if (first < 0) first = index;
    for (int table = 0; table < static_cast<int>(world_.plan.tables.size()); ++table) {
      for (int key = 0; key < all_keys; ++key) {
        const RowState here = node(index).state_of(table, key);
        const RowState there = node(first).state_of(table, key);
        const std::string where = "t" + std::to_string(table) + "/k" + std::to_string(key) + " of nodes " +
                                  std::to_string(first) + " and " + std::to_string(index);
        const Values& values = node(index).cell(table, key).values;
        const Values& other = node(first).cell(table, key).values;
        if (node(index).cell(table, key).present != node(first).cell(table, key).present) {
          throw Violation(where + ": only one has the row");
        }
        if (here != there)
          throw Violation(where + " differ in their states: " + to_text(there) + " and " + to_text(here));
        if (values != other) {
          const Shape& shape = world_.shape(table);
          throw Violation(where + " differ in their values: " + describe(shape, other) + " and " +
                          describe(shape, values));
        }
        if (here.live() && world_.is(Variant::none)) check_codec(here);
      }
    }
  }
}

/// All members publish what they have applied, and the tombstones go.
void History::settle(Prng& random) {
  for (int round = 0; round < 2; ++round) {
    for (int index = 0; index < world_.plan.nodes; ++index) {
      if (world_.lives(index)) publish_progress(index);
    }
    deliver_all(random);
  }
  for (int index = 0; index < world_.plan.nodes; ++index) {
    if (!world_.lives(index)) continue;
    drop_tombstones(index);
    if (world_.is(Variant::none) && node(index).keeps_tombstones()) {
      throw Violation("node " + std::to_string(index) + " keeps tombstones though all is quiet");
    }
  }
  check_converged();
}

void History::run(const std::vector<int>& skipped_steps) {
  Prng beginning(world_.plan.seed, begin_stream);
  begin(beginning);
  for (world_.step = 0; world_.step < world_.plan.steps; ++world_.step) {
    if (std::ranges::binary_search(skipped_steps, world_.step)) continue;
    Prng random(world_.plan.seed, static_cast<std::uint64_t>(world_.step));
    step(random);
  }
  Prng ending(world_.plan.seed, end_stream);
  quiesce(ending);
  if (!world_.plan.tombstone_removal) return;
  early_drops_ = world_.tombstones_dropped;
  settle(ending);
  for (; world_.step < world_.plan.steps + late_steps; ++world_.step) {
    if (std::ranges::binary_search(skipped_steps, world_.step)) continue;
    Prng random(world_.plan.seed, static_cast<std::uint64_t>(world_.step));
    step(random);
  }
  quiesce(ending);
}

void History::count(HistoryResult& result) const {
  result.nodes = world_.plan.nodes;
  result.steps = world_.step;
  result.operations = static_cast<int>(world_.operations.size());
  result.restores = restores_;
  result.drops = drops_;
  result.tombstones_dropped = world_.tombstones_dropped;
  result.early_drops = early_drops_;
}

HistoryResult run_history(const HistoryOptions& options) {
  HistoryResult result;
  History history(options);
  try {
    history.run(options.skipped_steps);
  } catch (const Violation& violation) {
    result.violation = violation.what();
  } catch (const std::exception& error) {
    result.violation = std::string("the core threw: ") + error.what();
  }
  history.count(result);
  if (options.trace != nullptr) {
    std::fprintf(options.trace, "%s\n", result.violation ? ("VIOLATION: " + *result.violation).c_str() : "converged");
  }
  return result;
}

}  // namespace meridian::sim
