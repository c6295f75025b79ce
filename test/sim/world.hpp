// What all nodes of a history share: its plan, the ground truth, physical time, the membership.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/actor.hpp"
#include "sim/network.hpp"
#include "sim/operation_log.hpp"
#include "sim/prng.hpp"
#include "sim/table.hpp"
#include "sim/variant.hpp"

namespace meridian::sim {

/// A replica differs from the oracle or from another replica, or a law of the model does not hold.
class Violation : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What a history consists of; all of it follows from the seed.
struct Plan {
  std::uint64_t seed = 0;
  int nodes = 2;
  std::vector<const TableKind*> tables;
  int keys = 1;
  int steps = 0;
  int write_percent = 40;                         ///< of the steps
  int deliver_percent = 40;                       ///< of the steps; the rest is upkeep and accidents
  int upkeep_percent = 50;                        ///< of that rest: progress is published, tombstones are dropped
  int advance_ms = 2;                             ///< physical time advances by 0..advance_ms at each step
  std::array<std::int64_t, max_nodes> skew_ms{};  ///< of each node's physical clock
  std::uint64_t max_skew_ms = 5000;               ///< images further ahead are parked
  int streams = 1;                                ///< between any two nodes
  bool rows_before = false;                       ///< rows that were there before replication
  bool rows_differ = false;                       ///< and differ between nodes
  bool missing_values = false;                    ///< unchanged groups may travel without values
  bool open_transactions = false;                 ///< transactions that commit later than others that began after them
  bool redelivery = false;
  bool touches = false;  ///< rows are re-sent for no reason
  bool cuts = false;
  bool restores = false;
  bool drops = false;
  bool joins = false;  ///< the last node is not there at first, and joins later
  bool tombstone_removal = false;
  bool merged_tombstones = false;  ///< one tombstone per key, not one per delete
  bool shuffled = false;           ///< a transaction's changes leave in another order than they were made

  [[nodiscard]] static Plan from_seed(std::uint64_t seed, Variant variant);
  [[nodiscard]] std::string describe() const;
};

/// A node asks another to send a row again with all its values.
struct Request {
  int asked = 0;
  int table = 0;
  int key = 0;
};

struct World {
  World(Plan the_plan, Variant variant, std::FILE* trace_to)
      : plan(std::move(the_plan)), model(variant), trace_file(trace_to) {}

  Plan plan;
  Model model;
  std::FILE* trace_file;
  OperationLog operations;
  std::int64_t now_ms = 1'000'000;
  int step = 0;
  int generation = 0;          ///< grows with every restore and drop: what nodes know of each other's progress is void
  int tombstones_dropped = 0;  ///< how many tombstones were dropped so far
  std::array<Actor, max_nodes> actors{};
  std::array<bool, max_nodes> alive{};  ///< the members
  int copying = -1;                     ///< the member that is still being filled, or -1
  std::vector<Request> requests;

  [[nodiscard]] const TableKind& table(int index) const { return *plan.tables[static_cast<std::size_t>(index)]; }
  [[nodiscard]] const Shape& shape(int index) const { return table(index).shape; }
  [[nodiscard]] bool is(Variant variant) const noexcept { return model.is(variant); }
  [[nodiscard]] bool lives(int node) const noexcept { return alive[static_cast<std::size_t>(node)]; }
  [[nodiscard]] Actor actor(int node) const noexcept { return actors[static_cast<std::size_t>(node)]; }

  int log(const Operation& operation) {
    operations.push_back(operation);
    return static_cast<int>(operations.size()) - 1;
  }
  /// `text` is called only if the history is traced.
  template <typename Text>
  void trace(Text text) const {
    if (trace_file != nullptr) std::fprintf(trace_file, "%4d  %s\n", step, std::string(text()).c_str());
  }
};

/// The member id of a node.
[[nodiscard]] constexpr std::uint16_t member_of(int node) noexcept { return static_cast<std::uint16_t>(node + 1); }

}  // namespace meridian::sim
