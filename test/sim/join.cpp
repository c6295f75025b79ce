// A node joins: it becomes a member, begins to read all streams, and is filled with what one of the others knows.
//
// The copy travels outside the streams. It begins when `via` has applied all that the streams held when the new node
// began to read them, so that what the node does not read, the copy brings. It takes what is parked first: a parked
// change becomes part of a row at any time, and would be missed if its row had been read before. Until it has ended,
// the node counts as a member that has applied nothing, so nobody drops a tombstone meanwhile.
#include <algorithm>
#include <utility>

#include "sim/history.hpp"

namespace meridian::sim {

void History::join(Prng& random) {
  const int target = world_.plan.nodes - 1;
  const bool was_there = network_.incarnations[at(target)] != 0;
  if (world_.lives(target) || was_there) return;
  Copy copy;
  copy.target = target;
  copy.via = random_node(random);
  for (int sender = 0; sender < world_.plan.nodes; ++sender) {
    copy.starts[at(sender)] = network_.streams[at(sender)].size();
    for (Link& reading : network_.links[at(target)][at(sender)]) {
      reading.position = copy.starts[at(sender)];
      reading.replay_from = copy.starts[at(sender)];
    }
  }
  ++network_.incarnations[at(target)];
  world_.alive[at(target)] = true;
  world_.copying = target;
  node(target).join_healed(node(copy.via));
  world_.trace([&] { return "node " + std::to_string(target) + " joins via node " + std::to_string(copy.via); });
  copy_ = std::move(copy);
}

bool History::via_is_ready() {
  for (int sender = 0; sender < world_.plan.nodes; ++sender) {
    if (!world_.lives(sender) || sender == copy_->via || sender == copy_->target) continue;
    for (int stream = 0; stream < world_.plan.streams; ++stream) {
      if (link(copy_->via, sender, stream).position < copy_->starts[at(sender)]) return false;
    }
    if (!node(copy_->via).healed_by(sender)) return false;
  }
  return true;
}

void History::begin_copy() {
  copy_->begun = true;
  for (int table = 0; table < static_cast<int>(world_.plan.tables.size()); ++table) {
    for (int key = 0; key < all_keys; ++key) copy_->unread.emplace_back(table, key);
  }
  if (world_.is(Variant::copy_without_parked)) return;
  if (world_.is(Variant::copy_parked_last)) {
    copy_->unread.emplace_back(-1, 0);
  } else {
    copy_->in_flight.push_back(node(copy_->via).copy_parked());
  }
}

/// One step of the copy: it begins, or something is read, or something arrives, or it ends.
bool History::advance_copy(Prng& random) {
  if (!copy_) return false;
  if (!copy_->begun) {
    if (!via_is_ready()) return false;
    begin_copy();
    return true;
  }
  auto& unread = copy_->unread;
  auto& in_flight = copy_->in_flight;
  if (!unread.empty() && (in_flight.empty() || random.chance(60))) {
    const auto next = unread.begin() + random.below(static_cast<int>(unread.size()));
    const auto [table, key] = *next;
    if (table >= 0 && node(copy_->via).locks(table, key)) return false;
    Transaction chunk = table >= 0 ? node(copy_->via).copy_cell(table, key) : node(copy_->via).copy_parked();
    unread.erase(next);
    if (!chunk.empty()) in_flight.push_back(std::move(chunk));
    return true;
  }
  if (!in_flight.empty()) {
    const auto next = in_flight.begin() + random.below(static_cast<int>(in_flight.size()));
    if (!node(copy_->target).can_apply(*next)) return false;
    const Transaction chunk = std::move(*next);
    in_flight.erase(next);
    node(copy_->target).apply(chunk, copy_->via, 0);
    return true;
  }
  world_.trace([&] { return "node " + std::to_string(copy_->target) + " is filled"; });
  network_.streams[at(copy_->target)].push_back(Transaction{HealMark{world_.generation}});
  world_.copying = -1;
  copy_.reset();
  return true;
}

}  // namespace meridian::sim
