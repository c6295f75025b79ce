// What a worker does, one function per public SQL function; each returns the text of its result. Core lane.
#pragma once

#include <string>

#include "pg/setup/session.hpp"

namespace meridian::pg::setup {

/// Arguments: name, region, dsn. Result: the member's number.
std::string create_node(Session& session);
/// Arguments: name, region, dsn, via. Result: the member's number.
std::string join(Session& session);
/// Arguments: dsn of this member.
std::string leave(Session& session);
/// Arguments: dsn of this member, name of the other.
std::string drop_node(Session& session);
/// Arguments: dsn of this member, then the rules. The table is Request::relation.
std::string replicate(Session& session);
/// Arguments: dsn of this member.
std::string unreplicate(Session& session);

}  // namespace meridian::pg::setup
