// Tokens: "everything that this client has seen written", as a short text that fits a cookie.
//
// A token is a set of positions, one per timeline of a server system (initdb gives a system its identifier, a promotion
// begins a timeline), each the end of a commit record in that timeline's WAL. Merging two tokens takes the maximum per
// timeline, so it is commutative, associative and idempotent, and a token covers writes in several regions.
//
// Two timelines of one system stay two positions: which of the two contains the other is known only to servers that
// have the timeline history (token_check.hpp).
//
// Text: `m1`, then per position in ascending order `.system-timeline-lsn` in lower-case hexadecimal without leading
// zeros, then optionally `_` and the signature as 32 hexadecimal digits. Nothing but [A-Za-z0-9._-]. The text of a
// token is unique: parsing refuses every other spelling. The empty set is the empty text.
#pragma once

#include <array>
#include <boost/container/static_vector.hpp>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/hmac.hpp"

namespace meridian {

/// The end of a commit record.
struct Position {
  std::uint64_t system_id = 0;  ///< not 0 in a token
  std::uint32_t timeline = 0;   ///< not 0 in a token
  std::uint64_t lsn = 0;        ///< not 0 in a token

  friend constexpr auto operator<=>(const Position&, const Position&) noexcept = default;
};

class Token {
 public:
  static constexpr std::size_t max_positions = 16;

  Token() = default;
  explicit Token(const Position& position) : positions_{position} {}

  /// Adds what the other knows. Error(limit_exceeded) if the result has more than `max_positions` positions; the token
  /// is then unchanged.
  void merge(const Token& other);

  [[nodiscard]] bool empty() const noexcept { return positions_.empty(); }
  /// Ascending by (system, timeline), which are unique.
  [[nodiscard]] std::span<const Position> positions() const noexcept { return {positions_.data(), positions_.size()}; }

  friend bool operator==(const Token&, const Token&) = default;

 private:
  boost::container::static_vector<Position, max_positions> positions_;
};

/// Half of an HMAC-SHA256: 128 bits, as RFC 2104 section 5 allows.
inline constexpr std::size_t signature_size = 16;
using Signature = std::array<std::uint8_t, signature_size>;

/// Bytes of the longest text of one position (`.system-timeline-lsn`), of a signature (`_` and digits) and of a token.
inline constexpr std::size_t position_text_size = 1 + 16 + 1 + 8 + 1 + 16;
inline constexpr std::size_t signature_text_size = 1 + 2 * signature_size;
inline constexpr std::size_t max_token_text = 2 + Token::max_positions * position_text_size + signature_text_size;
/// A buffer for a token of one position, with signature and terminating zero.
inline constexpr std::size_t short_token_size = 2 + position_text_size + signature_text_size + 1;

/// A text taken apart.
struct ParsedToken {
  Token token;
  std::string_view signed_text;  ///< what the signature is of; points into the text that was parsed
  std::optional<Signature> signature;
};

/// Error(malformed_text) for everything that is not the text of a token, however long it is.
[[nodiscard]] ParsedToken parse_token(std::string_view text);

/// The canonical text, without signature.
[[nodiscard]] std::string to_text(const Token& token);

/// Signs a token's text with HMAC-SHA256. Never throws.
[[nodiscard]] Signature sign_token(const HmacKey& secret, std::string_view text) noexcept;
/// Whether the parsed token carries the signature of this secret. Takes the same time wherever they differ.
[[nodiscard]] bool is_signed_by(const HmacKey& secret, const ParsedToken& parsed) noexcept;
/// `_` and the digits.
[[nodiscard]] std::string to_text(const Signature& signature);

/// Writes the text of a token of one position, signed if there is a secret, with a terminating zero. Allocates nothing
/// and never throws: it runs after a commit, where no error may be raised.
void write_token(const Position& position, const HmacKey& secret, char (&to)[short_token_size]) noexcept;

}  // namespace meridian
