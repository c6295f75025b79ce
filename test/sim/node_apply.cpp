// The apply side: merging images, burying rows, parking what has to wait.
#include <algorithm>
#include <utility>

#include "core/row_state_codec.hpp"
#include "sim/node.hpp"
#include "sim/oracle.hpp"

namespace meridian::sim {

namespace {

std::string name_of(int table, int key) { return "t" + std::to_string(table) + "/k" + std::to_string(key); }

RowState image_before_replication(const Shape& shape, const Values& values) {
  return state_before_replication(shape, contributions_of(shape, values), contents_of(shape, values),
                                  bounded_of(shape, values));
}

}  // namespace

bool Node::can_apply(const Transaction& transaction) const {
  return std::ranges::none_of(transaction, [this](const Item& item) {
    if (const auto* image = std::get_if<Image>(&item)) return locks(image->table, image->key);
    if (const auto* grave = std::get_if<Grave>(&item)) return locks(grave->table, grave->key);
    return false;
  });
}

void Node::apply(const Transaction& transaction, int from, int stream) {
  for (const Item& item : transaction) apply_item(item, from, stream);
}

void Node::apply_item(const Item& item, int from, int stream) {
  std::visit([&](const auto& message) { receive(message, from, stream); }, item);
}

void Node::park(Item item, int from) { parked_.push_back(Parked{from, std::move(item)}); }

void Node::receive(const Image& arrived, int from, int) {
  Image image = arrived;
  const Shape& shape = world_->shape(image.table);
  if (image.before_replication) image.state = image_before_replication(shape, image.values);
  const Hlc highest = image.state.highest_stamp();
  if (too_far_ahead(highest, physical_ms(), world_->plan.max_skew_ms)) {
    if (!world_->is(Variant::parked_escapes)) {
      const Cell& row = cell(image.table, image.key);
      bury_image(image, known_deletes(row), row.deletes);
    }
    world_->trace([&] { return "node " + std::to_string(index_) + " parks " + name_of(image.table, image.key); });
    if (!image.state.live()) return;
    image.before_replication = false;
    park(std::move(image), from);
    return;
  }
  clock_ = std::max(clock_, highest);
  merge_image(image, from);
}

Values Node::merged_values(const Image& image, const Cell& row, const Merge& merge) const {
  const Shape& shape = world_->shape(image.table);
  Values values = row.present ? row.values : Values{};
  for (const SlotDecision& decision : merge.groups) {
    const auto i = static_cast<std::size_t>(std::ranges::find(shape.groups, decision.slot) - shape.groups.begin());
    if (decision.take == Take::incoming) values.groups[i] = image.values.groups[i];
    if (decision.take == Take::either) values.groups[i] = std::max(values.groups[i], image.values.groups[i]);
  }
  for (const SlotDecision& decision : merge.lattices) {
    const auto i = static_cast<std::size_t>(std::ranges::find(shape.lattices, decision.slot) - shape.lattices.begin());
    const Take take = world_->model.lattice_take(decision.take, row.present);
    if (take == Take::incoming) values.lattices[i] = image.values.lattices[i];
    if (take == Take::combine) {
      values.lattices[i] =
          combine(world_->table(image.table).lattice_rules[i], values.lattices[i], image.values.lattices[i]);
    }
  }
  for (std::size_t i = 0; i < merge.sets.size(); ++i) {
    if (merge.sets[i].take == Take::incoming) values.sets[i] = image.values.sets[i];
    if (merge.sets[i].take == Take::combine) values.sets[i] = set_of(merge.state, shape.sets[i]);
  }
  return values;
}

void Node::merge_image(const Image& image, int from) {
  Cell& row = row_at(image.table, image.key);
  const Shape& shape = world_->shape(image.table);
  const Tombstone deletes = known_deletes(row);
  RowState incoming = image.state;
  if (!world_->is(Variant::missing_group_advances)) {
    for (std::size_t i = 0; i < shape.groups.size(); ++i) {
      if ((image.missing >> i & 1) == 0) continue;
      const auto missing = std::ranges::find(incoming.groups, shape.groups[i], &GroupStamp::slot);
      if (missing != incoming.groups.end()) incoming.groups.erase(missing);
    }
  }
  if (!row.present && image.missing != 0 && !world_->is(Variant::missing_group_advances)) {
    RowState living = image.state;
    world_->model.bury(living, shape, deletes);
    if (!living.live()) return;
    world_->trace([&] {
      return "node " + std::to_string(index_) + " parks incomplete " + name_of(image.table, image.key) +
             " and asks node " + std::to_string(from);
    });
    park(image, from);
    world_->requests.push_back(Request{from, image.table, image.key});
    return;
  }

  const RowState local = state_of(image.table, image.key);
  const Merge merge = world_->model.merge(local, incoming, shape, deletes);
  if (world_->is(Variant::none)) {
    check_merge(shape, local, incoming, deletes, merge);
    if (image.missing == 0) check_knowledge(*world_, shape, row, image, merge.knowledge);
  }
  const bool was_present = row.present;
  row.ghost.unite(image.ghost, image.missing);
  if (was_present && !merge.state.live()) throw Violation("merging an image killed a living row");
  if (!merge.state.live()) return;
  row.values = merged_values(image, row, merge);
  if (!was_present || merge.state != local) row.before_replication = false;
  row.present = true;
  if (!row.before_replication) {
    row.state = merge.state;
    const auto decided = row.values.sets;
    refresh_values(shape, row);
    if (world_->is(Variant::none) && decided != row.values.sets) throw Violation("a merge takes the wrong set");
  }
  world_->trace([&] {
    return "node " + std::to_string(index_) + " merges " + name_of(image.table, image.key) + " from node " +
           std::to_string(from) + ": " + describe(shape, row.values) + " " + to_text(merge.state);
  });
  if (!was_present) retry_incomplete(image.table, image.key);
}

void Node::retry_incomplete(int table, int key) {
  for (bool merged = true; merged;) {
    merged = false;
    for (std::size_t i = 0; i < parked_.size(); ++i) {
      const auto* image = std::get_if<Image>(&parked_[i].item);
      if (image == nullptr || image->table != table || image->key != key || image->missing == 0) continue;
      if (too_far_ahead(image->state.highest_stamp(), physical_ms(), world_->plan.max_skew_ms)) continue;
      const Parked parked = parked_[i];
      parked_.erase(parked_.begin() + static_cast<std::ptrdiff_t>(i));
      apply_item(parked.item, parked.from, 0);
      merged = cell(table, key).present;
      break;
    }
  }
}

void Node::receive(const Grave& grave, int from, int) {
  const Hlc highest = std::max(grave.tombstone.stamp, grave.tombstone.floor);
  if (too_far_ahead(highest, physical_ms(), world_->plan.max_skew_ms)) {
    world_->trace(
        [&] { return "node " + std::to_string(index_) + " parks a tombstone of " + name_of(grave.table, grave.key); });
    park(grave, from);
    return;
  }
  clock_ = std::max(clock_, highest);
  world_->trace([&] {
    return "node " + std::to_string(index_) + " learns of a delete of " + name_of(grave.table, grave.key) +
           " from node " + std::to_string(from);
  });
  if (world_->is(Variant::none)) {
    check_unseen(*world_, world_->shape(grave.table), cell(grave.table, grave.key), state_of(grave.table, grave.key),
                 grave);
  }
  bury_cell(grave);
  if (!world_->is(Variant::parked_escapes)) bury_parked(grave);
}

void Node::bury_cell(const Grave& grave) {
  Cell& row = row_at(grave.table, grave.key);
  const Shape& shape = world_->shape(grave.table);
  row.deletes |= grave.operations;
  const bool known = std::ranges::any_of(row.graves, [&](const Grave& other) {
    return covers(other.tombstone, grave.tombstone) && grave.operations.within(other.operations);
  });
  if (!known) {
    if (world_->plan.merged_tombstones && !row.graves.empty()) {
      merge_tombstone(row.graves.front().tombstone, grave.tombstone);
      row.graves.front().operations |= grave.operations;
    } else {
      row.graves.push_back(grave);
    }
  }
  if (!row.present) return;
  RowState state = state_of(grave.table, grave.key);
  const RowState before = state;
  world_->model.bury(state, shape, grave.tombstone);
  if (state == before) return;
  row.present = state.live();
  row.before_replication = false;
  row.state = std::move(state);
  if (row.present) {
    refresh_values(shape, row);
  } else {
    row.values = Values{};
    row.state = RowState{};
  }
}

void Node::bury_image(Image& image, const Tombstone& tombstone, const OperationSet& deletes) const {
  const Shape& shape = world_->shape(image.table);
  world_->model.bury(image.state, shape, tombstone);
  for (std::size_t i = 0; i < shape.sets.size(); ++i) image.values.sets[i] = set_of(image.state, shape.sets[i]);
  image.ghost.writes = living_writes(*world_, shape, image.ghost.writes, deletes);
  for (OperationSet& group : image.ghost.groups) group = living_writes(*world_, shape, group, deletes);
}

void Node::bury_parked(const Grave& grave) {
  std::erase_if(parked_, [&](Parked& parked) {
    auto* image = std::get_if<Image>(&parked.item);
    if (image == nullptr || image->table != grave.table || image->key != grave.key) return false;
    bury_image(*image, grave.tombstone, grave.operations);
    return !image->state.live();
  });
}

bool Node::parks_tombstone() const {
  return std::ranges::any_of(parked_, [](const Parked& parked) { return std::holds_alternative<Grave>(parked.item); });
}

void Node::receive(const Progress& progress, int from, int stream) {
  Peer& peer = peers_[at(from)][at(stream)];
  if (progress.generation < peer.generation) return;
  if (progress.generation > peer.generation) peer = Peer{progress.generation, peer.healed, never, {}};
  peer.applied = std::max(peer.applied, progress.safe);
  if (world_->is(Variant::received_over_rereading) && progress.safe < peer.progress.received) return;
  peer.progress.received = progress.safe;
  if (progress.safe < peer.progress.safe) return;
  peer.progress.member = member_of(from);
  peer.progress.safe = progress.safe;
  peer.progress.applied = progress.applied;
}

void Node::receive(const HealMark& mark, int from, int stream) {
  Peer& peer = peers_[at(from)][at(stream)];
  peer.healed = std::max(peer.healed, mark.generation);
}

bool Node::ready(const Parked& parked) const {
  const auto* image = std::get_if<Image>(&parked.item);
  const auto* grave = std::get_if<Grave>(&parked.item);
  const int table = image != nullptr ? image->table : grave->table;
  const int key = image != nullptr ? image->key : grave->key;
  const Hlc highest =
      image != nullptr ? image->state.highest_stamp() : std::max(grave->tombstone.stamp, grave->tombstone.floor);
  const bool incomplete = image != nullptr && image->missing != 0 && !cell(table, key).present;
  return !locks(table, key) && !incomplete && !too_far_ahead(highest, physical_ms(), world_->plan.max_skew_ms);
}

void Node::retry_parked() {
  for (auto next = std::ranges::find_if(parked_, [this](const Parked& parked) { return ready(parked); });
       next != parked_.end();
       next = std::ranges::find_if(parked_, [this](const Parked& parked) { return ready(parked); })) {
    const Parked parked = *next;
    parked_.erase(next);
    apply_item(parked.item, parked.from, 0);
  }
}

std::string Node::describe_parked() const {
  std::string text;
  for (const Parked& parked : parked_) {
    if (const auto* image = std::get_if<Image>(&parked.item)) {
      text += " image of " + name_of(image->table, image->key) + (image->missing != 0 ? " (incomplete)" : "") + " " +
              to_text(image->state);
    } else {
      text += " tombstone";
    }
  }
  return text;
}

}  // namespace meridian::sim
