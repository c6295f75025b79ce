// meridian.execute_at(): one statement in another region.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// `meridian.forward_timeout`, milliseconds: for connecting and for the statement together.
extern int forward_timeout_ms;
/// `meridian.forward_after_write`: also in a transaction that has written here.
extern bool forward_after_write;

}  // namespace meridian::pg
