#include "core/logical_message.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace meridian {
namespace {

using namespace std::string_literals;

std::string big_endian(std::uint64_t value, int size) {
  std::string bytes;
  for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
  return bytes;
}
std::string int64(std::uint64_t value) { return big_endian(value, 8); }
std::string int32(std::uint32_t value) { return big_endian(value, 4); }
std::string int16(std::uint16_t value) { return big_endian(value, 2); }
std::string name(const std::string& text) { return text + '\0'; }
std::string sized(char form, const std::string& bytes) {
  return form + int32(static_cast<std::uint32_t>(bytes.size())) + bytes;
}

const std::string begin = "B" + int64(0x0102030405060708) + int64(7) + int32(999);
const std::string relation = "R" + int32(16384) + name("public") + name("t") + "d" + int16(2) + "\1" + name("id") +
                             int32(20) + int32(0xffffffff) + '\0' + name("mood") + int32(16400) + int32(260);
const std::string type = "Y" + int32(16400) + name("public") + name("mood");
const std::string insert =
    "I" + int32(16384) + "N" + int16(3) + sized('b', "\0\0\0\0\0\0\0\1"s) + sized('t', "sad") + "n";

TEST(LogicalMessage, Begin) {
  const auto decoded = decode_begin(begin);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->final_position, 0x0102030405060708U);
  EXPECT_EQ(decoded->transaction, 999U);
  EXPECT_EQ(message_kind(begin), 'B');
  EXPECT_EQ(message_kind(""), '\0');
}

TEST(LogicalMessage, Commit) {
  std::string commit = "C"s + '\0' + int64(0x0102030405060708) + int64(0x1112131415161718) + int64(7);
  const auto decoded = decode_commit(commit);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->position, 0x0102030405060708U);
  EXPECT_EQ(decoded->end_position, 0x1112131415161718U);
  ASSERT_EQ(commit.size(), commit_message_size);
  set_commit_position(std::span<char, commit_message_size>(commit.data(), commit.size()), 0x2122232425262728);
  EXPECT_EQ(commit, "C"s + '\0' + int64(0x2122232425262728) + int64(0x1112131415161718) + int64(7));
  commit[1] = '\1';
  EXPECT_FALSE(decode_commit(commit)) << "unknown flags";
}

TEST(LogicalMessage, Relation) {
  const auto decoded = decode_relation(relation);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->id, 16384U);
  EXPECT_EQ(decoded->schema, "public");
  EXPECT_EQ(decoded->name, "t");
  EXPECT_EQ(decoded->identity, 'd');
  ASSERT_EQ(decoded->column_count, 2);
  std::string_view rest = decoded->columns;
  const RelationColumn id = take_relation_column(&rest);
  EXPECT_EQ(id.name, "id");
  EXPECT_EQ(id.type, 20U);
  EXPECT_EQ(id.modifier, -1);
  EXPECT_TRUE(id.is_key);
  const RelationColumn mood = take_relation_column(&rest);
  EXPECT_EQ(mood.name, "mood");
  EXPECT_EQ(mood.type, 16400U);
  EXPECT_EQ(mood.modifier, 260);
  EXPECT_FALSE(mood.is_key);
  EXPECT_TRUE(rest.empty());
}

TEST(LogicalMessage, Type) {
  const auto decoded = decode_type(type);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->id, 16400U);
  EXPECT_EQ(decoded->schema, "public");
  EXPECT_EQ(decoded->name, "mood");
}

TEST(LogicalMessage, Insert) {
  const auto decoded = decode_insert(insert);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->relation, 16384U);
  EXPECT_EQ(relation_of_insert(insert), 16384U);
  ASSERT_EQ(decoded->column_count, 3);
  std::string_view rest = decoded->columns;
  const ColumnValue id = take_column_value(&rest);
  EXPECT_EQ(id.form, ColumnValue::Form::binary);
  EXPECT_EQ(id.bytes, "\0\0\0\0\0\0\0\1"s);
  const ColumnValue mood = take_column_value(&rest);
  EXPECT_EQ(mood.form, ColumnValue::Form::text);
  EXPECT_EQ(mood.bytes, "sad");
  EXPECT_EQ(take_column_value(&rest).form, ColumnValue::Form::null);
  EXPECT_TRUE(rest.empty());
}

// No prefix of a message is one, and nothing may follow it.
TEST(LogicalMessage, ExactlyOneMessage) {
  for (const std::string& message : {begin, relation, type, insert}) {
    for (std::size_t size = 0; size <= message.size() + 1; ++size) {
      const std::string cut = size <= message.size() ? message.substr(0, size) : message + '\0';
      const int accepted =
          static_cast<int>(decode_begin(cut).has_value()) + static_cast<int>(decode_relation(cut).has_value()) +
          static_cast<int>(decode_type(cut).has_value()) + static_cast<int>(decode_insert(cut).has_value());
      EXPECT_EQ(accepted, size == message.size() ? 1 : 0) << message.front() << " of " << size << " bytes";
    }
  }
}

TEST(LogicalMessage, RefusesWhatTheProtocolDoesNotKnow) {
  const std::string head = "R" + int32(1) + name("s") + name("t");
  EXPECT_TRUE(decode_relation(head + "d" + int16(0)));
  EXPECT_TRUE(decode_relation("R" + int32(1) + name("") + name("t") + "d" + int16(0))) << "pg_catalog";
  EXPECT_FALSE(decode_relation(head + "x" + int16(0))) << "replica identity";
  EXPECT_FALSE(decode_relation(head + "d" + int16(1601))) << "more columns than a table can have";
  EXPECT_FALSE(decode_relation(head + "d" + int16(0xffff))) << "a negative number of columns";
  EXPECT_FALSE(decode_relation("R" + int32(0) + name("s") + name("t") + "d" + int16(0))) << "no oid";
  EXPECT_FALSE(decode_relation("R" + int32(1) + name("s") + name("") + "d" + int16(0))) << "no name";
  EXPECT_FALSE(decode_relation("R" + int32(1) + name("s") + name(std::string(256, 'n')) + "d" + int16(0)))
      << "a long name";
  EXPECT_FALSE(decode_relation(head + "d" + int16(1) + "\2" + name("c") + int32(20) + int32(0))) << "flags";
  EXPECT_FALSE(decode_relation(head + "d" + int16(1) + "\1" + name("") + int32(20) + int32(0)))
      << "a column without name";

  const std::string row = "I" + int32(1) + "N";
  EXPECT_TRUE(decode_insert(row + int16(0)));
  EXPECT_FALSE(decode_insert(row + int16(1) + "u")) << "unchanged";
  EXPECT_FALSE(decode_insert(row + int16(1) + "x")) << "form";
  EXPECT_FALSE(decode_insert("I" + int32(1) + "K" + int16(0))) << "an old row";
  EXPECT_FALSE(decode_insert(row + int16(1) + "t" + int32(0xffffffff))) << "a negative size";
  EXPECT_FALSE(decode_insert(row + int16(1) + sized('t', "a\0b"s))) << "text with NUL";
  EXPECT_TRUE(decode_insert(row + int16(1) + sized('b', "a\0b"s)));
  EXPECT_EQ(relation_of_insert("I"s + '\0'), 0U);
  EXPECT_EQ(relation_of_insert(begin), 0U);
}

}  // namespace
}  // namespace meridian
