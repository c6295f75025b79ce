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
  void room_for(std::size_t varints) { room_for_bytes(varints * max_varint_bytes); }
  void room_for_bytes(std::size_t bytes) {
    const std::size_t wanted = used_ + bytes;
    if (wanted > out_.size()) out_.resize(std::max(wanted, out_.capacity()), boost::container::default_init);
  }
  void varint(std::uint64_t value) noexcept {
    for (; value >= 0x80; value >>= 7) out_[used_++] = static_cast<std::byte>(value | 0x80);
    out_[used_++] = static_cast<std::byte>(value);
  }
  /// Bytes as they are; makes room for itself.
  void raw(std::string_view bytes) {
    room_for_bytes(bytes.size());
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(out_.data() + used_));
    used_ += bytes.size();
  }

 private:
  Bytes& out_;
  std::size_t used_;
};

/// Reads bytes front to back; throws Error(malformed_binary) instead of reading past the end.
class Reader {
 public:
  /// `subject` is what errors say is malformed.
  explicit Reader(std::span<const std::byte> bytes, const char* subject = "row state") noexcept
      : rest_(bytes), subject_(subject) {}

  [[nodiscard]] std::size_t remaining() const noexcept { return rest_.size(); }

  std::uint8_t byte() {
    if (rest_.empty()) fail("it ends too early");
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
      if (next == 0 && shift != 0) fail("a number is not in its shortest form");
      return value;
    }
    fail("a number is too large");
  }

  /// A varint that must not exceed `limit`.
  std::uint64_t varint_up_to(std::uint64_t limit) {
    const std::uint64_t value = varint();
    if (value > limit) fail("a number is out of range");
    return value;
  }

  /// That many bytes, as they are.
  std::string_view raw(std::size_t size) {
    if (size > rest_.size()) fail("it ends too early");
    const std::string_view bytes(reinterpret_cast<const char*>(rest_.data()), size);
    rest_ = rest_.subspan(size);
    return bytes;
  }

  [[noreturn]] void fail(const char* reason) const { refuse(reason, subject_); }
  [[noreturn]] static void refuse(const char* reason, const char* subject = "row state") {
    throw Error(ErrorKind::malformed_binary, std::string("malformed ") + subject + ": " + reason);
  }

 private:
  std::span<const std::byte> rest_;
  const char* subject_;
};

}  // namespace meridian
