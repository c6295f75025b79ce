#include "core/token.hpp"

#include <algorithm>
#include <charconv>

#include "core/error.hpp"
#include "core/hmac.hpp"

namespace meridian {
namespace {

constexpr std::string_view version = "m1";
constexpr std::string_view digits = "0123456789abcdef";

[[noreturn]] void refuse(const char* what) {
  throw Error(ErrorKind::malformed_text, std::string("not a token: ") + what,
              "A token is the text of meridian.last_write or of merge_tokens(), unchanged.");
}

/// Takes a hexadecimal number off the front of `text`: lower-case, no leading zero, not 0, ended by `end` unless that
/// is 0 (then the text may go on with anything that is no digit).
template <typename Number>
Number take_number(std::string_view& text, char end) {
  Number number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  const auto length = static_cast<std::size_t>(stop - text.data());
  if (error != std::errc{} || number == 0 || text[0] == '0') refuse("a number is missing or too large");
  if (text.substr(0, length).find_first_not_of(digits) != std::string_view::npos) refuse("digits must be lower-case");
  text.remove_prefix(length);
  if (end == 0) return number;
  if (text.empty() || text[0] != end) refuse("a position has three parts");
  text.remove_prefix(1);
  return number;
}

Position take_position(std::string_view& text) {
  Position position;
  position.system_id = take_number<std::uint64_t>(text, '-');
  position.timeline = take_number<std::uint32_t>(text, '-');
  position.lsn = take_number<std::uint64_t>(text, 0);
  return position;
}

Signature parse_signature(std::string_view text) {
  Signature signature{};
  if (text.size() != 2 * signature_size) refuse("the signature has the wrong length");
  for (std::size_t i = 0; i < signature_size; ++i) {
    const std::size_t high = digits.find(text[2 * i]);
    const std::size_t low = digits.find(text[2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) refuse("the signature is not hexadecimal");
    signature[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return signature;
}

bool same_timeline(const Position& a, const Position& b) {
  return a.system_id == b.system_id && a.timeline == b.timeline;
}

char* write_number(char* to, std::uint64_t number) noexcept { return std::to_chars(to, to + 16, number, 16).ptr; }

/// At most position_text_size bytes.
char* write_position(char* to, const Position& position) noexcept {
  *to++ = '.';
  to = write_number(to, position.system_id);
  *to++ = '-';
  to = write_number(to, position.timeline);
  *to++ = '-';
  return write_number(to, position.lsn);
}

/// signature_text_size bytes.
char* write_signature(char* to, const Signature& signature) noexcept {
  *to++ = '_';
  for (const std::uint8_t byte : signature) {
    *to++ = digits[byte >> 4];
    *to++ = digits[byte & 15];
  }
  return to;
}

}  // namespace

void Token::merge(const Token& other) {
  decltype(positions_) merged;
  auto mine = positions_.begin();
  auto theirs = other.positions_.begin();
  while (mine != positions_.end() || theirs != other.positions_.end()) {
    if (merged.size() == max_positions) {
      throw Error(ErrorKind::limit_exceeded, "a token holds at most 16 positions",
                  "Wait for the older token, then go on with the newer one alone.");
    }
    if (mine == positions_.end()) {
      merged.push_back(*theirs++);
    } else if (theirs == other.positions_.end()) {
      merged.push_back(*mine++);
    } else if (same_timeline(*mine, *theirs)) {
      merged.push_back(std::max(*mine++, *theirs++));
    } else {
      merged.push_back(*mine < *theirs ? *mine++ : *theirs++);
    }
  }
  positions_ = merged;
}

ParsedToken parse_token(std::string_view text) {
  ParsedToken parsed;
  if (text.empty()) return parsed;
  if (text.size() > max_token_text) refuse("it is too long");
  if (!text.starts_with(version)) refuse("it does not begin with m1");
  const std::string_view whole = text;
  text.remove_prefix(version.size());
  while (text.starts_with('.')) {
    text.remove_prefix(1);
    const Position position = take_position(text);
    if (!parsed.token.empty()) {
      const Position& last = parsed.token.positions().back();
      if (same_timeline(last, position) || position < last) refuse("its positions are not in order");
    }
    if (parsed.token.positions().size() == Token::max_positions) refuse("it has too many positions");
    parsed.token.merge(Token(position));
  }
  if (parsed.token.empty()) refuse("it has no position");
  parsed.signed_text = whole.substr(0, whole.size() - text.size());
  if (text.empty()) return parsed;
  if (text[0] != '_') refuse("it goes on after its last position");
  parsed.signature = parse_signature(text.substr(1));
  return parsed;
}

std::string to_text(const Token& token) {
  if (token.empty()) return {};
  std::string text(version);
  char buffer[position_text_size];
  for (const Position& position : token.positions()) text.append(buffer, write_position(buffer, position));
  return text;
}

std::string to_text(const Signature& signature) {
  char buffer[signature_text_size];
  return {buffer, write_signature(buffer, signature)};
}

Signature sign_token(const HmacKey& secret, std::string_view text) noexcept {
  const Sha256Digest digest = secret.sign(text);
  Signature signature;
  std::copy_n(digest.begin(), signature_size, signature.begin());
  return signature;
}

bool is_signed_by(const HmacKey& secret, const ParsedToken& parsed) noexcept {
  if (!parsed.signature) return false;
  const Signature expected = sign_token(secret, parsed.signed_text);
  unsigned difference = 0;
  for (std::size_t i = 0; i < signature_size; ++i) difference |= expected[i] ^ (*parsed.signature)[i];
  return difference == 0;
}

void write_token(const Position& position, const HmacKey& secret, char (&to)[short_token_size]) noexcept {
  char* end = std::copy(version.begin(), version.end(), to);
  end = write_position(end, position);
  if (!secret.empty()) {
    end = write_signature(end, sign_token(secret, {to, static_cast<std::size_t>(end - to)}));
  }
  *end = '\0';
}

}  // namespace meridian
