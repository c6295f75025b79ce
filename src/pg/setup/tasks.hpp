// What a worker does, one function per public SQL function; each returns the text of its result. Core lane.
#pragma once

#include <string>

#include "pg/setup/session.hpp"

namespace meridian::pg::setup {

/// Arguments: name, region, dsn, streams. Result: the member's number.
std::string create_node(Session& session);
/// Arguments: name, region, dsn, via, streams. Result: the member's number.
std::string join(Session& session);
/// Arguments: dsn of this member.
std::string leave(Session& session);
/// Arguments: dsn of this member, name of the other.
std::string drop_node(Session& session);
/// Arguments: dsn of this member, then the rules. The table is Request::relation.
std::string replicate(Session& session);
/// Arguments: dsn of this member.
std::string unreplicate(Session& session);
/// Arguments: dsn of this member, name of the other. The table is Request::relation. Rows: key, kind, tombstone.
std::string compare(Session& session);
/// Arguments as compare. Result: how many rows were sent again.
std::string repair(Session& session);
/// Arguments: dsn of this member, name of the other, stamp. Result: how many states were sent.
std::string resend(Session& session);
/// Arguments: dsn of this member, name of the other. Result as resend.
std::string heal(Session& session);
/// Arguments: number of the owning member, step, how many connection strings, these, then the step's arguments with a
/// flag before each: `1` for a text, `0` for NULL (then an empty text).
std::string change_registry(Session& session);
/// Arguments: dsn of this member, then `finish`; `rule`, rule; `add` or `set`, region, weight; `drop`, region; `pin`,
/// key, region; `unpin`, key; or `take`, key or region, region, `t` to force. Result: the number of the change, or what
/// `finish` had to do.
std::string rehome(Session& session);

}  // namespace meridian::pg::setup
