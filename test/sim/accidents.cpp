// Delivery, upkeep and what goes wrong: cut links, re-delivery, restore from a backup, loss of a node.
#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "sim/history.hpp"

namespace meridian::sim {

int History::random_node(Prng& random) const {
  int index = random.below(world_.plan.nodes);
  while (!world_.lives(index)) index = (index + 1) % world_.plan.nodes;
  return index;
}

int History::random_stream(Prng& random) const {
  return world_.plan.streams > 1 ? random.below(world_.plan.streams) : 0;
}

bool History::deliver_one(int receiver, int sender, int stream) {
  if (receiver == sender || !world_.lives(receiver) || !world_.lives(sender) ||
      !network_.pending(receiver, sender, stream))
    return false;
  Link& reading = link(receiver, sender, stream);
  // A copy: applying may make this very stream grow only through answers, but a reference would not survive that.
  Transaction transaction = network_.streams[at(sender)][reading.position];
  std::erase_if(transaction, [&](const Item& item) { return !travels_in(item, stream, world_.plan.streams); });
  if (!node(receiver).can_apply(transaction)) return false;
  ++reading.position;
  node(receiver).apply(transaction, sender, stream);
  return true;
}

void History::deliver(Prng& random) {
  std::vector<std::tuple<int, int, int>> waiting;
  for (int receiver = 0; receiver < world_.plan.nodes; ++receiver) {
    for (int sender = 0; sender < world_.plan.nodes; ++sender) {
      if (!world_.lives(receiver) || !world_.lives(sender)) continue;
      for (int stream = 0; stream < world_.plan.streams; ++stream) {
        if (link(receiver, sender, stream).cut || !network_.pending(receiver, sender, stream)) continue;
        waiting.emplace_back(receiver, sender, stream);
      }
    }
  }
  if (waiting.empty()) return;
  const auto [receiver, sender, stream] = waiting[at(random.below(static_cast<int>(waiting.size())))];
  if (!random.chance(link(receiver, sender, stream).speed)) return;
  const int transactions = random.between(1, 6);
  for (int i = 0; i < transactions && deliver_one(receiver, sender, stream); ++i) {
  }
}

void History::redeliver(Prng& random) {
  const int receiver = random_node(random);
  const int sender = random_node(random);
  const int stream = random_stream(random);
  Link& reading = link(receiver, sender, stream);
  if (receiver == sender || reading.position <= reading.replay_from) return;
  const auto back = random.below(static_cast<int>(reading.position - reading.replay_from)) + 1;
  reading.position -= at(back);
  if (!world_.is(Variant::received_over_rereading)) node(receiver).read_again(sender, stream);
  world_.trace([&] {
    return "node " + std::to_string(receiver) + " reads the last " + std::to_string(back) + " transactions of node " +
           std::to_string(sender) + " again";
  });
}

void History::toggle_cut(Prng& random) {
  const int receiver = random_node(random);
  const int sender = random_node(random);
  Link& reading = link(receiver, sender, random_stream(random));
  reading.cut = !reading.cut;
}

void History::touch(Prng& random) {
  const int index = random_node(random);
  const int table = random.below(static_cast<int>(world_.plan.tables.size()));
  const int key = random.below(all_keys);
  if (node(index).locks(table, key)) return;
  Transaction changes;
  node(index).touch(table, key, changes);
  if (changes.empty()) return;
  world_.trace([&] {
    return "node " + std::to_string(index) + " re-sends t" + std::to_string(table) + "/k" + std::to_string(key);
  });
  commit(index, std::move(changes), random);
}

bool History::answer_request() {
  if (world_.requests.empty()) return false;
  const Request request = world_.requests.front();
  if (world_.lives(request.asked)) {
    if (node(request.asked).locks(request.table, request.key)) return false;
    Transaction changes;
    node(request.asked).touch(request.table, request.key, changes);
    if (!changes.empty()) network_.streams[at(request.asked)].push_back(std::move(changes));
  }
  world_.requests.erase(world_.requests.begin());
  return true;
}

void History::publish_progress(int index) {
  Node& here = node(index);
  const std::optional<Progress> progress = here.note_progress();
  if (!progress) return;
  if (here.open && !world_.is(Variant::progress_before_commit)) {
    if (!here.noted) here.noted = progress;
    return;
  }
  network_.streams[at(index)].push_back(Transaction{*progress});
}

bool History::older_in_flight(int receiver, Hlc stamp) const {
  for (int sender = 0; sender < world_.plan.nodes; ++sender) {
    if (sender == receiver) continue;
    const auto& sent = network_.streams[at(sender)];
    for (int stream = 0; stream < world_.plan.streams; ++stream) {
      for (std::size_t i = network_.links[at(receiver)][at(sender)][at(stream)].position; i < sent.size(); ++i) {
        for (const Item& item : sent[i]) {
          const auto* image = std::get_if<Image>(&item);
          const bool on_its_way = image != nullptr && travels_in(item, stream, world_.plan.streams);
          if (on_its_way && image->state.highest_stamp() <= stamp) return true;
        }
      }
    }
  }
  return false;
}

void History::drop_tombstones(int index) {
  int dropped = 0;
  if (world_.is(Variant::tombstone_in_flight)) {
    dropped =
        node(index).drop_tombstones([&](const Grave& grave) { return !older_in_flight(index, grave.tombstone.stamp); });
  } else {
    dropped = node(index).drop_stable_tombstones();
  }
  if (dropped == 0) return;
  world_.tombstones_dropped += dropped;
  // The drop is logged after all that was applied before it: nothing older is ever delivered here again.
  for (Network::Links& links : network_.links[at(index)]) {
    for (Link& reading : links) reading.replay_from = reading.position;
  }
}

void History::take_backup(Prng& random) {
  const int index = random_node(random);
  if (node(index).open || index == world_.copying) return;
  Backup backup;
  backup.node = node(index);
  backup.tombstones_dropped = world_.tombstones_dropped;
  backup.incarnations = network_.incarnations;
  backup.links = network_.links[at(index)];
  backups_[at(index)] = std::move(backup);
  world_.trace([&] { return "backup of node " + std::to_string(index); });
}

/// What the node wrote since the backup, and has not been delivered, is lost; what it received since is read again or
/// comes with the healing.
void History::restore(Prng& random) {
  const int index = random_node(random);
  const std::optional<Backup>& backup = backups_[at(index)];
  // A backup older than a dropped tombstone would bring rows back that nobody remembers to be deleted.
  if (!backup || copy_) return;
  if (backup->tombstones_dropped != world_.tombstones_dropped && !world_.is(Variant::restore_past_drop)) return;
  world_.trace([&] { return "node " + std::to_string(index) + " is restored from its backup"; });
  ++restores_;
  node(index) = backup->node;
  node(index).noted.reset();
  const Actor old = world_.actor(index);
  if (!world_.is(Variant::restore_same_epoch)) {
    world_.actors[at(index)] = Actor::from_parts(static_cast<std::uint16_t>(old.epoch() + 1), old.member());
  }
  network_.streams[at(index)].clear();
  ++network_.incarnations[at(index)];
  if (world_.is(Variant::restore_keeps_rights)) keep_rights(index, old, random);
  const bool slots_kept = random.chance(50);
  for (int peer = 0; peer < world_.plan.nodes; ++peer) {
    const bool same_stream = backup->incarnations[at(peer)] == network_.incarnations[at(peer)];
    for (int stream = 0; stream < world_.plan.streams; ++stream) {
      link(peer, index, stream).position = 0;
      link(peer, index, stream).replay_from = 0;
      Link& reading = link(index, peer, stream);
      reading.position = network_.streams[at(peer)].size();
      if (slots_kept) reading.position = same_stream ? backup->links[at(peer)][at(stream)].position : 0;
      reading.replay_from = std::min(reading.replay_from, reading.position);
    }
  }
  backups_[at(index)].reset();
  heal(random);
}

/// Wrong: before it has heard what its old epoch did with them.
void History::keep_rights(int index, Actor old, Prng& random) {
  Transaction changes;
  for (int table = 0; table < static_cast<int>(world_.plan.tables.size()); ++table) {
    for (int key = 0; key < all_keys; ++key) {
      const bool has_room = static_cast<int>(world_.operations.size()) + max_bounds <= max_operations;
      if (has_room && node(index).cell(table, key).present) node(index).take_over(table, key, old, changes);
    }
  }
  commit(index, std::move(changes), random);
}

void History::drop_node(Prng& random) {
  if (std::ranges::count(world_.alive, true) <= 2 || copy_) return;
  const int index = random_node(random);
  world_.trace([&] { return "node " + std::to_string(index) + " is dropped"; });
  ++drops_;
  world_.alive[at(index)] = false;
  heal(random);
}

/// Every node re-sends all it knows; what nodes know of each other's progress is void until all have received it.
void History::heal(Prng& random) {
  if (!world_.is(Variant::progress_over_heal)) ++world_.generation;
  for (int index = 0; index < world_.plan.nodes; ++index) {
    if (!world_.lives(index)) continue;
    commit_open(index, random);
    std::vector<Transaction> transactions = node(index).heal();
    std::ranges::move(transactions, std::back_inserter(network_.streams[at(index)]));
  }
}

}  // namespace meridian::sim
