// Rule lists, one rule a line: refused with a hint, or their text parses to the same rules again.
#include <vector>

#include "core/error.hpp"
#include "core/rules.hpp"
#include "fuzz/fuzz.hpp"

using namespace meridian;

namespace {

std::vector<std::string_view> lines(std::string_view text) {
  std::vector<std::string_view> result;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    result.push_back(line);
  }
  return result;
}

bool same_columns(const TableRules& a, const TableRules& b) {
  return std::equal(a.columns.begin(), a.columns.end(), b.columns.begin(), b.columns.end(),
                    [](const ColumnRuleEntry& x, const ColumnRuleEntry& y) {
                      return x.column == y.column && x.rule == y.rule && x.group == y.group && x.schema == y.schema &&
                             x.function == y.function && x.slot == y.slot;
                    });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  TableRules rules;
  try {
    rules = parse_rules(lines(fuzz::as_text(data, size)));
  } catch (const Error& error) {
    fuzz::check(error.kind() == ErrorKind::invalid_rule && !error.hint().empty(), "a refusal has a hint");
    return 0;
  }
  const std::vector<std::string> texts = rules.to_text();
  const TableRules again = parse_rules(std::vector<std::string_view>(texts.begin(), texts.end()));
  fuzz::check(same_columns(rules, again), "text keeps the columns");
  fuzz::check(rules.delete_mode == again.delete_mode && rules.ids == again.ids, "text keeps the options");
  fuzz::check(rules.row_lww_column == again.row_lww_column, "text keeps the timestamp column");
  fuzz::check(again.to_text() == texts, "text is canonical");
  const Shape shape = rules.shape(true);
  fuzz::check(shape.groups.front() == default_group, "the default group comes first");
  return 0;
}
