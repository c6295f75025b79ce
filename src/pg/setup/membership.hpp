// A member that was dropped while it was down learns of it.
#pragma once

namespace meridian::pg::setup {

/// Keeper task: if a peer does not send, starts a worker that asks it whether it still knows this member.
void watch_membership();

}  // namespace meridian::pg::setup
