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

/// The table that an event is of, also one without a row; nothing if it does not say so.
struct EventTable {
  std::string_view schema;
  std::string_view table;
};
[[nodiscard]] std::optional<EventTable> parse_table_of(std::string_view value) noexcept;

/// Whether the raw JSON value stands for one that was not sent.
[[nodiscard]] bool is_gap(std::string_view value) noexcept;
[[nodiscard]] bool has_gap(std::string_view row) noexcept;
/// The row with the values of `base`, an older state of it, in its gaps. Gaps that `base` does not fill stay.
[[nodiscard]] std::string fill_gaps(std::string_view row, std::string_view base);
/// The row without its gaps.
[[nodiscard]] std::string without_gaps(std::string_view row);

/// The event with its row's gaps filled from `base`, another event of the row; as it is, if it has none.
[[nodiscard]] std::string fill_event(std::string_view event, std::string_view base);

/// The key of a row as events have it: the members of `key_row`, with the row's values. Nothing if the row lacks one.
[[nodiscard]] std::optional<std::string> key_of_row(std::string_view row, std::string_view key_row);
/// Whether the key, in any envelope, has just the members of `key_row`.
[[nodiscard]] bool is_key_of(std::string_view key, std::string_view key_row) noexcept;

/// The event of a DELETE of which nothing is known but the key, in any envelope. It takes its envelope and its source
/// from `truncation`, the event of a TRUNCATE of the table; `old_row` has the columns of `before`, with what stands for
/// values that are not known.
[[nodiscard]] std::string deletion_event(std::string_view truncation, std::string_view old_row, std::string_view key);

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
  /// A pattern that the names of all rows of a table match, with `*` for what differs. Of the source, the key does not
  /// count. `escape`: put before characters that have a meaning in a pattern; 0: they cannot occur.
  [[nodiscard]] std::string pattern(const Source& source, char escape) const;

 private:
  struct Part {
    std::string text;
    bool is_name;
  };
  std::vector<Part> parts_;
};

}  // namespace meridian
