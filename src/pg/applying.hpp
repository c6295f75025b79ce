// Whether rows written by this process come from a peer.
#pragma once

#include "core/stream.hpp"

namespace meridian::pg {

/// True in a logical replication apply worker, in a session that called meridian.begin_apply(), and while an ApplyMode
/// lives.
bool applying();

/// The stream that this apply worker applies, by the name of its slot; the only one if it applies none.
Stream arriving_stream();

/// Puts this process into apply mode: our triggers merge, and what is written is not sent on to the peers, since they
/// received it themselves. For a session (begin_apply) or for the work of the keeper.
void enter_apply_mode();
/// Ends it. Harmless if not in apply mode.
void leave_apply_mode();

}  // namespace meridian::pg
