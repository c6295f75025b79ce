// One decoding: its options, plans and buffers, and how events leave.
//
// Lifetime: made in the plugin's startup callback, deleted with the decoding context's memory, also after an error. The
// memory context's reset callback does that, so nothing here may be used after it.
//
// An event of format=event is held until the next one or the end of its transaction, because its frame says whether it
// is the last (core/cdc_event.hpp). What is to leave is gathered in `message`, which leaves when it is large enough,
// and at the latest with the end of the transaction.
#pragma once

#include <unordered_map>

#include "core/cdc_buffer.hpp"
#include "core/cdc_envelope.hpp"
#include "core/cdc_event.hpp"
#include "plugin/cdc_plan.hpp"

namespace meridian::pg {

struct Output {
  explicit Output(cdc::Options options) : writer(std::move(options)) {}

  cdc::EventWriter writer;
  const std::string watermark_topic{cdc::watermark_prefix};
  cdc::Buffer key;
  cdc::Buffer other_key;
  cdc::Buffer value;
  cdc::Buffer headers;
  cdc::Buffer held;  ///< topic, key and headers of the event that waits
  cdc::Buffer held_value;
  cdc::Event held_event;  ///< views into these two
  bool holds = false;
  cdc::Buffer message;    ///< what waits to be sent
  bool converts = false;  ///< texts leave in UTF-8, but the database has another encoding

  std::unordered_map<Oid, Plan> plans;
  MemoryContext plan_parent = nullptr;
  MemoryContext scratch = nullptr;  ///< reset after each change
  Datum* values[2] = {};            ///< of the new and the old row
  bool* nulls[2] = {};
  int row_capacity = 0;

  // The transaction at hand.
  std::uint64_t commit_lsn = 0;
  std::uint64_t index = 0;     ///< of the next event
  bool is_skipped = false;     ///< all of it comes before Options::after
  bool was_announced = false;  ///< its BEGIN was sent
  bool was_cut = false;        ///< the limit was reached inside of it

  std::uint64_t sent = 0;         ///< events since the start of this decoding
  std::int64_t heartbeat_us = 0;  ///< when the last one was sent
};

/// What an event consists of beside its position; null: not there.
struct EventParts {
  const std::string& topic;
  const cdc::Buffer* key;
  bool has_value;  ///< in Output::value, which is void afterwards
  const cdc::Buffer* headers;
};

/// An event of a row.
struct RowEvent {
  char op;
  std::uint64_t lsn;
  const Row* before;   ///< as the event shows it; may be null
  const Row* after;    ///< likewise
  const Row* old_row;  ///< where to look for values that `after` lacks; may be null
};

/// Writes the value of an event into `output.value`, envelope and all.
void write_event_value(Output& output, const Plan& plan, const RowEvent& event);

/// Writes the key of a row as it is sent, envelope and all. The table has a key.
void write_event_key(cdc::Buffer& out, const Output& output, const Plan& plan, const Row& row, const Row* other);

/// The plan of a table, made if there is none that is valid.
Plan& plan_of(Output& output, Relation relation);

/// True if nothing of this transaction needs to be made any more.
inline bool is_silent(const Output& output) { return output.is_skipped || output.was_cut; }

/// Sends an event, or holds it; or leaves it out, if options say so. Gives it the next index.
void send_event(LogicalDecodingContext* context, Output& output, std::uint64_t lsn, const EventParts& parts);

/// At the end of a transaction: everything that waits leaves. `end`: the position behind it; 0 if it is cut short.
void send_rest(LogicalDecodingContext* context, Output& output, std::uint64_t end);

/// Makes the Output of a decoding context, with its options checked.
Output* start_output(LogicalDecodingContext* context);

/// Makes an Output without a decoding: for rows that are read from tables. `names` and `texts` are arrays of `count`.
Output* make_output(MemoryContext owner, const char* const* names, const char* const* texts, int count);

inline std::int64_t us_since_1970(TimestampTz time) {
  return time + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
}

/// Now, in microseconds since 1970.
inline std::int64_t now_us() { return us_since_1970(GetCurrentTimestamp()); }

}  // namespace meridian::pg
