#include "core/cdc_envelope.hpp"

#include "unit/cdc_text.hpp"

namespace meridian::cdc {
namespace {

Options options_with(std::initializer_list<std::pair<std::string_view, std::string_view>> settings = {}) {
  Options options;
  for (const auto& [name, value] : settings) set_option(options, name, value);
  options.prefix = "shop";
  options.database = "db";
  options.version = "1.2";
  return options;
}

const ColumnSpec columns[] = {
    {"id", {.kind = Kind::int32}, false, false, false, false},
    {"na\"me", {.kind = Kind::text}, true, false, false, false},
    {"gone", {}, true, false, false, true},
    {"price", {.kind = Kind::decimal, .scale = 2, .precision = 10}, false, false, false, false},
    {"_meridian", {.kind = Kind::unknown}, true, false, true, false},
    {"area", {.kind = Kind::int64}, true, true, false, false},
    {"spot", {.kind = Kind::unknown}, true, false, false, false},
};
constexpr int key_places[] = {0};
const TableSpec orders{"public", "orders", columns, key_places};

/// An envelope around rows of no columns.
std::string envelope(EventWriter& writer, const Table& table, char op) {
  return written([&](Buffer& out) {
    out.append(table.value_head);
    out.append(R"({"before":null,"after":{})");
    writer.count_event(table);
    writer.end_envelope(out, table, op, 4711, 1'700'000'000'123'456);
  });
}

constexpr std::string_view bare_event =
    R"({"before":null,"after":{},"source":{"version":"1.2","connector":"postgresql","name":"shop","ts_ms":1699999999999,)"
    R"("snapshot":"false","db":"db","sequence":"[\"5000\",\"4711\"]","ts_us":1699999999999001,"ts_ns":1699999999999001000,)"
    R"("schema":"public","table":"orders","txId":571,"lsn":4711,"xmin":null,"origin":null,"origin_lsn":null},)"
    R"("transaction":null,"op":"c","ts_ms":1700000000123,"ts_us":1700000000123456,"ts_ns":1700000000123456000})";

Transaction transaction() {
  Transaction result;
  result.xid = 571;
  result.commit_lsn = 5000;
  result.commit_us = 1'699'999'999'999'001;
  return result;
}

TEST(CdcEnvelope, FieldByField) {
  EventWriter writer(options_with());
  const Table table = make_table(orders, writer.options());
  writer.begin_transaction(transaction());
  EXPECT_EQ(envelope(writer, table, 'c'), bare_event);
}

TEST(CdcEnvelope, Origin) {
  EventWriter writer(options_with());
  Transaction remote = transaction();
  remote.origin = "eu";
  remote.origin_lsn = 99;
  writer.begin_transaction(remote);
  const std::string text = envelope(writer, make_table(orders, writer.options()), 'u');
  EXPECT_NE(text.find(R"("origin":"eu","origin_lsn":99})"), std::string::npos);
}

TEST(CdcEnvelope, Payload) {
  EventWriter writer(options_with({{"envelope", "payload"}}));
  writer.begin_transaction(transaction());
  EXPECT_EQ(envelope(writer, make_table(orders, writer.options()), 'c'),
            R"({"schema":null,"payload":)" + std::string(bare_event) + '}');
}

TEST(CdcEnvelope, Schema) {
  EventWriter writer(options_with({{"envelope", "schema"}}));
  const Table table = make_table(orders, writer.options());
  EXPECT_EQ(table.key_head,
            R"({"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"}],"optional":false,)"
            R"("name":"shop.public.orders.Key"},"payload":)");
  const std::string row =
      R"({"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"},)"
      R"({"type":"string","optional":true,"field":"na\"me"},{"type":"bytes","optional":false,)"
      R"("name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2",)"
      R"("connect.decimal.precision":"10"},"field":"price"}],"optional":true,"name":"shop.public.orders.Value","field":)";
  EXPECT_NE(table.value_head.find(row + "\"before\"}," + row + "\"after\"}"), std::string::npos);
  EXPECT_NE(table.value_head.find(R"("name":"shop.public.orders.Envelope","version":2},"payload":)"),
            std::string::npos);
}

TEST(CdcEnvelope, Flat) {
  const auto flat = [](std::string_view row, char op) {
    return written([&](Buffer& out) {
      out.append(row);
      EventWriter::end_flat(out, op);
    });
  };
  EXPECT_EQ(flat(R"({"id":1})", 'c'), R"({"id":1,"__deleted":"false","__op":"c"})");
  EXPECT_EQ(flat(R"({"id":1})", 'd'), R"({"id":1,"__deleted":"true","__op":"d"})");
  EXPECT_EQ(flat("{}", 't'), R"({"__deleted":"false","__op":"t"})");
}

TEST(CdcEnvelope, NanosecondsInOtherForms) {
  for (const auto& [form, expected] :
       {std::pair("string", R"("ts_ns":"1700000000123456000"})"), std::pair("none", "456}")}) {
    EventWriter writer(options_with({{"ts_ns", form}}));
    writer.begin_transaction(transaction());
    const std::string text = envelope(writer, make_table(orders, writer.options()), 'c');
    EXPECT_TRUE(text.ends_with(expected)) << text;
    EXPECT_EQ(text.find("ts_ns\":1"), std::string::npos);
  }
}

TEST(CdcEnvelope, TransactionMetadata) {
  EventWriter writer(options_with({{"transaction_metadata", "true"}}));
  const Table table = make_table(orders, writer.options());
  TableSpec other = orders;
  other.name = "items";
  const Table items = make_table(other, writer.options());
  writer.begin_transaction(transaction());
  static_cast<void>(envelope(writer, table, 'c'));
  static_cast<void>(envelope(writer, items, 'c'));
  EXPECT_NE(
      envelope(writer, table, 'u').find(R"("transaction":{"id":"571:5000","total_order":3,"data_collection_order":2})"),
      std::string::npos);
  Buffer key;
  Buffer value;
  writer.write_transaction_end(key, value, 1'000'000);
  EXPECT_EQ(key.view(), R"({"id":"571:5000"})");
  EXPECT_EQ(value.view(), R"({"status":"END","id":"571:5000","event_count":3,"data_collections":[)"
                          R"({"data_collection":"public.items","event_count":1},)"
                          R"({"data_collection":"public.orders","event_count":2}],"ts_ms":1000})");
  writer.begin_transaction(transaction());
  EXPECT_NE(envelope(writer, table, 'c').find(R"("total_order":1,"data_collection_order":1)"), std::string::npos);
}

TEST(CdcEnvelope, MessagesAndHeartbeats) {
  EventWriter writer(options_with());
  writer.begin_transaction(transaction());
  Buffer key;
  Buffer value;
  writer.write_message(key, value, "out\"box", "hello", 4711, true, 1'000'000);
  EXPECT_EQ(key.view(), R"({"prefix":"out\"box"})");
  EXPECT_TRUE(value.view().starts_with(R"({"op":"m","ts_ms":1000,"source":{)")) << value.view();
  EXPECT_TRUE(value.view().ends_with(R"("schema":"","table":"","txId":571,"lsn":4711,"xmin":null,"origin":null,)"
                                     R"("origin_lsn":null},"transaction":null,)"
                                     R"("message":{"prefix":"out\"box","content":"aGVsbG8="}})"))
      << value.view();
  EXPECT_EQ(writer.message_topic(), "shop.message");
  key.clear();
  value.clear();
  writer.write_message(key, value, "p", "", 4711, false, 1'000'000);
  EXPECT_NE(value.view().find(R"("txId":null)"), std::string_view::npos);
  key.clear();
  value.clear();
  writer.write_heartbeat(key, value, 5000);
  EXPECT_EQ(writer.heartbeat_topic(), "__debezium-heartbeat.shop");
  EXPECT_EQ(key.view(), R"({"serverName":"shop"})");
  EXPECT_EQ(value.view(), R"({"ts_ms":5})");
}

