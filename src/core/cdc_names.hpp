// Patterns of tables and columns in options, and names of topics.
//
// A pattern is written like an SQL name: parts between points, folded to lower case unless in double quotes. In a part
// without quotes `*` stands for any characters. A list has commas between patterns.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace meridian::cdc {

/// One part of a pattern.
struct NamePattern {
  std::string text;
  bool has_wildcards = false;
  [[nodiscard]] bool matches(std::string_view name) const noexcept;
};

/// `schema.table` or `schema.table.column`.
struct QualifiedPattern {
  std::vector<NamePattern> parts;
  [[nodiscard]] bool matches_table(std::string_view schema, std::string_view table) const noexcept;
  [[nodiscard]] bool matches_column(std::string_view schema, std::string_view table,
                                    std::string_view column) const noexcept;
};

using PatternList = std::vector<QualifiedPattern>;

/// Reads a list of patterns with so many parts each. Throws Error (invalid_rule).
[[nodiscard]] PatternList parse_patterns(std::string_view list, std::size_t parts);

/// Takes one pattern from the front of `rest`, up to a comma, a colon, a blank or the end. Throws Error (invalid_rule).
[[nodiscard]] QualifiedPattern take_pattern(std::string_view* rest, std::size_t parts);

[[nodiscard]] bool any_matches_table(const PatternList& list, std::string_view schema, std::string_view table) noexcept;
[[nodiscard]] bool any_matches_column(const PatternList& list, std::string_view schema, std::string_view table,
                                      std::string_view column) noexcept;

/// Cuts blanks off both ends.
[[nodiscard]] std::string_view trim(std::string_view text) noexcept;

/// The name of a topic from a template in which {prefix}, {schema} and {table} stand for those: what Kafka does not
/// take in a name becomes `_`, and no name is longer than 249. Throws Error (invalid_rule) for any other {word}.
[[nodiscard]] std::string topic_name(std::string_view pattern, std::string_view prefix, std::string_view schema,
                                     std::string_view table);

}  // namespace meridian::cdc
