// The directory of pinned keys as servers keep it in shared memory: a bounded hash table, filled once and then read.
//
// Keys are the caller's bytes, compared whole: a hash alone could be made to collide. A key longer than fits is
// remembered by hash and length, and the answer is then `ask`: only the table on disk knows. So it is if the directory
// has more keys than the memory holds.
//
// Memory belongs to the caller; nothing allocates or throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace meridian {

struct Pin {
  std::int32_t region;  ///< the caller's number of it
  std::uint64_t epoch;  ///< of the change that pinned the key
};

enum class PinAnswer : std::uint8_t { pinned, not_pinned, ask };

class PinTable {
 public:
  static constexpr std::size_t longest_inline = 44;

  /// Bytes that a table for so many pins needs.
  static std::size_t bytes(std::uint32_t pins) noexcept;

  PinTable() = default;
  /// `memory`: bytes(pins) of it, aligned to 8.
  PinTable(void* memory, std::uint32_t pins) noexcept;

  /// Empties it.
  void reset() noexcept;
  /// Adds a key that is not there yet. Without room it is left out, and every later answer but `pinned` is `ask`.
  void add(std::string_view key, const Pin& pin) noexcept;
  /// Fills `pin` if the answer is pinned.
  PinAnswer find(std::string_view key, Pin* pin) const noexcept;

 private:
  struct Entry {
    std::uint64_t hash;
    std::uint64_t epoch;
    std::int32_t region;  ///< free: the place is empty
    std::uint32_t length;
    char key[longest_inline];
  };
  struct Header {
    std::uint32_t count;
    std::uint32_t left_out;
  };
  static constexpr std::int32_t free = INT32_MIN;

  [[nodiscard]] static std::uint32_t places_for(std::uint32_t pins) noexcept;

  Header* header_ = nullptr;
  Entry* entries_ = nullptr;
  std::uint32_t places_ = 0;  ///< a power of two, or 0
  std::uint32_t pins_ = 0;
};

}  // namespace meridian
