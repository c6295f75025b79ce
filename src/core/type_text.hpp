// Texts of the explicit types: what printers and parsers of all of them share.
//
// One text per state: numbers have no sign or leading zeros, an actor is `member/epoch` (no epoch: 0), and within
// double quotes only the quote and the backslash are escaped, by a backslash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "core/actor.hpp"
#include "core/version_vector.hpp"

namespace meridian {

/// Longest text that is read.
inline constexpr std::size_t max_type_text_size = std::size_t{256} << 20;

/// How to write a set.
inline constexpr char set_hint[] =
    "Cast an array: '{a,b}'::text[]. Or write [\"a\",\"b\"], sorted, or a state as it is printed.";

void print_number(std::string& text, std::uint64_t number);
void print_actor(std::string& text, Actor actor);
/// `member/epoch:number`
void print_dot(std::string& text, Dot dot);
/// `"value"`
void print_quoted(std::string& text, std::string_view value);
/// `[dot,dot]`
void print_dots(std::string& text, const VersionVector& seen);

/// The same as JSON: an object from actor to number.
void print_json_seen(std::string& json, const VersionVector& seen);

/// Reads a text front to back; throws Error(malformed_text) at the first character that does not fit.
class TextReader {
 public:
  /// `subject` is what errors say is malformed, `hint` what to write instead. Throws Error(limit_exceeded) if the text
  /// is too long.
  TextReader(std::string_view text, const char* subject, const char* hint);

  [[noreturn]] void refuse(std::string_view reason) const;
  [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }
  void expect_end() const;
  bool accept(std::string_view token) noexcept;
  void expect(std::string_view token);
  std::uint64_t number(std::uint64_t limit = std::numeric_limits<std::uint64_t>::max());
  /// A number that is not zero.
  std::uint64_t positive();
  Actor actor();
  Dot dot();
  std::string quoted();
  VersionVector seen();
  /// `["a","b"]`, sorted by bytes, no two alike.
  std::vector<std::string> quoted_list();

  /// `item()` for each element of a list that ends with `]`; the `[` has been read.
  template <typename Item>
  void list(Item item) {
    if (accept("]")) return;
    do {
      item();
    } while (accept(","));
    expect("]");
  }

 private:
  std::string_view rest_;
  std::size_t size_;
  const char* subject_;
  const char* hint_;
};

}  // namespace meridian
