// The rules of a table, as the user writes them: `email=lww`, `address=group:a`, `balance=counter`, `hits=type`,
// `stock=bounded(0,100)`, `tags=merge:app.union_tags`, `ids=global`, `delete=latest`, `row=lww(updated_at)`.
//
// Rules are validated here as text; whether a rule fits a column's type is the glue's business. The nth rule that names
// a column defines slot n (1-based, counting column rules only); columns of one named group share the slot of its first
// member. The list may only grow, so a slot never changes its meaning.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/row_state.hpp"

namespace meridian {

enum class ColumnRule { lww, group, counter, max, min, logical_or, logical_and, set, typed, merge, bounded };
enum class DeleteMode { by_birth, latest };
enum class IdMode { unspecified, global, stepped, keep };

struct ColumnRuleEntry {
  std::string column;
  ColumnRule rule = ColumnRule::lww;
  std::string group;     ///< name, for ColumnRule::group
  std::string schema;    ///< of `function`
  std::string function;  ///< name, for ColumnRule::merge
  Bound bound;           ///< for ColumnRule::bounded
  Slot slot = 0;
};

struct TableRules {
  std::vector<ColumnRuleEntry> columns;  ///< in the order given
  DeleteMode delete_mode = DeleteMode::by_birth;
  IdMode ids = IdMode::unspecified;
  std::string row_lww_column;  ///< `row=lww(column)`: plain timestamp mode, no row state; empty otherwise

  /// Slots as a shape. `has_default_group`: some column is named by no rule.
  [[nodiscard]] Shape shape(bool has_default_group) const;
  /// The canonical rule texts, as stored in the catalog and in trigger arguments: parse(to_text()) is the identity.
  [[nodiscard]] std::vector<std::string> to_text() const;
};

/// Parses and validates. Unknown rules, a column named twice, `delete=latest` beside other rules, an empty or over-long
/// name: Error(invalid_rule) with a hint that lists what is possible. No rule at all means one default group with
/// `delete=latest`.
[[nodiscard]] TableRules parse_rules(std::span<const std::string_view> rules);
/// The same, with `column=type` behind them for each of `columns` that they do not name. These are the columns whose
/// type merges, in an order that is the same on every node.
[[nodiscard]] TableRules parse_rules(std::span<const std::string_view> rules,
                                     std::span<const std::string_view> columns);

}  // namespace meridian
