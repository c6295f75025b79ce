// Every byte string is refused by all decoders, or accepted by the one of its kind; and what is accepted can be written
// again from what was read of it.
#include "core/logical_message.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "fuzz/fuzz.hpp"

using namespace meridian;

namespace {

void put(std::string& out, std::uint64_t value, int size) {
  for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
}

void put_name(std::string& out, std::string_view name) {
  out += name;
  out += '\0';
}

std::string rewrite(const RelationMessage& relation) {
  std::string out = "R";
  put(out, relation.id, 4);
  put_name(out, relation.schema);
  put_name(out, relation.name);
  out += relation.identity;
  put(out, relation.column_count, 2);
  std::string_view rest = relation.columns;
  for (int i = 0; i < relation.column_count; ++i) {
    const RelationColumn column = take_relation_column(&rest);
    out += column.is_key ? '\1' : '\0';
    put_name(out, column.name);
    put(out, column.type, 4);
    put(out, static_cast<std::uint32_t>(column.modifier), 4);
  }
  fuzz::check(rest.empty(), "columns end with the message");
  return out;
}

std::string rewrite(const InsertMessage& insert) {
  std::string out = "I";
  put(out, insert.relation, 4);
  out += 'N';
  put(out, insert.column_count, 2);
  std::string_view rest = insert.columns;
  for (int i = 0; i < insert.column_count; ++i) {
    const ColumnValue value = take_column_value(&rest);
    out += static_cast<char>(value.form);
    if (value.form == ColumnValue::Form::null) continue;
    put(out, value.bytes.size(), 4);
    out += value.bytes;
  }
  fuzz::check(rest.empty(), "values end with the message");
  return out;
}

std::string rewrite(const TypeMessage& type) {
  std::string out = "Y";
  put(out, type.id, 4);
  put_name(out, type.schema);
  put_name(out, type.name);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view message = fuzz::as_text(data, size);
  if (const auto begin = decode_begin(message))
    fuzz::check(message_kind(message) == 'B' && size == 21, "a Begin has one size");
  if (const auto commit = decode_commit(message)) {
    std::array<char, commit_message_size> copy{};
    fuzz::check(size == copy.size(), "a Commit has one size");
    std::copy(message.begin(), message.end(), copy.begin());
    set_commit_position(copy, ~commit->position);
    const auto moved = decode_commit({copy.data(), copy.size()});
    fuzz::check(moved && moved->position == ~commit->position && moved->end_position == commit->end_position,
                "the position of a Commit, and only that, can be changed");
  }
  if (const auto relation = decode_relation(message))
    fuzz::check(rewrite(*relation) == message, "a Relation can be rewritten");
  if (const auto type = decode_type(message)) fuzz::check(rewrite(*type) == message, "a Type can be rewritten");
  if (const auto insert = decode_insert(message)) {
    fuzz::check(rewrite(*insert) == message, "an Insert can be rewritten");
    fuzz::check(relation_of_insert(message) == insert->relation, "its relation is found without decoding");
  }
  return 0;
}