std::vector<std::string> shown(const Table& table) {
  std::vector<std::string> names;
  for (const int place : table.row) names.push_back(table.columns[static_cast<std::size_t>(place)].field);
  return names;
}

using Names = std::vector<std::string>;

TEST(CdcTable, ColumnsThatAreShown) {
  EXPECT_EQ(shown(make_table(orders, options_with())), (Names{R"(,"id":)", R"(,"na\"me":)", R"(,"price":)"}));
  EXPECT_EQ(shown(make_table(orders, options_with({{"include_meridian", "true"},
                                                   {"include_generated", "true"},
                                                   {"include_unknown", "true"},
                                                   {"exclude_columns", "*.orders.price"}}))),
            (Names{R"(,"id":)", R"(,"na\"me":)", R"(,"_meridian":)", R"(,"area":)", R"(,"spot":)"}));
}

TEST(CdcTable, FillsOfColumnsThatOldRowsLack) {
  Table table = make_table(orders, options_with());
  EXPECT_EQ(table.columns[1].fill, "null");
  EXPECT_EQ(table.columns[3].fill, "\"AA==\"");
  set_default(table, 1, "\"x\"", options_with());
  set_default(table, 3, "\"bg==\"", options_with());
  EXPECT_EQ(table.columns[1].fill, "null");
  EXPECT_EQ(table.columns[3].fill, "\"bg==\"");
  const Options nulls = options_with({{"before_fill", "null"}});
  Table without = make_table(orders, nulls);
  set_default(without, 3, "\"bg==\"", nulls);
  EXPECT_EQ(without.columns[3].fill, "null");
}

TEST(CdcTable, Masks) {
  const Options options =
      options_with({{"mask_columns", "public.orders.price"}, {"hash_columns", "*.*.na*"}, {"hash_salt", "salt"}});
  const Table table = make_table(orders, options);
  EXPECT_EQ(table.columns[3].mask, Mask::text);
  EXPECT_EQ(table.columns[3].masked, "\"****\"");
  EXPECT_EQ(table.columns[3].fill, "\"****\"");
  EXPECT_EQ(table.columns[1].mask, Mask::hash);
  // printf 'saltvalue' | sha256sum
  EXPECT_EQ(written([](Buffer& out) { write_hash(out, "salt", "value"); }),
            "\"d430a1da30afe1a9d07b3b36042151ebaf53c4882af1609733c04930de318e33\"");
}

}  // namespace
}  // namespace meridian::cdc
