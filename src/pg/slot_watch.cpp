// One place for each slot of the server, at the slot's own index, so nothing has to be searched and nothing can be
// full. Who finds a slot unused that it has not seen in use since, writes down that moment: up to a second late, and
// the server's start at the earliest. `state->lock` guards the places.
#include "pg/slot_watch.hpp"

#include "pg/support/compat.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg {
namespace {

struct Watched {
  NameData slot;
  TimestampTz inactive_since;  ///< 0: in use
};

struct WatchState {
  LWLock lock;
  Watched slots[FLEXIBLE_ARRAY_MEMBER];
};

WatchState* state = nullptr;

void watch(Watched* watched, const NameData& name, bool in_use, TimestampTz now) {
  if (strcmp(NameStr(watched->slot), NameStr(name)) != 0) *watched = {name, 0};
  if (in_use) {
    watched->inactive_since = 0;
  } else if (watched->inactive_since == 0) {
    watched->inactive_since = now;
  }
}

}  // namespace

void watch_slots() {
  const TimestampTz now = GetCurrentTimestamp();
  LWLockAcquire(&state->lock, LW_EXCLUSIVE);
  LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
  for (int i = 0; i < max_replication_slots; ++i) {
    ReplicationSlot* const slot = &ReplicationSlotCtl->replication_slots[i];
    SpinLockAcquire(&slot->mutex);
    const NameData name = slot->data.name;
    const bool in_use = slot->active_pid != 0;
    SpinLockRelease(&slot->mutex);
    if (slot->in_use) {
      watch(&state->slots[i], name, in_use, now);
    } else {
      state->slots[i] = {};
    }
  }
  LWLockRelease(ReplicationSlotControlLock);
  LWLockRelease(&state->lock);
}

Size slot_watch_shmem_size() {
  return MAXALIGN(offsetof(WatchState, slots) + sizeof(Watched) * static_cast<Size>(max_replication_slots));
}

void slot_watch_shmem_init() {
  bool found;
  state = static_cast<WatchState*>(ShmemInitStruct("meridian slot watch", slot_watch_shmem_size(), &found));
  if (!found) {
    std::memset(static_cast<void*>(state), 0, slot_watch_shmem_size());
    LWLockInitialize(&state->lock, LWLockNewTrancheId());
  }
  LWLockRegisterTranche(state->lock.tranche, "MeridianSlotWatch");
}

}  // namespace meridian::pg

/// meridian.read_slot_watch() returns set of (slot name, inactive_since timestamptz)
MERIDIAN_FUNCTION(meridian_read_slot_watch)
{
  using namespace meridian::pg;
  InitMaterializedSRF(fcinfo, 0);
  auto* const result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  for (int i = 0; state != nullptr && i < max_replication_slots; ++i) {
    LWLockAcquire(&state->lock, LW_SHARED);
    Watched watched = state->slots[i];
    LWLockRelease(&state->lock);
    if (watched.inactive_since == 0) continue;
    const Datum values[] = {NameGetDatum(&watched.slot), TimestampTzGetDatum(watched.inactive_since)};
    const bool nulls[] = {false, false};
    tuplestore_putvalues(result->setResult, result->setDesc, const_cast<Datum*>(values), const_cast<bool*>(nulls));
  }
  PG_RETURN_NULL();
}
