// Local writes, re-sending, and the removal of tombstones.
#include "sim/node.hpp"

#include <algorithm>
#include <vector>

#include "core/error.hpp"
#include "core/stability.hpp"
#include "sim/oracle.hpp"

namespace meridian::sim {

namespace {

std::string name_of(int table, int key) { return "t" + std::to_string(table) + "/k" + std::to_string(key); }

std::int64_t hundredths(const Decimal& amount) { return amount.with_scale(2).small_mantissa(); }

/// `stamp` is `never` for a row from before replication.
Operation insert_operation(const Shape& shape, int table, int key, Actor actor, Hlc stamp, const Values& values) {
  Operation operation;
  operation.table = table;
  operation.key = key;
  operation.actor = actor;
  operation.birth = shape.delete_latest || stamp == never ? first_birth : stamp;
  operation.stamp = stamp;
  operation.groups = 0xff;
  operation.group_values = values.groups;
  for (std::size_t i = 0; i < values.counters.size(); ++i) {
    if (values.counters[i]) operation.deltas[i] = hundredths(*values.counters[i]);
  }
  operation.lattices = 0xff;
  operation.lattice_values = values.lattices;
  operation.added = values.sets;
  operation.is_insert = true;
  operation.maker = actor;
  for (std::size_t i = 0; i < values.bounded.size(); ++i) {
    if (values.bounded[i]) operation.bounded[i] = hundredths(*values.bounded[i]);
  }
  return operation;
}

/// The rights that a write moved: into the log.
void note_gifts(const Shape& shape, const RowState& before, const RowState& after, Operation& operation) {
  for (const Share& share : after.shares) {
    if (share.actor != operation.actor || !names_other(share.kind)) continue;
    const auto same = std::ranges::find_if(
        before.shares, [&](const Share& other) { return !is_before(share, other) && !is_before(other, share); });
    const Decimal given = same == before.shares.end() ? share.amount : share.amount - same->amount;
    if (given.is_zero()) continue;
    const auto bound = std::ranges::find(shape.bounds, share.slot, &Bound::slot) - shape.bounds.begin();
    const bool gave = share.kind == Share::Kind::gave_lower || share.kind == Share::Kind::gave_raise;
    const bool lower = share.kind == Share::Kind::gave_lower || share.kind == Share::Kind::took_lower;
    operation.gifts.push_back({static_cast<std::size_t>(bound), lower ? Right::lower : Right::raise,
                               gave ? share.actor : share.other, gave ? share.other : share.actor, hundredths(given)});
  }
}

/// The core must refuse what the oracle does not allow.
void expect_refusal(RowState state, const Shape& shape, Actor actor, Hlc stamp, const Contribution& delta) {
  try {
    update_row(state, shape, actor, stamp, RowUpdate{{}, {}, {}, {}, {&delta, 1}});
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::rights_exceeded) return;
  }
  throw Violation("a write beyond the rights of its author is accepted");
}

}  // namespace

std::uint64_t Node::physical_ms() const noexcept {
  return static_cast<std::uint64_t>(world_->now_ms + world_->plan.skew_ms[at(index_)]);
}

Hlc Node::tick(Hlc above) noexcept { return clock_ = next_stamp(std::max(clock_, above), physical_ms()); }

RowState Node::state_of(int table, int key) const {
  const Cell& row = cell(table, key);
  if (!row.present) return {};
  if (!row.before_replication) return row.state;
  const Shape& shape = world_->shape(table);
  return state_before_replication(shape, contributions_of(shape, row.values), contents_of(shape, row.values),
                                  bounded_of(shape, row.values));
}

Tombstone Node::known_deletes(const Cell& cell) const {
  Tombstone all;
  for (const Grave& grave : cell.graves) merge_tombstone(all, grave.tombstone);
  return all;
}

void Node::refresh_values(const Shape& shape, Cell& cell) const {
  for (std::size_t i = 0; i < shape.sets.size(); ++i) cell.values.sets[i] = set_of(cell.state, shape.sets[i]);
  for (std::size_t i = 0; i < shape.counters.size(); ++i)
    cell.values.counters[i] = cell.state.counter(shape.counters[i]);
  for (std::size_t i = 0; i < shape.bounds.size(); ++i)
    cell.values.bounded[i] = bounded_value(cell.state, shape.bounds[i]);
}

