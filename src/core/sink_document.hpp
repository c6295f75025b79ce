// What a cache or a search index needs of an event: the row, and under which name it is kept.
//
// Events are those of the envelopes `bare`, `payload` and `schema` (docs/cdc.md). A row can have gaps: values stored
// out of line that the change did not touch, which the database does not send again. Whoever keeps whole rows must not
// take the placeholder for the value.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace meridian {

struct ChangedRow {
  char op = 0;             ///< c, u, d, r; t and m have no row
  std::string_view after;  ///< a JSON object; empty for d
  std::string_view table;
  std::string_view schema;
};

/// Nothing if the value is not an event of a row.
[[nodiscard]] std::optional<ChangedRow> parse_changed_row(std::string_view value) noexcept;

/// Whether the raw JSON value stands for one that was not sent.
[[nodiscard]] bool is_gap(std::string_view value) noexcept;
[[nodiscard]] bool has_gap(std::string_view row) noexcept;
/// The row with the values of `base`, an older state of it, in its gaps. Gaps that `base` does not fill stay.
[[nodiscard]] std::string fill_gaps(std::string_view row, std::string_view base);
/// The row without its gaps.
[[nodiscard]] std::string without_gaps(std::string_view row);

/// A name with parts to fill in: `user:{id}`, `{schema}.{table}:{key}`. {key}: the values of the key, joined by colons;
/// {table}, {schema}, {topic}; any other name is that of a key column. {{ and }} are braces.
class NameTemplate {
 public:
  /// Throws Error (invalid_rule) for braces that do not match and empty names.
  explicit NameTemplate(std::string_view text);
  struct Source {
    std::string_view key;  ///< a JSON object, in any envelope
    std::string_view table;
    std::string_view schema;
    std::string_view topic;
  };
  /// Nothing if the key lacks a column that is named.
  [[nodiscard]] std::optional<std::string> fill(const Source& source) const;

 private:
  struct Part {
    std::string text;
    bool is_name;
  };
  std::vector<Part> parts_;
};

}  // namespace meridian
