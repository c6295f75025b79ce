// One node: its rows, tombstones, clock and parked changes, driven exactly as the triggers drive the core.
//
// A node is a value: copying one is taking a backup. It never looks at another node; what it knows of them came through
// apply().
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "sim/network.hpp"
#include "sim/world.hpp"

namespace meridian::sim {

/// One primary key of one table at one node.
struct Cell {
  bool present = false;
  bool before_replication = false;  ///< the row's state is NULL
  Values values;
  RowState state;  ///< of a present row with a state
  std::vector<Grave> graves;
  Ghost ghost;           ///< every write that this node ever learned of
  OperationSet deletes;  ///< every delete that this node ever learned of
};

/// A change that waits: until its stamp is no longer in the future, or until the row that completes it is there.
struct Parked {
  int from = 0;
  Item item;
};

/// A local transaction that has written and not yet committed. The keys it wrote are locked.
struct OpenTransaction {
  Transaction changes;
  std::array<std::uint8_t, max_tables> locked{};
};

/// What a local UPDATE sets.
struct Change {
  std::uint8_t groups = 0;  ///< bit i: writes group i
  std::array<std::optional<Decimal>, max_counters> deltas;
  std::array<std::optional<std::int64_t>, max_lattices> raises;
  std::array<std::optional<SetValue>, max_sets> sets;  ///< whole new contents
  std::array<std::optional<Decimal>, max_bounds> bounded;
  std::uint8_t missing = 0;  ///< bit i: the values of group i do not travel, unless this change writes them
};

/// Notes that a row was there before replication; every node that had it shares the operation.
int log_before_replication(World& world, int table, int key, const Values& values);

class Node {
 public:
  /// Puts the empty node into its place in the world; before anything else.
  void start(World& world, int index) noexcept {
    world_ = &world;
    index_ = index;
  }

  [[nodiscard]] const Cell& cell(int table, int key) const { return cells_.at(at(table)).at(at(key)); }
  [[nodiscard]] RowState state_of(int table, int key) const;
  [[nodiscard]] bool parks_anything() const noexcept { return !parked_.empty(); }
  [[nodiscard]] std::string describe_parked() const;
  [[nodiscard]] bool keeps_tombstones() const noexcept;
  [[nodiscard]] bool locks(int table, int key) const noexcept {
    return open && (open->locked.at(at(table)) >> key & 1) != 0;
  }

  // Local writes; what they change is appended to `out`. The caller has checked that the row is (or is not) there.
  void put_before_replication(int table, int key, const Values& values, int operation);
  void insert(int table, int key, const Values& values, Transaction& out);
  void update(int table, int key, const Change& change, Transaction& out);
  void erase(int table, int key, Transaction& out);
  /// Gives rights, asks for some, or gives to those that ask.
  void transfer(int table, int key, std::size_t bound, Right right, Actor to, const Decimal& amount, Transaction& out);
  void want(int table, int key, std::size_t bound, Right right, const Decimal& level, Transaction& out);
  void grant(int table, int key, Transaction& out);
  /// Takes over all rights of another actor.
  void take_over(int table, int key, Actor from, Transaction& out);
  /// A node that joins is filled from one that has been healed by all: it needs no healing itself.
  /// Its clock follows that node's: births below the floors of dropped tombstones would be dead to some.
  void join_healed(const Node& via) noexcept {
    if (!world_->is(Variant::join_with_own_clock)) clock_ = std::max(clock_, via.clock_);
    for (auto& streams : peers_) {
      for (Peer& stream : streams) stream.healed = world_->generation;
    }
  }
  /// All that the peer re-sent when this generation began has arrived.
  [[nodiscard]] bool healed_by(int peer) const noexcept;
  /// What is known of a key: the row if it is there, and the tombstones.
  [[nodiscard]] Transaction copy_cell(int table, int key) const;
  [[nodiscard]] Transaction copy_parked() const;
  /// Sends the row again as it is, if it is there.
  void touch(int table, int key, Transaction& out) const;
  /// All that this node knows, cut into transactions: rows, tombstones, parked changes.
  [[nodiscard]] std::vector<Transaction> heal() const;

