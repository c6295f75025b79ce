// Row filters: which rows of a table become events.
//
//   public.orders: status = 'paid' and amount >= 10; public.users: deleted_at is null
//
// Data, not SQL: nothing is parsed or executed by the server. The plugin compares by the column's own type.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/cdc_names.hpp"

namespace meridian::cdc {

struct Condition {
  enum class Operator : std::uint8_t {
    equal,
    not_equal,
    less,
    less_or_equal,
    greater,
    greater_or_equal,
    is_null,
    is_not_null
  };
  std::string column;
  Operator op = Operator::equal;
  std::string literal;  ///< in the text form of the column's type; empty for is_null and is_not_null
};

/// Conditions that must all hold.
struct RowFilter {
  QualifiedPattern table;
  std::vector<Condition> conditions;
};

/// Reads filters with semicolons between them. Throws Error (invalid_rule).
[[nodiscard]] std::vector<RowFilter> parse_row_filters(std::string_view text);

/// Whether a value passes that compares so to the literal: below 0, 0, above 0.
[[nodiscard]] bool passes(Condition::Operator op, int comparison) noexcept;

}  // namespace meridian::cdc
