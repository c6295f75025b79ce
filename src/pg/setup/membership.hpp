// A member that was dropped while it was down learns of it.
#pragma once

namespace meridian::pg::setup {

/// Keeper task: if a peer does not send, starts a worker that asks it whether it still knows this member.
void watch_membership();

/// Keeper task: asks the other members what became of this server's keys, until that is known.
void watch_homes();

}  // namespace meridian::pg::setup
