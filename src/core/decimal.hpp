// Exact decimal number: what a counter column holds and what an actor contributed to it.
//
// A Decimal is mantissa * 10^-scale. The scale is part of the value, as in SQL numeric: 1.0 and 1.00 are different
// Decimals that `compare` calls equivalent, so every node prints the same text for the same state.
// Canonical: a mantissa that fits int64 is never stored in `big_`; hence equal Decimals have equal members. There is
// no negative zero.
//
// Memory: values whose mantissa fits int64 never allocate; others own one heap object. Arithmetic throws nothing but
// std::bad_alloc, also beyond the limits of SQL numeric: those are checked where a value enters (parse, decoding,
// local writes), because a merge must never fail.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/big_integer.hpp"

namespace meridian {

class Decimal {
 public:
  /// Limits of an unconstrained SQL numeric: digits before and after the point (PostgreSQL, numeric.h).
  static constexpr std::uint32_t max_integer_digits = 131072;
  static constexpr std::uint16_t max_scale = 16383;

  /// Zero with scale 0.
  Decimal() noexcept = default;
  Decimal(const Decimal& other)
      : big_(other.big_ == nullptr ? nullptr : new BigInteger(*other.big_)),
        small_(other.small_),
        scale_(other.scale_) {}
  Decimal(Decimal&& other) noexcept
      : big_(std::exchange(other.big_, nullptr)), small_(std::exchange(other.small_, 0)), scale_(other.scale_) {}
  Decimal& operator=(const Decimal& other) {
    Decimal copy(other);
    swap(copy);
    return *this;
  }
  Decimal& operator=(Decimal&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Decimal() { delete big_; }
  void swap(Decimal& other) noexcept {
    std::swap(big_, other.big_);
    std::swap(small_, other.small_);
    std::swap(scale_, other.scale_);
  }

  [[nodiscard]] static Decimal from_int64(std::int64_t value) noexcept { return from_mantissa(value, 0); }
  /// `mantissa` * 10^-`scale`.
  [[nodiscard]] static Decimal from_mantissa(std::int64_t mantissa, std::uint16_t scale) noexcept {
    Decimal result;
    result.small_ = mantissa;
    result.scale_ = scale;
    return result;
  }
  /// A mantissa of any size.
  [[nodiscard]] static Decimal from_mantissa(BigInteger mantissa, std::uint16_t scale);

  /// Reads `[+-]digits[.digits][e[+-]digits]`, the scale being the number of digits after the point less the exponent
  /// (not below 0). Throws Error: not_additive for NaN and infinities, limit_exceeded beyond the limits above,
  /// malformed_text for anything else.
  [[nodiscard]] static Decimal parse(std::string_view text);
  /// Plain notation with exactly `scale()` digits after the point; parse(to_string()) is the identity.
  [[nodiscard]] std::string to_string() const;

  /// The value as an integer; nullopt if it has a fraction or is out of range.
  [[nodiscard]] std::optional<std::int64_t> to_int64() const;

  [[nodiscard]] std::uint16_t scale() const noexcept { return scale_; }
  /// The same number with at least `scale` digits after the point; digits are never dropped.
  [[nodiscard]] Decimal with_scale(std::uint16_t scale) const;
  [[nodiscard]] bool is_zero() const noexcept { return big_ == nullptr && small_ == 0; }
  /// True if the number is within the limits of an SQL numeric.
  [[nodiscard]] bool fits_numeric() const noexcept;

  [[nodiscard]] bool is_negative() const noexcept { return big_ == nullptr ? small_ < 0 : big_->is_negative(); }
  /// The mantissa if it does not fit int64, else null.
  [[nodiscard]] const BigInteger* big_mantissa() const noexcept { return big_; }
  /// The mantissa if `big_mantissa()` is null.
  [[nodiscard]] std::int64_t small_mantissa() const noexcept { return small_; }

  /// The scale of a sum or difference is the larger scale of the two.
  Decimal& operator+=(const Decimal& other) {
    std::int64_t sum = 0;
    if (scale_ == other.scale_ && big_ == nullptr && other.big_ == nullptr &&
        !__builtin_add_overflow(small_, other.small_, &sum)) {
      small_ = sum;
      return *this;
    }
    return add_slowly(other);
  }
  [[nodiscard]] Decimal operator-() const;
  friend Decimal operator+(Decimal a, const Decimal& b) { return std::move(a += b); }
  friend Decimal operator-(const Decimal& a, const Decimal& b) { return -b + a; }

  /// Same mantissa and same scale, that is: same text.
  friend bool operator==(const Decimal& a, const Decimal& b) noexcept {
    if (a.scale_ != b.scale_) return false;
    if (a.big_ == nullptr && b.big_ == nullptr) return a.small_ == b.small_;
    return a.big_ != nullptr && b.big_ != nullptr && *a.big_ == *b.big_;
  }
  /// Order of the numbers; 1.0 and 1.00 are equivalent. Throws nothing but std::bad_alloc.
  [[nodiscard]] friend std::weak_ordering compare(const Decimal& a, const Decimal& b) {
    if (a.scale_ == b.scale_ && a.big_ == nullptr && b.big_ == nullptr) return a.small_ <=> b.small_;
    return compare_slowly(a, b);
  }

 private:
  static std::weak_ordering compare_slowly(const Decimal& a, const Decimal& b);
  [[nodiscard]] BigInteger to_big() const { return big_ == nullptr ? BigInteger(small_) : *big_; }
  Decimal& add_slowly(const Decimal& other);

  BigInteger* big_ = nullptr;  ///< owned; null while the mantissa fits `small_`
  std::int64_t small_ = 0;     ///< 0 while `big_` is set
  std::uint16_t scale_ = 0;
};

}  // namespace meridian
