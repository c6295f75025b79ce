#include "core/prometheus.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "core/error.hpp"

namespace meridian {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Colons are for recording rules, so a name of ours has none.
bool is_name(std::string_view name) {
  return !name.empty() && is_letter(name.front()) &&
         std::ranges::all_of(name, [](char c) { return is_letter(c) || is_digit(c); });
}

[[noreturn]] void refuse(std::string_view what, std::string_view name) {
  throw Error(ErrorKind::malformed_text, std::string(what) + " \"" + std::string(name) + "\"");
}

void append_escaped(std::string& text, std::string_view value, bool quote) {
  for (const char c : value) {
    if (c == '\\') {
      text += "\\\\";
    } else if (c == '\n') {
      text += "\\n";
    } else if (c == '"' && quote) {
      text += "\\\"";
    } else {
      text += c;
    }
  }
}

void append_value(std::string& text, double value) {
  if (std::isnan(value)) {
    text += "NaN";
  } else if (std::isinf(value)) {
    text += value > 0 ? "+Inf" : "-Inf";
  } else {
    std::array<char, 40> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    text.append(digits.data(), end);
  }
}

}  // namespace

void PrometheusText::family(std::string_view name, std::string_view kind, std::string_view help) {
  if (!is_name(name)) refuse("not the name of a metric:", name);
  if (kind != "counter" && kind != "gauge" && kind != "untyped") refuse("not a kind of metric:", kind);
  if (!written_.emplace(name).second) refuse("metric written twice:", name);
  family_ = name;
  text_ += "# HELP ";
  text_ += name;
  text_ += ' ';
  append_escaped(text_, help, false);
  text_ += "\n# TYPE ";
  text_ += name;
  text_ += ' ';
  text_ += kind;
  text_ += '\n';
}

void PrometheusText::sample(std::span<const MetricLabel> labels, double value) {
  if (family_.empty()) refuse("sample without a family", "");
  std::string line = family_;
  char separator = '{';
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const MetricLabel& label = labels[i];
    const auto same = [&label](const MetricLabel& other) { return other.name == label.name; };
    if (!is_name(label.name) || label.name.starts_with("__")) refuse("not the name of a label:", label.name);
    if (std::ranges::any_of(labels.first(i), same)) refuse("label given twice:", label.name);
    line += separator;
    line += label.name;
    line += "=\"";
    append_escaped(line, label.value, true);
    line += '"';
    separator = ',';
  }
  if (!labels.empty()) line += '}';
  line += ' ';
  append_value(line, value);
  line += '\n';
  text_ += line;
}

}  // namespace meridian
