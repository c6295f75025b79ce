// A row that PostgreSQL's worker could not hand to the trigger of its table is brought here instead, or parked.
#pragma once

#include "pg/remote_table.hpp"

namespace meridian::pg {

/// Does for one row all that the worker and the trigger would have done, in a subtransaction. If it fails because the
/// row does not fit, the row is parked as it was sent. Needs a transaction and an active snapshot; leaves no memory
/// behind in the current context. Raises what is none of the row's business. False, and nothing is done, if the row
/// fits by its columns and is too large to be looked at here (jsonb: 256 MB): the worker may be able to apply it.
bool bring_or_park(RemoteTable* table, const InsertMessage& row);

}  // namespace meridian::pg
