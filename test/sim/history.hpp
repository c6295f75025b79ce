// One history: random writes on several nodes, random deliveries and accidents, then quiescence; checked at every step.
//
// A history is a function of its seed, of the variant and of the set of steps left out; nothing else enters.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "sim/network.hpp"
#include "sim/node.hpp"
#include "sim/world.hpp"

namespace meridian::sim {

struct HistoryOptions {
  std::uint64_t seed = 0;
  Variant variant = Variant::none;
  std::vector<int> skipped_steps;  ///< sorted
  std::FILE* trace = nullptr;
};

struct HistoryResult {
  int nodes = 0;
  int steps = 0;
  int operations = 0;
  int restores = 0;
  int drops = 0;
  int tombstones_dropped = 0;
  int early_drops = 0;  ///< tombstones dropped before all was quiet
  std::optional<std::string> violation;
};

[[nodiscard]] HistoryResult run_history(const HistoryOptions& options);

class History {
 public:
  explicit History(const HistoryOptions& options);
  History(const History&) = delete;
  History& operator=(const History&) = delete;
  ~History() = default;
  /// Throws Violation.
  void run(const std::vector<int>& skipped_steps);
  void count(HistoryResult& result) const;

 private:
  struct Backup {
    Node node;
    int tombstones_dropped = 0;
    std::array<Network::Links, max_nodes> links{};  ///< how far the node had read, by sender
    std::array<int, max_nodes> incarnations{};
  };

  /// A node being filled, outside the streams: rows are read one by one from `via` and arrive in any order.
  struct Copy {
    int target = 0;
    int via = 0;
    std::array<std::size_t, max_nodes> starts{};  ///< of the target's reading of each stream
    bool begun = false;
    std::vector<std::pair<int, int>> unread;  ///< (table, key); table -1: what is parked, for a wrong variant
    std::vector<Transaction> in_flight;
  };

  static std::size_t at(int index) noexcept { return static_cast<std::size_t>(index); }
  [[nodiscard]] Node& node(int index) { return nodes_[at(index)]; }
  [[nodiscard]] Link& link(int receiver, int sender, int stream) {
    return network_.links[at(receiver)][at(sender)][at(stream)];
  }
  [[nodiscard]] int random_node(Prng& random) const;
  [[nodiscard]] int random_stream(Prng& random) const;

  // history.cpp: the course of a history
  void begin(Prng& random);
  void put_rows_before(Prng& random);
  [[nodiscard]] Values random_values_before(Prng& random, int table) const;
  void step(Prng& random);
  void happen(Prng& random);
  void quiesce(Prng& random);
  bool deliver_all(Prng& random);
  void settle(Prng& random);
  void check_node(int index) const;
  void check_converged();

  // operations.cpp: local writes
  void write(Prng& random);
  bool write_one(Prng& random, int index, int session, Transaction& out);
  [[nodiscard]] Values random_values(Prng& random, const TableKind& kind) const;
  void random_update(Prng& random, int index, int table, int key, Transaction& out);
  void move_rights(Prng& random, int index, int table, int key, Transaction& out);
  void change_key(int index, int table, int key, int target, Transaction& out);
  void swap_keys(int index, int table, int first, int second, Transaction& out);
  [[nodiscard]] bool may_write(int index, int session, int table, int key);
  void lock_written(int index, const Transaction& changes);
  void commit(int index, Transaction changes, Prng& random);
  void commit_open(int index, Prng& random);

  // accidents.cpp: delivery, upkeep and what goes wrong
  void deliver(Prng& random);
  bool deliver_one(int receiver, int sender, int stream);
  void redeliver(Prng& random);
  void toggle_cut(Prng& random);
  void touch(Prng& random);
  bool answer_request();
  void publish_progress(int index);
  void drop_tombstones(int index);
  void take_backup(Prng& random);
  void restore(Prng& random);
  void keep_rights(int index, Actor old, Prng& random);
  void drop_node(Prng& random);
  void heal(Prng& random);
  [[nodiscard]] bool older_in_flight(int receiver, Hlc stamp) const;

  // join.cpp: a node joins and is filled
  void join(Prng& random);
  bool advance_copy(Prng& random);
  [[nodiscard]] bool via_is_ready();
  void begin_copy();

  World world_;
  Network network_;
  std::array<Node, max_nodes> nodes_;
  std::array<std::optional<Backup>, max_nodes> backups_;
  std::optional<Copy> copy_;
  int restores_ = 0;
  int drops_ = 0;
  int early_drops_ = 0;
};

}  // namespace meridian::sim
