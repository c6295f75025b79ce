// Two numbers on two lines: refused, or printing and reading is the identity and arithmetic is sane.
#include "core/decimal.hpp"
#include "core/error.hpp"
#include "fuzz/fuzz.hpp"

using namespace meridian;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = fuzz::as_text(data, size);
  const auto newline = std::min(text.find('\n'), text.size());
  Decimal a;
  Decimal b;
  try {
    a = Decimal::parse(text.substr(0, newline));
    if (newline < text.size()) b = Decimal::parse(text.substr(newline + 1));
  } catch (const Error&) {
    return 0;
  }
  fuzz::check(a.fits_numeric(), "what was read is within the limits");
  fuzz::check(Decimal::parse(a.to_string()) == a, "printing then reading is the identity");
  const Decimal sum = a + b;
  fuzz::check(sum == b + a, "addition commutes");
  fuzz::check(sum.scale() == std::max(a.scale(), b.scale()), "the scale of a sum is the larger");
  fuzz::check(compare(sum - b, a) == 0, "subtraction undoes addition");
  fuzz::check((a - b).is_zero() == (compare(a, b) == 0), "order agrees with subtraction");
  fuzz::check((a - b).is_negative() == (compare(a, b) < 0), "order agrees with subtraction");
  if (const auto integer = a.to_int64()) {
    fuzz::check(compare(Decimal::from_int64(*integer), a) == 0, "conversion to an integer is exact");
  }
  return 0;
}
