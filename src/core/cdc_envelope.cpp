#include "core/cdc_envelope.hpp"

#include <charconv>
#include <cstring>
#include <utility>

#include "core/cdc_json.hpp"
#include "core/cdc_schema.hpp"

namespace meridian::cdc {
namespace {

/// Copies through a pointer into room that suffices.
void put(char*& to, std::string_view text) noexcept {
  std::memcpy(to, text.data(), text.size());
  to += text.size();
}

std::int64_t floor_ms(std::int64_t us) noexcept { return us / 1000 - (us % 1000 < 0 ? 1 : 0); }

/// Microseconds as nanoseconds, in the form that is wanted; with the name of the field before it.
std::string nanoseconds_field(std::int64_t us, NanosecondForm form) {
  switch (form) {
    case NanosecondForm::number:
      return ",\"ts_ns\":" + std::to_string(us) + (us == 0 ? "" : "000");
    case NanosecondForm::string:
      return ",\"ts_ns\":\"" + std::to_string(us) + (us == 0 ? "" : "000") + '"';
    case NanosecondForm::none:
      break;
  }
  return "";
}

}  // namespace

EventWriter::EventWriter(Options options)
    : options_(std::move(options)),
      message_topic_(topic_name("{prefix}.message", options_.prefix, "", "")),
      transaction_topic_(topic_name("{prefix}.transaction", options_.prefix, "", "")),
      heartbeat_topic_(topic_name("__debezium-heartbeat.{prefix}", options_.prefix, "", "")),
      message_(wrapped(message_key_schema(), message_schema())),
      transaction_(wrapped(transaction_key_schema(), transaction_schema())),
      heartbeat_(wrapped(heartbeat_key_schema(), heartbeat_schema())),
      tail_(wrapper_tail(options_.envelope)),
      source_head_(",\"source\":{\"version\":" + json_string(options_.version) +
                   ",\"connector\":\"postgresql\",\"name\":" + json_string(options_.prefix) + ",\"ts_ms\":") {}

EventWriter::Wrapped EventWriter::wrapped(const std::string& key_schema, const std::string& value_schema) const {
  return {wrapper_head(options_.envelope, key_schema), wrapper_head(options_.envelope, value_schema)};
}

void EventWriter::begin_transaction(const Transaction& transaction) {
  const std::string commit = std::to_string(transaction.commit_lsn);
  xid_ = std::to_string(transaction.xid);
  transaction_id_ = xid_ + ':' + commit;
  before_lsn_ = source_head_ + std::to_string(floor_ms(transaction.commit_us)) +
                ",\"snapshot\":" + json_string(transaction.snapshot) + ",\"db\":" + json_string(options_.database) +
                ",\"sequence\":\"[\\\"" + commit + "\\\",\\\"";
  behind_lsn_ = "\\\"]\",\"ts_us\":" + std::to_string(transaction.commit_us) +
                nanoseconds_field(transaction.commit_us, options_.ts_ns) + ",\"schema\":";
  behind_source_lsn_ = ",\"xmin\":null,\"origin\":";
  if (transaction.origin.empty()) {
    behind_source_lsn_ += "null,\"origin_lsn\":null},\"transaction\":";
  } else {
    behind_source_lsn_ += json_string(transaction.origin) +
                          ",\"origin_lsn\":" + std::to_string(transaction.origin_lsn) + "},\"transaction\":";
  }
  total_order_ = 0;
  table_order_ = 0;
  counts_.clear();
}

void EventWriter::count_event(const Table& table) {
  if (!options_.transaction_metadata) return;
  ++total_order_;
  table_order_ = ++counts_[table.name];
}

void EventWriter::write_source(Buffer& out, std::string_view table, std::uint64_t lsn, std::string_view xid) const {
  constexpr std::string_view lsn_field = ",\"lsn\":";
  constexpr std::size_t digits = 20;
  char* to = out.room(before_lsn_.size() + behind_lsn_.size() + table.size() + xid.size() + lsn_field.size() +
                      behind_source_lsn_.size() + 2 * digits);
  put(to, before_lsn_);
  char* const lsn_text = to;
  to = std::to_chars(to, to + digits, lsn).ptr;
  const std::string_view lsn_digits(lsn_text, static_cast<std::size_t>(to - lsn_text));
  put(to, behind_lsn_);
  put(to, table);
  put(to, xid);
  put(to, lsn_field);
  put(to, lsn_digits);
  put(to, behind_source_lsn_);
  out.advance(to);
}

void EventWriter::write_order(Buffer& out) const {
  if (!options_.transaction_metadata || total_order_ == 0) return out.append(json_null);
  out.append("{\"id\":\"");
  out.append(transaction_id_);
  out.append("\",\"total_order\":");
  write_unsigned(out, total_order_);
  out.append(",\"data_collection_order\":");
  write_unsigned(out, table_order_);
  out.append('}');
}

void EventWriter::write_times(Buffer& out, std::int64_t now_us) const {
  constexpr std::size_t digits = 20;
  char text[digits];
  const std::string_view us_digits(text,
                                   static_cast<std::size_t>(std::to_chars(text, text + digits, now_us).ptr - text));
  char* to = out.room(80 + 3 * digits);
  put(to, "\"ts_ms\":");
  if (now_us >= 1000) {
    put(to, us_digits.substr(0, us_digits.size() - 3));  // converting to decimals once is enough
  } else {
    to = std::to_chars(to, to + digits, floor_ms(now_us)).ptr;
  }
  put(to, ",\"ts_us\":");
  put(to, us_digits);
  if (options_.ts_ns != NanosecondForm::none) {
    const bool quoted = options_.ts_ns == NanosecondForm::string;
    put(to, quoted ? ",\"ts_ns\":\"" : ",\"ts_ns\":");
    put(to, us_digits);
    if (now_us != 0) put(to, "000");
    if (quoted) put(to, "\"");
  }
  put(to, "}");
  out.advance(to);
}

void EventWriter::end_envelope(Buffer& out, const Table& table, char op, std::uint64_t lsn, std::int64_t now_us) const {
  write_source(out, table.source, lsn, xid_);
  write_order(out);
  char* to = out.room(16);
  put(to, ",\"op\":\"");
  *to++ = op;
  put(to, "\",");
  out.advance(to);
  write_times(out, now_us);
  out.append(tail_);
}

void EventWriter::end_flat(Buffer& out, char op) {
  const bool is_empty = out.view().ends_with("{}");
  out.truncate(out.size() - 1);
  if (!is_empty) out.append(',');
  out.append(op == 'd' ? std::string_view("\"__deleted\":\"true\",\"__op\":\"")
                       : "\"__deleted\":\"false\",\"__op\":\"");
  out.append(op);
  out.append("\"}");
}

void EventWriter::write_message(Buffer& key, Buffer& value, std::string_view prefix, std::string_view content,
                                std::uint64_t lsn, bool is_transactional, std::int64_t now_us) {
  key.append(message_.key_head);
  key.append("{\"prefix\":");
  write_string(key, prefix);
  key.append('}');
  key.append(tail_);

  if (is_transactional && options_.transaction_metadata) {
    ++total_order_;
    table_order_ = ++counts_["message"];
  }
  value.append(message_.value_head);
  value.append("{\"op\":\"m\",\"ts_ms\":");
  write_integer(value, floor_ms(now_us));
  write_source(value, "\"\",\"table\":\"\",\"txId\":", lsn, is_transactional ? std::string_view(xid_) : json_null);
  if (is_transactional) {
    write_order(value);
  } else {
    value.append(json_null);
  }
  value.append(",\"message\":{\"prefix\":");
  write_string(value, prefix);
  value.append(",\"content\":\"");
  write_base64(value, content);
  value.append("\"}}");
  value.append(tail_);
}

void EventWriter::write_transaction_key(Buffer& key) const {
  key.append(transaction_.key_head);
  key.append("{\"id\":\"");
  key.append(transaction_id_);
  key.append("\"}");
  key.append(tail_);
}

void EventWriter::write_transaction_begin(Buffer& key, Buffer& value, std::int64_t now_us) const {
  write_transaction_key(key);
  value.append(transaction_.value_head);
  value.append("{\"status\":\"BEGIN\",\"id\":\"");
  value.append(transaction_id_);
  value.append("\",\"event_count\":null,\"data_collections\":null,\"ts_ms\":");
  write_integer(value, floor_ms(now_us));
  value.append('}');
  value.append(tail_);
}

void EventWriter::write_transaction_end(Buffer& key, Buffer& value, std::int64_t now_us) const {
  write_transaction_key(key);
  value.append(transaction_.value_head);
  value.append("{\"status\":\"END\",\"id\":\"");
  value.append(transaction_id_);
  value.append("\",\"event_count\":");
  write_unsigned(value, total_order_);
  value.append(",\"data_collections\":[");
  bool first = true;
  for (const auto& [name, count] : counts_) {
    if (!std::exchange(first, false)) value.append(',');
    value.append("{\"data_collection\":");
    write_string(value, name);
    value.append(",\"event_count\":");
    write_unsigned(value, count);
    value.append('}');
  }
  value.append("],\"ts_ms\":");
  write_integer(value, floor_ms(now_us));
  value.append('}');
  value.append(tail_);
}

void EventWriter::write_heartbeat(Buffer& key, Buffer& value, std::int64_t now_us) const {
  key.append(heartbeat_.key_head);
  key.append("{\"serverName\":");
  write_string(key, options_.prefix);
  key.append('}');
  key.append(tail_);
  value.append(heartbeat_.value_head);
  value.append("{\"ts_ms\":");
  write_integer(value, floor_ms(now_us));
  value.append('}');
  value.append(tail_);
}

}  // namespace meridian::cdc
