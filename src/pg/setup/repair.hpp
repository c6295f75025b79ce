// Sending states again, outside the stream: whatever was lost comes back, and what was not does no harm, because states
// merge.
#pragma once

#include "pg/setup/pair.hpp"

namespace meridian::pg::setup {

/// Everything that two members know of these tables, both ways: afterwards both know what either knew. For a raised
/// epoch, a lost slot, a dropped node. Returns how many states were sent.
std::int64_t heal(Session& session, Node& left, Node& right, const std::vector<Table>& tables);

}  // namespace meridian::pg::setup
