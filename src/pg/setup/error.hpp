// What goes wrong in a set-up function, on its way from the worker to the caller.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace meridian::pg::setup {

/// An error with everything that a PostgreSQL client is shown. Of the core lane: thrown and caught in C++, sent to the
/// caller as text, raised there. Holds no password: whoever makes one from libpq's texts has redacted them.
class SetupError : public std::runtime_error {
 public:
  SetupError(std::string sqlstate, const std::string& message, std::string detail = {}, std::string hint = {})
      : std::runtime_error(message),
        sqlstate_(std::move(sqlstate)),
        detail_(std::move(detail)),
        hint_(std::move(hint)) {}

  /// Five characters.
  [[nodiscard]] const std::string& sqlstate() const noexcept { return sqlstate_; }
  [[nodiscard]] const std::string& detail() const noexcept { return detail_; }
  [[nodiscard]] const std::string& hint() const noexcept { return hint_; }

  /// Adds a line to the detail.
  void add_detail(const std::string& line) {
    if (line.empty()) return;
    if (!detail_.empty()) detail_ += '\n';
    detail_ += line;
  }
  /// Sets the hint if there is none.
  void suggest(const std::string& hint) {
    if (hint_.empty()) hint_ = hint;
  }

 private:
  std::string sqlstate_;
  std::string detail_;
  std::string hint_;
};

/// The caller has gone, or the server is stopping: undo, then end.
class Stopped : public SetupError {
 public:
  Stopped() : SetupError("57014", "set-up was cancelled") {}
};

}  // namespace meridian::pg::setup
