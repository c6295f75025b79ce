// SQLSTATEs of Meridian's own class MD: only conditions that a client or an operator branches on.
// Everything else uses PostgreSQL's own codes.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// MD010: this server's name, timeline or system is not the one the mesh knows; nothing is stamped or merged until
/// the keeper or `meridian.confirm_identity()` raises the epoch.
inline constexpr int errcode_identity_not_confirmed = MAKE_SQLSTATE('M', 'D', '0', '1', '0');

/// MD020: this server is not a member of a mesh.
inline constexpr int errcode_not_a_member = MAKE_SQLSTATE('M', 'D', '0', '2', '0');

/// MD030: what meridian.read_after names has not arrived in time. Retry, here or on another server.
inline constexpr int errcode_write_not_here = MAKE_SQLSTATE('M', 'D', '0', '3', '0');

/// MD031: what meridian.read_after names was lost in a failover. It is nowhere.
inline constexpr int errcode_write_lost = MAKE_SQLSTATE('M', 'D', '0', '3', '1');

/// MD032: meridian.read_after is no token, or none that this server can ever have. Drop it.
inline constexpr int errcode_token_unusable = MAKE_SQLSTATE('M', 'D', '0', '3', '2');

/// MD033: a standby could not ask the primary where a session wrote last. Read from the primary.
inline constexpr int errcode_primary_not_asked = MAKE_SQLSTATE('M', 'D', '0', '3', '3');

/// MD040: this node has too few rights to change a bounded column that far; others may have them.
inline constexpr int errcode_rights_exceeded = MAKE_SQLSTATE('M', 'D', '0', '4', '0');

/// MD050: the key's home is another region: write there. The DETAIL is JSON and names region, epoch and server.
inline constexpr int errcode_not_home = MAKE_SQLSTATE('M', 'D', '0', '5', '0');

/// MD051: the key moves to another home and has none for a moment. Try again.
inline constexpr int errcode_home_moves = MAKE_SQLSTATE('M', 'D', '0', '5', '1');

/// MD052: this region has not heard from the others and cannot know whether it is still the home of its keys.
inline constexpr int errcode_home_unconfirmed = MAKE_SQLSTATE('M', 'D', '0', '5', '2');

/// MD053: this region has lost its lease: too few members answer. Try again, or write in another region.
inline constexpr int errcode_home_lease_ended = MAKE_SQLSTATE('M', 'D', '0', '5', '3');

}  // namespace meridian::pg
