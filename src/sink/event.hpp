// An event on its way to a target: what the output plugin sent (core/cdc_event.hpp), in memory of its own.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "core/cdc_event.hpp"

namespace meridian::sink {

struct SinkEvent {
  cdc::Position position;
  std::uint64_t end_lsn = 0;  ///< not 0: the last event of its transaction; the position behind it
  std::string topic;
  std::optional<std::string> key;
  std::optional<std::string> value;  ///< none: a tombstone
  std::optional<std::string> headers;

  [[nodiscard]] std::size_t size() const noexcept {
    return sizeof *this + topic.size() + (key ? key->size() : 0) + (value ? value->size() : 0) +
           (headers ? headers->size() : 0);
  }
};

/// Topic and key: events that have them in common are to stay in order.
[[nodiscard]] inline std::string identity_of(const SinkEvent& event) {
  return event.topic + '\n' + event.key.value_or("");
}

/// What became of an event.
struct Outcome {
  enum class Kind {
    delivered,
    retry,     ///< the target is not there, or too busy: later
    rejected,  ///< the target will never take this event
  };
  Kind kind = Kind::retry;
  std::string reason;
};

}  // namespace meridian::sink
