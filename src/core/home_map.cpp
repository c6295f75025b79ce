#include "core/home_map.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <string>

#include "core/digest.hpp"
#include "core/error.hpp"

namespace meridian {
namespace {

constexpr int fraction_bits = 26;

std::uint64_t hash_of(const void* data, std::size_t size) noexcept {
  return hash_bytes({static_cast<const std::byte*>(data), size});
}

void put_little_endian(std::byte* to, std::uint64_t value) noexcept {
  for (int i = 0; i < 8; ++i) to[i] = static_cast<std::byte>(value >> (8 * i));
}

Error invalid(const std::string& message, const char* hint) { return {ErrorKind::invalid_rule, message, hint}; }

/// The best of several regions so far.
struct Best {
  int index = HomeMap::nowhere;
  std::uint64_t draw = 0;
  std::uint64_t cost = 0;
  std::uint32_t weight = 0;
};

/// Whether the region is better than `best`, whose cost is known only if regions of other weights were met. Of one
/// weight the larger draw wins: that is what the costs would say, without computing them.
bool beats(const HomeRegion& region, std::uint64_t draw, std::uint64_t cost, const Best& best,
           const HomeRegion& other) noexcept {
  if (region.weight != best.weight) {
    const std::uint64_t ours = cost * best.weight;
    const std::uint64_t theirs = best.cost * region.weight;
    if (ours != theirs) return ours < theirs;
  }
  if (draw != best.draw) return draw > best.draw;
  return region.view() < other.view();
}

}  // namespace

std::uint64_t home_hash(std::string_view text) noexcept { return hash_of(text.data(), text.size()); }

std::uint64_t home_draw(std::uint64_t key_hash, std::uint64_t region_hash) noexcept {
  std::array<std::byte, 16> bytes;
  put_little_endian(bytes.data(), key_hash);
  put_little_endian(bytes.data() + 8, region_hash);
  return hash_of(bytes.data(), bytes.size());
}

std::uint64_t home_cost(std::uint64_t draw) noexcept {
  if (draw == 0) draw = 1;
  const int shift = std::countl_zero(draw);
  // The binary logarithm, bit by bit: squaring the mantissa, 1 <= m < 2, doubles the logarithm of it. Rounding down at
  // every step keeps the order of two mantissas, so costs keep the order of draws.
  std::uint64_t mantissa = (draw << shift) >> 32;
  std::uint64_t logarithm = static_cast<std::uint64_t>(63 - shift);
  for (int bit = 0; bit < fraction_bits; ++bit) {
    const std::uint64_t square = mantissa * mantissa;
    const auto doubled = static_cast<unsigned>(square >> 63);
    logarithm = logarithm << 1 | doubled;
    mantissa = square >> (31 + doubled);
  }
  return (std::uint64_t{64} << fraction_bits) - logarithm;
}

void HomeMap::add(std::string_view name, std::uint32_t weight) {
  if (name.empty() || name.size() > max_region_name || name.find('\0') != std::string_view::npos)
    throw invalid("a region's name must have 1 to 63 bytes", "Name it as meridian.join() did.");
  if (weight > max_region_weight)
    throw invalid("the weight of a region must be between 0 and 1000",
                  "Weights are relative: 1 and 2 say as much as 500 and 1000.");
  if (find(name) != nowhere)
    throw invalid("region \"" + std::string(name) + "\" is there already",
                  "Call meridian.set_region() to change its weight.");
  if (count_ == max_home_regions)
    throw Error(ErrorKind::limit_exceeded, "there can be at most 64 home regions", "Drop one that is not used.");
  HomeRegion& region = regions_[count_++];
  region = {};
  std::memcpy(region.name, name.data(), name.size());
  region.weight = weight;
  region.hash = home_hash(name);
}

int HomeMap::find(std::string_view name) const noexcept {
  for (std::uint32_t i = 0; i < count_; ++i) {
    if (regions_[i].view() == name) return static_cast<int>(i);
  }
  return nowhere;
}

int HomeMap::by_hash(std::string_view key) const noexcept {
  const std::uint64_t key_hash = home_hash(key);
  const bool mixed = std::any_of(regions_, regions_ + count_,
                                 [&](const HomeRegion& region) { return region.weight != regions_[0].weight; });
  Best best;
  for (std::uint32_t i = 0; i < count_; ++i) {
    const HomeRegion& region = regions_[i];
    if (region.weight == 0) continue;
    const std::uint64_t draw = home_draw(key_hash, region.hash);
    // Of regions of one weight only the draws count; their logarithms are not needed.
    const bool same_weight_lost = best.index != nowhere && region.weight == best.weight && draw < best.draw;
    if (same_weight_lost) continue;
    const std::uint64_t cost = mixed ? home_cost(draw) : 0;
    if (best.index == nowhere || beats(region, draw, cost, best, regions_[best.index]))
      best = {static_cast<int>(i), draw, cost, region.weight};
  }
  return best.index;
}

int HomeMap::home_of(std::string_view key) const {
  if (count_ == 0) return nowhere;
  return rule_ == HomeRule::modulo ? static_cast<int>(home_remainder(key, count_)) : by_hash(key);
}

std::uint32_t home_remainder(std::string_view key, std::uint32_t divisor) {
  std::string_view digits = key;
  const bool negative = !digits.empty() && digits.front() == '-';
  if (negative) digits.remove_prefix(1);
  const bool integer =
      !digits.empty() && std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!integer) {
    throw Error(ErrorKind::malformed_text, "key \"" + std::string(key.substr(0, 64)) + "\" is not an integer",
                "The rule of the home map is modulo: pin such keys, or call meridian.set_home_rule('hash').");
  }
  std::uint64_t remainder = 0;
  for (const char digit : digits) remainder = (remainder * 10 + static_cast<std::uint64_t>(digit - '0')) % divisor;
  if (negative && remainder != 0) remainder = divisor - remainder;
  return static_cast<std::uint32_t>(remainder);
}

HomeRule parse_home_rule(std::string_view text) {
  if (text == "hash") return HomeRule::hash;
  if (text == "modulo") return HomeRule::modulo;
  throw invalid("\"" + std::string(text) + "\" is not a rule of the home map", "The rules are hash and modulo.");
}

}  // namespace meridian
