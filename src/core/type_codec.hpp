// Bytes of the explicit types: what their codecs share. The layouts are in docs/type_formats.md.
//
// Every state begins with one byte: format << 4 | kind. Decoders refuse what is not the canonical form of a state, and
// check every length against the bytes that are left before they allocate for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/varint.hpp"
#include "core/version_vector.hpp"

namespace meridian {

/// The explicit types, by the number that their bytes begin with.
enum class TypeKind : std::uint8_t { none = 0, counter = 1, gset = 2, orset = 3, flag = 4, mvreg = 5 };

/// Bytes of a state that a local operation may make; beyond it fails with Error(limit_exceeded). Merging has no limit.
inline constexpr std::size_t max_local_type_size = std::size_t{1} << 20;
/// Bytes of a state that are read: what 64 members can make of a value together before they hear of each other.
inline constexpr std::size_t max_type_size = std::size_t{64} << 20;

inline constexpr std::uint8_t type_format = 1;

/// Writes the first byte of a state.
inline void put_head(Writer& out, TypeKind kind) {
  out.room_for(1);
  out.raw(std::string(1, static_cast<char>(type_format << 4 | static_cast<int>(kind))));
}
void put_seen(Writer& out, const VersionVector& seen);
/// A length and the bytes.
void put_element(Writer& out, std::string_view element);
/// The place of the actor in `seen`, and the number. `seen` must cover the dot.
void put_dot(Writer& out, const VersionVector& seen, Dot dot);

/// Reads the first byte of a state, after having checked the size.
void take_head(Reader& in, TypeKind kind);
/// A count of items that take at least `least_bytes` each.
[[nodiscard]] std::size_t take_count(Reader& in, std::size_t least_bytes);
[[nodiscard]] Actor take_actor(Reader& in);
[[nodiscard]] VersionVector take_seen(Reader& in);
[[nodiscard]] std::string take_element(Reader& in);
[[nodiscard]] Dot take_dot(Reader& in, const VersionVector& seen);
void take_end(const Reader& in);

/// A number that stands for contents nobody in particular wrote: of two different contents the one with the larger
/// number will do when they meet. FNV-1a, folded to 32 bits; never zero.
class ContentNumber {
 public:
  void add(std::string_view part) noexcept;
  [[nodiscard]] std::uint64_t value() const noexcept;

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325ULL;
};

}  // namespace meridian
