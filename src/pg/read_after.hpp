// meridian.read_after: a session reads nothing older than the writes that this token speaks of.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

enum class ReadAfterAction : int { error, proceed };

/// The settings. `read_after` is any text: what it is worth is found out when it is waited for.
extern char* read_after;
extern int read_after_timeout_ms;
extern int read_after_action;

extern "C" void meridian_assign_read_after(const char* value, void* extra);

/// Installs the hooks on statements. Called once, by `_PG_init`.
void install_read_after_hooks();

}  // namespace meridian::pg
