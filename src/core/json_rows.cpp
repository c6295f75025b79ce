#include "core/json_rows.hpp"

#include "core/json_string.hpp"

namespace meridian {
namespace {

/// Whether the text is a number as JSON writes one; PostgreSQL's other numbers are NaN and the infinities.
bool is_json_number(std::string_view text) noexcept {
  const char last = text.empty() ? ' ' : text.back();
  return last >= '0' && last <= '9';
}

}  // namespace

JsonForm json_form_of(std::uint32_t type) noexcept {
  switch (type) {
    case 16:  // bool
      return JsonForm::boolean;
    case 20:    // int8
    case 21:    // int2
    case 23:    // int4
    case 26:    // oid
    case 700:   // float4
    case 701:   // float8
    case 1700:  // numeric
      return JsonForm::number;
    case 114:   // json
    case 3802:  // jsonb
      return JsonForm::json;
    default:
      return JsonForm::string;
  }
}

void append_json_value(std::string& to, std::string_view text, JsonForm form) {
  if (form == JsonForm::boolean) {
    to += text == "t" ? "true" : "false";
  } else if (form == JsonForm::json || (form == JsonForm::number && is_json_number(text))) {
    to += text;
  } else {
    append_json_string(to, text);
  }
}

}  // namespace meridian
