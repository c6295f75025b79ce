// The options of the output plugin meridian_cdc, by name and text. docs/cdc.md lists them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/cdc_event.hpp"
#include "core/cdc_modes.hpp"
#include "core/cdc_names.hpp"
#include "core/cdc_row_filter.hpp"

namespace meridian::cdc {

/// Prefix of the logical messages between which rows of a table were read (plugin/cdc_snapshot.cpp): their content is
/// `<whose> <anything>`. It is the topic of their events, which only those get who ask for them.
inline constexpr std::string_view watermark_prefix = "meridian.watermark";

/// Prefix of the logical messages by which Meridian talks to itself; they are nobody's events.
inline constexpr std::string_view own_prefix = "meridian";

enum class Format : std::uint8_t {
  value,  ///< one JSON value per message; tombstones, which have none, are left out
  event,  ///< cdc_event.hpp
};

enum class Envelope : std::uint8_t {
  bare,     ///< {"before":...,"after":...}
  payload,  ///< {"schema":null,"payload":{...}}
  schema,   ///< the same with Kafka Connect's schema
  flat,     ///< the row itself with __deleted and __op
};

/// What `before` has for columns that the old tuple lacks.
enum class BeforeFill : std::uint8_t { debezium, null, key_only };

enum class NanosecondForm : std::uint8_t { number, string, none };

/// Operations by the letter that events have; a set of them.
class Operations {
 public:
  constexpr void add(char op) noexcept { bits_ |= bit(op); }
  [[nodiscard]] constexpr bool has(char op) const noexcept { return (bits_ & bit(op)) != 0; }

 private:
  static constexpr std::uint32_t bit(char op) noexcept { return op >= 'a' && op <= 'z' ? 1U << (op - 'a') : 0; }
  std::uint32_t bits_ = 0;
};

struct Options {
  Format format = Format::value;
  Envelope envelope = Envelope::bare;
  BeforeFill before_fill = BeforeFill::debezium;
  NanosecondForm ts_ns = NanosecondForm::number;
  Modes modes;
  std::string prefix;    ///< topic_prefix; empty: the name of the database
  std::string database;  ///< not an option: set by the plugin
  std::string version;   ///< likewise
  std::string topic = "{prefix}.{schema}.{table}";
  std::string unavailable_value = "__debezium_unavailable_value";
  PatternList tables;  ///< empty: all
  PatternList exclude_tables;
  PatternList columns;  ///< of a table that is named here, only these
  PatternList exclude_columns;
  PatternList mask_columns;
  std::string mask_text = "****";
  PatternList hash_columns;
  std::string hash_salt;
  std::vector<RowFilter> row_filters;
  std::vector<NamePattern> message_prefixes;  ///< empty: all
  Operations skipped;
  bool local_only = false;
  bool include_meridian = false;
  bool include_unknown = false;
  bool include_generated = false;
  bool partition_root = false;
  bool tombstones = true;
  bool messages = true;
  bool transaction_metadata = false;
  std::int64_t heartbeat_interval_ms = 0;  ///< 0: none
  std::optional<Position> after;           ///< nothing up to here, inclusive
  std::uint64_t limit = 0;                 ///< at most so many events; 0: all
  std::uint64_t message_bytes = 0;         ///< a message has events of a transaction until it has so many bytes; 0: one
  std::string watermarks;                  ///< whose watermarks to send; empty: nobody's

  Options() { skipped.add('t'); }

  /// Whether events of the table are wanted, as far as options say.
  [[nodiscard]] bool wants_table(std::string_view schema, std::string_view table) const noexcept;
  /// Whether the value of the column is to be seen, masked or not.
  [[nodiscard]] bool wants_column(std::string_view schema, std::string_view table,
                                  std::string_view column) const noexcept;
  [[nodiscard]] bool wants_message(std::string_view prefix) const noexcept;
  [[nodiscard]] bool wants_watermark(std::string_view content) const noexcept;
};

/// Sets one option. Throws Error (invalid_rule) for a name or value that there is not, with what there is as its hint.
void set_option(Options& options, std::string_view name, std::string_view value);

/// Checks what only all options together show. Throws Error (invalid_rule).
void check_options(const Options& options);

/// Whether a stream may be created with the option: not `after`, `limit`, `message_bytes` and `watermarks`, which are
/// for one reading, nor `format`.
[[nodiscard]] bool is_stream_option(std::string_view name) noexcept;

}  // namespace meridian::cdc
