#include "core/logical_message.hpp"

namespace meridian {
namespace {

// Reads front to back. Once it has run out, everything it returns is zero or empty and `ok()` is false.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) noexcept : rest_(bytes) {}

  [[nodiscard]] bool ok() const noexcept { return ok_; }
  [[nodiscard]] bool at_end() const noexcept { return ok_ && rest_.empty(); }
  [[nodiscard]] std::string_view rest() const noexcept { return rest_; }

  std::string_view raw(std::size_t size) noexcept {
    if (size > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }

  /// Big-endian.
  template <typename Number>
  Number number() noexcept {
    Number value = 0;
    for (const char byte : raw(sizeof(Number))) {
      value = static_cast<Number>(std::uint64_t{value} << 8 | static_cast<unsigned char>(byte));
    }
    return value;
  }

  char byte() noexcept { return static_cast<char>(number<std::uint8_t>()); }

  /// A string that ends with NUL, which is not part of the result.
  std::string_view name() noexcept {
    const std::size_t size = rest_.find('\0');
    if (size == std::string_view::npos || size > max_message_name) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const std::string_view text = raw(size);
    raw(1);
    return text;
  }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

bool begins(Cursor* cursor, char kind) noexcept { return cursor->byte() == kind && cursor->ok(); }

bool take_column(Cursor* cursor, RelationColumn* column) noexcept {
  const auto flags = cursor->number<std::uint8_t>();
  column->is_key = flags == 1;
  column->name = cursor->name();
  column->type = cursor->number<std::uint32_t>();
  column->modifier = static_cast<std::int32_t>(cursor->number<std::uint32_t>());
  return cursor->ok() && flags <= 1 && !column->name.empty();
}

bool take_value(Cursor* cursor, ColumnValue* value) noexcept {
  value->form = static_cast<ColumnValue::Form>(cursor->byte());
  value->bytes = {};
  switch (value->form) {
    case ColumnValue::Form::null:
      return cursor->ok();
    case ColumnValue::Form::text:
      value->bytes = cursor->raw(cursor->number<std::uint32_t>());
      return cursor->ok() && value->bytes.find('\0') == std::string_view::npos;
    case ColumnValue::Form::binary:
      value->bytes = cursor->raw(cursor->number<std::uint32_t>());
      return cursor->ok();
  }
  return false;
}

}  // namespace

char message_kind(std::string_view message) noexcept { return message.empty() ? '\0' : message.front(); }

std::optional<BeginMessage> decode_begin(std::string_view message) noexcept {
  Cursor cursor(message);
  if (!begins(&cursor, 'B')) return std::nullopt;
  BeginMessage begin{};
  begin.final_position = cursor.number<std::uint64_t>();
  cursor.raw(8);  // the time of the commit
  begin.transaction = cursor.number<std::uint32_t>();
  if (!cursor.at_end()) return std::nullopt;
  return begin;
}

std::optional<CommitMessage> decode_commit(std::string_view message) noexcept {
  Cursor cursor(message);
  if (!begins(&cursor, 'C')) return std::nullopt;
  CommitMessage commit{};
  const char flags = cursor.byte();
  commit.position = cursor.number<std::uint64_t>();
  commit.end_position = cursor.number<std::uint64_t>();
  cursor.raw(8);  // the time of the commit
  if (!cursor.at_end() || flags != 0) return std::nullopt;
  return commit;
}

void set_commit_position(std::span<char, commit_message_size> message, std::uint64_t position) noexcept {
  constexpr std::size_t offset = 2;
  for (std::size_t i = 0; i < sizeof(position); ++i) {
    message[offset + i] = static_cast<char>(position >> (8 * (sizeof(position) - 1 - i)));
  }
}

std::optional<RelationMessage> decode_relation(std::string_view message) noexcept {
  Cursor cursor(message);
  if (!begins(&cursor, 'R')) return std::nullopt;
  RelationMessage relation{};
  relation.id = cursor.number<std::uint32_t>();
  relation.schema = cursor.name();
  relation.name = cursor.name();
  relation.identity = cursor.byte();
  relation.column_count = cursor.number<std::uint16_t>();
  relation.columns = cursor.rest();
  const bool known_identity = std::string_view("dnfi").find(relation.identity) != std::string_view::npos;
  if (!cursor.ok() || relation.id == 0 || relation.name.empty() || !known_identity) return std::nullopt;
  if (relation.column_count > max_message_columns) return std::nullopt;
  RelationColumn column{};
  for (int i = 0; i < relation.column_count; ++i) {
    if (!take_column(&cursor, &column)) return std::nullopt;
  }
  if (!cursor.at_end()) return std::nullopt;
  return relation;
}

std::optional<TypeMessage> decode_type(std::string_view message) noexcept {
  Cursor cursor(message);
  if (!begins(&cursor, 'Y')) return std::nullopt;
  TypeMessage type{};
  type.id = cursor.number<std::uint32_t>();
  type.schema = cursor.name();
  type.name = cursor.name();
  if (!cursor.at_end() || type.id == 0 || type.name.empty()) return std::nullopt;
  return type;
}

std::optional<InsertMessage> decode_insert(std::string_view message) noexcept {
  Cursor cursor(message);
  if (!begins(&cursor, 'I')) return std::nullopt;
  InsertMessage insert{};
  insert.relation = cursor.number<std::uint32_t>();
  const char part = cursor.byte();
  insert.column_count = cursor.number<std::uint16_t>();
  insert.columns = cursor.rest();
  if (!cursor.ok() || insert.relation == 0 || part != 'N') return std::nullopt;
  if (insert.column_count > max_message_columns) return std::nullopt;
  ColumnValue value{};
  for (int i = 0; i < insert.column_count; ++i) {
    if (!take_value(&cursor, &value)) return std::nullopt;
  }
  if (!cursor.at_end()) return std::nullopt;
  return insert;
}

std::uint32_t relation_of_insert(std::string_view message) noexcept {
  Cursor cursor(message);
  return begins(&cursor, 'I') ? cursor.number<std::uint32_t>() : 0;
}

RelationColumn take_relation_column(std::string_view* rest) noexcept {
  Cursor cursor(*rest);
  RelationColumn column{};
  take_column(&cursor, &column);
  *rest = cursor.rest();
  return column;
}

ColumnValue take_column_value(std::string_view* rest) noexcept {
  Cursor cursor(*rest);
  ColumnValue value{};
  take_value(&cursor, &value);
  *rest = cursor.rest();
  return value;
}

}  // namespace meridian
