// Numbers as Debezium writes them: floats as Java prints them, decimals as the unscaled integer in base64.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "core/cdc_buffer.hpp"
#include "core/cdc_modes.hpp"

namespace meridian::cdc {

/// As Java's Double.toString and Float.toString: `4.0`, `1.0E10`; the strings "NaN", "Infinity", "-Infinity".
void write_float8(Buffer& out, double value);
void write_float4(Buffer& out, float value);

/// PostgreSQL's numeric as it is stored (numeric.c, "struct NumericChoice"; on disk since 8.3), a view. Digits have
/// base 10000: the value is the sum of digit(i) * 10000^(weight - i).
class NumericView {
 public:
  enum class Class : std::uint8_t { finite, nan, positive_infinity, negative_infinity };

  /// `stored` is the value without its length word. Throws Error (malformed_binary) if it is too short or uneven, or a
  /// digit is not below 10000.
  explicit NumericView(std::string_view stored);

  [[nodiscard]] Class number_class() const noexcept { return class_; }
  [[nodiscard]] bool is_negative() const noexcept { return negative_; }
  [[nodiscard]] int weight() const noexcept { return weight_; }
  /// Digits after the point that are to be shown.
  [[nodiscard]] int scale() const noexcept { return scale_; }
  [[nodiscard]] int digit_count() const noexcept { return static_cast<int>(digits_.size() / 2); }
  /// 0 for places that are not stored.
  [[nodiscard]] unsigned digit(int i) const noexcept {
    if (i < 0 || i >= digit_count()) return 0;
    std::uint16_t digit;
    std::memcpy(&digit, digits_.data() + i * 2, sizeof digit);
    return digit;
  }

 private:
  Class class_ = Class::finite;
  bool negative_ = false;
  int weight_ = 0;
  int scale_ = 0;
  std::string_view digits_;
};

/// A numeric column. `scale`: that of numeric(p,s), -1 for numeric without: then `precise` is an object of scale and
/// value. NaN and infinities are null in `precise`, where Debezium's task fails.
void write_numeric(Buffer& out, std::string_view stored, int scale, DecimalMode mode);

/// money, in the smallest unit of a currency with two digits after the point.
void write_money(Buffer& out, std::int64_t cents, DecimalMode mode);

}  // namespace meridian::cdc
