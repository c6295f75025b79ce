// How often keys are written, or tried to be written, in a region: a bounded table of those that are most.
//
// A key belongs to one of the sets of eight places, by its hash. One that is new takes a free place of its set, or that
// of the key with the fewest counts, whose counts are forgotten: keys that are written often stay. Keys that do not fit
// a place are not counted.
//
// Memory belongs to the caller; nothing allocates or throws. The caller sees to it that one process at a time writes.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "core/home_map.hpp"

namespace meridian {

struct KeyCount {
  static constexpr std::size_t longest_key = 60;
  std::uint64_t hash;
  std::uint64_t written;  ///< here, since this is the home
  std::uint64_t away;     ///< refused or forwarded, since the home is elsewhere
  std::uint32_t length;
  char key[longest_key];
  [[nodiscard]] std::string_view view() const noexcept { return {key, length}; }
  [[nodiscard]] std::uint64_t total() const noexcept { return written + away; }
};

class KeyCounts {
 public:
  static constexpr std::uint32_t set_size = 8;

  /// Bytes for a table of so many keys, rounded up to whole sets.
  static std::size_t bytes(std::uint32_t keys) noexcept { return sizeof(KeyCount) * places_for(keys); }

  KeyCounts() = default;
  /// `memory`: bytes(keys) of it, aligned to 8.
  KeyCounts(void* memory, std::uint32_t keys) noexcept
      : places_(static_cast<KeyCount*>(memory)), count_(places_for(keys)) {}

  void reset() noexcept { std::fill_n(places_, count_, KeyCount{}); }

  void note(std::string_view key, bool away) noexcept {
    if (count_ == 0 || key.size() > KeyCount::longest_key) return;
    const std::uint64_t hash = home_hash(key);
    KeyCount* const first = places_ + hash % (count_ / set_size) * set_size;
    KeyCount* const last = first + set_size;
    KeyCount* at = std::find_if(
        first, last, [&](const KeyCount& each) { return each.hash == hash && each.total() > 0 && each.view() == key; });
    if (at == last) {
      at = std::min_element(first, last, [](const auto& a, const auto& b) { return a.total() < b.total(); });
      *at = {};
      at->hash = hash;
      at->length = static_cast<std::uint32_t>(key.size());
      std::memcpy(at->key, key.data(), key.size());
    }
    ++(away ? at->away : at->written);
  }

  [[nodiscard]] std::uint32_t size() const noexcept { return count_; }
  /// A place; one without counts is free.
  [[nodiscard]] const KeyCount& operator[](std::uint32_t place) const noexcept { return places_[place]; }

 private:
  static std::uint32_t places_for(std::uint32_t keys) noexcept { return (keys + set_size - 1) / set_size * set_size; }

  KeyCount* places_ = nullptr;
  std::uint32_t count_ = 0;
};

}  // namespace meridian
