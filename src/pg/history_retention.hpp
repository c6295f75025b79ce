// Partitions of the conflict history: made ahead and dropped when they are old.
#pragma once

namespace meridian::pg {

/// Keeper task: runs meridian.keep_conflicts().
void keep_history();

}  // namespace meridian::pg
