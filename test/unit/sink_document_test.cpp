#include "core/sink_document.hpp"

#include <gtest/gtest.h>

#include "core/error.hpp"

namespace meridian {
namespace {

constexpr std::string_view gap = R"("__debezium_unavailable_value")";

TEST(SinkDocument, AnEventIsARow) {
  const auto row = parse_changed_row(
      R"({"before":null,"after":{"id":1},"source":{"schema":"public","table":"item"},"transaction":null,"op":"c"})");
  ASSERT_TRUE(row);
  EXPECT_EQ(row->op, 'c');
  EXPECT_EQ(row->after, R"({"id":1})");
  EXPECT_EQ(row->table, "item");
  EXPECT_EQ(row->schema, "public");
  const auto wrapped = parse_changed_row(R"({"schema":null,"payload":{"after":{"id":1},"source":{},"op":"r"}})");
  ASSERT_TRUE(wrapped);
  EXPECT_EQ(wrapped->op, 'r');
  const auto gone = parse_changed_row(R"({"before":{"id":1},"after":null,"source":{"table":"item"},"op":"d"})");
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->op, 'd');
  EXPECT_EQ(gone->after, "");
}

TEST(SinkDocument, WhatIsNoRowIsNone) {
  for (const char* text :
       {R"({"source":{},"op":"m","message":{}})", R"({"before":null,"after":null,"op":"t"})",
        R"({"after":null,"op":"c"})", R"({"id":1,"__op":"c"})", "null", "", R"({"after":{},"op":"c")"}) {
    EXPECT_FALSE(parse_changed_row(text)) << text;
  }
}

TEST(SinkDocument, GapsAreOfEveryType) {
  for (const char* text :
       {R"("__debezium_unavailable_value")", R"("X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==")",
        R"(["__debezium_unavailable_value"])", R"(["b68a35a7-17ad-35b3-af2a-ae46edb4545a"])",
        "[95,95,100,101,98,101,122,105,117,109,95,117,110,97,118,97,105,108,97,98,108,101,95,118,97,108,117,101]"}) {
    EXPECT_TRUE(is_gap(text)) << text;
  }
  for (const char* text : {R"("__debezium_unavailable_value ")", "null", "[]", "[95,95]", R"("x")"})
    EXPECT_FALSE(is_gap(text)) << text;
}

TEST(SinkDocument, GapsAreFilledFromAnOlderState) {
  const std::string row = R"({"id":1,"note":)" + std::string(gap) + R"(,"more":)" + std::string(gap) + R"(,"n":2})";
  EXPECT_TRUE(has_gap(row));
  const std::string filled = fill_gaps(row, R"({"id":1,"note":"long","n":1})");
  EXPECT_EQ(filled, R"({"id":1,"note":"long","more":)" + std::string(gap) + R"(,"n":2})");
  EXPECT_EQ(without_gaps(filled), R"({"id":1,"note":"long","n":2})");
  EXPECT_EQ(fill_gaps(filled, "{}"), filled);
  EXPECT_EQ(fill_gaps(row, "null"), row);
  EXPECT_FALSE(has_gap(without_gaps(row)));
}

TEST(SinkDocument, NamesAreFilledIn) {
  const NameTemplate::Source source{R"({"id":7,"name":"a\"b"})", "item", "public", "shop.public.item"};
  EXPECT_EQ(NameTemplate("user:{id}").fill(source), "user:7");
  EXPECT_EQ(NameTemplate("{schema}.{table}/{key}@{topic}").fill(source), "public.item/7:a\"b@shop.public.item");
  EXPECT_EQ(NameTemplate("{{{name}}}").fill(source), "{a\"b}");
  EXPECT_EQ(NameTemplate("{nope}").fill(source), std::nullopt);
  EXPECT_EQ(NameTemplate("{key}").fill({R"({"schema":null,"payload":{"id":7}})", "", "", ""}), "7");
  EXPECT_EQ(NameTemplate("{payload}").fill({R"({"schema":1,"payload":2})", "", "", ""}), "2");
  EXPECT_EQ(NameTemplate("{key}").fill({"{}", "", "", ""}), std::nullopt);
  for (const char* text : {"", "{", "}", "{}", "a{b", "a}b"}) EXPECT_THROW(NameTemplate{text}, Error) << text;
}

