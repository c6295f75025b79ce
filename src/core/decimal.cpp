#include "core/decimal.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "core/error.hpp"

namespace meridian {

namespace {

constexpr int small_powers = 19;  // 10^18 is the largest power of ten in an int64

constexpr std::array<std::int64_t, small_powers> make_powers() {
  std::array<std::int64_t, small_powers> powers{};
  std::int64_t power = 1;
  for (int i = 0; i < small_powers; ++i) {
    powers[i] = power;
    if (i + 1 < small_powers) power *= 10;
  }
  return powers;
}
constexpr auto power_of_ten = make_powers();

/// mantissa * 10^exponent, if that fits.
std::optional<std::int64_t> scale_up(std::int64_t mantissa, unsigned exponent) noexcept {
  if (mantissa == 0) return 0;
  std::int64_t product = 0;
  if (exponent >= small_powers || __builtin_mul_overflow(mantissa, power_of_ten[exponent], &product)) {
    return std::nullopt;
  }
  return product;
}

[[noreturn]] void refuse_text() {
  throw Error(ErrorKind::malformed_text, "invalid decimal number", "Expected digits, such as -12.50 or 3e8.");
}

[[noreturn]] void refuse_size() {
  throw Error(ErrorKind::limit_exceeded, "decimal number is too large",
              "At most 131072 digits before and 16383 digits after the decimal point are possible.");
}

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// Cuts the leading digits off `text`.
std::string_view take_digits(std::string_view& text) noexcept {
  const auto end = std::find_if_not(text.begin(), text.end(), is_digit);
  const auto digits = text.substr(0, static_cast<std::size_t>(end - text.begin()));
  text.remove_prefix(digits.size());
  return digits;
}

bool take_sign(std::string_view& text) noexcept {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  return negative;
}

/// NaN and the infinities, in every spelling that numeric_in takes.
bool names_special_value(std::string_view text) {
  std::string lower(text.substr(0, std::min<std::size_t>(text.size(), 16)));
  std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  return lower == "nan" || lower == "inf" || lower == "infinity";
}

/// The exponent of `e[+-]digits`, which must be all that is left.
int take_exponent(std::string_view text) {
  if (text.empty()) return 0;
  if (text.front() != 'e' && text.front() != 'E') refuse_text();
  text.remove_prefix(1);
  const bool negative = take_sign(text);
  auto digits = take_digits(text);
  if (digits.empty() || !text.empty()) refuse_text();
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size() - 1));
  if (digits.size() > 6) refuse_size();  // far beyond both limits, so no number but zero could have it
  int exponent = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
  return negative ? -exponent : exponent;
}

}  // namespace

Decimal Decimal::from_mantissa(BigInteger mantissa, std::uint16_t scale) {
  if (const auto small = mantissa.to_int64()) return from_mantissa(*small, scale);
  Decimal result;
  result.big_ = new BigInteger(std::move(mantissa));
  result.scale_ = scale;
  return result;
}

Decimal Decimal::parse(std::string_view text) {
  const bool negative = take_sign(text);
  if (names_special_value(text)) {
    throw Error(ErrorKind::not_additive, "a counter cannot hold NaN or infinity", "Use a finite number.");
  }
  auto integer = take_digits(text);
  std::string_view fraction;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    fraction = take_digits(text);
  }
  if (integer.empty() && fraction.empty()) refuse_text();
  const int exponent = take_exponent(text);

  integer.remove_prefix(std::min(integer.find_first_not_of('0'), integer.size()));
  const auto shift = static_cast<std::int64_t>(fraction.size()) - exponent;  // places to the right of the point
  const std::int64_t scale = std::max<std::int64_t>(shift, 0);
  if (scale > max_scale || integer.size() + fraction.size() > std::size_t{max_integer_digits} + max_scale)
    refuse_size();

  std::string digits;
  digits.reserve(integer.size() + fraction.size());
  digits.append(integer).append(fraction);
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size()));
  if (digits.empty()) return from_mantissa(0, static_cast<std::uint16_t>(scale));
  const auto zeros = static_cast<std::size_t>(std::max<std::int64_t>(-shift, 0));
  if (digits.size() + zeros > max_integer_digits + static_cast<std::size_t>(scale)) refuse_size();
  digits.append(zeros, '0');

  if (digits.size() < small_powers) {
    std::int64_t mantissa = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), mantissa);
    return from_mantissa(negative ? -mantissa : mantissa, static_cast<std::uint16_t>(scale));
  }
  return from_mantissa(BigInteger(negative, digits), static_cast<std::uint16_t>(scale));
}

