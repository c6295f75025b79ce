// HMAC-SHA256 (RFC 2104 over FIPS 180-4) without allocation, exceptions or a library's global state.
//
// The server has one of its own, but that may raise an error, and tokens are signed where none may be raised: after a
// commit.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace meridian {

using Sha256Digest = std::array<std::uint8_t, 32>;

[[nodiscard]] Sha256Digest sha256(std::string_view message) noexcept;

/// A key made ready for use: that is half of the work of signing a short message.
class HmacKey {
 public:
  /// No key: to be asked for before it is used.
  constexpr HmacKey() noexcept = default;
  /// `key` is not empty, and need not outlive this.
  explicit HmacKey(std::span<const std::uint8_t> key) noexcept;

  [[nodiscard]] constexpr bool empty() const noexcept { return !ready_; }
  [[nodiscard]] Sha256Digest sign(std::string_view message) const noexcept;

 private:
  using State = std::array<std::uint32_t, 8>;

  bool ready_ = false;
  State inner_{};  ///< of SHA-256 after the key's first block
  State outer_{};
};

}  // namespace meridian
