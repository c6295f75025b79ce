// Streams between two members: how a receiver's changes are split among several, and how their slots are named.
//
// A member may read from each other one through several streams, each with a slot, a subscription and an apply worker
// of its own. A change travels in exactly one of them: that of its key's hash. So what is written to one key arrives in
// order, and changes of different keys are applied at the same time. The name of a slot says which stream it is:
//
//   meridian_7        the one stream of member 7
//   meridian_7_2of3   the second of its three
//
// Names are canonical: no other text means the same stream. A subscription is named in the same way after the member
// that it reads from, a slot after the member that reads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace meridian {

/// The most streams between two members.
inline constexpr int max_streams = 16;

/// One of `count` streams (1 to max_streams); the first is 1.
struct Stream {
  int number = 1;
  int count = 1;
  friend constexpr bool operator==(const Stream&, const Stream&) = default;
};

/// What the name of a slot or subscription says.
struct StreamName {
  int member = 0;  ///< 1 to 65535
  Stream stream;
  friend constexpr bool operator==(const StreamName&, const StreamName&) = default;
};

/// Nothing if the text is not the name of a stream, to the letter.
[[nodiscard]] std::optional<StreamName> parse_stream_name(std::string_view text) noexcept;

/// The name; parse_stream_name() reads it back.
[[nodiscard]] std::string to_text(const StreamName& name);

/// The names of all streams of a member, the first first.
[[nodiscard]] std::vector<std::string> stream_names(int member, int count);

/// Which of `count` streams the changes of a key travel in.
[[nodiscard]] constexpr int stream_of_key(std::uint64_t key_hash, int count) noexcept {
  return static_cast<int>(key_hash % static_cast<std::uint64_t>(count)) + 1;
}

}  // namespace meridian
