// The settings `meridian.*` (GUCs). The strings belong to PostgreSQL's GUC machinery and are never NULL.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// `meridian.node`: the name of this server, not of its member: a standby has its own. Empty if not set.
extern char* node_name;
/// `meridian.region`: where this server stands. Empty if not set.
extern char* region_name;
/// `meridian.database`: the one replicated database of this server.
extern char* database_name;
/// `meridian.max_clock_skew`, milliseconds: how far in the future a stamp from a peer may lie.
extern int max_clock_skew_ms;
/// `meridian.conflict_rate_limit`: entries of the conflict history per second on this server; 0 for no limit.
extern int conflict_rate_limit;

/// `meridian.allow_truncate`: TRUNCATE of a replicated table deletes its rows on all nodes instead of being refused.
extern bool allow_truncate;

/// `meridian.max_waiters`: how many backends can wait for tokens without polling.
extern int max_waiters;

/// Defines every setting. Called once, by `_PG_init`.
void define_settings();

}  // namespace meridian::pg
