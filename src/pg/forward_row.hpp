// Rows that are written away from their home, sent there.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// Of a statement whose rows are forwarded; filled before its first row.
struct ForwardedCommand {
  bool first;  ///< of those in its transaction that lock or write rows
};

/// What is to be known of the running statement.
ForwardedCommand begin_forwarding();

/// A row is written here after all.
void note_local_row();

/// Whether this session works for another region, so that nothing is sent on.
bool is_forwarded_session();

/// Executes what the trigger was called for on the primary of the region (forward.hpp), as one statement for this row.
/// Raises 42501 if the user may not, 25001 in a transaction that has written, 40001 if the row there is not the one
/// that is here, and what execute_in_region() raises.
void forward_row(const ForwardedCommand& command, const char* region, const TriggerData* data);

}  // namespace meridian::pg
