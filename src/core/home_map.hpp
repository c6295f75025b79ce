// Which region is the home of a key, by rule: the map that every server holds a copy of.
//
// Two rules:
//   hash    weighted rendezvous hashing (Thaler, Ravishankar 1998; weights as in Schindelhauer, Schomaker 2005): each
//           region draws a number from the key, and the lowest -log2(draw) / weight wins. A region that is added takes
//           keys from all others in proportion to its weight, and no other key moves; one that is dropped gives only
//           its own keys away.
//   modulo  the key, an integer, modulo the number of regions, in the order in which they were added. For those who
//           come from `user_id % 2`. A new region moves nearly every key.
//
// Every server must give the same answer for years, so nothing here depends on the machine: the draw is XXH3 over bytes
// in a fixed order, the logarithm is computed in integers, bit by bit, and frozen vectors are tested. The key is its
// text in UTF-8.
//
// The map lies in shared memory as it is: no pointer, no allocation, a fixed size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace meridian {

inline constexpr std::uint32_t max_home_regions = 64;
inline constexpr std::size_t max_region_name = 63;
inline constexpr std::uint32_t max_region_weight = 1000;

enum class HomeRule : std::uint32_t { hash, modulo };

/// What a region draws from the key: uniform over 64 bits, independent between regions.
[[nodiscard]] std::uint64_t home_draw(std::uint64_t key_hash, std::uint64_t region_hash) noexcept;

/// The hash of a key or a region's name, the same on every machine.
[[nodiscard]] std::uint64_t home_hash(std::string_view text) noexcept;

/// -log2(draw / 2^64) in units of 2^-26, rounded up, at most 2^32. Never grows with the draw.
[[nodiscard]] std::uint64_t home_cost(std::uint64_t draw) noexcept;

struct HomeRegion {
  char name[max_region_name + 1];  ///< terminated by zero
  std::uint32_t weight;            ///< 0: takes no key by hash, but may hold keys that the directory gives it
  std::uint64_t hash;              ///< of the name
  [[nodiscard]] std::string_view view() const noexcept { return {name}; }
};

class HomeMap {
 public:
  static constexpr int nowhere = -1;

  /// Adds a region behind the others. Throws Error (invalid_rule) for a bad name or weight, a name that is there, or
  /// one region too many.
  void add(std::string_view name, std::uint32_t weight);
  void clear() noexcept { count_ = 0; }
  void set_rule(HomeRule rule) noexcept { rule_ = rule; }

  [[nodiscard]] HomeRule rule() const noexcept { return rule_; }
  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
  [[nodiscard]] const HomeRegion& operator[](int index) const noexcept { return regions_[index]; }
  /// The number of a region, or nowhere.
  [[nodiscard]] int find(std::string_view name) const noexcept;
  /// The number of the key's home; nowhere if there is no region that takes keys. Throws Error (malformed_text) if the
  /// rule is modulo and the key no integer.
  [[nodiscard]] int home_of(std::string_view key) const;

 private:
  [[nodiscard]] int by_hash(std::string_view key) const noexcept;

  HomeRule rule_ = HomeRule::hash;
  std::uint32_t count_ = 0;
  HomeRegion regions_[max_home_regions] = {};
};
static_assert(std::is_trivially_copyable_v<HomeMap> && std::is_trivially_destructible_v<HomeMap>);

/// The key, an integer in decimal notation of any length, modulo `divisor`, which is not 0: never negative. Throws
/// Error (malformed_text) if it is something else.
[[nodiscard]] std::uint32_t home_remainder(std::string_view key, std::uint32_t divisor);

/// `hash` or `modulo`; throws Error (invalid_rule) for anything else.
[[nodiscard]] HomeRule parse_home_rule(std::string_view text);

}  // namespace meridian
