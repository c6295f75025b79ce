// Bytes and text of a row state. Both are lossless and canonical: equal states have equal bytes and equal text, and
// every byte string or text that is not the canonical form of some state is refused (Error: malformed_*).
//
// Binary (format 1, and 2 for rows with sets): see docs/row_state_format.md. Integers are minimal LEB128 varints;
// stamps count from the milliseconds of the smallest. Limits: `max_encoded_size` bytes (with sets
// `max_encoded_size_with_sets`, which what several members add at once does not reach), `max_entries` entries. A quiet
// row of the default group is at most 23 bytes, 24 with PostgreSQL's one-byte length header.
#pragma once

#include <boost/container/small_vector.hpp>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "core/row_state.hpp"

namespace meridian {

using Bytes = boost::container::small_vector<std::byte, 256>;
inline constexpr std::size_t max_encoded_size = std::size_t{1} << 20;
inline constexpr std::size_t max_encoded_size_with_sets = std::size_t{16} << 20;
inline constexpr std::size_t max_entries = 4096;

/// Appends the canonical bytes of `state` to `out`. Throws Error(limit_exceeded) beyond the limits above.
void encode(const RowState& state, Bytes& out);
/// Reads exactly all of `bytes`, or throws Error(malformed_binary | limit_exceeded).
[[nodiscard]] RowState decode(std::span<const std::byte> bytes);
/// The same into an object that exists, whose memory is used again. After an exception it holds no usable state.
void decode(std::span<const std::byte> bytes, RowState& state);

/// Human-readable, e.g. `{entries:[3@1718000000000.0 last 1718000000001.0 +2=-50],groups:[0:...]}`; exact form in docs.
[[nodiscard]] std::string to_text(const RowState& state);
[[nodiscard]] RowState parse_text(std::string_view text);
/// Into an object that exists, like `decode`.
void parse_text(std::string_view text, RowState& state);

}  // namespace meridian
