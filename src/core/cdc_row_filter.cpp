#include "core/cdc_row_filter.hpp"

#include <utility>

#include "core/error.hpp"

namespace meridian::cdc {
namespace {

using Operator = Condition::Operator;

Error bad_filter(std::string_view text) {
  return {ErrorKind::invalid_rule,
          "option row_filter is not well-formed at \"" + std::string(text.substr(0, 60)) + "\"",
          "Write schema.table: column = 'value' and other is not null; next.table: ..."};
}

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
constexpr bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (c & 0x80) != 0;
}

void skip_blanks(std::string_view* rest) {
  const std::string_view text = trim(*rest);
  *rest = text.empty() ? std::string_view{} : rest->substr(static_cast<std::size_t>(text.data() - rest->data()));
}

/// Takes the keyword, if it is next, in any case.
bool take_keyword(std::string_view* rest, std::string_view keyword) {
  skip_blanks(rest);
  if (rest->size() < keyword.size()) return false;
  for (std::size_t i = 0; i < keyword.size(); ++i) {
    if (lower((*rest)[i]) != keyword[i]) return false;
  }
  if (rest->size() > keyword.size() && is_word((*rest)[keyword.size()])) return false;
  rest->remove_prefix(keyword.size());
  return true;
}

/// Text between `quote`s, which are doubled inside.
std::string take_quoted(std::string_view* rest, char quote) {
  const std::string_view whole = *rest;
  std::string text;
  for (rest->remove_prefix(1); !rest->empty(); rest->remove_prefix(1)) {
    if (rest->front() == quote) {
      rest->remove_prefix(1);
      if (rest->empty() || rest->front() != quote) return text;
    }
    text.push_back(rest->front());
  }
  throw bad_filter(whole);
}

std::string take_column(std::string_view* rest) {
  skip_blanks(rest);
  if (!rest->empty() && rest->front() == '"') return take_quoted(rest, '"');
  std::string name;
  for (; !rest->empty() && is_word(rest->front()); rest->remove_prefix(1)) name.push_back(lower(rest->front()));
  if (name.empty()) throw bad_filter(*rest);
  return name;
}

Operator take_operator(std::string_view* rest) {
  skip_blanks(rest);
  constexpr std::pair<std::string_view, Operator> symbols[] = {
      {"<>", Operator::not_equal},        {"!=", Operator::not_equal}, {"<=", Operator::less_or_equal},
      {">=", Operator::greater_or_equal}, {"=", Operator::equal},      {"<", Operator::less},
      {">", Operator::greater},
  };
  for (const auto& [symbol, op] : symbols) {
    if (!rest->starts_with(symbol)) continue;
    rest->remove_prefix(symbol.size());
    return op;
  }
  if (!take_keyword(rest, "is")) throw bad_filter(*rest);
  const bool negated = take_keyword(rest, "not");
  if (!take_keyword(rest, "null")) throw bad_filter(*rest);
  return negated ? Operator::is_not_null : Operator::is_null;
}

std::string take_literal(std::string_view* rest) {
  skip_blanks(rest);
  if (!rest->empty() && rest->front() == '\'') return take_quoted(rest, '\'');
  std::string text;
  const auto is_bare = [](char c) { return is_word(c) || c == '.' || c == '-' || c == '+'; };
  for (; !rest->empty() && is_bare(rest->front()); rest->remove_prefix(1)) text.push_back(rest->front());
  if (text.empty()) throw bad_filter(*rest);
  return text;
}

}  // namespace

std::vector<RowFilter> parse_row_filters(std::string_view text) {
  std::vector<RowFilter> filters;
  skip_blanks(&text);
  while (!text.empty()) {
    RowFilter filter;
    filter.table = take_pattern(&text, 2);
    skip_blanks(&text);
    if (text.empty() || text.front() != ':') throw bad_filter(text);
    text.remove_prefix(1);
    do {
      Condition condition;
      condition.column = take_column(&text);
      condition.op = take_operator(&text);
      if (condition.op != Operator::is_null && condition.op != Operator::is_not_null)
        condition.literal = take_literal(&text);
      filter.conditions.push_back(std::move(condition));
    } while (take_keyword(&text, "and"));
    filters.push_back(std::move(filter));
    skip_blanks(&text);
    if (text.empty()) break;
    if (text.front() != ';') throw bad_filter(text);
    text.remove_prefix(1);
    skip_blanks(&text);
  }
  return filters;
}

bool passes(Operator op, int comparison) noexcept {
  switch (op) {
    case Operator::equal:
      return comparison == 0;
    case Operator::not_equal:
      return comparison != 0;
    case Operator::less:
      return comparison < 0;
    case Operator::less_or_equal:
      return comparison <= 0;
    case Operator::greater:
      return comparison > 0;
    case Operator::greater_or_equal:
      return comparison >= 0;
    case Operator::is_null:
    case Operator::is_not_null:
      break;
  }
  return false;
}

}  // namespace meridian::cdc
