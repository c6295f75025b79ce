#include "core/json_members.hpp"

#include <cstdint>

namespace meridian {
namespace {

constexpr int max_depth = 256;

void skip_space(std::string_view* rest) noexcept {
  while (!rest->empty() &&
         (rest->front() == ' ' || rest->front() == '\n' || rest->front() == '\t' || rest->front() == '\r')) {
    rest->remove_prefix(1);
  }
}

bool take(std::string_view* rest, char c) noexcept {
  if (rest->empty() || rest->front() != c) return false;
  rest->remove_prefix(1);
  return true;
}

/// The length of the string that the text begins with, quotes included; 0 if it does not end.
std::size_t string_length(std::string_view text) noexcept {
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i + 1;
    }
  }
  return 0;
}

/// The length of an object or array: only brackets and strings matter.
std::size_t nested_length(std::string_view text) noexcept {
  int depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    switch (text[i]) {
      case '"': {
        const std::size_t length = string_length(text.substr(i));
        if (length == 0) return 0;
        i += length - 1;
        break;
      }
      case '{':
      case '[':
        if (++depth > max_depth) return 0;
        break;
      case '}':
      case ']':
        if (--depth == 0) return i + 1;
        break;
      default:
        break;
    }
  }
  return 0;
}

std::size_t scalar_length(std::string_view text) noexcept {
  std::size_t length = 0;
  while (length < text.size() && text[length] != ',' && text[length] != '}' && text[length] != ']' &&
         text[length] != ' ' && text[length] != '\n' && text[length] != '\t' && text[length] != '\r') {
    ++length;
  }
  return length;
}

std::size_t value_length(std::string_view text) noexcept {
  if (text.empty()) return 0;
  if (text.front() == '"') return string_length(text);
  if (text.front() == '{' || text.front() == '[') return nested_length(text);
  return scalar_length(text);
}

void append_utf8(std::string& out, std::uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | code >> 18);
    out += static_cast<char>(0x80 | (code >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

std::optional<std::uint32_t> hex4(std::string_view text) noexcept {
  if (text.size() < 4) return std::nullopt;
  std::uint32_t code = 0;
  for (const char c : text.substr(0, 4)) {
    const std::uint32_t lower = static_cast<unsigned char>(c) | 0x20U;
    if (c >= '0' && c <= '9') {
      code = code << 4 | static_cast<std::uint32_t>(c - '0');
    } else if (lower >= 'a' && lower <= 'f') {
      code = code << 4 | (lower - 'a' + 10);
    } else {
      return std::nullopt;
    }
  }
  return code;
}

bool is_high(std::uint32_t code) noexcept { return code >= 0xD800 && code < 0xDC00; }
bool is_low(std::uint32_t code) noexcept { return code >= 0xDC00 && code < 0xE000; }

/// Behind `\u`: appends what it stands for and returns how many bytes were used.
std::size_t append_escape(std::string& out, std::string_view text) {
  constexpr std::uint32_t replacement = 0xFFFD;
  const auto code = hex4(text);
  if (!code) {
    append_utf8(out, replacement);
    return 0;
  }
  if (is_high(*code) && text.substr(4).starts_with("\\u")) {
    const auto low = hex4(text.substr(6));
    if (low && is_low(*low)) {
      append_utf8(out, 0x10000 + ((*code - 0xD800) << 10 | (*low - 0xDC00)));
      return 10;
    }
  }
  append_utf8(out, is_high(*code) || is_low(*code) ? replacement : *code);
  return 4;
}

char unescaped(char c) noexcept {
  switch (c) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return c;
  }
}

}  // namespace

JsonMembers::JsonMembers(std::string_view object) noexcept : rest_(object) {
  skip_space(&rest_);
  if (!take(&rest_, '{')) fail();
}

bool JsonMembers::fail() noexcept {
  broken_ = true;
  ended_ = true;
  return false;
}

bool JsonMembers::next(JsonMember* member) noexcept {
  if (ended_) return false;
  skip_space(&rest_);
  if (take(&rest_, '}')) {
    ended_ = true;
    return false;
  }
  if (!first_) {
    if (!take(&rest_, ',')) return fail();
    skip_space(&rest_);
  }
  first_ = false;
  if (rest_.empty() || rest_.front() != '"') return fail();
  const std::size_t name = string_length(rest_);
  if (name == 0) return fail();
  member->name = rest_.substr(1, name - 2);
  rest_.remove_prefix(name);
  skip_space(&rest_);
  if (!take(&rest_, ':')) return fail();
  skip_space(&rest_);
  const std::size_t value = value_length(rest_);
  if (value == 0) return fail();
  member->value = rest_.substr(0, value);
  rest_.remove_prefix(value);
  return true;
}

std::optional<std::string_view> find_member(std::string_view object, std::string_view name) noexcept {
  JsonMembers members(object);
  for (JsonMember member; members.next(&member);) {
    if (member.name == name) return member.value;
  }
  return std::nullopt;
}

std::string plain_text(std::string_view value) {
  if (value.size() < 2 || value.front() != '"' || value.back() != '"') return std::string(value);
  const std::string_view text = value.substr(1, value.size() - 2);
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
    } else if (text[++i] == 'u') {
      i += append_escape(out, text.substr(i + 1));
    } else {
      out += unescaped(text[i]);
    }
  }
  return out;
}

}  // namespace meridian