Image Node::image_of(int table, int key, std::uint8_t missing) const {
  const Cell& row = cell(table, key);
  const Shape& shape = world_->shape(table);
  Image image;
  image.table = table;
  image.key = key;
  image.missing = missing;
  image.before_replication = row.before_replication;
  image.values = row.values;
  if (!row.before_replication) image.state = row.state;
  image.ghost.writes = living_writes(*world_, shape, row);
  for (std::size_t i = 0; i < row.ghost.groups.size(); ++i) {
    image.ghost.groups[i] = living_writes(*world_, shape, row.ghost.groups[i], row.deletes);
    if ((missing >> i & 1) != 0) image.values.groups[i] = 0;
  }
  return image;
}

int log_before_replication(World& world, int table, int key, const Values& values) {
  return world.log(insert_operation(world.shape(table), table, key, nobody, never, values));
}

void Node::put_before_replication(int table, int key, const Values& values, int operation) {
  Cell& row = row_at(table, key);
  row.present = true;
  row.before_replication = true;
  row.values = values;
  row.ghost.add(operation);
}

void Node::insert(int table, int key, const Values& values, Transaction& out) {
  Cell& row = row_at(table, key);
  const Shape& shape = world_->shape(table);
  const Tombstone deletes = known_deletes(row);
  const Hlc stamp = tick(std::max(deletes.floor, deletes.stamp));
  const Actor actor = world_->actor(index_);
  row.present = true;
  row.before_replication = false;
  row.values = values;
  row.state = insert_row(shape, actor, stamp, contributions_of(shape, values), contents_of(shape, values),
                         bounded_of(shape, values));
  row.ghost.add(world_->log(insert_operation(shape, table, key, actor, stamp, values)));
  world_->trace([&] {
    return "node " + std::to_string(index_) + " inserts " + name_of(table, key) + " " + describe(shape, values) +
           " at " + std::to_string(stamp.value);
  });
  out.push_back(image_of(table, key, 0));
  retry_incomplete(table, key);
}

void Node::update(int table, int key, const Change& change, Transaction& out) {
  Cell& row = row_at(table, key);
  const Shape& shape = world_->shape(table);
  RowState state = state_of(table, key);
  const Hlc stamp = tick(state.highest_stamp());

  Operation operation;
  operation.table = table;
  operation.key = key;
  operation.actor = world_->actor(index_);
  operation.birth = largest_birth(*world_, living_writes(*world_, shape, row));
  operation.stamp = stamp;
  operation.groups = change.groups;
  Values values = row.values;
  std::vector<Slot> groups;
  std::vector<Contribution> deltas;
  std::vector<Slot> lattices;
  for (std::size_t i = 0; i < shape.groups.size(); ++i) {
    if ((change.groups >> i & 1) == 0) continue;
    groups.push_back(shape.groups[i]);
    values.groups[i] = static_cast<std::int64_t>(world_->operations.size()) + 1;
  }
  operation.group_values = values.groups;
  for (std::size_t i = 0; i < shape.counters.size(); ++i) {
    if (!change.deltas[i]) continue;
    deltas.push_back(Contribution{shape.counters[i], *change.deltas[i]});
    operation.deltas[i] = hundredths(*change.deltas[i]);
  }
  for (std::size_t i = 0; i < shape.lattices.size(); ++i) {
    const auto raised = combine(world_->table(table).lattice_rules[i], values.lattices[i], change.raises[i]);
    if (raised == values.lattices[i]) continue;
    lattices.push_back(shape.lattices[i]);
    values.lattices[i] = raised;
    operation.lattices |= static_cast<std::uint8_t>(1U << i);
  }
  operation.lattice_values = values.lattices;
  std::vector<SetContent> sets;
  for (std::size_t i = 0; i < shape.sets.size(); ++i) {
    if (!change.sets[i]) continue;
    sets.push_back(content_of(shape.sets[i], *change.sets[i]));
    note_set_write(*world_, shape, row, i, *change.sets[i], operation);
  }
  const OperationSet living = living_writes(*world_, shape, row);
  operation.maker = largest_maker(*world_, living);
  std::vector<Contribution> bounded;
  for (std::size_t i = 0; i < shape.bounds.size(); ++i) {
    if (!change.bounded[i]) continue;
    if (!may_change(*world_, shape, row, i, operation.actor, *change.bounded[i])) {
      expect_refusal(state, shape, operation.actor, stamp, {shape.bounds[i].slot, *change.bounded[i]});
      continue;
    }
    bounded.push_back(Contribution{shape.bounds[i].slot, *change.bounded[i]});
    operation.bounded[i] = hundredths(*change.bounded[i]);
  }
  if (groups.empty() && deltas.empty() && lattices.empty() && sets.empty() && bounded.empty()) return;

  update_row(state, shape, operation.actor, stamp, RowUpdate{groups, deltas, lattices, sets, bounded});
  row.state = state;
  row.before_replication = false;
  row.values = values;
  refresh_values(shape, row);
  row.ghost.add(world_->log(operation));
  world_->trace([&] {
    return "node " + std::to_string(index_) + " updates " + name_of(table, key) + " to " + describe(shape, row.values) +
           " at " + std::to_string(stamp.value);
  });
  out.push_back(image_of(table, key, change.missing & static_cast<std::uint8_t>(~change.groups)));
}

