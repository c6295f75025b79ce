#include "core/cdc_value.hpp"

#include <cstdint>

#include "core/cdc_json.hpp"
#include "core/error.hpp"
#include "unit/cdc_text.hpp"

namespace meridian::cdc {
namespace {

using namespace std::string_view_literals;

std::string string_of(std::string_view text) {
  return written([=](Buffer& out) { write_string(out, text); });
}

TEST(CdcValue, StringsAreEscaped) {
  EXPECT_EQ(string_of(""), "\"\"");
  EXPECT_EQ(string_of("plain"), "\"plain\"");
  EXPECT_EQ(string_of("a \"b\" \\ /"), R"("a \"b\" \\ /")");
  EXPECT_EQ(string_of("\b\f\n\r\t"), R"("\b\f\n\r\t")");
  EXPECT_EQ(string_of("\x01\x1f\x7f"), "\"\\u0001\\u001F\x7f\"");
  EXPECT_EQ(string_of("grüße 世界"), "\"grüße 世界\"");
}

TEST(CdcValue, EveryByteAtEveryPlaceOfAWord) {
  for (int byte = 0; byte < 256; ++byte) {
    for (std::size_t place = 0; place < 17; ++place) {
      std::string text(17, 'x');
      text[place] = static_cast<char>(byte);
      const std::string single = string_of(text.substr(place, 1));
      const std::string expected =
          '"' + std::string(place, 'x') + single.substr(1, single.size() - 2) + std::string(16 - place, 'x') + '"';
      ASSERT_EQ(string_of(text), expected) << byte << " at " << place;
    }
  }
}

TEST(CdcValue, LargeStringsOfEscapes) {
  const std::string text(100'000, '"');
  EXPECT_EQ(string_of(text).size(), 200'002U);
}

TEST(CdcValue, Bytes) {
  const auto bytes = [](std::string_view value, BinaryMode mode) {
    return written([=](Buffer& out) { write_bytes(out, value, mode); });
  };
  EXPECT_EQ(bytes("\1\2\3"sv, BinaryMode::bytes), "\"AQID\"");
  EXPECT_EQ(bytes("\1\2\3"sv, BinaryMode::hex), "\"010203\"");
  EXPECT_EQ(bytes("\xfb\xff"sv, BinaryMode::base64), "\"+/8=\"");
  EXPECT_EQ(bytes("\xfb\xff"sv, BinaryMode::base64_url_safe), "\"-_8=\"");
  EXPECT_EQ(bytes("a"sv, BinaryMode::bytes), "\"YQ==\"");
  EXPECT_EQ(bytes(""sv, BinaryMode::bytes), "\"\"");
}

TEST(CdcValue, Uuid) {
  EXPECT_EQ(written([](Buffer& out) {
              write_uuid(out, "\x09\xe1\x0c\x2a\x1d\xf2\x4b\x3c\x8d\x5e\x00\x11\x22\x33\x44\xff"sv);
            }),
            "\"09e10c2a-1df2-4b3c-8d5e-0011223344ff\"");
}

TEST(CdcValue, Bits) {
  const auto bits = [](std::string_view digits) {
    std::string bytes((digits.size() + 7) / 8, '\0');
    for (std::size_t i = 0; i < digits.size(); ++i) {
      if (digits[i] == '1') bytes[i / 8] = static_cast<char>(bytes[i / 8] | 0x80 >> i % 8);
    }
    return written([&](Buffer& out) { write_bits(out, bytes, digits.size()); });
  };
  EXPECT_EQ(bits("1000000"), "\"QA==\"");
  EXPECT_EQ(bits("00"), "\"\"");
  EXPECT_EQ(bits("10"), "\"Ag==\"");
  EXPECT_EQ(bits("100000000"), "\"AAE=\"");
  EXPECT_EQ(bits("1111111100000001"), "\"Af8=\"");
  EXPECT_EQ(written([](Buffer& out) { write_bit(out, "\x80"sv); }), "true");
  EXPECT_EQ(written([](Buffer& out) { write_bit(out, "\0"sv); }), "false");
}

TEST(CdcValue, Point) {
  EXPECT_EQ(written([](Buffer& out) { write_point(out, 1, 1); }),
            R"({"x":1.0,"y":1.0,"wkb":"AQEAAAAAAAAAAADwPwAAAAAAAPA/","srid":null})");
}

TEST(CdcValue, Hstore) {
  constexpr auto sent = "\0\0\0\2\0\0\0\3key\0\0\0\3val\0\0\0\2k2\xff\xff\xff\xff"sv;
  const auto hstore = [](std::string_view value, HstoreMode mode) {
    return written([=](Buffer& out) { write_hstore(out, value, mode); });
  };
  EXPECT_EQ(hstore(sent, HstoreMode::map), R"({"key":"val","k2":null})");
  EXPECT_EQ(hstore(sent, HstoreMode::json), R"("{\"key\":\"val\",\"k2\":null}")");
  EXPECT_EQ(hstore("\0\0\0\0"sv, HstoreMode::json), R"("{}")");
  for (std::size_t length = 0; length < sent.size(); ++length) {
    EXPECT_THROW(hstore(sent.substr(0, length), HstoreMode::map), Error);
  }
}

TEST(CdcValue, Vectors) {
  EXPECT_EQ(written([](Buffer& out) { write_vector(out, "[1,2.5,-3e-05]", Kind::vector); }), "[1.0,2.5,-3.0E-5]");
  EXPECT_EQ(written([](Buffer& out) { write_vector(out, "[0.1]", Kind::half_vector); }), "[0.1]");
  EXPECT_EQ(written([](Buffer& out) { write_sparse_vector(out, "{1:1.5,3:2}/5"); }),
            R"({"dimensions":5,"vector":{"1":1.5,"3":2.0}})");
  Buffer out;
  EXPECT_THROW(write_vector(out, "1,2]", Kind::vector), Error);
  EXPECT_THROW(write_vector(out, "[1,2", Kind::vector), Error);
  EXPECT_THROW(write_sparse_vector(out, "{1:1.5"), Error);
}

constexpr std::string_view unavailable = "__debezium_unavailable_value";

std::string placeholder_of(Kind kind, bool is_array, const Modes& modes = {}) {
  return placeholder({.kind = kind, .is_array = is_array, .scale = -1, .precision = -1}, modes, unavailable);
}

TEST(CdcValue, Placeholders) {
  const std::string codes =
      "[95,95,100,101,98,101,122,105,117,109,95,117,110,97,118,97,105,108,97,98,108,101,95,118,97,108,117,101]";
  EXPECT_EQ(placeholder_of(Kind::text, false), "\"__debezium_unavailable_value\"");
  EXPECT_EQ(placeholder_of(Kind::json, false), "\"__debezium_unavailable_value\"");
  EXPECT_EQ(placeholder_of(Kind::bytes, false), "\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"");
  EXPECT_EQ(placeholder_of(Kind::text, true), "[\"__debezium_unavailable_value\"]");
  EXPECT_EQ(placeholder_of(Kind::int32, true), codes);
  EXPECT_EQ(placeholder_of(Kind::int64, true), codes);
  EXPECT_EQ(placeholder_of(Kind::date, true), codes);
  EXPECT_EQ(placeholder_of(Kind::uuid, true), "[\"b68a35a7-17ad-35b3-af2a-ae46edb4545a\"]");
  EXPECT_EQ(placeholder_of(Kind::hstore, false),
            R"("{\"__debezium_unavailable_value\":\"__debezium_unavailable_value\"}")");
  Modes map;
  map.hstore = HstoreMode::map;
  EXPECT_EQ(placeholder_of(Kind::hstore, false, map),
            R"({"__debezium_unavailable_value":"__debezium_unavailable_value"})");
}

std::string zero_of(Type type, const Modes& modes = {}) { return zero_value(type, modes); }

TEST(CdcValue, Zeros) {
  const auto plain = [](Kind kind) { return Type{.kind = kind, .is_array = false, .scale = -1, .precision = -1}; };
  for (const Kind kind : {Kind::text, Kind::json, Kind::uuid, Kind::xml, Kind::bytes})
    EXPECT_EQ(zero_of(plain(kind)), "\"\"");
  for (const Kind kind : {Kind::int16, Kind::int32, Kind::int64, Kind::date, Kind::interval})
    EXPECT_EQ(zero_of(plain(kind)), "0");
  EXPECT_EQ(zero_of(plain(Kind::float8)), "0.0");
  EXPECT_EQ(zero_of(plain(Kind::boolean)), "false");
  EXPECT_EQ(zero_of({.kind = Kind::decimal, .is_array = false, .scale = 2, .precision = 10}), "\"AA==\"");
  EXPECT_EQ(zero_of(plain(Kind::timestamptz)), "\"1970-01-01T00:00:00Z\"");
  EXPECT_EQ(zero_of({.kind = Kind::text, .is_array = true, .scale = -1, .precision = -1}), "[]");
  EXPECT_EQ(zero_of(plain(Kind::point)), R"({"x":0.0,"y":0.0,"wkb":"AQEAAAAAAAAAAAAAAAAAAAAAAAAA","srid":null})");
}

TEST(CdcValue, BuffersAreBounded) {
  Buffer out;
  EXPECT_THROW(static_cast<void>(out.room(Buffer::max_size + 1)), Error);
  out.append("kept");
  EXPECT_THROW(static_cast<void>(out.room(Buffer::max_size)), Error);
  EXPECT_EQ(out.view(), "kept");
}

}  // namespace
}  // namespace meridian::cdc
