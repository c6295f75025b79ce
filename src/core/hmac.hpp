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
[[nodiscard]] Sha256Digest hmac_sha256(std::span<const std::uint8_t> key, std::string_view message) noexcept;

}  // namespace meridian
