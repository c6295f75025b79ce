// Errors of the core.
//
// The core never knows PostgreSQL. It throws one of these; the glue maps `Error::kind` to an SQLSTATE and carries
// message and hint unchanged. Merging two well-formed states never throws: only decoding, parsing rules and asking
// for an impossible local write do.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace meridian {

enum class ErrorKind {
  malformed_text,    ///< 22P02 invalid_text_representation
  malformed_binary,  ///< 22P03 invalid_binary_representation
  invalid_rule,      ///< 22023 invalid_parameter_value
  limit_exceeded,    ///< 54000 program_limit_exceeded
  not_additive,      ///< 22004/22003: a counter was asked to hold NULL, NaN or infinity
  out_of_range,      ///< 22003 numeric_value_out_of_range
  out_of_bounds,     ///< 23514 check_violation: a row was to begin with a value outside the bounds of its column
  rights_exceeded,   ///< MD040: a bounded column was to change further than this actor may
  against_rule,      ///< 23514 check_violation: a value that only moves one way was asked to move back
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message, std::string hint = {})
      : std::runtime_error(message), kind_(kind), hint_(std::move(hint)) {}
  [[nodiscard]] ErrorKind kind() const noexcept { return kind_; }
  /// What the user can do about it; may be empty.
  [[nodiscard]] const std::string& hint() const noexcept { return hint_; }

 private:
  ErrorKind kind_;
  std::string hint_;
};

}  // namespace meridian