Operation Node::rights_operation(int table, int key, Hlc stamp) const {
  const OperationSet living = living_writes(*world_, world_->shape(table), cell(table, key));
  Operation operation;
  operation.table = table;
  operation.key = key;
  operation.actor = world_->actor(index_);
  operation.birth = largest_birth(*world_, living);
  operation.stamp = stamp;
  operation.maker = largest_maker(*world_, living);
  return operation;
}

void Node::write_rights(int table, int key, RowState state, const Operation& operation, const char* what,
                        Transaction& out) {
  Cell& row = row_at(table, key);
  row.state = std::move(state);
  row.before_replication = false;
  refresh_values(world_->shape(table), row);
  row.ghost.add(world_->log(operation));
  world_->trace([&] {
    return "node " + std::to_string(index_) + " " + what + " of " + name_of(table, key) + " at " +
           std::to_string(operation.stamp.value);
  });
  out.push_back(image_of(table, key, 0));
}

void Node::transfer(int table, int key, std::size_t bound, Right right, Actor to, const Decimal& amount,
                    Transaction& out) {
  const Shape& shape = world_->shape(table);
  RowState state = state_of(table, key);
  Operation operation = rights_operation(table, key, tick(state.highest_stamp()));
  if (compare(rights_of(state, shape.bounds[bound], right, operation.actor), amount) < 0) return;
  transfer_rights(state, shape, shape.bounds[bound], right, operation.actor, operation.stamp, to, amount);
  operation.gifts.push_back({bound, right, operation.actor, to, hundredths(amount)});
  write_rights(table, key, std::move(state), operation, "gives rights", out);
}

void Node::want(int table, int key, std::size_t bound, Right right, const Decimal& level, Transaction& out) {
  const Shape& shape = world_->shape(table);
  RowState state = state_of(table, key);
  if (!bounded_value(state, shape.bounds[bound])) return;
  const Operation operation = rights_operation(table, key, tick(state.highest_stamp()));
  want_rights(state, shape, shape.bounds[bound], right, operation.actor, operation.stamp, level);
  write_rights(table, key, std::move(state), operation, "wants rights", out);
}

void Node::grant(int table, int key, Transaction& out) {
  const Shape& shape = world_->shape(table);
  RowState state = state_of(table, key);
  const RowState before = state;
  Operation operation = rights_operation(table, key, tick(state.highest_stamp()));
  if (!grant_rights(state, shape, operation.actor, operation.stamp)) return;
  if (may_grant(state, shape, operation.actor)) throw Violation("a grant leaves somebody waiting");
  note_gifts(shape, before, state, operation);
  write_rights(table, key, std::move(state), operation, "grants rights", out);
}

void Node::take_over(int table, int key, Actor from, Transaction& out) {
  const Shape& shape = world_->shape(table);
  for (const Bound& bound : shape.bounds) {
    RowState state = state_of(table, key);
    const RowState before = state;
    Operation operation = rights_operation(table, key, tick(state.highest_stamp()));
    if (!take_rights(state, shape, bound, operation.actor, operation.stamp, from)) continue;
    note_gifts(shape, before, state, operation);
    write_rights(table, key, std::move(state), operation, "takes rights over", out);
  }
}

void Node::erase(int table, int key, Transaction& out) {
  Cell& row = row_at(table, key);
  const Shape& shape = world_->shape(table);
  const RowState state = state_of(table, key);
  const Hlc stamp = tick(state.highest_stamp());

  Operation operation;
  operation.is_delete = true;
  operation.table = table;
  operation.key = key;
  operation.actor = world_->actor(index_);
  operation.stamp = stamp;
  operation.seen = living_writes(*world_, shape, row);
  operation.floor = largest_birth(*world_, operation.seen);
  Grave grave;
  grave.table = table;
  grave.key = key;
  grave.tombstone = world_->model.delete_row(state, shape, operation.actor, stamp);
  grave.operations.add(world_->log(operation));
  world_->trace([&] {
    return "node " + std::to_string(index_) + " deletes " + name_of(table, key) + " at " + std::to_string(stamp.value);
  });
  bury_cell(grave);
  if (!world_->is(Variant::parked_escapes)) bury_parked(grave);
  if (row.present) throw Violation("a local delete left the row alive");
  out.push_back(grave);
}

