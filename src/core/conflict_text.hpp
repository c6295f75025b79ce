// A conflict in plain words: what two nodes did without knowing of each other, who won, by which rule, and where the
// other's values are.
#pragma once

#include <string>
#include <string_view>

namespace meridian {

/// One side of a conflict.
struct ConflictAuthor {
  std::string_view node;  ///< name of the member that wrote
  std::string_view time;  ///< when, as text; empty if the row was there before replication
};

/// An entry of the conflict history. Kinds and winners that are not known here get a sentence too.
struct ConflictFacts {
  std::string_view table;
  std::string_view key;
  std::string_view
      kind;  ///< insert_insert, update_update, update_delete, delete_update: local first, incoming second; unique
  std::string_view winner;  ///< local, incoming, merged
  std::string_view rule;    ///< all rules of the table; "row=lww" if it has none
  ConflictAuthor local;
  ConflictAuthor incoming;
};

/// Two sentences of English.
[[nodiscard]] std::string explain_conflict(const ConflictFacts& facts);

}  // namespace meridian
