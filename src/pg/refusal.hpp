// What a table refuses, and why: the difference between a row that waits and an error that ends the transaction.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// Why a row cannot enter its table now. Strings live in the context that was current when it was described.
struct Refusal {
  const char* reason;  ///< unique, check, not_null, exclusion, trigger, merge, misfit or refused
  int sqlstate;
  const char* detail;  ///< the error's message, for people
};

/// True for errors that say something about the row or the table's own rules (SQLSTATE classes 0A, 22, 23, 38, 39, 42,
/// 44, 54, P0): they come again however often the row is brought. Deadlocks, cancellation, lack of resources and
/// internal errors are none of the row's business: the worker fails, and tries again.
bool is_refusal(int sqlstate);

/// True for a refusal, and for errors that say that the row does not fit the table as it is (55000, and 08P01 of a
/// binary value that is too short for its type).
bool is_misfit(int sqlstate);

Refusal refusal_of(const ErrorData* error);
/// The same for an error that may be none of the row's business, which goes on as it was.
Refusal refusal_or_rethrow(ErrorData* error);

/// An apply worker has failed on a row of this table with a refusal that nobody expected. For some minutes every row of
/// it is written in a subtransaction, so that the next failure parks one row instead of ending the worker again.
void become_careful(Oid relation);
bool is_careful(Oid relation);

}  // namespace meridian::pg
