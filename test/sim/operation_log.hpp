// What really happened: every write and delete of a history, and sets of them.
//
// This is the ground truth that the oracle judges by. It is carried beside the row states (as a ghost of each row and
// message) and never looks at them.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/actor.hpp"
#include "core/hlc.hpp"
#include "core/rights.hpp"
#include "sim/table.hpp"

namespace meridian::sim {

inline constexpr int max_operations = 384;

/// A set of operations, by their position in the log.
class OperationSet {
 public:
  void add(int operation) noexcept { words_[word(operation)] |= bit(operation); }
  [[nodiscard]] bool has(int operation) const noexcept { return (words_[word(operation)] & bit(operation)) != 0; }
  OperationSet& operator|=(const OperationSet& other) noexcept {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
    return *this;
  }
  [[nodiscard]] bool empty() const noexcept { return *this == OperationSet{}; }
  [[nodiscard]] bool within(const OperationSet& other) const noexcept {
    for (std::size_t i = 0; i < words_.size(); ++i) {
      if ((words_[i] & ~other.words_[i]) != 0) return false;
    }
    return true;
  }
  template <typename Visit>
  void for_each(Visit visit) const {
    for (std::size_t i = 0; i < words_.size(); ++i) {
      for (std::uint64_t rest = words_[i]; rest != 0; rest &= rest - 1) {
        visit(static_cast<int>(i * 64) + std::countr_zero(rest));
      }
    }
  }
  friend bool operator==(const OperationSet&, const OperationSet&) = default;

 private:
  static std::size_t word(int operation) noexcept { return static_cast<std::size_t>(operation) / 64; }
  static std::uint64_t bit(int operation) noexcept { return std::uint64_t{1} << (operation % 64); }
  std::array<std::uint64_t, max_operations / 64> words_{};
};

/// A move of rights to one bounded column.
struct RightsGift {
  std::size_t bound = 0;
  Right right = Right::lower;
  Actor from;
  Actor to;
  std::int64_t amount = 0;  ///< hundredths
};

/// One INSERT, UPDATE or DELETE of one row, or a move of its rights.
struct Operation {
  bool is_delete = false;
  int table = 0;
  int key = 0;
  Actor actor;
  Hlc birth;  ///< of the life that was written
  Hlc stamp;
  std::uint8_t groups = 0;  ///< bit i: wrote group i
  std::array<std::int64_t, max_groups> group_values{};
  std::array<std::optional<std::int64_t>, max_counters> deltas;  ///< hundredths
  bool is_insert = false;
  Actor maker;                                                  ///< of the life that was written
  std::array<std::optional<std::int64_t>, max_bounds> bounded;  ///< by how much it changed each, in hundredths
  std::vector<RightsGift> gifts;
  std::uint8_t lattices = 0;  ///< bit i: wrote lattice column i
  std::array<std::optional<std::int64_t>, max_lattices> lattice_values;
  std::array<std::optional<SetValue>, max_sets> added;         ///< per set that was written: the elements that it added
  std::array<std::map<int, OperationSet>, max_sets> replaced;  ///< per element: the adds that it saw and undid
  Hlc floor;                                                   ///< of a delete: largest birth that the deleter saw
  OperationSet seen;                                           ///< of a delete: the live writes that the deleter saw
};

/// What a row or an image knows: all writes it holds, and per group the writes that its values reflect (fewer, if
/// values of a group did not travel).
struct Ghost {
  OperationSet writes;
  std::array<OperationSet, max_groups> groups;
  void add(int operation) noexcept {
    writes.add(operation);
    for (OperationSet& group : groups) group.add(operation);
  }
  void unite(const Ghost& other, std::uint8_t missing_groups) noexcept {
    writes |= other.writes;
    for (int i = 0; i < max_groups; ++i) {
      if ((missing_groups >> i & 1) == 0)
        groups[static_cast<std::size_t>(i)] |= other.groups[static_cast<std::size_t>(i)];
    }
  }
};

using OperationLog = std::vector<Operation>;

}  // namespace meridian::sim
