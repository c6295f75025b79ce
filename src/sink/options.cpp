#include "sink/options.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

namespace meridian::sink {
namespace {

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

std::int64_t parse_number(const std::string& name, const std::string& text, std::int64_t least, std::int64_t most) {
  std::int64_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc{} || read.ptr != text.data() + text.size() || value < least || value > most) {
    throw OptionError("option \"" + name + "\" must be a number between " + std::to_string(least) + " and " +
                      std::to_string(most));
  }
  return value;
}

Policy parse_policy(const std::string& text) {
  if (text == "stop") return Policy::stop;
  if (text == "dead_letter") return Policy::dead_letter;
  if (text == "skip") return Policy::skip;
  throw OptionError("option \"on_error\" must be stop, dead_letter or skip");
}

std::optional<std::string> take(std::map<std::string, std::string>& from, const std::string& name) {
  const auto found = from.find(name);
  if (found == from.end()) return std::nullopt;
  std::string value = std::move(found->second);
  from.erase(found);
  return value;
}

}  // namespace

std::string read_whole_file(const std::string& path, const std::string& what) {
  std::ifstream file(path);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) throw OptionError(what + " cannot be read");
  return text.str();
}

std::map<std::string, std::string> Options::parse_lines(std::string_view text) {
  std::map<std::string, std::string> found;
  for (int number = 1; !text.empty(); ++number) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#') continue;
    const auto equals = line.find('=');
    if (equals == std::string_view::npos)
      throw OptionError("line " + std::to_string(number) + " is not \"name = value\"");
    const std::string name(trimmed(line.substr(0, equals)));
    if (!found.emplace(name, trimmed(line.substr(equals + 1))).second) {
      throw OptionError("option \"" + name + "\" is given twice");
    }
  }
  return found;
}

Options Options::from_map(std::map<std::string, std::string> given) {
  Options options;
  options.name = take(given, "name").value_or("");
  options.dsn = take(given, "dsn").value_or("");
  options.slot = take(given, "slot").value_or("");
  options.kind = take(given, "kind").value_or("");
  if (options.name.empty()) throw OptionError("option \"name\" is missing");
  if (options.kind.empty()) throw OptionError("option \"kind\" is missing");
  if (const auto text = take(given, "generation"))
    options.generation = static_cast<std::uint64_t>(parse_number("generation", *text, 0, 200'000));
  if (const auto policy = take(given, "on_error")) options.on_error = parse_policy(*policy);
  if (const auto text = take(given, "batch_bytes")) {
    options.batch_bytes = static_cast<std::size_t>(parse_number("batch_bytes", *text, 1024, std::int64_t{256} << 20));
  }
  if (const auto text = take(given, "batch_events")) {
    options.batch_events = static_cast<std::size_t>(parse_number("batch_events", *text, 1, 1'000'000));
  }
  if (const auto text = take(given, "batch_ms"))
    options.batch_time = std::chrono::milliseconds(parse_number("batch_ms", *text, 0, 60'000));
  if (const auto path = take(given, "secret_file")) {
    for (auto& [name, value] : parse_lines(read_whole_file(*path, "file of option \"secret_file\"")))
      given[name] = value;
  }
  constexpr std::string_view prefix = "plugin.";
  for (auto each = given.begin(); each != given.end();) {
    if (each->first.starts_with(prefix)) {
      options.plugin[each->first.substr(prefix.size())] = each->second;
      each = given.erase(each);
    } else {
      ++each;
    }
  }
  options.of_kind_ = std::move(given);
  return options;
}

std::optional<std::string> Options::find(const std::string& option) const {
  const auto found = of_kind_.find(option);
  return found == of_kind_.end() ? std::nullopt : std::optional(found->second);
}

std::string Options::get(const std::string& option, const std::string& otherwise) const {
  return find(option).value_or(otherwise);
}

std::string Options::require(const std::string& option) const {
  const auto found = find(option);
  if (!found || found->empty()) throw OptionError("option \"" + option + "\" is missing");
  return *found;
}

std::int64_t Options::number(const std::string& option, std::int64_t otherwise, std::int64_t least,
                             std::int64_t most) const {
  const auto found = find(option);
  return found ? parse_number(option, *found, least, most) : otherwise;
}

bool Options::flag(const std::string& option, bool otherwise) const {
  const auto found = find(option);
  if (!found) return otherwise;
  if (*found == "true" || *found == "on") return true;
  if (*found == "false" || *found == "off") return false;
  throw OptionError("option \"" + option + "\" must be true or false");
}

std::map<std::string, std::string> Options::with_prefix(const std::string& prefix) const {
  std::map<std::string, std::string> found;
  for (const auto& [name, value] : of_kind_) {
    if (name.starts_with(prefix)) found[name.substr(prefix.size())] = value;
  }
  return found;
}

void Options::allow_only(std::initializer_list<std::string_view> names) const {
  for (const auto& [given, value] : of_kind_) {
    const auto allows = [&given](std::string_view name) {
      return name.ends_with('.') ? given.starts_with(name) : given == name;
    };
    if (std::none_of(names.begin(), names.end(), allows)) {
      throw OptionError("a sink of kind " + kind + " has no option \"" + given + "\"");
    }
  }
}

}  // namespace meridian::sink
