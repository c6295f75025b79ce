// The SQL functions on sessions: pg/sessions.cpp has no other callers.
#pragma once

namespace meridian::pg {

/// `meridian.sticky_default`, milliseconds.
extern int sticky_default_ms;

}  // namespace meridian::pg
