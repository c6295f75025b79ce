#include "core/cdc_names.hpp"

#include <algorithm>

#include "core/error.hpp"

namespace meridian::cdc {
namespace {

constexpr bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
constexpr bool ends_pattern(char c) { return c == ',' || c == ':' || is_blank(c); }
constexpr std::size_t longest_topic = 249;

Error bad_pattern(std::string_view text, std::size_t parts) {
  return {ErrorKind::invalid_rule,
          "\"" + std::string(text.substr(0, 100)) + "\" does not name " + (parts == 2 ? "a table" : "a column"),
          parts == 2 ? "Write schema.table; * stands for any characters, names in double quotes are taken as they are."
                     : "Write schema.table.column; * stands for any characters."};
}

/// A part in double quotes, which are doubled inside.
bool take_quoted(std::string_view* rest, std::string* name) {
  std::string_view text = rest->substr(1);
  while (!text.empty()) {
    if (text.front() == '"') {
      if (text.size() == 1 || text[1] != '"') {
        *rest = text.substr(1);
        return !name->empty();
      }
      text.remove_prefix(1);
    }
    name->push_back(text.front());
    text.remove_prefix(1);
  }
  return false;
}

bool take_bare(std::string_view* rest, NamePattern* part) {
  while (!rest->empty() && !ends_pattern(rest->front()) && rest->front() != '.' && rest->front() != '"') {
    const char c = rest->front();
    part->has_wildcards = part->has_wildcards || c == '*';
    part->text.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
    rest->remove_prefix(1);
  }
  return !part->text.empty();
}

}  // namespace

bool NamePattern::matches(std::string_view name) const noexcept {
  if (!has_wildcards) return name == text;
  // Greedy with one point to come back to: the last star.
  std::size_t at = 0;
  std::size_t in_pattern = 0;
  std::size_t star = std::string::npos;
  std::size_t resume = 0;
  while (at < name.size()) {
    if (in_pattern < text.size() && text[in_pattern] == '*') {
      star = in_pattern++;
      resume = at;
    } else if (in_pattern < text.size() && text[in_pattern] == name[at]) {
      ++in_pattern;
      ++at;
    } else if (star != std::string::npos) {
      in_pattern = star + 1;
      at = ++resume;
    } else {
      return false;
    }
  }
  return text.find_first_not_of('*', in_pattern) == std::string::npos;
}

bool QualifiedPattern::matches_table(std::string_view schema, std::string_view table) const noexcept {
  return parts.size() >= 2 && parts[0].matches(schema) && parts[1].matches(table);
}

bool QualifiedPattern::matches_column(std::string_view schema, std::string_view table,
                                      std::string_view column) const noexcept {
  return parts.size() == 3 && matches_table(schema, table) && parts[2].matches(column);
}

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

QualifiedPattern take_pattern(std::string_view* rest, std::size_t parts) {
  const std::string_view whole = *rest;
  QualifiedPattern pattern;
  for (bool more = true; more;) {
    NamePattern part;
    const bool quoted = !rest->empty() && rest->front() == '"';
    if (!(quoted ? take_quoted(rest, &part.text) : take_bare(rest, &part))) throw bad_pattern(whole, parts);
    pattern.parts.push_back(std::move(part));
    more = !rest->empty() && rest->front() == '.';
    if (more) rest->remove_prefix(1);
  }
  const bool ended = rest->empty() || ends_pattern(rest->front());
  if (!ended || pattern.parts.size() != parts) throw bad_pattern(whole, parts);
  return pattern;
}

PatternList parse_patterns(std::string_view list, std::size_t parts) {
  PatternList patterns;
  std::string_view rest = trim(list);
  while (!rest.empty()) {
    patterns.push_back(take_pattern(&rest, parts));
    rest = trim(rest);
    if (rest.empty()) break;
    if (rest.front() != ',') throw bad_pattern(rest, parts);
    rest = trim(rest.substr(1));
    if (rest.empty()) throw bad_pattern(list, parts);
  }
  return patterns;
}

bool any_matches_table(const PatternList& list, std::string_view schema, std::string_view table) noexcept {
  return std::any_of(list.begin(), list.end(), [&](const auto& each) { return each.matches_table(schema, table); });
}

bool any_matches_column(const PatternList& list, std::string_view schema, std::string_view table,
                        std::string_view column) noexcept {
  return std::any_of(list.begin(), list.end(),
                     [&](const auto& each) { return each.matches_column(schema, table, column); });
}

std::string topic_name(std::string_view pattern, std::string_view prefix, std::string_view schema,
                       std::string_view table) {
  std::string name;
  while (!pattern.empty()) {
    if (pattern.front() != '{') {
      name.push_back(pattern.front());
      pattern.remove_prefix(1);
      continue;
    }
    const std::size_t end = pattern.find('}');
    const std::string_view word = pattern.substr(0, end == std::string_view::npos ? pattern.size() : end + 1);
    if (word == "{prefix}") {
      name += prefix;
    } else if (word == "{schema}") {
      name += schema;
    } else if (word == "{table}") {
      name += table;
    } else {
      throw Error(ErrorKind::invalid_rule, "option topic has unknown placeholder \"" + std::string(word) + "\"",
                  "Placeholders are {prefix}, {schema} and {table}.");
    }
    pattern.remove_prefix(word.size());
  }
  const auto is_legal = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  std::replace_if(
      name.begin(), name.end(), [&](char c) { return !is_legal(c); }, '_');
  name.resize(std::min(name.size(), longest_topic));
  return name;
}

}  // namespace meridian::cdc
