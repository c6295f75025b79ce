// Statements in another region: meridian.execute_at() and the trigger mode=forward.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// `meridian.forward_timeout`, milliseconds: for connecting and for the statement together.
extern int forward_timeout_ms;
/// `meridian.forward_after_write`: also in a transaction that has written here.
extern bool forward_after_write;

/// The application_name of sessions in other regions.
inline constexpr char forward_application_name[] = "meridian forward";

/// One parameterized statement, in PostgreSQL's memory.
struct RemoteStatement {
  const char* region;
  const char* sql;
  int count;
  const char** values;  ///< texts; null: NULL
};

/// Texts in the caller's memory.
struct RemoteResult {
  const char* rows;     ///< JSON
  const char* command;  ///< its status: "UPDATE 1"
  const char* token;    ///< of its commit; empty if it wrote nothing
};

/// Executes the statement on the primary of the region, in a transaction of its own, with the current user's login
/// there; merges the token into `meridian.last_write`. Raises the other server's error as it is, 08001 if it was not
/// reached, 08007 or 57014 if nobody knows. The caller looks at rights, and whether the local transaction has written.
RemoteResult execute_in_region(const RemoteStatement& statement);

}  // namespace meridian::pg
