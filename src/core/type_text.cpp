#include "core/type_text.hpp"

#include <array>
#include <charconv>
#include <utility>

#include "core/error.hpp"

namespace meridian {

void print_number(std::string& text, std::uint64_t number) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  text.append(digits.data(), end);
}

void print_actor(std::string& text, Actor actor) {
  print_number(text, actor.member());
  if (actor.epoch() == 0) return;
  text += '/';
  print_number(text, actor.epoch());
}

void print_dot(std::string& text, Dot dot) {
  print_actor(text, dot.actor);
  text += ':';
  print_number(text, dot.number);
}

void print_quoted(std::string& text, std::string_view value) {
  text += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  text += '"';
}

void print_dots(std::string& text, const VersionVector& seen) {
  text += '[';
  for (const Dot& dot : seen.items()) {
    if (&dot != seen.items().data()) text += ',';
    print_dot(text, dot);
  }
  text += ']';
}

void print_json_seen(std::string& json, const VersionVector& seen) {
  json += '{';
  for (const Dot& dot : seen.items()) {
    if (&dot != seen.items().data()) json += ", ";
    json += '"';
    print_actor(json, dot.actor);
    json += "\": ";
    print_number(json, dot.number);
  }
  json += '}';
}

TextReader::TextReader(std::string_view text, const char* subject, const char* hint)
    : rest_(text), size_(text.size()), subject_(subject), hint_(hint) {
  if (size_ > max_type_text_size) {
    throw Error(ErrorKind::limit_exceeded, "text of a " + std::string(subject) + " is too large");
  }
}

void TextReader::refuse(std::string_view reason) const {
  throw Error(ErrorKind::malformed_text,
              "malformed " + std::string(subject_) + " at character " + std::to_string(size_ - rest_.size() + 1) +
                  ": " + std::string(reason),
              hint_);
}

void TextReader::expect_end() const {
  if (!at_end()) refuse("text follows its end");
}

bool TextReader::accept(std::string_view token) noexcept {
  if (!rest_.starts_with(token)) return false;
  rest_.remove_prefix(token.size());
  return true;
}

void TextReader::expect(std::string_view token) {
  if (!accept(token)) refuse("expected \"" + std::string(token) + '"');
}

std::uint64_t TextReader::number(std::uint64_t limit) {
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
  if (failure == std::errc::result_out_of_range) refuse("a number is out of range");
  if (failure != std::errc{}) refuse("expected a number");
  const auto length = static_cast<std::size_t>(end - rest_.data());
  if (length > 1 && rest_.front() == '0') refuse("a number has a leading zero");
  if (value > limit) refuse("a number is out of range");
  rest_.remove_prefix(length);
  return value;
}

std::uint64_t TextReader::positive() {
  const std::uint64_t value = number();
  if (value == 0) refuse("zero is not written");
  return value;
}

Actor TextReader::actor() {
  constexpr std::uint64_t largest = std::numeric_limits<std::uint16_t>::max();
  const auto member = static_cast<std::uint16_t>(number(largest));
  if (!accept("/")) return Actor::from_parts(0, member);
  const auto epoch = static_cast<std::uint16_t>(number(largest));
  if (epoch == 0) refuse("epoch 0 is not written");
  return Actor::from_parts(epoch, member);
}

Dot TextReader::dot() {
  const Actor who = actor();
  expect(":");
  return {who, positive()};
}

std::string TextReader::quoted() {
  expect("\"");
  std::string value;
  for (std::size_t i = 0; i < rest_.size(); ++i) {
    if (rest_[i] == '"') {
      rest_.remove_prefix(i + 1);
      return value;
    }
    if (rest_[i] == '\\') {
      ++i;
      if (i == rest_.size() || (rest_[i] != '"' && rest_[i] != '\\')) refuse("a backslash escapes only \" and \\");
    }
    if (rest_[i] == '\0') refuse("a zero byte is no text");
    value += rest_[i];
  }
  refuse("a quoted text does not end");
}

std::vector<std::string> TextReader::quoted_list() {
  std::vector<std::string> result;
  expect("[");
  list([&] {
    std::string next = quoted();
    if (!result.empty() && next <= result.back()) refuse("elements are not in order");
    result.push_back(std::move(next));
  });
  return result;
}

VersionVector TextReader::seen() {
  VersionVector result;
  expect("[");
  list([&] {
    const Dot next = dot();
    if (!result.items().empty() && next.actor <= result.items().back().actor) refuse("actors are not in order");
    result.see(next);
  });
  return result;
}

}  // namespace meridian
