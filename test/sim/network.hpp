// What travels between nodes, and how.
//
// A node's stream is the list of its own committed transactions; every other node reads it in order, at its own pace,
// from its own position. Nothing that a node applied for others is in its stream.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

#include "core/row_state.hpp"
#include "core/stability.hpp"
#include "core/tombstone.hpp"
#include "sim/operation_log.hpp"
#include "sim/table.hpp"

namespace meridian::sim {

inline constexpr int max_nodes = 5;

/// A whole row with its state: how an INSERT or an UPDATE leaves its node.
struct Image {
  int table = 0;
  int key = 0;
  std::uint8_t missing = 0;         ///< bit i: the values of group i did not travel
  bool before_replication = false;  ///< the state travels as NULL
  Values values;
  RowState state;
  Ghost ghost;
};

/// A tombstone: how a DELETE leaves its node.
struct Grave {
  int table = 0;
  int key = 0;
  Tombstone tombstone;
  OperationSet operations;  ///< the deletes it stands for
};

/// What a node has applied, and up to which stamp all its own writes are already in its stream.
struct Progress {
  int generation = 0;
  Hlc safe;
  std::vector<AppliedUpTo> applied;
};

/// The end of what a node re-sends to heal the others.
struct HealMark {
  int generation = 0;
};

using Item = std::variant<Image, Grave, Progress, HealMark>;
using Transaction = std::vector<Item>;

/// One receiver's reading of one sender's stream.
struct Link {
  bool cut = false;
  int speed = 50;               ///< per cent of the attempts to deliver that succeed
  std::size_t position = 0;     ///< next transaction to apply
  std::size_t replay_from = 0;  ///< re-delivery never starts before this: later positions are durable at the receiver
};

struct Network {
  std::array<std::vector<Transaction>, max_nodes> streams;
  std::array<int, max_nodes> incarnations{};                 ///< grows when a stream begins anew
  std::array<std::array<Link, max_nodes>, max_nodes> links;  ///< [receiver][sender]

  [[nodiscard]] bool pending(int receiver, int sender) const noexcept {
    const auto r = static_cast<std::size_t>(receiver);
    const auto s = static_cast<std::size_t>(sender);
    return links[r][s].position < streams[s].size();
  }
};

}  // namespace meridian::sim
