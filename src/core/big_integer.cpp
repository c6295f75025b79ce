#include "core/big_integer.hpp"

#include <algorithm>
#include <array>
#include <limits>

namespace meridian {

namespace {

constexpr std::array<std::uint32_t, BigInteger::limb_digits> power_of_ten = {
    1, 10, 100, 1000, 10'000, 100'000, 1'000'000, 10'000'000, 100'000'000};

std::uint32_t parse_limb(std::string_view digits) noexcept {
  std::uint32_t limb = 0;
  for (const char c : digits) limb = limb * 10 + static_cast<std::uint32_t>(c - '0');
  return limb;
}

}  // namespace

BigInteger::BigInteger(std::int64_t value) : negative_(value < 0) {
  // The unsigned negation is exact for the smallest int64 too.
  auto rest = negative_ ? std::uint64_t{0} - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  for (; rest != 0; rest /= limb_base) limbs_.push_back(static_cast<std::uint32_t>(rest % limb_base));
}

BigInteger::BigInteger(bool negative, std::string_view digits) : negative_(negative) {
  limbs_.reserve(digits.size() / limb_digits + 1);
  while (!digits.empty()) {
    const std::size_t length = std::min<std::size_t>(digits.size(), limb_digits);
    limbs_.push_back(parse_limb(digits.substr(digits.size() - length)));
    digits.remove_suffix(length);
  }
  trim();
}

BigInteger::BigInteger(bool negative, std::span<const std::uint32_t> limbs)
    : limbs_(limbs.begin(), limbs.end()), negative_(negative) {
  trim();
}

void BigInteger::trim() noexcept {
  while (!limbs_.empty() && limbs_.back() == 0) limbs_.pop_back();
  if (limbs_.empty()) negative_ = false;
}

std::size_t BigInteger::digit_count() const noexcept {
  if (limbs_.empty()) return 0;
  std::size_t count = (limbs_.size() - 1) * limb_digits;
  for (auto top = limbs_.back(); top != 0; top /= 10) ++count;
  return count;
}

std::optional<std::int64_t> BigInteger::to_int64() const noexcept {
  if (digit_count() > 19) return std::nullopt;  // ten quintillions do not fit, and 19 digits fit in 64 bits unsigned
  std::uint64_t magnitude = 0;
  for (std::size_t i = limbs_.size(); i-- > 0;) magnitude = magnitude * limb_base + limbs_[i];
  const auto limit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) + (negative_ ? 1 : 0);
  if (magnitude > limit) return std::nullopt;
  return static_cast<std::int64_t>(negative_ ? std::uint64_t{0} - magnitude : magnitude);
}

std::string BigInteger::to_string() const {
  if (limbs_.empty()) return "0";
  std::string text(limbs_.size() * limb_digits, '0');
  std::size_t position = text.size();
  for (auto limb : limbs_) {
    std::size_t place = position;
    for (; limb != 0; limb /= 10) text[--place] = static_cast<char>('0' + limb % 10);
    position -= limb_digits;
  }
  text.erase(0, text.find_first_not_of('0'));
  if (negative_) text.insert(0, 1, '-');
  return text;
}

std::strong_ordering BigInteger::compare_magnitude(const BigInteger& other) const noexcept {
  if (const auto order = limbs_.size() <=> other.limbs_.size(); order != 0) return order;
  for (std::size_t i = limbs_.size(); i-- > 0;) {
    if (const auto order = limbs_[i] <=> other.limbs_[i]; order != 0) return order;
  }
  return std::strong_ordering::equal;
}

std::strong_ordering operator<=>(const BigInteger& a, const BigInteger& b) noexcept {
  if (a.negative_ != b.negative_) return a.negative_ ? std::strong_ordering::less : std::strong_ordering::greater;
  return a.negative_ ? b.compare_magnitude(a) : a.compare_magnitude(b);
}

void BigInteger::add_magnitude(const BigInteger& other) {
  limbs_.resize(std::max(limbs_.size(), other.limbs_.size()));
  std::uint32_t carry = 0;
  for (std::size_t i = 0; i < limbs_.size(); ++i) {
    const std::uint32_t sum = limbs_[i] + (i < other.limbs_.size() ? other.limbs_[i] : 0) + carry;
    carry = sum >= limb_base ? 1 : 0;
    limbs_[i] = sum - carry * limb_base;
  }
  if (carry != 0) limbs_.push_back(carry);
}

void BigInteger::subtract_magnitude(const BigInteger& smaller) {
  std::uint32_t borrow = 0;
  for (std::size_t i = 0; i < limbs_.size(); ++i) {
    const std::uint32_t taken = (i < smaller.limbs_.size() ? smaller.limbs_[i] : 0) + borrow;
    borrow = limbs_[i] < taken ? 1 : 0;
    limbs_[i] = limbs_[i] + borrow * limb_base - taken;
  }
  trim();
}

BigInteger& BigInteger::operator+=(const BigInteger& other) {
  if (negative_ == other.negative_) {
    add_magnitude(other);
  } else if (compare_magnitude(other) >= 0) {
    subtract_magnitude(other);
  } else {
    BigInteger difference = other;
    difference.subtract_magnitude(*this);
    *this = std::move(difference);
  }
  return *this;
}

void BigInteger::scale_up(std::size_t exponent) {
  if (is_zero()) return;
  const std::uint64_t factor = power_of_ten[exponent % limb_digits];
  std::uint64_t carry = 0;
  for (auto& limb : limbs_) {
    const std::uint64_t product = limb * factor + carry;
    limb = static_cast<std::uint32_t>(product % limb_base);
    carry = product / limb_base;
  }
  if (carry != 0) limbs_.push_back(static_cast<std::uint32_t>(carry));
  limbs_.insert(limbs_.begin(), exponent / limb_digits, 0);
}

std::uint32_t BigInteger::digit(std::size_t place) const noexcept {
  return limbs_[place / limb_digits] / power_of_ten[place % limb_digits] % 10;
}

bool BigInteger::scale_down_exactly(std::size_t exponent) {
  if (is_zero()) return true;
  if (digit_count() <= exponent) return false;
  for (std::size_t place = 0; place < exponent; ++place) {
    if (digit(place) != 0) return false;
  }
  limbs_.erase(limbs_.begin(), limbs_.begin() + static_cast<std::ptrdiff_t>(exponent / limb_digits));
  const std::uint64_t divisor = power_of_ten[exponent % limb_digits];
  std::uint64_t remainder = 0;
  for (std::size_t i = limbs_.size(); i-- > 0;) {
    const std::uint64_t value = remainder * limb_base + limbs_[i];
    limbs_[i] = static_cast<std::uint32_t>(value / divisor);
    remainder = value % divisor;
  }
  trim();
  return true;
}

}  // namespace meridian
