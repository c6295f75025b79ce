#include "core/cdc_json.hpp"

#include <cstring>

namespace meridian::cdc {
namespace {

constexpr std::uint64_t every_byte = 0x0101010101010101;
constexpr std::uint64_t high_bits = 0x8080808080808080;

/// Whether one of eight bytes must be escaped: below 0x20, a quote or a backslash.
/// Source: "Bit Twiddling Hacks" (Sean Anderson), "Determine if a word has a byte less than n" and "a zero byte".
bool needs_escape(std::uint64_t word) noexcept {
  const std::uint64_t quote = word ^ (every_byte * '"');
  const std::uint64_t backslash = word ^ (every_byte * '\\');
  const std::uint64_t found =
      ((word - every_byte * 0x20) & ~word) | ((quote - every_byte) & ~quote) | ((backslash - every_byte) & ~backslash);
  return (found & high_bits) != 0;
}

constexpr char upper_digits[] = "0123456789ABCDEF";
constexpr char lower_digits[] = "0123456789abcdef";

/// Writes one byte, escaped if need be: at most six.
char* put_escaped(char* to, char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  if (byte >= 0x20 && c != '"' && c != '\\') {
    *to++ = c;
    return to;
  }
  *to++ = '\\';
  switch (c) {
    case '"':
    case '\\':
      *to++ = c;
      return to;
    case '\b':
      *to++ = 'b';
      return to;
    case '\f':
      *to++ = 'f';
      return to;
    case '\n':
      *to++ = 'n';
      return to;
    case '\r':
      *to++ = 'r';
      return to;
    case '\t':
      *to++ = 't';
      return to;
    default:
      *to++ = 'u';
      *to++ = '0';
      *to++ = '0';
      *to++ = upper_digits[byte >> 4];
      *to++ = upper_digits[byte & 15];
      return to;
  }
}

constexpr char base64_standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr char base64_url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

}  // namespace

void write_escaped(Buffer& out, std::string_view text) {
  const char* from = text.data();
  const char* const end = from + text.size();
  constexpr std::ptrdiff_t chunk = 4096;
  while (from < end) {
    // Room for a chunk of which every byte is escaped: large texts do not ask for six times their size.
    const char* const chunk_end = end - from > chunk ? from + chunk : end;
    char* to = out.room(static_cast<std::size_t>(chunk_end - from) * 6);
    while (chunk_end - from >= 8) {
      std::uint64_t word;
      std::memcpy(&word, from, 8);
      if (needs_escape(word)) {
        for (int i = 0; i < 8; ++i) to = put_escaped(to, *from++);
      } else {
        std::memcpy(to, &word, 8);
        to += 8;
        from += 8;
      }
    }
    while (from < chunk_end) to = put_escaped(to, *from++);
    out.advance(to);
  }
}

void write_base64(Buffer& out, std::string_view bytes, Base64Alphabet alphabet) {
  const char* const digits = alphabet == Base64Alphabet::standard ? base64_standard : base64_url_safe;
  const auto* from = reinterpret_cast<const unsigned char*>(bytes.data());
  std::size_t left = bytes.size();
  char* to = out.room((left + 2) / 3 * 4);
  for (; left >= 3; left -= 3, from += 3) {
    const std::uint32_t group = std::uint32_t{from[0]} << 16 | std::uint32_t{from[1]} << 8 | from[2];
    *to++ = digits[group >> 18];
    *to++ = digits[group >> 12 & 63];
    *to++ = digits[group >> 6 & 63];
    *to++ = digits[group & 63];
  }
  if (left > 0) {
    const std::uint32_t group = std::uint32_t{from[0]} << 16 | (left == 2 ? std::uint32_t{from[1]} << 8 : 0);
    *to++ = digits[group >> 18];
    *to++ = digits[group >> 12 & 63];
    *to++ = left == 2 ? digits[group >> 6 & 63] : '=';
    *to++ = '=';
  }
  out.advance(to);
}

void write_hex(Buffer& out, std::string_view bytes) {
  char* to = out.room(bytes.size() * 2);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    *to++ = lower_digits[byte >> 4];
    *to++ = lower_digits[byte & 15];
  }
  out.advance(to);
}

void write_padded(Buffer& out, std::uint64_t value, int width) {
  char digits[20];
  const char* const end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  const auto length = static_cast<int>(end - digits);
  for (int i = length; i < width; ++i) out.append('0');
  out.append({digits, static_cast<std::size_t>(length)});
}

std::string json_string(std::string_view text) {
  Buffer out;
  write_string(out, text);
  return std::string(out.view());
}

}  // namespace meridian::cdc
