#include "core/cdc_options.hpp"

#include "core/error.hpp"

namespace meridian::cdc {
namespace {

Options with(std::initializer_list<std::pair<std::string_view, std::string_view>> settings) {
  Options options;
  for (const auto& [name, value] : settings) set_option(options, name, value);
  return options;
}

std::string error_of(std::string_view name, std::string_view value) {
  try {
    with({{name, value}});
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::invalid_rule);
    EXPECT_FALSE(error.hint().empty());
    return error.what();
  }
  return "no error";
}

TEST(CdcOptions, AreSet) {
  const Options options = with({{"decimal_mode", "double"},
                                {"time_mode", "isostring"},
                                {"binary_mode", "base64-url-safe"},
                                {"envelope", "flat"},
                                {"before_fill", "key_only"},
                                {"origin", "local"},
                                {"skipped_operations", "c, t"},
                                {"after", "0/20,0/10,3,0/28"},
                                {"limit", "7"},
                                {"topic_prefix", "shop"}});
  EXPECT_EQ(options.modes.decimal, DecimalMode::float64);
  EXPECT_EQ(options.modes.time, TimeMode::isostring);
  EXPECT_EQ(options.modes.binary, BinaryMode::base64_url_safe);
  EXPECT_EQ(options.envelope, Envelope::flat);
  EXPECT_EQ(options.before_fill, BeforeFill::key_only);
  EXPECT_TRUE(options.local_only);
  EXPECT_TRUE(options.skipped.has('c') && options.skipped.has('t') && !options.skipped.has('u'));
  EXPECT_EQ(options.after, (Position{0x20, 0x10, 3}));
  EXPECT_EQ(options.limit, 7U);
  EXPECT_EQ(options.prefix, "shop");
}

TEST(CdcOptions, DefaultsAreDebeziums) {
  const Options options;
  EXPECT_TRUE(options.skipped.has('t') && !options.skipped.has('d'));
  EXPECT_TRUE(options.tombstones && options.messages);
  EXPECT_EQ(options.modes.decimal, DecimalMode::precise);
  EXPECT_FALSE(with({{"skipped_operations", "none"}}).skipped.has('t'));
}

TEST(CdcOptions, WhatThereIsNotIsRefused) {
  EXPECT_EQ(error_of("decimal", "x"), "unknown option \"decimal\"");
  EXPECT_EQ(error_of("decimal_mode", "exact"), "option decimal_mode cannot be \"exact\"");
  EXPECT_EQ(error_of("tombstones", "maybe"), "option tombstones cannot be \"maybe\"");
  EXPECT_EQ(error_of("limit", "-1"), "option limit cannot be \"-1\"");
  EXPECT_EQ(error_of("limit", "7x"), "option limit cannot be \"7x\"");
  EXPECT_EQ(error_of("skipped_operations", "x"), "option skipped_operations cannot be \"x\"");
  EXPECT_EQ(error_of("after", "0/1"), "option after cannot be \"0/1\"");
  EXPECT_EQ(error_of("topic", "{db}.x"), "option topic has unknown placeholder \"{db}\"");
  EXPECT_EQ(error_of("topic_prefix", ""), "option topic_prefix cannot be \"\"");
  EXPECT_EQ(error_of("tables", "orders"), "\"orders\" does not name a table");
  EXPECT_EQ(error_of("mask_columns", "public.orders"), "\"public.orders\" does not name a column");
  EXPECT_THROW(check_options(with({{"hash_columns", "a.b.c"}})), Error);
  EXPECT_NO_THROW(check_options(with({{"hash_columns", "a.b.c"}, {"hash_salt", "s"}})));
  EXPECT_FALSE(is_stream_option("after"));
  EXPECT_FALSE(is_stream_option("message_bytes"));
  EXPECT_TRUE(is_stream_option("envelope"));
}

TEST(CdcOptions, Patterns) {
  const PatternList list = parse_patterns(R"( Public.Orders , audit.*,"My Schema"."a.b,""c*" )", 2);
  ASSERT_EQ(list.size(), 3U);
  EXPECT_TRUE(any_matches_table(list, "public", "orders"));
  EXPECT_FALSE(any_matches_table(list, "public", "Orders"));
  EXPECT_TRUE(any_matches_table(list, "audit", "anything"));
  EXPECT_TRUE(any_matches_table(list, "My Schema", "a.b,\"c*"));
  EXPECT_FALSE(any_matches_table(list, "My Schema", "a.b,\"cd"));
  EXPECT_TRUE(parse_patterns("  ", 2).empty());
  for (const char* bad : {"a", "a.b.c", "a.", ".b", "a.b,", ",a.b", "\"a\".\"\"", "\"a.b", "a\"b\".c", "a.b c.d"}) {
    EXPECT_THROW(static_cast<void>(parse_patterns(bad, 2)), Error) << bad;
  }
}

TEST(CdcOptions, Wildcards) {
  const auto matches = [](const char* pattern, const char* name) {
    return NamePattern{pattern, std::string_view(pattern).find('*') != std::string_view::npos}.matches(name);
  };
  EXPECT_TRUE(matches("*", ""));
  EXPECT_TRUE(matches("a*c*e", "abcde"));
  EXPECT_TRUE(matches("*_2024", "orders_2023_2024"));
  EXPECT_TRUE(matches("a**b", "ab"));
  EXPECT_FALSE(matches("a*b", "abc"));
  EXPECT_FALSE(matches("*a", ""));
  EXPECT_FALSE(matches("a", "ab"));
}

TEST(CdcOptions, TablesAndColumns) {
  const Options options = with({{"tables", "public.*"},
                                {"exclude_tables", "public.log*"},
                                {"columns", "public.users.id, public.users.name"},
                                {"exclude_columns", "*.*.password"}});
  EXPECT_TRUE(options.wants_table("public", "users"));
  EXPECT_FALSE(options.wants_table("public", "logs"));
  EXPECT_FALSE(options.wants_table("private", "users"));
  EXPECT_TRUE(options.wants_column("public", "users", "name"));
  EXPECT_FALSE(options.wants_column("public", "users", "mail"));
  EXPECT_TRUE(options.wants_column("public", "orders", "mail"));
  EXPECT_FALSE(options.wants_column("public", "orders", "password"));
  EXPECT_TRUE(with({{"message_prefixes", "outbox*, x"}}).wants_message("outbox.order"));
  EXPECT_FALSE(with({{"message_prefixes", "outbox*, x"}}).wants_message("y"));
  EXPECT_FALSE(with({{"messages", "false"}}).wants_message("x"));
  EXPECT_FALSE(Options().wants_message("meridian"));
  EXPECT_TRUE(Options().wants_message("meridians"));
}

TEST(CdcOptions, Topics) {
  EXPECT_EQ(topic_name("{prefix}.{schema}.{table}", "shop", "public", "orders"), "shop.public.orders");
  EXPECT_EQ(topic_name("cdc-{table}", "shop", "public", "größe x"), "cdc-gr____e_x");
  EXPECT_EQ(topic_name("{table}", "", "", std::string(300, 'a')).size(), 249U);
}

TEST(CdcOptions, RowFilters) {
  const auto filters = parse_row_filters(
      R"(public.orders: status = 'it''s' AND amount >= -10.5; "S"."T" : "Col" is not null and x IS NULL and y <> z)");
  ASSERT_EQ(filters.size(), 2U);
  ASSERT_EQ(filters[0].conditions.size(), 2U);
  EXPECT_EQ(filters[0].conditions[0].column, "status");
  EXPECT_EQ(filters[0].conditions[0].literal, "it's");
  EXPECT_EQ(filters[0].conditions[1].op, Condition::Operator::greater_or_equal);
  EXPECT_EQ(filters[0].conditions[1].literal, "-10.5");
  ASSERT_EQ(filters[1].conditions.size(), 3U);
  EXPECT_EQ(filters[1].conditions[0].column, "Col");
  EXPECT_EQ(filters[1].conditions[0].op, Condition::Operator::is_not_null);
  EXPECT_EQ(filters[1].conditions[1].op, Condition::Operator::is_null);
  EXPECT_EQ(filters[1].conditions[2].op, Condition::Operator::not_equal);
  EXPECT_TRUE(filters[1].table.matches_table("S", "T"));
  for (const char* bad : {"a.b", "a.b:", "a.b: x", "a.b: x =", "a.b: x = 'y", "a.b: x = y or z = 1", "a.b: x is nul",
                          "a.b: x = 1; c", "a: x = 1"}) {
    EXPECT_THROW(static_cast<void>(parse_row_filters(bad)), Error) << bad;
  }
}

TEST(CdcOptions, ComparisonsOfFilters) {
  using Operator = Condition::Operator;
  EXPECT_TRUE(passes(Operator::equal, 0) && !passes(Operator::equal, 1));
  EXPECT_TRUE(passes(Operator::not_equal, -1) && !passes(Operator::not_equal, 0));
  EXPECT_TRUE(passes(Operator::less, -1) && !passes(Operator::less, 0));
  EXPECT_TRUE(passes(Operator::less_or_equal, 0) && !passes(Operator::less_or_equal, 1));
  EXPECT_TRUE(passes(Operator::greater, 1) && !passes(Operator::greater, 0));
  EXPECT_TRUE(passes(Operator::greater_or_equal, 0) && !passes(Operator::greater_or_equal, -1));
}

TEST(CdcOptions, WatermarksAreForOneReader) {
  Options options;
  EXPECT_FALSE(options.wants_watermark("search 1.1 low"));
  set_option(options, "watermarks", "search");
  EXPECT_TRUE(options.wants_watermark("search 1.1 low"));
  EXPECT_FALSE(options.wants_watermark("search2 1.1 low"));
  EXPECT_FALSE(options.wants_watermark("search"));
  EXPECT_FALSE(is_stream_option("watermarks"));
}

}  // namespace
}  // namespace meridian::cdc
