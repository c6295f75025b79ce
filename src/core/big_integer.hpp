// Signed integer of any size, in decimal limbs: what a Decimal falls back to beyond int64.
//
// Base 10^9, least significant limb first. A decimal base because counters only add, compare, move the decimal point
// and are read and printed: all of these are linear in it, and no conversion between bases is ever needed.
// Invariants: the most significant limb is not zero; zero has no limbs and is not negative.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace meridian {

class BigInteger {
 public:
  static constexpr unsigned limb_digits = 9;
  static constexpr std::uint32_t limb_base = 1'000'000'000;

  BigInteger() = default;
  explicit BigInteger(std::int64_t value);
  /// `digits` holds nothing but '0'..'9'.
  BigInteger(bool negative, std::string_view digits);
  /// Each limb must be below `limb_base`.
  BigInteger(bool negative, std::span<const std::uint32_t> limbs);

  [[nodiscard]] bool is_zero() const noexcept { return limbs_.empty(); }
  [[nodiscard]] bool is_negative() const noexcept { return negative_; }
  [[nodiscard]] std::span<const std::uint32_t> limbs() const noexcept { return limbs_; }
  /// Decimal digits of the absolute value; 0 for zero.
  [[nodiscard]] std::size_t digit_count() const noexcept;
  /// Nullopt if the value is out of range.
  [[nodiscard]] std::optional<std::int64_t> to_int64() const noexcept;
  [[nodiscard]] std::string to_string() const;

  BigInteger& operator+=(const BigInteger& other);
  void negate() noexcept { negative_ = !negative_ && !is_zero(); }
  /// Multiplies by 10^exponent.
  void scale_up(std::size_t exponent);
  /// Divides by 10^exponent; false, and unchanged, if a digit other than 0 would be lost.
  [[nodiscard]] bool scale_down_exactly(std::size_t exponent);

  friend bool operator==(const BigInteger&, const BigInteger&) = default;
  friend std::strong_ordering operator<=>(const BigInteger& a, const BigInteger& b) noexcept;

 private:
  [[nodiscard]] std::strong_ordering compare_magnitude(const BigInteger& other) const noexcept;
  void add_magnitude(const BigInteger& other);
  void subtract_magnitude(const BigInteger& smaller);
  [[nodiscard]] std::uint32_t digit(std::size_t place) const noexcept;
  void trim() noexcept;

  std::vector<std::uint32_t> limbs_;
  bool negative_ = false;
};

}  // namespace meridian
