// Messages of PostgreSQL's logical replication protocol, as far as a receiver must read them to know where transactions
// begin and end and whether a row fits its table: Begin, Commit, Relation, Type and Insert, outside of streamed
// transactions.
//
// Everything is a view into the message: nothing is allocated, nothing is thrown, nothing outside is read. Decoders are
// strict: they accept exactly what the protocol describes, to the last byte, so that taking columns from a message that
// was accepted cannot fail. What they refuse is for the server's own code to judge.
// Source: PostgreSQL documentation, "Logical Replication Message Formats".
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace meridian {

/// Most columns of a table: MaxHeapAttributeNumber of PostgreSQL.
inline constexpr int max_message_columns = 1600;
/// Longest name, with room for servers that were built with a larger NAMEDATALEN.
inline constexpr std::size_t max_message_name = 255;

struct BeginMessage {
  std::uint64_t final_position;  ///< WAL position of the commit
  std::uint32_t transaction;
};

struct CommitMessage {
  std::uint64_t position;      ///< of the commit record: BeginMessage::final_position of the same transaction
  std::uint64_t end_position;  ///< behind the commit record
};

/// Size of every Commit message.
inline constexpr std::size_t commit_message_size = 26;

/// A table as the sender has it. Sent before the first row, and again whenever it may have changed.
struct RelationMessage {
  std::uint32_t id;         ///< the sender's oid
  std::string_view schema;  ///< empty: pg_catalog
  std::string_view name;
  char identity;  ///< replica identity: d, n, f or i
  std::uint16_t column_count;
  std::string_view columns;  ///< to be read with take_relation_column()
};

struct RelationColumn {
  std::string_view name;
  std::uint32_t type;  ///< the sender's oid of the type
  std::int32_t modifier;
  bool is_key;  ///< part of the replica identity
};

/// Name of a type that is not built in. Sent before the Relation message that uses it.
struct TypeMessage {
  std::uint32_t id;
  std::string_view schema;  ///< empty: pg_catalog
  std::string_view name;
};

struct InsertMessage {
  std::uint32_t relation;  ///< RelationMessage::id
  std::uint16_t column_count;
  std::string_view columns;  ///< to be read with take_column_value()
};

struct ColumnValue {
  enum class Form : char { null = 'n', text = 't', binary = 'b' };
  Form form;
  std::string_view bytes;  ///< text has no NUL inside
};

/// What the message is: its first byte, or NUL if it is empty.
[[nodiscard]] char message_kind(std::string_view message) noexcept;

[[nodiscard]] std::optional<BeginMessage> decode_begin(std::string_view message) noexcept;
[[nodiscard]] std::optional<CommitMessage> decode_commit(std::string_view message) noexcept;
[[nodiscard]] std::optional<RelationMessage> decode_relation(std::string_view message) noexcept;
[[nodiscard]] std::optional<TypeMessage> decode_type(std::string_view message) noexcept;
/// Of a row that is complete; a value that was left out as unchanged belongs to an UPDATE.
[[nodiscard]] std::optional<InsertMessage> decode_insert(std::string_view message) noexcept;
/// InsertMessage::relation of a message that need not be well-formed otherwise; 0 if it is too short.
[[nodiscard]] std::uint32_t relation_of_insert(std::string_view message) noexcept;

/// Gives an accepted Commit message another CommitMessage::position.
void set_commit_position(std::span<char, commit_message_size> message, std::uint64_t position) noexcept;

/// The next column of an accepted message; `rest` begins as its `columns`, and is shortened.
[[nodiscard]] RelationColumn take_relation_column(std::string_view* rest) noexcept;
[[nodiscard]] ColumnValue take_column_value(std::string_view* rest) noexcept;

}  // namespace meridian