void Node::touch(int table, int key, Transaction& out) const {
  if (cell(table, key).present) out.push_back(image_of(table, key, 0));
}

Transaction Node::copy_cell(int table, int key) const {
  Transaction result;
  touch(table, key, result);
  for (const Grave& grave : cell(table, key).graves) result.push_back(grave);
  return result;
}

Transaction Node::copy_parked() const {
  Transaction result;
  for (const Parked& parked : parked_) result.push_back(parked.item);
  return result;
}

std::vector<Transaction> Node::heal() const {
  std::vector<Transaction> result;
  for (std::size_t t = 0; t < world_->plan.tables.size(); ++t) {
    for (int key = 0; key < all_keys; ++key) {
      Transaction transaction = copy_cell(static_cast<int>(t), key);
      if (!transaction.empty()) result.push_back(std::move(transaction));
    }
  }
  if (!world_->is(Variant::heal_without_parked)) {
    for (Item& item : copy_parked()) result.push_back(Transaction{std::move(item)});
  }
  result.push_back(Transaction{HealMark{world_->generation}});
  return result;
}

bool Node::healed_by(int peer) const noexcept {
  for (int stream = 0; stream < world_->plan.streams; ++stream) {
    if (peers_[at(peer)][at(stream)].healed != world_->generation) return false;
  }
  return true;
}

std::optional<PeerProgress> Node::progress_of(int peer) const {
  std::vector<PeerProgress> streams;
  for (int stream = 0; stream < world_->plan.streams; ++stream) {
    const Peer& known = peers_[at(peer)][at(stream)];
    if (known.generation == world_->generation && known.progress.member != 0) {
      streams.push_back(known.progress);
    } else if (!world_->is(Variant::progress_of_one_stream)) {
      return std::nullopt;
    }
  }
  if (streams.empty()) return std::nullopt;
  if (world_->is(Variant::progress_of_one_stream)) return *std::ranges::max_element(streams, {}, &PeerProgress::safe);
  return over_streams(streams);
}

std::optional<Hlc> Node::applied_of(int peer) const {
  std::optional<Hlc> all;
  for (int stream = 0; stream < world_->plan.streams; ++stream) {
    const Peer& known = peers_[at(peer)][at(stream)];
    if (known.generation != world_->generation) return std::nullopt;
    const bool ahead = world_->is(Variant::progress_of_one_stream);
    if (!all || (ahead ? known.applied > *all : known.applied < *all)) all = known.applied;
  }
  return all;
}

std::optional<Progress> Node::note_progress() const {
  if (world_->copying == index_) return std::nullopt;
  if (parks_tombstone() && !world_->is(Variant::progress_over_parked)) return std::nullopt;
  Progress progress;
  progress.generation = world_->generation;
  progress.safe = clock_;
  for (int peer = 0; peer < world_->plan.nodes; ++peer) {
    if (peer == index_ || !world_->lives(peer)) continue;
    if (!healed_by(peer)) return std::nullopt;
    if (const auto applied = applied_of(peer)) progress.applied.push_back(AppliedUpTo{member_of(peer), *applied});
  }
  return progress;
}

bool Node::keeps_tombstones() const noexcept {
  return std::ranges::any_of(cells_, [](const auto& table) {
    return std::ranges::any_of(table, [](const Cell& row) { return !row.graves.empty(); });
  });
}

int Node::drop_stable_tombstones() {
  std::vector<std::uint16_t> members;
  std::vector<PeerProgress> progress;
  for (int node = 0; node < world_->plan.nodes; ++node) {
    if (!world_->lives(node)) continue;
    if (node == world_->copying && node != index_ && world_->is(Variant::member_after_copy)) continue;
    members.push_back(member_of(node));
    if (node == index_) continue;
    if (const auto peer = progress_of(node)) progress.push_back(*peer);
  }
  const Hlc cut = stable_cut(member_of(index_), members, progress);
  return drop_tombstones([&](const Grave& grave) {
    if (locks(grave.table, grave.key) || !may_drop(grave.tombstone, cut)) return false;
    world_->trace(
        [&] { return "node " + std::to_string(index_) + " drops a tombstone of " + name_of(grave.table, grave.key); });
    return true;
  });
}

}  // namespace meridian::sim
