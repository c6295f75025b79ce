#include "core/stream.hpp"

#include <charconv>

namespace meridian {

namespace {

constexpr std::string_view prefix = "meridian_";
constexpr int largest_member = 65535;

/// Takes a number from 1 to `most` off the front; 0 if there is none or it is not written in the one way.
int take_number(std::string_view& text, int most) noexcept {
  if (text.empty() || text.front() < '1' || text.front() > '9') return 0;
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number > most) return 0;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

bool take(std::string_view& text, std::string_view expected) noexcept {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

}  // namespace

std::optional<StreamName> parse_stream_name(std::string_view text) noexcept {
  StreamName name;
  if (!take(text, prefix)) return std::nullopt;
  name.member = take_number(text, largest_member);
  if (name.member == 0) return std::nullopt;
  if (text.empty()) return name;
  if (!take(text, "_")) return std::nullopt;
  name.stream.number = take_number(text, max_streams);
  if (name.stream.number == 0 || !take(text, "of")) return std::nullopt;
  name.stream.count = take_number(text, max_streams);
  // One of one has the short name.
  if (!text.empty() || name.stream.count < 2 || name.stream.number > name.stream.count) return std::nullopt;
  return name;
}

std::string to_text(const StreamName& name) {
  std::string text{prefix};
  text += std::to_string(name.member);
  if (name.stream.count == 1) return text;
  text += '_';
  text += std::to_string(name.stream.number);
  text += "of";
  text += std::to_string(name.stream.count);
  return text;
}

std::vector<std::string> stream_names(int member, int count) {
  std::vector<std::string> names;
  for (int number = 1; number <= count; ++number) names.push_back(to_text(StreamName{member, {number, count}}));
  return names;
}

}  // namespace meridian