TEST(SinkDocument, AnEventIsCompletedFromAnother) {
  const std::string event = R"({"before":null,"after":{"id":1,"v":2,"note":"__debezium_unavailable_value"},"op":"u"})";
  EXPECT_EQ(fill_event(event, R"({"after":{"id":1,"v":1,"note":"long"},"op":"r"})"),
            R"({"before":null,"after":{"id":1,"v":2,"note":"long"},"op":"u"})");
  EXPECT_EQ(fill_event(event, R"({"after":null,"op":"d"})"), event);
  EXPECT_EQ(fill_event(R"({"after":{"id":1},"op":"u"})", event), R"({"after":{"id":1},"op":"u"})");
}

TEST(SinkDocument, AnEventWithoutARowHasATable) {
  const auto table =
      parse_table_of(R"({"payload":{"source":{"schema":"public","table":"item"},"op":"t"},"schema":null})");
  ASSERT_TRUE(table);
  EXPECT_EQ(table->schema, "public");
  EXPECT_EQ(table->table, "item");
  EXPECT_FALSE(parse_table_of(R"({"__deleted":"false","__op":"t"})"));
}

TEST(SinkDocument, TheKeyOfARowHasItsColumnsInOrder) {
  EXPECT_EQ(key_of_row(R"({"v":1,"b":"x","a":2.50})", R"({"a":null,"b":null})"), R"({"a":2.50,"b":"x"})");
  EXPECT_EQ(key_of_row(R"({"v":1,"b":"x"})", R"({"a":null,"b":null})"), std::nullopt);
  EXPECT_EQ(key_of_row("no json", R"({"a":null})"), std::nullopt);
  EXPECT_TRUE(is_key_of(R"({"a":1,"b":2})", R"({"a":null,"b":null})"));
  EXPECT_TRUE(is_key_of(R"({"schema":null,"payload":{"a":1}})", R"({"a":null})"));
  EXPECT_FALSE(is_key_of(R"({"a":1})", R"({"a":null,"b":null})"));
  EXPECT_FALSE(is_key_of(R"({"a":1,"c":2})", R"({"a":null})"));
  EXPECT_FALSE(is_key_of("", R"({"a":null})"));
}

TEST(SinkDocument, ADeletionIsMadeOfTheKey) {
  constexpr std::string_view old_row = R"({"id":null,"name":null,"balance":0})";
  EXPECT_EQ(
      deletion_event(R"({"before":null,"after":null,"source":{"table":"t","op":"x"},"op":"t","ts_ms":1})", old_row,
                     R"({"id":7})"),
      R"({"before":{"id":7,"name":null,"balance":0},"after":null,"source":{"table":"t","op":"x"},"op":"d","ts_ms":1})");
  EXPECT_EQ(deletion_event(R"({"schema":null,"payload":{"before":null,"after":null,"op":"t"}})", old_row,
                           R"({"schema":null,"payload":{"id":7}})"),
            R"({"schema":null,"payload":{"before":{"id":7,"name":null,"balance":0},"after":null,"op":"d"}})");
  EXPECT_EQ(deletion_event(R"({"__deleted":"false","__op":"t"})", R"({"id":null})", R"({"id":7})"),
            R"({"id":7,"__deleted":"true","__op":"d"})");
}

TEST(SinkDocument, APatternMatchesTheNamesOfATable) {
  const NameTemplate::Source source{"", "us*er", "public", "shop.public.user"};
  EXPECT_EQ(NameTemplate("{table}:{key}").pattern(source, '\\'), R"(us\*er:*)");
  EXPECT_EQ(NameTemplate("{table}:{key}").pattern(source, '\0'), "us*er:*");
  EXPECT_EQ(NameTemplate("u[{id}]{region}{{").pattern(source, '\\'), R"(u\[*\]*{)");
  EXPECT_EQ(NameTemplate("{a}{b}").pattern(source, '\\'), "*");
  EXPECT_EQ(NameTemplate("{table}*{id}").pattern(source, '\\'), R"(us\*er\**)");
  EXPECT_EQ(NameTemplate("{topic}").pattern(source, '\0'), "shop.public.user");
}

}  // namespace
}  // namespace meridian
