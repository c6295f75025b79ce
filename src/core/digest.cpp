#include "core/digest.hpp"

// Everything static and inline: no symbol of the system's library is needed or offered.
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace meridian {

Digest digest_bytes(std::span<const std::byte> bytes, std::uint64_t seed) noexcept {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return {hash.high64, hash.low64};
}

std::uint64_t hash_bytes(std::span<const std::byte> bytes) noexcept { return XXH3_64bits(bytes.data(), bytes.size()); }

}  // namespace meridian
