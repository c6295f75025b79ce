// This member's progress, published to the others. Rules: core/stability.hpp.
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// Keeper task: publishes what this member has applied, when there is news.
void publish_progress();

}  // namespace meridian::pg
