// Seeded randomness of the simulator: SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
// generators", 2014). Every step of a history draws from its own generator, made from (seed, step), so that leaving a
// step out does not change what the others do; that is what makes a failing history shrinkable.
#pragma once

#include <cstdint>

namespace meridian::sim {

class Prng {
 public:
  explicit Prng(std::uint64_t seed) noexcept : state_(mix(seed + 1)) {}
  Prng(std::uint64_t seed, std::uint64_t stream) noexcept : state_(mix(mix(seed + 1) + stream)) {}

  std::uint64_t next() noexcept { return mix(state_ += 0x9e3779b97f4a7c15ULL); }
  /// Uniform in [0, bound); `bound` > 0.
  int below(int bound) noexcept { return static_cast<int>(next() % static_cast<std::uint64_t>(bound)); }
  /// Uniform in [low, high].
  int between(int low, int high) noexcept { return low + below(high - low + 1); }
  bool chance(int percent) noexcept { return below(100) < percent; }

 private:
  static std::uint64_t mix(std::uint64_t z) noexcept {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  std::uint64_t state_;
};

}  // namespace meridian::sim
