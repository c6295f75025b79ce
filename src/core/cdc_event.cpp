#include "core/cdc_event.hpp"

#include <bit>
#include <charconv>

#include "core/cdc_json.hpp"

namespace meridian::cdc {
namespace {

constexpr char hex_digits[] = "0123456789ABCDEF";

/// Takes a number as to_chars writes it: no sign, no zero in front.
template <typename Number>
bool take_number(std::string_view* rest, Number* value, int base) noexcept {
  if (rest->empty() || rest->front() == '-') return false;
  const auto read = std::from_chars(rest->data(), rest->data() + rest->size(), *value, base);
  if (read.ec != std::errc{}) return false;
  const auto length = static_cast<std::size_t>(read.ptr - rest->data());
  if (rest->front() == '0' && length > 1) return false;
  for (const char c : rest->substr(0, length)) {
    if (c >= 'a' && c <= 'f') return false;
  }
  rest->remove_prefix(length);
  return true;
}

bool take(std::string_view* rest, char c) noexcept {
  if (rest->empty() || rest->front() != c) return false;
  rest->remove_prefix(1);
  return true;
}

bool take_lsn(std::string_view* rest, std::uint64_t* lsn) noexcept {
  std::uint32_t high = 0;
  std::uint32_t low = 0;
  if (!take_number(rest, &high, 16) || !take(rest, '/') || !take_number(rest, &low, 16)) return false;
  *lsn = std::uint64_t{high} << 32 | low;
  return true;
}

bool take_position(std::string_view* rest, Position* position) noexcept {
  return take_lsn(rest, &position->commit_lsn) && take(rest, ',') && take_lsn(rest, &position->lsn) &&
         take(rest, ',') && take_number(rest, &position->index, 10);
}

/// A length, or -1.
bool take_length(std::string_view* rest, std::int64_t* length) noexcept {
  if (!take(rest, ' ')) return false;
  if (rest->starts_with("-1")) {
    rest->remove_prefix(2);
    *length = -1;
    return true;
  }
  return take_number(rest, length, 10);
}

bool take_part(std::string_view* rest, std::int64_t length, std::optional<std::string_view>* part) noexcept {
  if (length < 0) return true;
  if (static_cast<std::uint64_t>(length) > rest->size()) return false;
  *part = rest->substr(0, static_cast<std::size_t>(length));
  rest->remove_prefix(static_cast<std::size_t>(length));
  return true;
}

void write_length(Buffer& out, const std::optional<std::string_view>& part) {
  out.append(' ');
  write_integer(out, part ? static_cast<std::int64_t>(part->size()) : -1);
}

}  // namespace

void write_lsn(Buffer& out, std::uint64_t lsn) {
  char* to = out.room(17);
  const auto put = [&to](std::uint32_t half) {
    for (int shift = half == 0 ? 0 : (std::bit_width(half) - 1) / 4 * 4; shift >= 0; shift -= 4) {
      *to++ = hex_digits[half >> shift & 15];
    }
  };
  put(static_cast<std::uint32_t>(lsn >> 32));
  *to++ = '/';
  put(static_cast<std::uint32_t>(lsn));
  out.advance(to);
}

std::optional<std::uint64_t> parse_lsn(std::string_view text) noexcept {
  std::uint64_t lsn = 0;
  if (!take_lsn(&text, &lsn) || !text.empty()) return std::nullopt;
  return lsn;
}

void write_position(Buffer& out, const Position& position, std::uint64_t end_lsn) {
  write_lsn(out, position.commit_lsn);
  out.append(',');
  write_lsn(out, position.lsn);
  out.append(',');
  write_unsigned(out, position.index);
  if (end_lsn == 0) return;
  out.append(',');
  write_lsn(out, end_lsn);
}

std::optional<PositionText> parse_position(std::string_view text) noexcept {
  PositionText result;
  if (!take_position(&text, &result.position)) return std::nullopt;
  if (text.empty()) return result;
  if (!take(&text, ',') || !take_lsn(&text, &result.end_lsn) || result.end_lsn == 0 || !text.empty())
    return std::nullopt;
  return result;
}

void write_event_header(Buffer& out, const Event& event) {
  out.append("E ");
  write_position(out, event.position);
  out.append(' ');
  write_lsn(out, event.end_lsn);
  write_length(out, event.topic);
  write_length(out, event.key);
  write_length(out, event.value);
  write_length(out, event.headers);
  out.append('\n');
}

std::optional<Event> take_event(std::string_view* frames) noexcept {
  std::string_view& rest = *frames;
  if (!rest.starts_with("E ")) return std::nullopt;
  rest.remove_prefix(2);
  Event event;
  std::int64_t topic = 0;
  std::int64_t key = 0;
  std::int64_t value = 0;
  std::int64_t headers = 0;
  if (!take_position(&rest, &event.position) || !take(&rest, ' ') || !take_lsn(&rest, &event.end_lsn) ||
      !take_length(&rest, &topic) || !take_length(&rest, &key) || !take_length(&rest, &value) ||
      !take_length(&rest, &headers) || !take(&rest, '\n')) {
    return std::nullopt;
  }
  std::optional<std::string_view> name;
  if (!take_part(&rest, topic, &name) || !name || !take_part(&rest, key, &event.key) ||
      !take_part(&rest, value, &event.value) || !take_part(&rest, headers, &event.headers)) {
    return std::nullopt;
  }
  event.topic = *name;
  return event;
}

std::optional<Event> decode_event(std::string_view frame) noexcept {
  const auto event = take_event(&frame);
  return frame.empty() ? event : std::nullopt;
}

}  // namespace meridian::cdc
