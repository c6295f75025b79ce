// The table of sessions as a file that outlives a clean restart.
//
// It is only as good as the certainty that nothing was written since: it names the shutdown checkpoint that it belongs
// to, and whoever reads it compares that with the one that the server starts from. Any doubt and the file is not taken:
// then sessions are unknown, which is answered conservatively.
//
// Format: Header, then per session lsn, time, one byte of length and the name, then the hash of all that as 8 bytes.
// Numbers are those of the machine.
#pragma once

#include <cstdint>
#include <span>

#include "core/session_table.hpp"

namespace meridian {

/// The server and the moment that a file belongs to.
struct SessionFileOrigin {
  std::uint64_t system_id;
  std::uint64_t checkpoint;  ///< position of the shutdown checkpoint
  std::uint32_t timeline;

  friend bool operator==(const SessionFileOrigin&, const SessionFileOrigin&) = default;
};

/// Bytes of the file; 0 if there is nothing worth keeping: a partition is not the authority for this timeline.
[[nodiscard]] std::size_t session_file_size(const SessionTable& table, std::uint32_t timeline) noexcept;

/// Fills `to`, which has session_file_size() bytes.
void write_session_file(const SessionTable& table, const SessionFileOrigin& origin,
                        std::span<std::uint8_t> to) noexcept;

/// Makes the table the authority that the file tells of. False, and the table is as it was, unless the file is sound
/// and of this very origin. A table with fewer places than before keeps what fits, and raises its floors.
[[nodiscard]] bool read_session_file(std::span<const std::uint8_t> file, const SessionFileOrigin& origin,
                                     SessionTable& table) noexcept;

}  // namespace meridian
