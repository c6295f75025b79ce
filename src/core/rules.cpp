#include "core/rules.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <optional>
#include <utility>

#include "core/error.hpp"

namespace meridian {

namespace {

constexpr std::size_t max_name_bytes = 63;      // PostgreSQL's NAMEDATALEN - 1
constexpr std::size_t max_column_rules = 1600;  // PostgreSQL's MaxHeapAttributeNumber
constexpr std::string_view group_prefix = "group:";
constexpr std::string_view merge_prefix = "merge:";
constexpr std::string_view bounded_prefix = "bounded(";
constexpr std::array<std::string_view, 3> option_names = {"delete", "ids", "row"};

constexpr std::string_view possible_rules =
    "Possible column rules: lww, group:<name>, counter, max, min, or, and, set, type, bounded(<min>[,<max>]), "
    "merge:<schema>.<function>. Options: delete=latest|birth, ids=global|stepped|keep, row=lww(<column>).";

constexpr std::array<std::pair<std::string_view, ColumnRule>, 8> plain_rules = {{
    {"lww", ColumnRule::lww},
    {"counter", ColumnRule::counter},
    {"max", ColumnRule::max},
    {"min", ColumnRule::min},
    {"or", ColumnRule::logical_or},
    {"and", ColumnRule::logical_and},
    {"type", ColumnRule::typed},
    {"set", ColumnRule::set},
}};

[[noreturn]] void refuse(const std::string& message, std::string_view hint = possible_rules) {
  throw Error(ErrorKind::invalid_rule, message, std::string(hint));
}

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) result.append(c == '"' ? 2 : 1, c);
  return result += '"';
}

void check_name(std::string_view name, std::string_view what) {
  const std::string subject(what);
  if (name.empty()) refuse(subject + " name is empty", "Write a rule as column=rule.");
  if (name.size() > max_name_bytes) {
    refuse(subject + " name is too long: " + quoted(name.substr(0, max_name_bytes)), "Names have at most 63 bytes.");
  }
  if (name.find('\0') != std::string_view::npos) refuse(subject + " name holds a zero byte", "Remove it.");
}

bool is_option(std::string_view name) noexcept { return std::ranges::find(option_names, name) != option_names.end(); }

/// Reads a double-quoted name off the front of `text`; "" stands for one quote.
std::string take_quoted(std::string_view& text) {
  std::string name;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') {
      if (!text.substr(i + 1).starts_with('"')) {
        text.remove_prefix(i + 1);
        return name;
      }
      ++i;
    }
    name += text[i];
  }
  refuse("unterminated quoted name in rule " + quoted(text), "Close the name with a double quote.");
}

/// One rule text, cut in two.
struct Assignment {
  std::string name;
  bool option = false;
  std::string_view value;
};

Assignment split(std::string_view text) {
  if (text.starts_with('"')) {
    auto rest = text;
    std::string name = take_quoted(rest);
    if (!rest.starts_with('=')) refuse("rule without \"=\": " + quoted(text), "Write a rule as column=rule.");
    return {std::move(name), false, rest.substr(1)};
  }
  // A quoted column name inside row=lww("...") may hold "=" itself.
  constexpr std::string_view row_option = "row=";
  if (text.starts_with("row=lww(\"") && text.ends_with("\")")) {
    return {"row", true, text.substr(row_option.size())};
  }
  const auto position = text.rfind('=');
  if (position == std::string_view::npos) refuse("rule without \"=\": " + quoted(text), "Write a rule as column=rule.");
  const auto name = text.substr(0, position);
  return {std::string(name), is_option(name), text.substr(position + 1)};
}

class RuleParser {
 public:
  TableRules run(std::span<const std::string_view> texts) {
    for (const auto text : texts) {
      const Assignment assignment = split(text);
      if (assignment.option) {
        set_option(assignment);
      } else {
        add_column(assignment);
      }
    }
    finish();
    return std::move(rules_);
  }

