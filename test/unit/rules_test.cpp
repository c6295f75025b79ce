#include "core/rules.hpp"

#include <gtest/gtest.h>

#include "core/error.hpp"

namespace meridian {
namespace {

TableRules parse(std::vector<std::string_view> texts) { return parse_rules(texts); }

Error failure(std::vector<std::string_view> texts) {
  try {
    const TableRules rules = parse_rules(texts);
    ADD_FAILURE() << "accepted " << (texts.empty() ? "nothing" : texts.back());
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::invalid_rule);
    EXPECT_FALSE(error.hint().empty()) << error.what();
    return error;
  }
  return Error(ErrorKind::invalid_rule, "no error");
}

std::vector<Slot> list(const auto& slots) { return {slots.begin(), slots.end()}; }

TEST(Rules, NoRuleIsOneGroupWithLatestDeletes) {
  const TableRules rules = parse({});
  EXPECT_EQ(rules.delete_mode, DeleteMode::latest);
  EXPECT_TRUE(rules.shape(true).delete_latest);
  EXPECT_EQ(list(rules.shape(true).groups), std::vector<Slot>{default_group});
  EXPECT_TRUE(rules.to_text().empty());
}

TEST(Rules, EveryRuleGetsItsSlot) {
  const TableRules rules = parse({"email=lww", "street=group:address", "balance=counter", "bid=max",
                                  "city=group:address", "low=min", "any=or", "all=and", "tags=set", "ids=global"});
  const Shape shape = rules.shape(true);
  EXPECT_EQ(list(shape.groups), (std::vector<Slot>{default_group, 1, 2}));
  EXPECT_EQ(list(shape.counters), (std::vector<Slot>{3}));
  EXPECT_EQ(list(shape.lattices), (std::vector<Slot>{4, 6, 7, 8}));
  EXPECT_EQ(list(shape.sets), (std::vector<Slot>{9}));
  EXPECT_FALSE(shape.delete_latest);
  EXPECT_EQ(rules.columns[4].slot, 2) << "a group has the slot of its first member";
  EXPECT_EQ(rules.columns[5].slot, 6) << "and its other members use up theirs";
  EXPECT_EQ(list(rules.shape(false).groups), (std::vector<Slot>{1, 2}));
  EXPECT_EQ(rules.ids, IdMode::global);
}

TEST(Rules, AppendedRulesMoveNoSlot) {
  const TableRules before = parse({"a=group:x", "b=counter"});
  const TableRules after = parse({"a=group:x", "b=counter", "c=group:x", "d=lww"});
  for (std::size_t i = 0; i < before.columns.size(); ++i) EXPECT_EQ(before.columns[i].slot, after.columns[i].slot);
}

TEST(Rules, NamesMayBeAnything) {
  EXPECT_EQ(parse({"a=b=lww"}).columns[0].column, "a=b") << "the last = separates";
  EXPECT_EQ(parse({"\"a=b\"=lww"}).columns[0].column, "a=b");
  EXPECT_EQ(parse({"\"say \"\"hi\"\"\"=lww"}).columns[0].column, "say \"hi\"");
  EXPECT_EQ(parse({"größe=lww"}).columns[0].column, "größe");
  EXPECT_EQ(parse({"\"delete\"=lww"}).columns[0].column, "delete");
  EXPECT_EQ(parse({"\"ids\"=counter"}).columns[0].column, "ids");
  EXPECT_EQ(parse({"a\"b=lww"}).columns[0].column, "a\"b");
  EXPECT_EQ(parse({" a =lww"}).columns[0].column, " a ");
  EXPECT_EQ(parse({"row=lww(updated_at)"}).row_lww_column, "updated_at");
  EXPECT_EQ(parse({"row=lww(\"a=\"\"b)\")"}).row_lww_column, "a=\"b)");
  EXPECT_EQ(parse({"row=x=lww"}).columns[0].column, "row=x");
}

TEST(Rules, TextIsCanonicalAndLossless) {
  const std::vector<std::vector<std::string_view>> examples = {
      {},
      {"delete=birth"},
      {"ids=keep"},
      {"ids=stepped"},
      {"email=lww", "street=group:address", "city=group:address", "balance=counter"},
      {"bid=max", "low=min", "any=or", "all=and", "tags=set", "ids=global"},
      {"\"a=b\"=lww", "\"delete\"=counter", "\"say \"\"hi\"\"\"=lww"},
      {"row=lww(updated_at)"},
      {"ids=keep", "row=lww(\"a=b\")"},
  };
  for (const auto& texts : examples) {
    const std::vector<std::string> once = parse_rules(texts).to_text();
    EXPECT_EQ(once, std::vector<std::string>(texts.begin(), texts.end()));
    EXPECT_EQ(parse_rules(std::vector<std::string_view>(once.begin(), once.end())).to_text(), once);
  }
  EXPECT_EQ(parse({"delete=birth", "a=b=lww"}).to_text(), (std::vector<std::string>{"\"a=b\"=lww"}));
  EXPECT_TRUE(parse({"delete=latest"}).to_text().empty());
}

TEST(Rules, DeleteModes) {
  EXPECT_EQ(parse({"delete=birth"}).delete_mode, DeleteMode::by_birth);
  EXPECT_EQ(parse({"delete=latest"}).delete_mode, DeleteMode::latest);
  EXPECT_EQ(parse({"a=lww"}).delete_mode, DeleteMode::by_birth);
  EXPECT_EQ(parse({"row=lww(t)"}).delete_mode, DeleteMode::latest);
  EXPECT_STREQ(failure({"a=lww", "delete=latest"}).what(), "delete=latest cannot be combined with column rules");
}

TEST(Rules, RefusalsNameWhatIsPossible) {
  const Error error = failure({"email=lwww"});
  EXPECT_STREQ(error.what(), "unknown rule \"lwww\" for column \"email\"");
  EXPECT_NE(error.hint().find("counter"), std::string::npos);
  EXPECT_STREQ(failure({"a=bounded(1,0)"}).what(), "invalid rule \"bounded(1,0)\"");
  EXPECT_STREQ(failure({"a=bounded"}).what(), "invalid rule \"bounded\"");
  EXPECT_STREQ(failure({"delete=never"}).what(), "unknown value \"never\" for option \"delete\"");
  EXPECT_NE(failure({"row=max"}).hint().find("\"row\"=lww"), std::string::npos) << "perhaps a column is meant";
}

TEST(Rules, BoundedColumnsHaveLimits) {
  const TableRules rules = parse({"a=bounded(0)", "b=bounded( -1.50 , 2e1 )", "c=bounded(0,10;3/2)", "d=bounded(1;7)"});
  const Shape shape = rules.shape(true);
  ASSERT_EQ(shape.bounds.size(), 4U);
  EXPECT_EQ(shape.bounds[0], (Bound{1, Decimal{}, std::nullopt, nobody}));
  EXPECT_EQ(shape.bounds[1], (Bound{2, Decimal::parse("-1.50"), Decimal::from_int64(20), nobody}));
  EXPECT_EQ(shape.bounds[2], (Bound{3, Decimal{}, Decimal::from_int64(10), Actor::from_parts(2, 3)}));
  EXPECT_EQ(shape.bounds[3].holder, Actor::from_parts(0, 7));
  EXPECT_TRUE(shape.counters.empty());
  EXPECT_EQ(rules.to_text(),
            (std::vector<std::string>{"a=bounded(0)", "b=bounded(-1.50,20)", "c=bounded(0,10;3/2)", "d=bounded(1;7)"}));
  for (const std::string_view text :
       {"a=bounded()", "a=bounded(x)", "a=bounded(0,)", "a=bounded(,1)", "a=bounded(NaN)", "a=bounded(0,1,2)",
        "a=bounded(0;)", "a=bounded(0;1/)", "a=bounded(0;70000)", "a=bounded(0"}) {
    EXPECT_FALSE(failure({text}).hint().empty()) << text;
  }
}

TEST(Rules, MergeFunctionsAreQualified) {
  const TableRules rules = parse({"tags=merge:app.union_tags", "b=merge:\"My App\".\"a.b\"", "c=lww"});
  EXPECT_EQ(rules.columns[0].rule, ColumnRule::merge);
  EXPECT_EQ(rules.columns[0].schema, "app");
  EXPECT_EQ(rules.columns[0].function, "union_tags");
  EXPECT_EQ(rules.columns[1].schema, "My App");
  EXPECT_EQ(rules.columns[1].function, "a.b");
  EXPECT_EQ(list(rules.shape(true).lattices), (std::vector<Slot>{1, 2}));
  EXPECT_EQ(rules.to_text(),
            (std::vector<std::string>{"tags=merge:app.union_tags", "b=merge:My App.\"a.b\"", "c=lww"}));
  for (const std::string_view text : {"a=merge:f", "a=merge:", "a=merge:.f", "a=merge:app.", "a=merge:app.f.g",
                                      "a=merge:app.f(text)\"", "a=merge:\"app.f", "a=merge:\"app\"f", "a=merge"}) {
    EXPECT_FALSE(failure({text}).hint().empty()) << text;
  }
  failure({"\"a\"=merge:app.f=g"});
  failure({"a=merge:app." + std::string(64, 'f')});
  EXPECT_STREQ(failure({"a=merge:f"}).what(), "invalid function name \"f\"");
}

TEST(Rules, RefusesNonsense) {
  failure({""});
  failure({"lww"});
  failure({"=lww"});
  failure({"a="});
  failure({"a= lww"});
  failure({"a=LWW"});
  failure({"a=group:"});
  failure({"\"a\"=group:x=y"});
  failure({"a=group:x\ny"});
  failure({"\"a=lww"});
  failure({"\"a\"lww"});
  failure({"\"\"=lww"});
  failure({std::string_view("a\0b=lww", 7)});
  failure({"a=lww", "a=counter"});
  failure({"a=lww", "\"a\"=lww"});
  failure({"ids=global", "ids=keep"});
  failure({"delete=birth", "delete=birth"});
  failure({"row=lww"});
  failure({"row=lww()"});
  failure({"row=lww(a"});
  failure({"row=lww(\"a\"b\")"});
  failure({"row=lww(a)", "row=lww(b)"});
  failure({"row=lww(a)", "b=counter"});
  failure({"row=lww(a)", "delete=birth"});
  failure({std::string(64, 'x') + "=lww"});
  failure({"a=group:" + std::string(64, 'x')});
  EXPECT_EQ(parse({std::string(63, 'x') + "=lww"}).columns.size(), 1U);
}

TEST(Rules, ColumnsWhoseTypeMergesGetTheirRule) {
  const std::vector<std::string_view> typed = {"hits", "a=b", "seen"};
  const auto with_typed = [&](std::vector<std::string_view> texts) { return parse_rules(texts, typed); };
  const TableRules rules = with_typed({"n=counter", "hits=lww", "ids=keep"});
  EXPECT_EQ(rules.to_text(),
            (std::vector<std::string>{"n=counter", "hits=lww", "\"a=b\"=type", "seen=type", "ids=keep"}));
  EXPECT_EQ(list(rules.shape(true).lattices), (std::vector<Slot>{3, 4}));
  EXPECT_EQ(with_typed({"n=counter", "hits=lww", "\"a=b\"=type", "seen=type"}).columns.size(), 4U);
  EXPECT_EQ(with_typed({}).delete_mode, DeleteMode::by_birth);
  EXPECT_EQ(parse_rules(std::vector<std::string_view>{}, {}).delete_mode, DeleteMode::latest);
  EXPECT_THROW((void)with_typed({"delete=latest"}), Error);
  EXPECT_THROW((void)with_typed({"row=lww(t)"}), Error);
}

TEST(Rules, ATableHasOnlySoManyColumns) {
  std::vector<std::string> texts;
  for (int i = 0; i < 1601; ++i) texts.push_back("c" + std::to_string(i) + "=lww");
  std::vector<std::string_view> views(texts.begin(), texts.end());
  failure(views);
  views.pop_back();
  EXPECT_EQ(parse_rules(views).columns.size(), 1600U);
}

}  // namespace
}  // namespace meridian
