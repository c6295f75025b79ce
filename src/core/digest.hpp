// Digests by which two nodes find the rows in which they differ without sending the rows.
//
// A row's digest covers all its bytes. Digests of many rows are added up, so the order in which a node reads them does
// not matter; the sum of a bucket is equal on two nodes if and only if its rows are (up to a collision of 128 bits). A
// row's bucket comes from a hash of its key's bytes, not from the key's order, which collations make different.
//
// The hash is XXH3 (https://xxhash.com, BSD 2-clause, header-only here): not cryptographic, because both nodes are of
// one mesh and trust each other, and fast, because every byte of a table goes through it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace meridian {

/// 128 bits; adding wraps around.
struct Digest {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  constexpr Digest& operator+=(const Digest& other) noexcept {
    low += other.low;
    high += other.high + (low < other.low ? 1 : 0);
    return *this;
  }
  friend constexpr bool operator==(const Digest&, const Digest&) = default;
};

/// Digest of a row's bytes. `seed` tells apart what equal bytes mean: rows of tables with other columns.
[[nodiscard]] Digest digest_bytes(std::span<const std::byte> bytes, std::uint64_t seed) noexcept;

/// Hash of a key's bytes.
[[nodiscard]] std::uint64_t hash_bytes(std::span<const std::byte> bytes) noexcept;

/// Largest number of bits of a bucket's number.
inline constexpr int most_bucket_bits = 16;

/// The bucket, of 2^bits, that a key with this hash belongs to.
[[nodiscard]] constexpr std::uint32_t bucket_of(std::uint64_t hash, int bits) noexcept {
  return bits == 0 ? 0 : static_cast<std::uint32_t>(hash >> (64 - bits));
}

/// Bits such that a bucket of a table of so many rows holds about 256.
[[nodiscard]] constexpr int bucket_bits_for(std::uint64_t rows) noexcept {
  constexpr std::uint64_t rows_per_bucket = 256;
  int bits = 0;
  while (bits < most_bucket_bits && (rows_per_bucket << bits) < rows) ++bits;
  return bits;
}

}  // namespace meridian
