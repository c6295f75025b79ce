// Writing a merged row into its table, or finding out why the table does not take it.
//
// Merging may not fail, but a table may refuse the result: a unique key that another row holds, a CHECK, a NOT NULL
// that the other node does not have, a user trigger. Nothing of that may end the apply worker, which would bring the
// same row again for ever. What each kind costs:
//   nothing        a table without such demands
//   an index look  a secondary unique key; found before the write, so no subtransaction is needed
//   a subtransaction without transaction id   CHECK constraints and generated columns, tried before the write
//   a subtransaction around the write         code that may do anything: triggers, index expressions, exclusion
// A failure that slips through (a race for a unique key) ends the worker once; see become_careful().
#pragma once

#include "pg/refusal.hpp"
#include "pg/row_access.hpp"
#include "pg/row_slots.hpp"

namespace meridian::pg {

enum class Admission {
  done,
  again,    ///< somebody changed the row meanwhile: look again
  refused,  ///< nothing is written; or, after a clash of unique keys, the row has been taken out of the table
};

/// A row on its way into the table.
struct Candidate {
  Relation relation;
  RowPlan* plan;
  const Slots* slots;
  RowValues row;
  bool exists;       ///< it replaces the version in slots->found
  bool is_repeated;  ///< it was refused before: a clash that is still there is no news
};

/// Writes the row. Rows that must give way to it (unique_keys.hpp) are taken out and parked. On Admission::refused
/// `refusal` says why, and the caller parks `candidate.row`.
Admission admit(const Candidate& candidate, Refusal* refusal);

}  // namespace meridian::pg