 private:
  void add_column(const Assignment& assignment) {
    check_name(assignment.name, "column");
    const bool known = std::ranges::any_of(
        rules_.columns, [&](const ColumnRuleEntry& entry) { return entry.column == assignment.name; });
    if (known) refuse("column " + quoted(assignment.name) + " has two rules", "Give each column one rule.");
    if (rules_.columns.size() == max_column_rules) refuse("too many column rules", "A table has at most 1600 columns.");

    ColumnRuleEntry entry;
    entry.column = assignment.name;
    entry.slot = static_cast<Slot>(rules_.columns.size() + 1);
    set_rule(entry, assignment.value);
    rules_.columns.push_back(std::move(entry));
  }

  void set_rule(ColumnRuleEntry& entry, std::string_view text) const {
    const auto plain = std::ranges::find(plain_rules, text, &decltype(plain_rules)::value_type::first);
    if (plain != plain_rules.end()) {
      entry.rule = plain->second;
      return;
    }
    if (text.starts_with(group_prefix)) {
      set_group(entry, text.substr(group_prefix.size()));
      return;
    }
    if (text.starts_with(merge_prefix)) {
      set_function(entry, text.substr(merge_prefix.size()));
      return;
    }
    if (text == "bounded" || text.starts_with(bounded_prefix)) {
      set_bound(entry, text);
      return;
    }
    refuse("unknown rule " + quoted(text) + " for column " + quoted(entry.column));
  }

  void set_group(ColumnRuleEntry& entry, std::string_view name) const {
    check_name(name, "group");
    const bool odd = std::ranges::any_of(
        name, [](char c) { return c == '=' || c == '"' || static_cast<unsigned char>(c) < ' ' || c == 0x7f; });
    if (odd) refuse("invalid group name " + quoted(name), "Use letters, digits and underscores.");
    entry.rule = ColumnRule::group;
    entry.group = name;
    const auto first = std::ranges::find(rules_.columns, entry.group, &ColumnRuleEntry::group);
    if (first != rules_.columns.end()) entry.slot = first->slot;
  }

  /// `schema.name`, either part as it is or in double quotes. Schemas are named, for no two sessions need to search
  /// alike.
  static void set_function(ColumnRuleEntry& entry, std::string_view text) {
    constexpr std::string_view form = "Write merge:<schema>.<function>; a part with a dot goes in double quotes.";
    const std::string whole(text);
    const auto refuse_name = [&whole, form] { refuse("invalid function name " + quoted(whole), form); };
    if (text.find('=') != std::string_view::npos) refuse_name();
    entry.schema = take_part(text);
    if (!text.starts_with('.')) refuse_name();
    text.remove_prefix(1);
    entry.function = take_part(text);
    if (!text.empty()) refuse_name();
    check_name(entry.schema, "schema");
    check_name(entry.function, "function");
    entry.rule = ColumnRule::merge;
  }

  /// `bounded(min)`, `bounded(min,max)`, and behind either `;member[/epoch]`: who holds the rights of rows from before
  /// replication.
  static void set_bound(ColumnRuleEntry& entry, std::string_view text) {
    constexpr std::string_view form = "Write bounded(<min>) or bounded(<min>,<max>) with numbers, min not above max.";
    const std::string whole(text);
    const auto refuse_bound = [&whole, form] { refuse("invalid rule " + quoted(whole), form); };
    if (!text.starts_with(bounded_prefix) || !text.ends_with(')')) refuse_bound();
    text = text.substr(bounded_prefix.size(), text.size() - bounded_prefix.size() - 1);
    const auto semicolon = std::min(text.find(';'), text.size());
    if (semicolon < text.size()) {
      const std::optional<Actor> holder = parse_actor(text.substr(semicolon + 1));
      if (!holder) refuse_bound();
      entry.bound.holder = *holder;
    }
    text = text.substr(0, semicolon);
    const auto comma = std::min(text.find(','), text.size());
    try {
      entry.bound.min = Decimal::parse(trimmed(text.substr(0, comma)));
      if (comma < text.size()) entry.bound.max = Decimal::parse(trimmed(text.substr(comma + 1)));
    } catch (const Error&) {
      refuse_bound();
    }
    if (entry.bound.max && compare(*entry.bound.max, entry.bound.min) < 0) refuse_bound();
    entry.bound.slot = entry.slot;
    entry.rule = ColumnRule::bounded;
  }

