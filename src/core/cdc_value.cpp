#include "core/cdc_value.hpp"

#include <algorithm>
#include <bit>
#include <charconv>

#include "core/cdc_json.hpp"
#include "core/cdc_number.hpp"
#include "core/cdc_time.hpp"
#include "core/error.hpp"

namespace meridian::cdc {
namespace {

Error malformed(const char* what) { return {ErrorKind::malformed_binary, std::string(what) + " is not well-formed"}; }

std::uint32_t take_u32(std::string_view* rest) {
  if (rest->size() < 4) throw malformed("a binary hstore");
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>((*rest)[static_cast<std::size_t>(i)]);
  rest->remove_prefix(4);
  return value;
}

std::string_view take_bytes(std::string_view* rest, std::size_t length) {
  if (rest->size() < length) throw malformed("a binary hstore");
  const std::string_view bytes = rest->substr(0, length);
  rest->remove_prefix(length);
  return bytes;
}

void write_hstore_object(Buffer& out, std::string_view rest) {
  constexpr std::uint32_t null_length = 0xFFFFFFFF;
  const std::uint32_t pairs = take_u32(&rest);
  out.append('{');
  for (std::uint32_t i = 0; i < pairs; ++i) {
    if (i > 0) out.append(',');
    write_string(out, take_bytes(&rest, take_u32(&rest)));
    out.append(':');
    const std::uint32_t length = take_u32(&rest);
    if (length == null_length) {
      out.append(json_null);
    } else {
      write_string(out, take_bytes(&rest, length));
    }
  }
  if (!rest.empty()) throw malformed("a binary hstore");
  out.append('}');
}

/// Takes a number from the front of a vector's text.
template <typename Number>
Number take_number(std::string_view* rest) {
  Number number{};
  const auto read = std::from_chars(rest->data(), rest->data() + rest->size(), number);
  if (read.ec != std::errc{}) throw Error(ErrorKind::malformed_text, "the text of a vector is not well-formed");
  rest->remove_prefix(static_cast<std::size_t>(read.ptr - rest->data()));
  return number;
}

void take(std::string_view* rest, char expected) {
  if (rest->empty() || rest->front() != expected)
    throw Error(ErrorKind::malformed_text, "the text of a vector is not well-formed");
  rest->remove_prefix(1);
}

bool take_if(std::string_view* rest, char c) {
  if (rest->empty() || rest->front() != c) return false;
  rest->remove_prefix(1);
  return true;
}

std::string base64_string(std::string_view bytes) {
  Buffer out;
  out.append('"');
  write_base64(out, bytes);
  out.append('"');
  return std::string(out.view());
}

std::string bytes_string(std::string_view bytes, BinaryMode mode) {
  Buffer out;
  write_bytes(out, bytes, mode);
  return std::string(out.view());
}

/// An array of the codes of the text's bytes: the placeholder in types that hold numbers.
std::string byte_codes(std::string_view text, std::string_view behind_each) {
  std::string codes = "[";
  for (const char c : text) {
    if (codes.size() > 1) codes += ',';
    codes += std::to_string(static_cast<unsigned char>(c));
    codes += behind_each;
  }
  return codes + "]";
}

// An arbitrary but fixed uuid: Debezium's name-based one of the default placeholder.
constexpr std::string_view placeholder_uuid = "\"b68a35a7-17ad-35b3-af2a-ae46edb4545a\"";

std::string scalar_placeholder(Kind kind, const Modes& modes, std::string_view text) {
  switch (kind) {
    case Kind::bytes:
      return bytes_string(text, modes.binary);
    case Kind::bits:
      return base64_string(text);
    case Kind::uuid:
      return std::string(placeholder_uuid);
    case Kind::hstore: {
      const std::string object = '{' + json_string(text) + ':' + json_string(text) + '}';
      return modes.hstore == HstoreMode::map ? object : json_string(object);
    }
    case Kind::vector:
    case Kind::half_vector:
      return byte_codes(text, ".0");
    case Kind::sparse_vector:
      return R"({"dimensions":0,"vector":{}})";
    case Kind::unknown:
      return base64_string(text);
    default:
      return json_string(text);
  }
}

bool is_integral_in_arrays(Kind kind, const Modes& modes) {
  switch (kind) {
    case Kind::int16:
    case Kind::int32:
    case Kind::int64:
    case Kind::oid:
      return true;
    case Kind::date:
    case Kind::time:
    case Kind::timestamp:
      return modes.time != TimeMode::isostring;
    default:
      return false;
  }
}

}  // namespace

void write_bytes(Buffer& out, std::string_view bytes, BinaryMode mode) {
  out.append('"');
  switch (mode) {
    case BinaryMode::bytes:
    case BinaryMode::base64:
      write_base64(out, bytes);
      break;
    case BinaryMode::base64_url_safe:
      write_base64(out, bytes, Base64Alphabet::url_safe);
      break;
    case BinaryMode::hex:
      write_hex(out, bytes);
      break;
  }
  out.append('"');
}

void write_uuid(Buffer& out, std::string_view bytes) {
  constexpr std::size_t ends_of_groups[] = {4, 6, 8, 10, 16};
  if (bytes.size() != 16) throw malformed("a uuid");
  out.append('"');
  std::size_t begin = 0;
  for (const std::size_t end : ends_of_groups) {
    if (begin > 0) out.append('-');
    write_hex(out, bytes.substr(begin, end - begin));
    begin = end;
  }
  out.append('"');
}

void write_bit(Buffer& out, std::string_view bits) {
  write_bool(out, !bits.empty() && (static_cast<unsigned char>(bits.front()) & 0x80) != 0);
}

void write_bits(Buffer& out, std::string_view bits, std::size_t count) {
  if (bits.size() != (count + 7) / 8) throw malformed("a bit string");
  const unsigned padding = static_cast<unsigned>(bits.size() * 8 - count);
  std::string bytes(bits.size(), '\0');
  for (std::size_t i = 0; i < bits.size(); ++i) {
    const unsigned higher = i == 0 ? 0 : static_cast<unsigned char>(bits[i - 1]);
    const unsigned both = higher << 8 | static_cast<unsigned char>(bits[i]);
    bytes[bits.size() - 1 - i] = static_cast<char>(both >> padding & 0xFF);
  }
  while (!bytes.empty() && bytes.back() == '\0') bytes.pop_back();
  out.append('"');
  write_base64(out, bytes);
  out.append('"');
}

void write_point(Buffer& out, double x, double y) {
  // Well-known binary, little-endian: byte order 1, geometry type 1, both coordinates.
  char wkb[21] = {1, 1, 0, 0, 0};
  const auto put = [&wkb](std::size_t at, double value) {
    const auto bits = std::bit_cast<std::uint64_t>(value);
    for (std::size_t i = 0; i < 8; ++i) wkb[at + i] = static_cast<char>(bits >> (8 * i));
  };
  put(5, x);
  put(13, y);
  out.append("{\"x\":");
  write_float8(out, x);
  out.append(",\"y\":");
  write_float8(out, y);
  out.append(",\"wkb\":\"");
  write_base64(out, {wkb, sizeof wkb});
  out.append("\",\"srid\":null}");
}

void write_hstore(Buffer& out, std::string_view sent, HstoreMode mode) {
  if (mode == HstoreMode::map) return write_hstore_object(out, sent);
  Buffer object;
  write_hstore_object(object, sent);
  write_string(out, object.view());
}

void write_vector(Buffer& out, std::string_view text, Kind kind) {
  take(&text, '[');
  out.append('[');
  for (bool first = true; first || take_if(&text, ','); first = false) {
    if (!first) out.append(',');
    const auto number = take_number<double>(&text);
    if (kind == Kind::half_vector) {
      write_float4(out, static_cast<float>(number));
    } else {
      write_float8(out, number);
    }
  }
  take(&text, ']');
  out.append(']');
}

void write_sparse_vector(Buffer& out, std::string_view text) {
  take(&text, '{');
  Buffer elements;
  for (bool first = true; !text.empty() && text.front() != '}'; first = false) {
    if (!first) {
      take(&text, ',');
      elements.append(',');
    }
    elements.append('"');
    write_integer(elements, take_number<std::int64_t>(&text));
    elements.append("\":");
    take(&text, ':');
    write_float8(elements, take_number<double>(&text));
  }
  take(&text, '}');
  take(&text, '/');
  out.append("{\"dimensions\":");
  write_integer(out, take_number<std::int64_t>(&text));
  out.append(",\"vector\":{");
  out.append(elements.view());
  out.append("}}");
}

std::string placeholder(const Type& type, const Modes& modes, std::string_view text) {
  if (!type.is_array) return scalar_placeholder(type.kind, modes, text);
  if (is_integral_in_arrays(type.kind, modes)) return byte_codes(text, "");
  switch (type.kind) {
    case Kind::float4:
    case Kind::float8:
      return byte_codes(text, ".0");
    case Kind::boolean:
      return "[]";
    default:
      return '[' + scalar_placeholder(type.kind, modes, text) + ']';
  }
}

std::string zero_value(const Type& type, const Modes& modes) {
  if (type.is_array) return "[]";
  Buffer out;
  const bool in_text = modes.time == TimeMode::isostring;
  switch (type.kind) {
    case Kind::boolean:
    case Kind::bit:
      return "false";
    case Kind::int16:
    case Kind::int32:
    case Kind::int64:
    case Kind::oid:
      return "0";
    case Kind::float4:
    case Kind::float8:
      return "0.0";
    case Kind::decimal:
    case Kind::money: {
      constexpr std::uint16_t zero = 0x8000;  // short form, weight 0, scale 0, in the order of this machine
      write_numeric(out, {reinterpret_cast<const char*>(&zero), sizeof zero}, type.kind == Kind::money ? 2 : type.scale,
                    modes.decimal);
      break;
    }
    case Kind::date:
      return in_text ? "\"1970-01-01Z\"" : "0";
    case Kind::time:
      return in_text ? "\"00:00:00Z\"" : "0";
    case Kind::timestamp:
      return in_text ? "\"1970-01-01T00:00:00Z\"" : "0";
    case Kind::timetz:
      return "\"00:00:00Z\"";
    case Kind::timestamptz:
      return "\"1970-01-01T00:00:00Z\"";
    case Kind::interval:
      write_interval(out, 0, 0, 0, modes.interval);
      break;
    case Kind::point:
      write_point(out, 0, 0);
      break;
    case Kind::hstore:
      return modes.hstore == HstoreMode::map ? "{}" : "\"{}\"";
    case Kind::vector:
    case Kind::half_vector:
      return "[]";
    case Kind::sparse_vector:
      return R"({"dimensions":0,"vector":{}})";
    case Kind::text:
    case Kind::json:
    case Kind::xml:
    case Kind::uuid:
    case Kind::enumeration:
    case Kind::ltree:
    case Kind::bytes:
    case Kind::bits:
    case Kind::unknown:
      return "\"\"";
  }
  return std::string(out.view());
}

}  // namespace meridian::cdc
