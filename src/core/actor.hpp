// An actor is one writer of row states: a member of the mesh in one epoch of its life.
//
// The epoch grows on promotion, restore and clone, so a server that may have forgotten what it wrote never writes
// under the name that peers remember. Zero is nobody: the author of rows that were there before replication.
#pragma once

#include <compare>
#include <cstdint>

namespace meridian {

struct Actor {
  std::uint32_t value = 0;

  static constexpr Actor from_parts(std::uint16_t epoch, std::uint16_t member) noexcept {
    return Actor{(std::uint32_t{epoch} << 16) | member};
  }
  [[nodiscard]] constexpr std::uint16_t epoch() const noexcept { return static_cast<std::uint16_t>(value >> 16); }
  [[nodiscard]] constexpr std::uint16_t member() const noexcept { return static_cast<std::uint16_t>(value); }

  friend constexpr auto operator<=>(const Actor&, const Actor&) noexcept = default;
};

inline constexpr Actor nobody{0};

}  // namespace meridian
