// Looking into JSON text without building a tree: the members of an object, as they stand there.
//
// Events are passed on as they are, so of most of them only a few members are ever looked at, and numbers keep every
// digit. Nothing is copied; views point into the text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace meridian {

struct JsonMember {
  std::string_view name;   ///< between the quotes, with its escapes
  std::string_view value;  ///< the whole value, strings with their quotes
};

/// The members of one object, in order. Ends early, with is_broken(), where the text is not JSON; nested values are
/// only followed as far as it takes to find their end, at most 256 deep.
class JsonMembers {
 public:
  explicit JsonMembers(std::string_view object) noexcept;
  /// False at the end.
  bool next(JsonMember* member) noexcept;
  [[nodiscard]] bool is_broken() const noexcept { return broken_; }

 private:
  bool fail() noexcept;

  std::string_view rest_;
  bool broken_ = false;
  bool ended_ = false;
  bool first_ = true;
};

/// The value of a member, names compared as they stand; nothing if there is none, or the text is no object.
[[nodiscard]] std::optional<std::string_view> find_member(std::string_view object, std::string_view name) noexcept;

/// A string without quotes and escapes (lone surrogates become U+FFFD); any other value as it stands.
[[nodiscard]] std::string plain_text(std::string_view value);

}  // namespace meridian
