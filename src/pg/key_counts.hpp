// Where requests for keys come from: what is written here, and what was tried here and belongs elsewhere.
#pragma once

#include "pg/home_map.hpp"

namespace meridian::pg {

/// `meridian.counted_keys`: how many keys; 0: none is counted.
extern int counted_keys;

/// A row of the key is written here, or was refused or forwarded.
void count_key(std::string_view key, bool away);

/// Shared memory, for the hooks in module.cpp.
Size key_counts_shmem_size();
void key_counts_shmem_init();

}  // namespace meridian::pg
