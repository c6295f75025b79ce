// What travels between nodes, and how.
//
// What a node sends is the list of its own committed transactions; every other node reads it in order, at its own pace,
// from its own position. Nothing that a node applied for others is in it. If nodes read through several streams, each
// stream has a position of its own and brings the changes of some keys; progress is in all of them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

#include "core/row_state.hpp"
#include "core/stability.hpp"
#include "core/stream.hpp"
#include "core/tombstone.hpp"
#include "sim/operation_log.hpp"
#include "sim/table.hpp"

namespace meridian::sim {

inline constexpr int max_nodes = 5;
inline constexpr int most_streams = 3;

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

/// One receiver's reading of one sender's changes, through one of its streams.
struct Link {
  bool cut = false;
  int speed = 50;               ///< per cent of the attempts to deliver that succeed
  std::size_t position = 0;     ///< next transaction to apply
  std::size_t replay_from = 0;  ///< re-delivery never starts before this: later positions are durable at the receiver
};

struct Network {
  std::array<std::vector<Transaction>, max_nodes> streams;
  std::array<int, max_nodes> incarnations{};  ///< grows when a stream begins anew
  using Links = std::array<Link, most_streams>;
  std::array<std::array<Links, max_nodes>, max_nodes> links;  ///< [receiver][sender][stream]

  [[nodiscard]] bool pending(int receiver, int sender, int stream) const noexcept {
    const auto r = static_cast<std::size_t>(receiver);
    const auto s = static_cast<std::size_t>(sender);
    return links[r][s][static_cast<std::size_t>(stream)].position < streams[s].size();
  }
};

/// True if the item travels in stream `stream` (from 0) of `count`.
[[nodiscard]] inline bool travels_in(const Item& item, int stream, int count) noexcept {
  const auto carries = [=](int table, int key) {
    return stream_of_key(static_cast<std::uint64_t>(table * 7 + key), count) == stream + 1;
  };
  if (const auto* image = std::get_if<Image>(&item)) return carries(image->table, image->key);
  if (const auto* grave = std::get_if<Grave>(&item)) return carries(grave->table, grave->key);
  return true;
}

}  // namespace meridian::sim
