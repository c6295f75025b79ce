#include "sim/table.hpp"

#include <algorithm>
#include <string_view>

namespace meridian::sim {

namespace {

TableKind make_kind(std::string name, std::vector<std::string_view> rules, bool default_group) {
  TableKind kind;
  kind.name = std::move(name);
  const TableRules parsed = parse_rules(rules);
  kind.shape = parsed.shape(default_group);
  for (std::size_t i = 0; i < kind.shape.lattices.size(); ++i) {
    const auto column = std::ranges::find(parsed.columns, kind.shape.lattices[i], &ColumnRuleEntry::slot);
    kind.lattice_rules[i] = column->rule;
  }
  for (std::size_t i = 0; i < kind.shape.sets.size(); ++i) {
    const auto column = std::ranges::find(parsed.columns, kind.shape.sets[i], &ColumnRuleEntry::slot);
    kind.set_has_values[i] = column->column == "attributes";
  }
  return kind;
}

std::vector<TableKind> make_kinds() {
  std::vector<TableKind> kinds;
  kinds.push_back(make_kind("latest", {}, true));
  kinds.push_back(make_kind("one_group", {"delete=birth"}, true));
  kinds.push_back(make_kind("groups", {"email=lww", "street=group:a", "city=group:a"}, true));
  kinds.push_back(make_kind("counter", {"balance=counter"}, false));
  kinds.push_back(make_kind("mixed", {"email=lww", "balance=counter", "seen=merge:sim.unite"}, true));
  kinds.push_back(make_kind("set", {"tags=set"}, false));
  kinds.push_back(make_kind("object", {"attributes=set"}, true));
  // The rights of rows from before replication are node 0's in its first epoch (network.hpp, world.hpp).
  kinds.push_back(make_kind("bounded", {"stock=bounded(0,20;1/1)"}, true));
  kinds.push_back(make_kind("bounded_below", {"email=lww", "stock=bounded(-3;1/1)", "seats=bounded(2,9;1/1)"}, false));
  kinds.push_back(make_kind(
      "everything",
      {"email=lww", "balance=counter", "street=group:a", "city=group:a", "seen=max", "first=min", "stock=counter",
       "any=or", "every=and", "zip=group:b", "tags=set", "attributes=set", "seats=bounded(0,30;1/1)"},
      true));
  return kinds;
}

}  // namespace

const std::vector<TableKind>& table_kinds() {
  static const std::vector<TableKind> kinds = make_kinds();
  return kinds;
}

std::optional<std::int64_t> combine(ColumnRule rule, std::optional<std::int64_t> a, std::optional<std::int64_t> b) {
  if (!a) return b;
  if (!b) return a;
  switch (rule) {
    case ColumnRule::min:
      return std::min(*a, *b);
    case ColumnRule::logical_or:
    case ColumnRule::merge:  // of a user's functions, union: the result may be neither of the two
      return *a | *b;
    case ColumnRule::logical_and:
      return *a & *b;
    default:
      return std::max(*a, *b);
  }
}

std::vector<Contribution> contributions_of(const Shape& shape, const Values& values) {
  std::vector<Contribution> result;
  for (std::size_t i = 0; i < shape.counters.size(); ++i) {
    if (values.counters[i]) result.push_back(Contribution{shape.counters[i], *values.counters[i]});
  }
  return result;
}

std::vector<Contribution> bounded_of(const Shape& shape, const Values& values) {
  std::vector<Contribution> result;
  for (std::size_t i = 0; i < shape.bounds.size(); ++i) {
    if (values.bounded[i]) result.push_back(Contribution{shape.bounds[i].slot, *values.bounded[i]});
  }
  return result;
}

std::vector<SetContent> contents_of(const Shape& shape, const Values& values) {
  std::vector<SetContent> result;
  for (std::size_t i = 0; i < shape.sets.size(); ++i) {
    if (values.sets[i]) result.push_back(content_of(shape.sets[i], *values.sets[i]));
  }
  return result;
}

SetContent content_of(Slot slot, const SetValue& value) {
  SetContent content{slot, {}};
  for (const auto& [element, shown] : value) {
    content.elements.push_back({std::to_string(element), shown == 0 ? "" : std::to_string(shown)});
  }
  return content;
}

std::optional<SetValue> set_of(const RowState& state, Slot slot) {
  if (!is_written(state, slot)) return std::nullopt;
  SetValue value;
  for (const SetElement& element : elements_of(state, slot)) {
    value[std::stoi(element.bytes)] = element.value.empty() ? 0 : std::stoll(element.value);
  }
  return value;
}

std::string describe(const Shape& shape, const Values& values) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.groups.size(); ++i) text += " g" + std::to_string(values.groups[i]);
  for (std::size_t i = 0; i < shape.counters.size(); ++i) {
    text += " c" + (values.counters[i] ? values.counters[i]->to_string() : "NULL");
  }
  for (std::size_t i = 0; i < shape.lattices.size(); ++i) {
    text += " l" + (values.lattices[i] ? std::to_string(*values.lattices[i]) : "NULL");
  }
  for (std::size_t i = 0; i < shape.bounds.size(); ++i) {
    text += " b" + (values.bounded[i] ? values.bounded[i]->to_string() : "NULL");
  }
  for (std::size_t i = 0; i < shape.sets.size(); ++i) {
    text += values.sets[i] ? " {" : " NULL";
    if (!values.sets[i]) continue;
    for (const auto& [element, shown] : *values.sets[i])
      text += std::to_string(element) + ":" + std::to_string(shown) + ",";
    text += '}';
  }
  return text + " )";
}

}  // namespace meridian::sim
