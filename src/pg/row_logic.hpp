// What becomes of a row when a peer's image or tombstone meets it: the one interface of the two modes.
//
// `resolve(...)` tables decide by row state (state_logic.cpp), `lww('column')` tables by a timestamp column (lww.cpp).
// Both only decide; apply.cpp finds, locks and writes. Verdicts are palloc'd in the current context.
#pragma once

#include "pg/history.hpp"
#include "pg/row_values.hpp"

namespace meridian::pg {

enum class Action { keep, replace, remove };

struct Verdict {
  Action action;
  RowValues row;     ///< for Action::replace
  bool merged;       ///< neither side's row survived as it was
  bool conflict;     ///< the two were concurrent
  const char* kind;  ///< for a conflict, as in history.hpp
  const char* winner;
};

/// An incoming image meets the local row.
Verdict merge_rows(Relation relation, const RowPlan* plan, const RowValues& local, const RowValues& incoming,
                   const TombstoneData& tombstone);
/// A tombstone meets a row: `remove`, `replace` by what is left of it, or `keep`. `conflict`: the deleter had not seen
/// all of it.
Verdict bury_row(Relation relation, const RowPlan* plan, const RowValues& row, const TombstoneData& tombstone);
/// True if a tombstone must be looked up before `incoming` may be merged into `local`.
bool needs_tombstone(Relation relation, const RowPlan* plan, const RowValues& local, const RowValues& incoming);
/// Newest write in a row, for the history.
ConflictSide conflict_side(Relation relation, const RowPlan* plan, const RowValues& row);

/// The two implementations.
namespace by_state {
Verdict merge_rows(Relation relation, const RowPlan* plan, const RowValues& local, const RowValues& incoming,
                   const TombstoneData& tombstone);
Verdict bury_row(Relation relation, const RowPlan* plan, const RowValues& row, const TombstoneData& tombstone);
}  // namespace by_state
namespace by_timestamp {
Verdict merge_rows(Relation relation, const RowPlan* plan, const RowValues& local, const RowValues& incoming);
Verdict bury_row(const RowPlan* plan, const RowValues& row, const TombstoneData& tombstone);
/// The timestamp column, microseconds since 2000; INT64_MIN if NULL.
std::int64_t timestamp_of(const RowPlan* plan, const RowValues& row);
}  // namespace by_timestamp

}  // namespace meridian::pg
