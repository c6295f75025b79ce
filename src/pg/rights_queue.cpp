#include "pg/rights_queue.hpp"

#include "pg/keeper.hpp"

namespace meridian::pg {
namespace {

constexpr int capacity = 64;

/// The keeper is woken at most so often; it runs all its tasks then.
constexpr std::int64_t wake_pause_us = 200'000;

struct Queue {
  LWLock lock;
  int count;
  TimestampTz woken_at;
  RightsTask tasks[capacity];
};

Queue* queue = nullptr;

bool same_row(const RightsTask& a, const RightsTask& b) {
  return a.relation == b.relation && a.key_size == b.key_size && std::memcmp(a.key, b.key, a.key_size) == 0;
}

// Of two questions for one row and right the newer one is asked: it knows more.
bool replaces(const RightsTask& newer, const RightsTask& older) {
  if (newer.asks != older.asks || !same_row(newer, older)) return false;
  return !newer.asks || (newer.bound == older.bound && newer.right == older.right);
}

void put(const RightsTask& task) {
  bool wake = false;
  LWLockAcquire(&queue->lock, LW_EXCLUSIVE);
  int place = 0;
  while (place < queue->count && !replaces(task, queue->tasks[place])) ++place;
  if (place < capacity) {
    queue->tasks[place] = task;
    queue->count = std::max(queue->count, place + 1);
    const TimestampTz now = GetCurrentTimestamp();
    wake = now >= queue->woken_at + wake_pause_us;
    if (wake) queue->woken_at = now;
  }
  LWLockRelease(&queue->lock);
  if (wake) wake_keeper();
}

bool begin(RightsTask* task, Oid relation, ArrayType* key) {
  if (queue == nullptr || VARSIZE(key) > RightsTask::max_key) return false;
  *task = RightsTask{};
  task->relation = relation;
  task->key_size = static_cast<std::uint16_t>(VARSIZE(key));
  std::memcpy(task->key, key, task->key_size);
  return true;
}

}  // namespace

void queue_rights_task(Oid relation, ArrayType* key) {
  RightsTask task;
  if (begin(&task, relation, key)) put(task);
}

void queue_rights_task(Oid relation, ArrayType* key, int bound, Right right, const char* level) {
  RightsTask task;
  if (std::strlen(level) >= RightsTask::max_level || !begin(&task, relation, key)) return;
  task.asks = true;
  task.bound = static_cast<std::uint16_t>(bound);
  task.right = right;
  strlcpy(task.level, level, RightsTask::max_level);
  put(task);
}

int take_rights_tasks(RightsTask* tasks, int limit) {
  if (queue == nullptr) return 0;
  LWLockAcquire(&queue->lock, LW_EXCLUSIVE);
  const int taken = std::min(limit, queue->count);
  std::memcpy(tasks, queue->tasks, sizeof(RightsTask) * static_cast<Size>(taken));
  queue->count -= taken;
  std::memmove(queue->tasks, queue->tasks + taken, sizeof(RightsTask) * static_cast<Size>(queue->count));
  LWLockRelease(&queue->lock);
  return taken;
}

Size rights_queue_shmem_size() { return MAXALIGN(sizeof(Queue)); }

void rights_queue_shmem_init() {
  bool found = false;
  queue = static_cast<Queue*>(ShmemInitStruct("meridian rights queue", rights_queue_shmem_size(), &found));
  if (!found) {
    LWLockInitialize(&queue->lock, LWLockNewTrancheId());
    queue->count = 0;
    queue->woken_at = 0;
  }
  LWLockRegisterTranche(queue->lock.tranche, "MeridianRights");
}

}  // namespace meridian::pg
