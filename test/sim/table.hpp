// The tables that histories run on, and the column values of a row.
//
// A group of last-writer-wins columns is one integer here: the number of the write that the values come from. Counters
// are decimals, lattice columns integers; NULL is the bottom of every lattice. A set is a map from element to value;
// the elements of an array all have value 0, the keys of a jsonb object others.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/decimal.hpp"
#include "core/row_state.hpp"
#include "core/rules.hpp"

namespace meridian::sim {

inline constexpr int max_groups = 4;
inline constexpr int max_counters = 2;
inline constexpr int max_lattices = 4;
inline constexpr int max_sets = 2;
inline constexpr int max_bounds = 2;
inline constexpr int max_elements = 4;
inline constexpr int max_tables = 2;
/// Ordinary keys of a table; one more is the spare key that a swap of two keys passes through.
inline constexpr int max_keys = 3;
inline constexpr int all_keys = max_keys + 1;

using SetValue = std::map<int, std::int64_t>;

struct Values {
  std::array<std::int64_t, max_groups> groups{};
  std::array<std::optional<Decimal>, max_counters> counters;
  std::array<std::optional<std::int64_t>, max_lattices> lattices;
  std::array<std::optional<SetValue>, max_sets> sets;
  std::array<std::optional<Decimal>, max_bounds> bounded;
  friend bool operator==(const Values&, const Values&) = default;
};

struct TableKind {
  std::string name;
  Shape shape;
  std::array<ColumnRule, max_lattices> lattice_rules{};  ///< parallel to shape.lattices
  std::array<bool, max_sets> set_has_values{};           ///< parallel to shape.sets: a jsonb object
};

/// Every kind of table: `delete=latest`, by birth with one group, groups, a counter, sets, bounded columns, and all
/// rules at once.
[[nodiscard]] const std::vector<TableKind>& table_kinds();

/// What the lattice column holds after merging two values of one life.
[[nodiscard]] std::optional<std::int64_t> combine(ColumnRule rule, std::optional<std::int64_t> a,
                                                  std::optional<std::int64_t> b);

/// The non-NULL counters as contributions, for an INSERT or a row from before replication.
[[nodiscard]] std::vector<Contribution> contributions_of(const Shape& shape, const Values& values);

/// The bounded columns, likewise.
[[nodiscard]] std::vector<Contribution> bounded_of(const Shape& shape, const Values& values);

/// The sets that are not NULL, for an INSERT or a row from before replication.
[[nodiscard]] std::vector<SetContent> contents_of(const Shape& shape, const Values& values);
[[nodiscard]] SetContent content_of(Slot slot, const SetValue& value);
/// What the state says of the column.
[[nodiscard]] std::optional<SetValue> set_of(const RowState& state, Slot slot);

[[nodiscard]] std::string describe(const Shape& shape, const Values& values);

}  // namespace meridian::sim