  /// True if nothing in the transaction has to wait for the open transaction of this node.
  [[nodiscard]] bool can_apply(const Transaction& transaction) const;
  /// Through one of the streams of `from`.
  void apply(const Transaction& transaction, int from, int stream);
  /// The stream is read again from an earlier point: what was received of it counts no more.
  void read_again(int from, int stream) noexcept { peers_[at(from)][at(stream)].progress.received = never; }
  /// Tries again what is parked.
  void retry_parked();

  /// Notes the clock and what is applied, to be published when the open transaction has ended. Nothing if this node has
  /// not been healed by all, is still being filled, or parks a tombstone: that one is not applied, whoever sent it.
  [[nodiscard]] std::optional<Progress> note_progress() const;
  /// Drops the tombstones that are causally stable; returns how many.
  int drop_stable_tombstones();
  /// Drops the tombstones that `may_go` says; returns how many.
  template <typename MayGo>
  int drop_tombstones(MayGo may_go);

  std::optional<OpenTransaction> open;
  std::optional<Progress> noted;  ///< published when `open` ends

 private:
  /// What has arrived of another's progress through one stream.
  struct Peer {
    int generation = 0;
    int healed = 0;  ///< the generation whose re-sending this node has received in full
    Hlc applied;     ///< all that the peer stamped at or below is applied here
    PeerProgress progress;
  };

  static std::size_t at(int index) noexcept { return static_cast<std::size_t>(index); }
  Cell& row_at(int table, int key) { return cells_.at(at(table)).at(at(key)); }
  [[nodiscard]] std::uint64_t physical_ms() const noexcept;
  Hlc tick(Hlc above) noexcept;
  /// A write of the latest life that changes nothing but rights.
  [[nodiscard]] Operation rights_operation(int table, int key, Hlc stamp) const;
  void write_rights(int table, int key, RowState state, const Operation& operation, const char* what, Transaction& out);
  [[nodiscard]] Image image_of(int table, int key, std::uint8_t missing) const;
  [[nodiscard]] Tombstone known_deletes(const Cell& cell) const;
  /// Counters, bounded columns and sets are what the state says.
  void refresh_values(const Shape& shape, Cell& cell) const;

  /// What a peer's progress is: nothing until it has come through all streams.
  [[nodiscard]] std::optional<PeerProgress> progress_of(int peer) const;
  /// Up to which stamp all that the peer wrote is applied here, through whatever stream it comes.
  [[nodiscard]] std::optional<Hlc> applied_of(int peer) const;
  void apply_item(const Item& item, int from, int stream);
  void receive(const Image& image, int from, int stream);
  void receive(const Grave& grave, int from, int stream);
  void receive(const Progress& progress, int from, int stream);
  void receive(const HealMark& mark, int from, int stream);
  void merge_image(const Image& image, int from);
  [[nodiscard]] Values merged_values(const Image& image, const Cell& cell, const Merge& merge) const;
  void bury_cell(const Grave& grave);
  void bury_image(Image& image, const Tombstone& tombstone, const OperationSet& deletes) const;
  void bury_parked(const Grave& grave);
  void retry_incomplete(int table, int key);
  void park(Item item, int from);
  [[nodiscard]] bool ready(const Parked& parked) const;
  [[nodiscard]] bool parks_tombstone() const;

  World* world_ = nullptr;
  int index_ = 0;
  Hlc clock_;
  std::array<std::array<Cell, all_keys>, max_tables> cells_;
  std::vector<Parked> parked_;
  std::array<std::array<Peer, most_streams>, max_nodes> peers_;  ///< [peer][stream]
};

template <typename MayGo>
int Node::drop_tombstones(MayGo may_go) {
  int dropped = 0;
  for (auto& table : cells_) {
    for (Cell& cell : table) {
      dropped += static_cast<int>(std::erase_if(cell.graves, may_go));
    }
  }
  return dropped;
}

}  // namespace meridian::sim
