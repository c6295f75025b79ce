// Values in binary or text form: JSON comes of them, or an Error. The first byte says which type.
#include "core/cdc_value.hpp"

#include "core/cdc_json.hpp"
#include "core/cdc_number.hpp"
#include "core/error.hpp"
#include "fuzz/fuzz.hpp"

using namespace meridian;

namespace {

/// Numbers of a hundred thousand digits take a tenth of a second, and show nothing that one of a thousand does not.
constexpr int largest_weight = 256;

void write(cdc::Buffer& out, std::uint8_t type, std::string_view bytes) {
  if (type % 8 < 2 && cdc::NumericView(bytes).weight() > largest_weight) return out.append("0");
  switch (type % 8) {
    case 0:
      return cdc::write_numeric(out, bytes, type >= 128 ? -1 : 2, cdc::DecimalMode::precise);
    case 1:
      return cdc::write_numeric(out, bytes, -1, cdc::DecimalMode::string);
    case 2:
      return cdc::write_hstore(out, bytes, type >= 128 ? cdc::HstoreMode::map : cdc::HstoreMode::json);
    case 3:
      return cdc::write_vector(out, bytes, cdc::Kind::vector);
    case 4:
      return cdc::write_sparse_vector(out, bytes);
    case 5:
      return cdc::write_uuid(out, bytes);
    case 6:
      return cdc::write_bits(out, bytes, bytes.size() * 8 - (bytes.empty() ? 0 : type / 32));
    default:
      return cdc::write_string(out, bytes);
  }
}

/// Brackets and quotes match; that is all that can be said of it without a parser.
bool is_balanced(std::string_view json) {
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
      if (static_cast<unsigned char>(c) < 0x20) return false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (--depth < 0) return false;
    }
  }
  return !quoted && depth == 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  cdc::Buffer out;
  try {
    write(out, data[0], fuzz::as_text(data + 1, size - 1));
  } catch (const Error&) {
    return 0;
  }
  fuzz::check(!out.view().empty() && is_balanced(out.view()), "what is written is JSON");
  return 0;
}
