// The tables that histories run on, and the column values of a row.
//
// A group of last-writer-wins columns is one integer here: the number of the write that the values come from. Counters
// are decimals, lattice columns integers; NULL is the bottom of every lattice.
#pragma once

#include <array>
#include <cstdint>
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
inline constexpr int max_tables = 2;
/// Ordinary keys of a table; one more is the spare key that a swap of two keys passes through.
inline constexpr int max_keys = 3;
inline constexpr int all_keys = max_keys + 1;

struct Values {
  std::array<std::int64_t, max_groups> groups{};
  std::array<std::optional<Decimal>, max_counters> counters;
  std::array<std::optional<std::int64_t>, max_lattices> lattices;
  friend bool operator==(const Values&, const Values&) = default;
};

struct TableKind {
  std::string name;
  Shape shape;
  std::array<ColumnRule, max_lattices> lattice_rules{};  ///< parallel to shape.lattices
};

/// Every kind of table: `delete=latest`, by birth with one group, groups, a counter, and all rules at once.
[[nodiscard]] const std::vector<TableKind>& table_kinds();

/// What the lattice column holds after merging two values of one life.
[[nodiscard]] std::optional<std::int64_t> combine(ColumnRule rule, std::optional<std::int64_t> a,
                                                  std::optional<std::int64_t> b);

/// The non-NULL counters as contributions, for an INSERT or a row from before replication.
[[nodiscard]] std::vector<Contribution> contributions_of(const Shape& shape, const Values& values);

[[nodiscard]] std::string describe(const Shape& shape, const Values& values);

}  // namespace meridian::sim
