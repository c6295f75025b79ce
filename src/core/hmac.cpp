#include "core/hmac.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>

namespace meridian {
namespace {

constexpr std::size_t block_size = 64;

constexpr std::uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/// SHA-256 of what is fed to it.
class Sha256 {
 public:
  using State = std::array<std::uint32_t, 8>;

  Sha256() = default;
  /// Goes on after whole blocks of `length` bytes.
  Sha256(const State& state, std::uint64_t length) noexcept : state_(state), length_(length) {}

  /// After whole blocks.
  [[nodiscard]] const State& state() const noexcept { return state_; }

  void update(const std::uint8_t* data, std::size_t size) noexcept {
    length_ += size;
    while (size > 0) {
      const std::size_t taken = std::min(size, block_size - filled_);
      std::copy_n(data, taken, block_ + filled_);
      filled_ += taken;
      data += taken;
      size -= taken;
      if (filled_ == block_size) compress();
    }
  }

  void update(std::string_view text) noexcept {
    update(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  }

  Sha256Digest finish() noexcept {
    const std::uint64_t bits = length_ * 8;
    block_[filled_++] = 0x80;
    if (filled_ > block_size - 8) {
      std::fill(block_ + filled_, block_ + block_size, std::uint8_t{0});
      compress();
    }
    std::fill(block_ + filled_, block_ + block_size - 8, std::uint8_t{0});
    for (std::size_t i = 0; i < 8; ++i) {
      block_[block_size - 1 - i] = static_cast<std::uint8_t>(bits >> (8 * i));
    }
    compress();
    Sha256Digest digest;
    for (std::size_t i = 0; i < digest.size(); ++i) {
      digest[i] = static_cast<std::uint8_t>(state_[i / 4] >> (24 - 8 * (i % 4)));
    }
    return digest;
  }

 private:
  void compress() noexcept {
    std::uint32_t w[64];
    for (std::size_t i = 0; i < 16; ++i) {
      w[i] = std::uint32_t{block_[4 * i]} << 24 | std::uint32_t{block_[4 * i + 1]} << 16 |
             std::uint32_t{block_[4 * i + 2]} << 8 | std::uint32_t{block_[4 * i + 3]};
    }
    for (std::size_t i = 16; i < 64; ++i) {
      const std::uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ (w[i - 15] >> 3);
      const std::uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ (w[i - 2] >> 10);
      w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    auto [a, b, c, d, e, f, g, h] = state_;
    for (std::size_t i = 0; i < 64; ++i) {
      const std::uint32_t s1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
      const std::uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + round_constants[i] + w[i];
      const std::uint32_t s0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
      const std::uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    const std::uint32_t worked[8] = {a, b, c, d, e, f, g, h};
    for (std::size_t i = 0; i < 8; ++i) state_[i] += worked[i];
    filled_ = 0;
  }

  State state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::uint8_t block_[block_size] = {};
  std::size_t filled_ = 0;
  std::uint64_t length_ = 0;
};

}  // namespace

Sha256Digest sha256(std::string_view message) noexcept {
  Sha256 hash;
  hash.update(message);
  return hash.finish();
}

HmacKey::HmacKey(std::span<const std::uint8_t> key) noexcept : ready_(true) {
  std::uint8_t padded[block_size] = {};
  if (key.size() > block_size) {
    Sha256 hash;
    hash.update(key.data(), key.size());
    const Sha256Digest digest = hash.finish();
    std::copy(digest.begin(), digest.end(), padded);
  } else {
    std::copy(key.begin(), key.end(), padded);
  }
  const auto keyed = [&padded](std::uint8_t pad) {
    Sha256 hash;
    std::uint8_t block[block_size];
    for (std::size_t i = 0; i < block_size; ++i) block[i] = padded[i] ^ pad;
    hash.update(block, block_size);
    return hash.state();
  };
  inner_ = keyed(0x36);
  outer_ = keyed(0x5c);
}

Sha256Digest HmacKey::sign(std::string_view message) const noexcept {
  Sha256 inner(inner_, block_size);
  inner.update(message);
  const Sha256Digest digest = inner.finish();
  Sha256 outer(outer_, block_size);
  outer.update(digest.data(), digest.size());
  return outer.finish();
}

}  // namespace meridian