  static std::string_view trimmed(std::string_view text) noexcept {
    while (text.starts_with(' ')) text.remove_prefix(1);
    while (text.ends_with(' ')) text.remove_suffix(1);
    return text;
  }

  /// `member[/epoch]`, as in the text of a row state.
  static std::optional<Actor> parse_actor(std::string_view text) noexcept {
    const auto slash = std::min(text.find('/'), text.size());
    std::uint16_t member = 0;
    std::uint16_t epoch = 0;
    if (!read_number(text.substr(0, slash), member)) return std::nullopt;
    if (slash < text.size() && !read_number(text.substr(slash + 1), epoch)) return std::nullopt;
    return Actor::from_parts(epoch, member);
  }

  static bool read_number(std::string_view text, std::uint16_t& number) noexcept {
    const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
    return result.ec == std::errc{} && result.ptr == text.data() + text.size();
  }

  /// Reads one part of a qualified name off the front of `text`.
  static std::string take_part(std::string_view& text) {
    if (text.starts_with('"')) return take_quoted(text);
    const auto length = std::min(text.find_first_of(".\""), text.size());
    std::string part(text.substr(0, length));
    text.remove_prefix(length);
    return part;
  }

  void set_option(const Assignment& option) {
    if (option.name == "delete") {
      set_once(delete_mode_, option, {{"latest", DeleteMode::latest}, {"birth", DeleteMode::by_birth}});
    } else if (option.name == "ids") {
      set_once(ids_, option, {{"global", IdMode::global}, {"stepped", IdMode::stepped}, {"keep", IdMode::keep}});
    } else {
      set_row(option);
    }
  }

  [[noreturn]] static void refuse_value(const Assignment& option) {
    refuse("unknown value " + quoted(option.value) + " for option " + quoted(option.name),
           std::string(possible_rules) + " A column of that name is written in double quotes: " + quoted(option.name) +
               "=lww.");
  }

  template <typename Mode>
  static void set_once(std::optional<Mode>& mode, const Assignment& option,
                       std::initializer_list<std::pair<std::string_view, Mode>> modes) {
    if (mode) refuse("option " + quoted(option.name) + " is given twice", "Give each option once.");
    for (const auto& [name, value] : modes) {
      if (option.value == name) mode = value;
    }
    if (!mode) refuse_value(option);
  }

  void set_row(const Assignment& option) {
    constexpr std::string_view prefix = "lww(";
    if (!rules_.row_lww_column.empty()) refuse("option \"row\" is given twice", "Give each option once.");
    auto text = option.value;
    if (!text.starts_with(prefix) || !text.ends_with(')')) {
      refuse_value(option);
    }
    text = text.substr(prefix.size(), text.size() - prefix.size() - 1);
    if (text.starts_with('"')) {
      rules_.row_lww_column = take_quoted(text);
      if (!text.empty()) refuse("text follows the quoted name in option \"row\"", "Write row=lww(<timestamp column>).");
    } else {
      rules_.row_lww_column = text;
    }
    check_name(rules_.row_lww_column, "column");
  }

  void finish() {
    const bool timestamps = !rules_.row_lww_column.empty();
    if (timestamps && !rules_.columns.empty()) {
      refuse("row=lww(...) cannot be combined with column rules",
             "It compares whole rows by one timestamp column; leave it out to use column rules.");
    }
    const DeleteMode mode = delete_mode_.value_or(rules_.columns.empty() ? DeleteMode::latest : DeleteMode::by_birth);
    if (timestamps && mode == DeleteMode::by_birth) {
      refuse("row=lww(...) cannot be combined with delete=birth", "Leave the delete option out.");
    }
    if (mode == DeleteMode::latest && !rules_.columns.empty()) {
      refuse("delete=latest cannot be combined with column rules",
             "With column rules a delete ends one life of the row: use delete=birth, or leave the option out.");
    }
    rules_.delete_mode = mode;
    rules_.ids = ids_.value_or(IdMode::unspecified);
  }

  TableRules rules_;
  std::optional<DeleteMode> delete_mode_;
  std::optional<IdMode> ids_;
};

