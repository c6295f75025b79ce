// The framed form of events (format=event), and positions in a stream.
//
// Every message of the plugin is one frame, or several of one transaction if the client asks for that (option
// message_bytes). A frame is a header line and then the parts without anything between them:
//
//   E <commit>,<lsn>,<index> <end> <topic length> <key length> <value length> <headers
//   length>\n<topic><key><value><headers>
//
// Lengths are bytes in decimal; -1 means that there is none (without a value it is a tombstone; headers are a JSON
// object). `end` is 0/0, or in the last event of its transaction the position behind the commit record: whoever has
// this event has the whole transaction, and may confirm that position to the slot. LSNs are written as PostgreSQL does.
//
// A position is (commit LSN of the transaction, LSN of the change, index of the event in its transaction, from 0). It
// grows along the stream, and an event has the same one however often it is sent: the key to recognize repetitions by.
// The LSN alone is not: rows of one multi-row INSERT share it, and those of transactions that overlap go back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/cdc_buffer.hpp"

namespace meridian::cdc {

struct Position {
  std::uint64_t commit_lsn = 0;
  std::uint64_t lsn = 0;
  std::uint64_t index = 0;

  friend constexpr bool operator==(const Position&, const Position&) = default;
  /// Whether this event comes after `other` in the stream.
  [[nodiscard]] constexpr bool is_after(const Position& other) const noexcept {
    return commit_lsn != other.commit_lsn ? commit_lsn > other.commit_lsn : index > other.index;
  }
};

/// `16/B374D848`, as pg_lsn is printed.
void write_lsn(Buffer& out, std::uint64_t lsn);
[[nodiscard]] std::optional<std::uint64_t> parse_lsn(std::string_view text) noexcept;

/// `0/16B3748,0/16B3700,3`; of the last event of a transaction with its end behind it:
/// `0/16B3748,0/16B3700,3,0/16B3778`.
void write_position(Buffer& out, const Position& position, std::uint64_t end_lsn = 0);

struct PositionText {
  Position position;
  std::uint64_t end_lsn = 0;  ///< 0: not the last event of its transaction
};
/// Nothing if the text is not what write_position() writes, to the letter.
[[nodiscard]] std::optional<PositionText> parse_position(std::string_view text) noexcept;

/// Views into a frame.
struct Event {
  Position position;
  std::uint64_t end_lsn = 0;  ///< not 0: the last event of its transaction
  std::string_view topic;
  std::optional<std::string_view> key;
  std::optional<std::string_view> value;
  std::optional<std::string_view> headers;
};

/// The header line of an event; its parts follow. Of the parts only the lengths are looked at.
void write_event_header(Buffer& out, const Event& event);

/// Takes the first frame off the front. Nothing if it is not well-formed; then `frames` is unspecified.
[[nodiscard]] std::optional<Event> take_event(std::string_view* frames) noexcept;
/// A single frame. Nothing if it is not well-formed to the last byte.
[[nodiscard]] std::optional<Event> decode_event(std::string_view frame) noexcept;

}  // namespace meridian::cdc
