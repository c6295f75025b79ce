// How often something may happen: a token bucket in one number, so that many processes can share it through one atomic.
//
// The number is the time at which the bucket will be full again. Taking a token moves it by the time that one token
// needs to drip in; a bucket that would be full only more than a second from now is empty. Source: the "virtual
// scheduling" form of the Generic Cell Rate Algorithm (ITU-T I.371).
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

namespace meridian {

/// Takes a token from a bucket of `per_second` tokens (1 to 1,000,000,000), which also fills at that rate. Times are
/// nanoseconds of one clock that does not go back. Returns the new state, or nothing if the bucket is empty. A bucket
/// that begins as 0 is full.
[[nodiscard]] constexpr std::optional<std::uint64_t> take_token(std::uint64_t full_at, std::uint64_t now,
                                                                std::uint32_t per_second) noexcept {
  constexpr std::uint64_t second = 1'000'000'000;
  const std::uint64_t next = std::max(full_at, now) + second / per_second;
  if (next > now + second) return std::nullopt;
  return next;
}

}  // namespace meridian