std::string column_text(std::string_view name, bool reserved) {
  return reserved || name.find_first_of("=\"") != std::string_view::npos ? quoted(name) : std::string(name);
}

std::string part_text(std::string_view part) {
  return part.find_first_of(".\"") != std::string_view::npos ? quoted(part) : std::string(part);
}

std::string bound_text(const Bound& bound) {
  std::string text = std::string(bounded_prefix) + bound.min.to_string();
  if (bound.max) text += ',' + bound.max->to_string();
  if (bound.holder != nobody) {
    text += ';' + std::to_string(bound.holder.member());
    if (bound.holder.epoch() != 0) text += '/' + std::to_string(bound.holder.epoch());
  }
  return text + ')';
}

std::string rule_text(const ColumnRuleEntry& entry) {
  if (entry.rule == ColumnRule::group) return std::string(group_prefix) + entry.group;
  if (entry.rule == ColumnRule::merge)
    return std::string(merge_prefix) + part_text(entry.schema) + '.' + part_text(entry.function);
  if (entry.rule == ColumnRule::bounded) return bound_text(entry.bound);
  return std::string(std::ranges::find(plain_rules, entry.rule, &decltype(plain_rules)::value_type::second)->first);
}

template <typename Slots>
void add_slot(Slots& slots, Slot slot) {
  const auto position = std::ranges::lower_bound(slots, slot);
  if (position == slots.end() || *position != slot) slots.insert(position, slot);
}

}  // namespace

Shape TableRules::shape(bool has_default_group) const {
  Shape shape;
  shape.delete_latest = delete_mode == DeleteMode::latest;
  if (has_default_group) shape.groups.push_back(default_group);
  for (const ColumnRuleEntry& entry : columns) {
    switch (entry.rule) {
      case ColumnRule::lww:
      case ColumnRule::group:
        add_slot(shape.groups, entry.slot);
        break;
      case ColumnRule::counter:
        add_slot(shape.counters, entry.slot);
        break;
      case ColumnRule::max:
      case ColumnRule::min:
      case ColumnRule::logical_or:
      case ColumnRule::logical_and:
      case ColumnRule::merge:
      case ColumnRule::typed:
        add_slot(shape.lattices, entry.slot);
        break;
      case ColumnRule::set:
        add_slot(shape.sets, entry.slot);
        break;
      case ColumnRule::bounded:
        shape.bounds.push_back(entry.bound);
        break;
    }
  }
  return shape;
}

std::vector<std::string> TableRules::to_text() const {
  std::vector<std::string> texts;
  for (const ColumnRuleEntry& entry : columns) {
    texts.push_back(column_text(entry.column, is_option(entry.column)) + '=' + rule_text(entry));
  }
  const bool deletes_latest_unless_told = columns.empty();
  if (deletes_latest_unless_told && delete_mode == DeleteMode::by_birth) texts.emplace_back("delete=birth");
  if (ids == IdMode::global) texts.emplace_back("ids=global");
  if (ids == IdMode::stepped) texts.emplace_back("ids=stepped");
  if (ids == IdMode::keep) texts.emplace_back("ids=keep");
  if (!row_lww_column.empty()) texts.push_back("row=lww(" + column_text(row_lww_column, false) + ')');
  return texts;
}

TableRules parse_rules(std::span<const std::string_view> rules) { return RuleParser().run(rules); }

TableRules parse_rules(std::span<const std::string_view> rules, std::span<const std::string_view> columns) {
  const TableRules given = parse_rules(rules);
  std::vector<std::string> added;
  for (const std::string_view column : columns) {
    const bool ruled = std::ranges::find(given.columns, column, &ColumnRuleEntry::column) != given.columns.end();
    if (ruled) continue;
    if (!given.row_lww_column.empty()) {
      refuse("row=lww(...) would overwrite column " + quoted(column) + " as a whole",
             "The column's type merges, which needs a row state: leave row=lww(...) out.");
    }
    added.push_back(quoted(column) + "=type");
  }
  std::vector<std::string_view> all(rules.begin(), rules.end());
  all.insert(all.end(), added.begin(), added.end());
  return parse_rules(all);
}

}  // namespace meridian
