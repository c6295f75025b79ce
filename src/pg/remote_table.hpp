// What the sender of a stream has told about its tables and types, and whether the tables of this node fit.
//
// The sender describes a table once per stream, and again when it may have changed, so descriptions are kept for the
// life of the stream. Whether the local table fits is found out when the first row comes, and again after any
// invalidation of a table, schema or subscription; in between it costs a comparison of two numbers.
#pragma once

#include "core/logical_message.hpp"
#include "pg/parked.hpp"

namespace meridian::pg {

struct RemoteColumn {
  const char* name;
  std::uint32_t type;  ///< the sender's oid
};

struct RemoteTable {
  std::uint32_t id;  ///< the sender's oid
  SentTable name;
  int column_count;
  RemoteColumn* columns;
  MemoryContext context;
  std::uint64_t compared;  ///< when; see compare_with_local()
  Oid local;               ///< the table of that name here, or 0
  bool fits;               ///< PostgreSQL's worker finds the table, and in it every column
  bool is_ours;            ///< replicated, or meridian.tombstone: rows can be brought without the worker
};

struct RemoteType {
  const char* schema;
  const char* name;
};

/// A new stream begins.
void forget_remote_tables();
void remember_relation(const RelationMessage& message);
void remember_type(const TypeMessage& message);

/// Null if the sender has not described it.
RemoteTable* find_remote_table(std::uint32_t id);
/// The name of one of the sender's types. Built-in types have the same oid everywhere; the sender names the others.
RemoteType name_remote_type(std::uint32_t type);

/// True if nothing has changed since the comparison.
bool is_compared(const RemoteTable* table);
/// Finds out whether the local table fits. Needs a transaction.
void compare_with_local(RemoteTable* table);

}  // namespace meridian::pg
