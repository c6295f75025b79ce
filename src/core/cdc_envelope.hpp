// What is around the rows of an event: source, operation, times; and the events that have no row: messages, transaction
// boundaries, heartbeats.
//
// One EventWriter per stream. Per transaction it prepares the pieces that all events of the transaction share; an event
// is then a handful of copies. The order of fields is that of Debezium 3.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "core/cdc_buffer.hpp"
#include "core/cdc_options.hpp"
#include "core/cdc_table.hpp"

namespace meridian::cdc {

struct Transaction {
  std::uint32_t xid = 0;
  std::uint64_t commit_lsn = 0;
  std::int64_t commit_us = 0;  ///< microseconds since 1970
  std::string_view origin;     ///< name of the replication origin, empty if none
  std::uint64_t origin_lsn = 0;
  std::string_view snapshot = "false";
};

class EventWriter {
 public:
  explicit EventWriter(Options options);

  [[nodiscard]] const Options& options() const noexcept { return options_; }

  void begin_transaction(const Transaction& transaction);

  /// Counts an event of the table among those of the transaction; before end_envelope().
  void count_event(const Table& table);
  /// Behind `before` and `after`: everything else. `now_us`: when this event is made, microseconds since 1970.
  void end_envelope(Buffer& out, const Table& table, char op, std::uint64_t lsn, std::int64_t now_us) const;
  /// Behind a row in the flat envelope: turns `{...}` into `{...,"__deleted":...,"__op":...}`.
  static void end_flat(Buffer& out, char op);

  /// pg_logical_emit_message().
  void write_message(Buffer& key, Buffer& value, std::string_view prefix, std::string_view content, std::uint64_t lsn,
                     bool is_transactional, std::int64_t now_us);
  /// The boundaries of the transaction that is begun. The end counts the events since.
  void write_transaction_begin(Buffer& key, Buffer& value, std::int64_t now_us) const;
  void write_transaction_end(Buffer& key, Buffer& value, std::int64_t now_us) const;
  void write_heartbeat(Buffer& key, Buffer& value, std::int64_t now_us) const;

  [[nodiscard]] const std::string& message_topic() const noexcept { return message_topic_; }
  [[nodiscard]] const std::string& transaction_topic() const noexcept { return transaction_topic_; }
  [[nodiscard]] const std::string& heartbeat_topic() const noexcept { return heartbeat_topic_; }

 private:
  struct Wrapped {
    std::string key_head;
    std::string value_head;
  };

  /// `,"source":{...},"transaction":`, and null unless transactions are told of.
  void write_source(Buffer& out, std::string_view table, std::uint64_t lsn, std::string_view xid) const;
  void write_order(Buffer& out) const;
  void write_times(Buffer& out, std::int64_t now_us) const;
  [[nodiscard]] Wrapped wrapped(const std::string& key_schema, const std::string& value_schema) const;
  void write_transaction_key(Buffer& key) const;

  Options options_;
  std::string message_topic_;
  std::string transaction_topic_;
  std::string heartbeat_topic_;
  Wrapped message_;
  Wrapped transaction_;
  Wrapped heartbeat_;
  std::string_view tail_;

  std::string source_head_;  ///< how `source` begins in the whole stream
  // Pieces of `source`, in order. Between them come: LSN, the table's piece, the transaction's id, LSN.
  std::string before_lsn_;                                    ///< up to the LSN in `sequence`
  std::string behind_lsn_;                                    ///< up to the table
  std::string xid_;                                           ///< `571`
  std::string behind_source_lsn_;                             ///< up to the order of the event
  std::string transaction_id_;                                ///< `571:53195832`
  std::uint64_t total_order_ = 0;                             ///< of the last event of the transaction
  std::uint64_t table_order_ = 0;                             ///< the same among those of its table
  std::map<std::string, std::uint64_t, std::less<>> counts_;  ///< events per table, if transactions are told of
};

}  // namespace meridian::cdc
