#include "core/cdc_options.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>

#include "core/error.hpp"

namespace meridian::cdc {
namespace {

Error bad_value(std::string_view name, std::string_view value, std::string hint) {
  return {ErrorKind::invalid_rule,
          "option " + std::string(name) + " cannot be \"" + std::string(value.substr(0, 100)) + "\"", std::move(hint)};
}

template <typename Enum>
struct Choice {
  std::string_view word;
  Enum value;
};

/// Sets `target` to what the word stands for.
template <typename Enum, std::size_t N>
void choose(Enum& target, std::string_view name, std::string_view value, const Choice<Enum> (&choices)[N]) {
  std::string known;
  for (const auto& choice : choices) {
    if (choice.word == value) {
      target = choice.value;
      return;
    }
    known += (known.empty() ? "" : ", ") + std::string(choice.word);
  }
  throw bad_value(name, value, "It is one of " + known + ".");
}

void choose_bool(bool& target, std::string_view name, std::string_view value) {
  constexpr Choice<bool> choices[] = {{"true", true}, {"false", false}, {"on", true}, {"off", false}};
  choose(target, name, value, choices);
}

std::uint64_t parse_count(std::string_view name, std::string_view value) {
  constexpr std::uint64_t largest = 1'000'000'000'000;
  std::uint64_t count = 0;
  const auto read = std::from_chars(value.data(), value.data() + value.size(), count);
  if (read.ec != std::errc{} || read.ptr != value.data() + value.size() || count > largest) {
    throw bad_value(name, value, "It is a number from 0 on.");
  }
  return count;
}

Operations parse_operations(std::string_view name, std::string_view value) {
  Operations operations;
  if (value == "none") return operations;
  std::string_view rest = trim(value);
  while (!rest.empty()) {
    const std::string_view word = trim(rest.substr(0, rest.find(',')));
    if (word.size() != 1 || std::string_view("cudt").find(word.front()) == std::string_view::npos) {
      throw bad_value(name, value, "It is a list of c, u, d and t, or none.");
    }
    operations.add(word.front());
    rest.remove_prefix(std::min(rest.size(), rest.find(',')));
    if (!rest.empty()) rest.remove_prefix(1);
  }
  return operations;
}

std::vector<NamePattern> parse_prefixes(std::string_view value) {
  std::vector<NamePattern> prefixes;
  while (!value.empty()) {
    const std::string_view word = trim(value.substr(0, value.find(',')));
    if (!word.empty()) prefixes.push_back({std::string(word), word.find('*') != std::string_view::npos});
    value.remove_prefix(std::min(value.size(), value.find(',')));
    if (!value.empty()) value.remove_prefix(1);
  }
  return prefixes;
}

std::string parse_prefix(std::string_view name, std::string_view value) {
  if (value.empty()) throw bad_value(name, value, "It is the first part of the names of topics.");
  return std::string(value);
}

struct Setter {
  std::string_view name;
  void (*set)(Options&, std::string_view name, std::string_view value);
};

using View = std::string_view;

constexpr Setter setters[] = {
    {"after",
     [](Options& o, View name, View value) {
       const auto position = parse_position(value);
       if (!position) throw bad_value(name, value, "It is the position of an event, like 0/16B3748,0/16B3700,3.");
       o.after = position->position;
     }},
    {"before_fill",
     [](Options& o, View name, View value) {
       constexpr Choice<BeforeFill> choices[] = {
           {"debezium", BeforeFill::debezium}, {"null", BeforeFill::null}, {"key_only", BeforeFill::key_only}};
       choose(o.before_fill, name, value, choices);
     }},
    {"binary_mode",
     [](Options& o, View name, View value) {
       constexpr Choice<BinaryMode> choices[] = {{"bytes", BinaryMode::bytes},
                                                 {"base64", BinaryMode::base64},
                                                 {"base64-url-safe", BinaryMode::base64_url_safe},
                                                 {"hex", BinaryMode::hex}};
       choose(o.modes.binary, name, value, choices);
     }},
    {"columns", [](Options& o, View, View value) { o.columns = parse_patterns(value, 3); }},
    {"decimal_mode",
     [](Options& o, View name, View value) {
       constexpr Choice<DecimalMode> choices[] = {
           {"precise", DecimalMode::precise}, {"string", DecimalMode::string}, {"double", DecimalMode::float64}};
       choose(o.modes.decimal, name, value, choices);
     }},
    {"envelope",
     [](Options& o, View name, View value) {
       constexpr Choice<Envelope> choices[] = {{"bare", Envelope::bare},
                                               {"payload", Envelope::payload},
                                               {"schema", Envelope::schema},
                                               {"flat", Envelope::flat}};
       choose(o.envelope, name, value, choices);
     }},
    {"exclude_columns", [](Options& o, View, View value) { o.exclude_columns = parse_patterns(value, 3); }},
    {"exclude_tables", [](Options& o, View, View value) { o.exclude_tables = parse_patterns(value, 2); }},
    {"format",
     [](Options& o, View name, View value) {
       constexpr Choice<Format> choices[] = {{"value", Format::value}, {"event", Format::event}};
       choose(o.format, name, value, choices);
     }},
    {"hash_columns", [](Options& o, View, View value) { o.hash_columns = parse_patterns(value, 3); }},
    {"hash_salt", [](Options& o, View, View value) { o.hash_salt = value; }},
    {"heartbeat_interval",
     [](Options& o, View name, View value) {
       o.heartbeat_interval_ms = static_cast<std::int64_t>(parse_count(name, value));
     }},
    {"hstore_mode",
     [](Options& o, View name, View value) {
       constexpr Choice<HstoreMode> choices[] = {{"json", HstoreMode::json}, {"map", HstoreMode::map}};
       choose(o.modes.hstore, name, value, choices);
     }},
    {"include_generated", [](Options& o, View name, View value) { choose_bool(o.include_generated, name, value); }},
    {"include_meridian", [](Options& o, View name, View value) { choose_bool(o.include_meridian, name, value); }},
    {"include_unknown", [](Options& o, View name, View value) { choose_bool(o.include_unknown, name, value); }},
    {"interval_mode",
     [](Options& o, View name, View value) {
       constexpr Choice<IntervalMode> choices[] = {{"numeric", IntervalMode::numeric},
                                                   {"string", IntervalMode::string}};
       choose(o.modes.interval, name, value, choices);
     }},
    {"limit", [](Options& o, View name, View value) { o.limit = parse_count(name, value); }},
    {"mask_columns", [](Options& o, View, View value) { o.mask_columns = parse_patterns(value, 3); }},
    {"mask_text", [](Options& o, View, View value) { o.mask_text = value; }},
    {"message_bytes", [](Options& o, View name, View value) { o.message_bytes = parse_count(name, value); }},
    {"message_prefixes", [](Options& o, View, View value) { o.message_prefixes = parse_prefixes(value); }},
    {"messages", [](Options& o, View name, View value) { choose_bool(o.messages, name, value); }},
    {"origin",
     [](Options& o, View name, View value) {
       constexpr Choice<bool> choices[] = {{"any", false}, {"local", true}};
       choose(o.local_only, name, value, choices);
     }},
    {"partition_root", [](Options& o, View name, View value) { choose_bool(o.partition_root, name, value); }},
    {"row_filter", [](Options& o, View, View value) { o.row_filters = parse_row_filters(value); }},
    {"skipped_operations", [](Options& o, View name, View value) { o.skipped = parse_operations(name, value); }},
    {"tables", [](Options& o, View, View value) { o.tables = parse_patterns(value, 2); }},
    {"time_mode",
     [](Options& o, View name, View value) {
       constexpr Choice<TimeMode> choices[] = {
           {"adaptive", TimeMode::adaptive},         {"adaptive_time_microseconds", TimeMode::adaptive_microseconds},
           {"connect", TimeMode::connect},           {"isostring", TimeMode::isostring},
           {"microseconds", TimeMode::microseconds}, {"nanoseconds", TimeMode::nanoseconds}};
       choose(o.modes.time, name, value, choices);
     }},
    {"tombstones", [](Options& o, View name, View value) { choose_bool(o.tombstones, name, value); }},
    {"topic",
     [](Options& o, View, View value) {
       static_cast<void>(topic_name(value, "", "", ""));  // throws if it has unknown placeholders
       o.topic = value;
     }},
    {"topic_prefix", [](Options& o, View name, View value) { o.prefix = parse_prefix(name, value); }},
    {"transaction_metadata",
     [](Options& o, View name, View value) { choose_bool(o.transaction_metadata, name, value); }},
    {"ts_ns",
     [](Options& o, View name, View value) {
       constexpr Choice<NanosecondForm> choices[] = {
           {"number", NanosecondForm::number}, {"string", NanosecondForm::string}, {"none", NanosecondForm::none}};
       choose(o.ts_ns, name, value, choices);
     }},
    {"unavailable_value", [](Options& o, View, View value) { o.unavailable_value = value; }},
    {"watermarks", [](Options& o, View, View value) { o.watermarks = value; }},
};

std::string known_options() {
  std::string names;
  for (const Setter& setter : setters) names += (names.empty() ? "" : ", ") + std::string(setter.name);
  return names;
}

}  // namespace

bool Options::wants_table(std::string_view schema, std::string_view table) const noexcept {
  return (tables.empty() || any_matches_table(tables, schema, table)) &&
         !any_matches_table(exclude_tables, schema, table);
}

bool Options::wants_column(std::string_view schema, std::string_view table, std::string_view column) const noexcept {
  if (any_matches_column(exclude_columns, schema, table, column)) return false;
  return !any_matches_table(columns, schema, table) || any_matches_column(columns, schema, table, column);
}

bool Options::wants_message(std::string_view message_prefix) const noexcept {
  if (!messages || message_prefix == own_prefix) return false;
  return message_prefixes.empty() || std::any_of(message_prefixes.begin(), message_prefixes.end(),
                                                 [&](const auto& each) { return each.matches(message_prefix); });
}

bool Options::wants_watermark(std::string_view content) const noexcept {
  return !watermarks.empty() && content.size() > watermarks.size() && content.starts_with(watermarks) &&
         content[watermarks.size()] == ' ';
}

void set_option(Options& options, std::string_view name, std::string_view value) {
  const auto* setter =
      std::find_if(std::begin(setters), std::end(setters), [name](const Setter& each) { return each.name == name; });
  if (setter == std::end(setters)) {
    throw Error(ErrorKind::invalid_rule, "unknown option \"" + std::string(name.substr(0, 100)) + "\"",
                "Options are " + known_options() + ".");
  }
  setter->set(options, name, value);
}

void check_options(const Options& options) {
  if (!options.hash_columns.empty() && options.hash_salt.empty()) {
    throw Error(ErrorKind::invalid_rule, "option hash_columns needs hash_salt",
                "Without a secret salt, values that can be guessed can be told from their hashes.");
  }
}

bool is_stream_option(std::string_view name) noexcept {
  return name != "after" && name != "limit" && name != "message_bytes" && name != "watermarks" && name != "format";
}

}  // namespace meridian::cdc
