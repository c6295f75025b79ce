// A clock that does not go back, for ages: the same for all processes of this machine until it restarts.
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>

namespace meridian::pg {

/// Microseconds.
inline std::int64_t monotonic_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// As monotonic_us(), and it goes on while the machine sleeps, where the system can tell.
inline std::int64_t lease_clock_us() {
#ifdef CLOCK_BOOTTIME
  timespec now{};
  if (clock_gettime(CLOCK_BOOTTIME, &now) == 0) return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
#endif
  return monotonic_us();
}

}  // namespace meridian::pg
