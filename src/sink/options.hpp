// What a sink is to do: its name, where it reads, its kind, and the options of that kind.
//
// They come from the database (meridian.sink_options()) or, standalone, from a file of lines `name = value`. Secrets
// are not options: `secret_file` names a file of such lines that is read by the program and whose values appear
// nowhere.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace meridian::sink {

/// An option that is wrong. what() names it and never holds the value of a secret.
struct OptionError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Policy : std::uint8_t { stop, dead_letter, skip };

/// Throws OptionError, with the name for `what`, if it cannot be read.
std::string read_whole_file(const std::string& path, const std::string& what);

class Options {
 public:
  std::string name;
  std::string dsn;   ///< of the database that events come from
  std::string slot;  ///< a logical slot of plugin meridian_cdc
  std::string kind;

  /// Options of the plugin, as for START_REPLICATION.
  std::map<std::string, std::string> plugin;

  /// How often everything was delivered anew (resnapshot.hpp).
  std::uint64_t generation = 0;

  Policy on_error = Policy::stop;
  std::size_t batch_bytes = std::size_t{1} << 20;
  std::size_t batch_events = 1000;
  std::chrono::milliseconds batch_time{10};

  /// What versions at a target are made of: this, and the position of the commit. Those of a generation are larger than
  /// those of earlier ones, also if a promotion has lost up to 16 TB of WAL, whose positions come again.
  [[nodiscard]] std::uint64_t version_base() const noexcept { return generation << 44; }

  /// `name = value` lines; empty ones and those that begin with # do not count. Throws OptionError with the line's
  /// number.
  static std::map<std::string, std::string> parse_lines(std::string_view text);
  /// Takes what is common to all kinds, options of the plugin (`plugin.NAME`), and keeps the rest for the kind.
  static Options from_map(std::map<std::string, std::string> given);

  [[nodiscard]] std::optional<std::string> find(const std::string& option) const;
  [[nodiscard]] std::string get(const std::string& option, const std::string& otherwise) const;
  /// Throws OptionError if it is not there.
  [[nodiscard]] std::string require(const std::string& option) const;
  [[nodiscard]] std::int64_t number(const std::string& option, std::int64_t otherwise, std::int64_t least,
                                    std::int64_t most) const;
  [[nodiscard]] bool flag(const std::string& option, bool otherwise) const;
  /// Options whose names begin with the prefix, without it.
  [[nodiscard]] std::map<std::string, std::string> with_prefix(const std::string& prefix) const;
  /// Throws OptionError if an option is none of these, and begins with none of these prefixes (which end in a dot).
  void allow_only(std::initializer_list<std::string_view> names) const;

 private:
  std::map<std::string, std::string> of_kind_;
};

}  // namespace meridian::sink