std::string Decimal::to_string() const {
  std::string digits;
  if (big_ == nullptr) {
    std::array<char, 24> buffer;
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), small_).ptr;
    digits.assign(buffer.data(), end);
  } else {
    digits = big_->to_string();
  }
  if (scale_ == 0) return digits;
  const std::size_t sign = digits.front() == '-' ? 1 : 0;
  const std::size_t wanted = sign + scale_ + std::size_t{1};  // at least one digit before the point
  if (digits.size() < wanted) digits.insert(sign, wanted - digits.size(), '0');
  digits.insert(digits.size() - scale_, 1, '.');
  return digits;
}

std::optional<std::int64_t> Decimal::to_int64() const {
  if (big_ == nullptr) {
    if (scale_ == 0 || small_ == 0) return small_;
    if (scale_ >= small_powers || small_ % power_of_ten[scale_] != 0) return std::nullopt;
    return small_ / power_of_ten[scale_];
  }
  BigInteger integer = *big_;
  return integer.scale_down_exactly(scale_) ? integer.to_int64() : std::nullopt;
}

Decimal Decimal::with_scale(std::uint16_t scale) const {
  if (scale <= scale_) return *this;
  const unsigned exponent = scale - scale_;
  if (big_ == nullptr) {
    if (const auto scaled = scale_up(small_, exponent)) return from_mantissa(*scaled, scale);
  }
  BigInteger big = to_big();
  big.scale_up(exponent);
  return from_mantissa(std::move(big), scale);
}

bool Decimal::fits_numeric() const noexcept {
  return scale_ <= max_scale && (big_ == nullptr || big_->digit_count() <= std::size_t{max_integer_digits} + scale_);
}

Decimal Decimal::operator-() const {
  std::int64_t negated = 0;
  if (big_ == nullptr && !__builtin_sub_overflow(std::int64_t{0}, small_, &negated)) {
    return from_mantissa(negated, scale_);
  }
  BigInteger big = to_big();
  big.negate();
  return from_mantissa(std::move(big), scale_);
}

Decimal& Decimal::add_slowly(const Decimal& other) {
  const auto scale = std::max(scale_, other.scale_);
  Decimal mine = with_scale(scale);
  const Decimal theirs = other.with_scale(scale);
  std::int64_t sum = 0;
  if (mine.big_ == nullptr && theirs.big_ == nullptr && !__builtin_add_overflow(mine.small_, theirs.small_, &sum)) {
    mine.small_ = sum;
  } else {
    BigInteger big = mine.to_big();
    big += theirs.to_big();
    mine = from_mantissa(std::move(big), scale);
  }
  swap(mine);
  return *this;
}

std::weak_ordering Decimal::compare_slowly(const Decimal& a, const Decimal& b) {
  if (a.is_negative() != b.is_negative()) {
    return a.is_negative() ? std::weak_ordering::less : std::weak_ordering::greater;
  }
  const auto scale = std::max(a.scale_, b.scale_);
  const Decimal left = a.with_scale(scale);
  const Decimal right = b.with_scale(scale);
  if (left.big_ == nullptr && right.big_ == nullptr) return left.small_ <=> right.small_;
  return left.to_big() <=> right.to_big();
}

}  // namespace meridian
