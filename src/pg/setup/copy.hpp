// Existing rows on their way between nodes.
//
// Rows travel as states and merge, so order, repetition and rows that change meanwhile do no harm. What must hold: the
// copy begins after the receiver has begun to listen to the source, so that what the copy's snapshot misses comes in
// the stream. And what is parked on the source must be read before its rows or in the same snapshot: a change that
// leaves the parking lot between the two reads would be in neither. So a table is read in one snapshot.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "pg/setup/mesh.hpp"

namespace meridian::pg::setup {

/// A row of meridian.replicated_table with the table's name, quoted, the same on every node.
struct Table {
  int id = 0;
  std::string name;
  std::string rules;  ///< text[] literal
  std::string ids;
  std::string keys;  ///< name[] literal
  friend bool operator==(const Table&, const Table&) = default;
};

std::vector<Table> read_tables(Connection& db);

/// What of a table is copied: by default everything, what is parked included. Tables whose rows carry no stamps are
/// copied as a whole, unless `keys` are given.
struct Selection {
  int member = 0;  ///< only what this member wrote after `since`; 0: what holds a write stamped since then
  std::int64_t since = 0;
  std::string keys;  ///< only these, without what is parked: a text[] literal of two dimensions
};

/// Copies tables between nodes, over connections of its own that are kept for the next copy.
class Copier {
 public:
  explicit Copier(Session& session) : session_(session) {}
  /// What is parked, tombstones and rows of these tables, each table as of one moment. Returns how many that were.
  std::int64_t copy(Node& source, Node& target, const std::vector<Table>& tables, const Selection& selection = {});
  /// Makes what was copied durable. To be called before the copy is reported as done.
  void flush();

 private:
  Connection& connection(Node& node);
  std::int64_t copy_table(Node& source, Node& target, const Table& table, const Selection& selection);

  Session& session_;
  std::map<Node*, std::unique_ptr<Connection>> connections_;
};

}  // namespace meridian::pg::setup
