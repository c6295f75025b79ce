// What is to be done about rights of bounded columns, from those that notice it to the keeper: in shared memory,
// because the transaction that notices that it lacks rights fails.
//
// A small ring. What finds it full, or is lost with a restart, is noticed again with the next refused write or the next
// image. Without preload there is none, and rights move by meridian.transfer_rights() alone.
#pragma once

#include "core/rights.hpp"
#include "pg/support/postgres.hpp"

namespace meridian::pg {

struct RightsTask {
  static constexpr std::size_t max_key = 448;
  static constexpr std::size_t max_level = 64;
  Oid relation;  ///< the partition that holds the row
  bool asks;     ///< this server wants rights; else others want some of its own
  std::uint16_t bound;
  Right right;
  std::uint16_t key_size;
  char level[max_level];  ///< how many it wants
  char key[max_key];      ///< key_texts(), a text[]
};

/// Adds a task unless it is there already; drops it if there is no room for it or its key.
void queue_rights_task(Oid relation, ArrayType* key);
void queue_rights_task(Oid relation, ArrayType* key, int bound, Right right, const char* level);

/// Takes out up to `limit` tasks, the oldest first; returns how many.
int take_rights_tasks(RightsTask* tasks, int limit);

Size rights_queue_shmem_size();
void rights_queue_shmem_init();

}  // namespace meridian::pg
