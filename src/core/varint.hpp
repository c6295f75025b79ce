// Unsigned integers as minimal LEB128: seven bits a byte, least significant first, the high bit says that more follow.
//
// Minimal means that every number has exactly one encoding, which `Reader` insists on; a canonical format needs it.
// Both classes work on memory of others and are used for one encoding or decoding each.
// Source: DWARF 5, section 7.6.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "core/error.hpp"
#include "core/row_state_codec.hpp"

namespace meridian {

/// Small magnitudes of either sign become small numbers.
[[nodiscard]] constexpr std::uint64_t zigzag(std::int64_t value) noexcept {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
[[nodiscard]] constexpr std::int64_t unzigzag(std::uint64_t value) noexcept {
  return static_cast<std::int64_t>((value >> 1) ^ (std::uint64_t{0} - (value & 1)));
}

/// Appends to `out`. While it lives, `out` may end with unused room; its destructor cuts that off.
class Writer {
 public:
  static constexpr std::size_t max_varint_bytes = 10;

  explicit Writer(Bytes& out) noexcept : out_(out), used_(out.size()) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() { out_.resize(used_, boost::container::default_init); }

  /// Makes room for that many numbers; to be called before they are put.
  void room_for(std::size_t varints) {
    const std::size_t wanted = used_ + varints * max_varint_bytes;
    if (wanted > out_.size()) out_.resize(std::max(wanted, out_.capacity()), boost::container::default_init);
  }
  void varint(std::uint64_t value) noexcept {
    for (; value >= 0x80; value >>= 7) out_[used_++] = static_cast<std::byte>(value | 0x80);
    out_[used_++] = static_cast<std::byte>(value);
  }

  /// A length, which `size_and_flag` carries beside a flag, and that many bytes. Makes its own room.
  void string(std::uint64_t size_and_flag, std::string_view bytes) {
    const std::size_t wanted = used_ + max_varint_bytes + bytes.size();
    if (wanted > out_.size()) out_.resize(std::max(wanted, out_.capacity()), boost::container::default_init);
    varint(size_and_flag);
    if (!bytes.empty()) std::memcpy(out_.data() + used_, bytes.data(), bytes.size());
    used_ += bytes.size();
  }

 private:
  Bytes& out_;
  std::size_t used_;
};

/// Reads bytes front to back; throws Error(malformed_binary) instead of reading past the end.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) noexcept : rest_(bytes) {}

  [[nodiscard]] std::size_t remaining() const noexcept { return rest_.size(); }

  std::uint8_t byte() {
    if (rest_.empty()) refuse("it ends too early");
    const auto value = std::to_integer<std::uint8_t>(rest_.front());
    rest_ = rest_.subspan(1);
    return value;
  }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const std::uint8_t next = byte();
      if (shift == 63 && next > 1) break;
      value |= std::uint64_t{next & 0x7fU} << shift;
      if ((next & 0x80) != 0) continue;
      if (next == 0 && shift != 0) refuse("a number is not in its shortest form");
      return value;
    }
    refuse("a number is too large");
  }

  /// A varint that must not exceed `limit`.
  std::uint64_t varint_up_to(std::uint64_t limit) {
    const std::uint64_t value = varint();
    if (value > limit) refuse("a number is out of range");
    return value;
  }

  /// That many bytes as they are.
  std::string string(std::uint64_t size) {
    if (size > rest_.size()) refuse("it ends too early");
    const std::string result(reinterpret_cast<const char*>(rest_.data()), static_cast<std::size_t>(size));
    rest_ = rest_.subspan(static_cast<std::size_t>(size));
    return result;
  }

  [[noreturn]] static void refuse(const char* reason) {
    throw Error(ErrorKind::malformed_binary, std::string("malformed row state: ") + reason);
  }

 private:
  std::span<const std::byte> rest_;
};

}  // namespace meridian
