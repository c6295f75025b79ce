// A clock that does not go back, for ages: the same for all processes of this machine until it restarts.
#pragma once

#include <chrono>
#include <cstdint>

namespace meridian::pg {

/// Microseconds.
inline std::int64_t monotonic_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace meridian::pg
