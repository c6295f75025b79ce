// Read from the shared memory of walsenders and slots, as pg_stat_replication does, without SQL: the worker has no
// database.
//
// A replay lag is measured by the walsender: from the flush of a position here until the standby says that it has
// replayed it. There is none while nothing is written. A logical walsender is told by its slot; its standing is that of
// another member, not of a replica.
#include "pg/replica_lag.hpp"

#include "core/lag_histogram.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/guard.hpp"

namespace meridian::pg {
namespace {

struct LagState {
  LWLock lock;
  LagHistogram histogram;
};
static_assert(std::is_trivially_copyable_v<LagHistogram>);

LagState* state = nullptr;

struct Standby {
  XLogRecPtr applied;
  TimeOffset lag_us;  ///< -1: none was measured
};

/// What slots say. The array is palloc'd.
struct Slots {
  XLogRecPtr received;  ///< by all physical slots; UINT64_MAX if there are none
  int logical_count;
  pid_t* logical;  ///< processes that use logical slots
};

Slots look_at_slots() {
  Slots slots{UINT64_MAX, 0, nullptr};
  slots.logical = static_cast<pid_t*>(palloc(sizeof(pid_t) * (static_cast<Size>(max_replication_slots) + 1)));
  LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
  for (int i = 0; i < max_replication_slots; ++i) {
    ReplicationSlot* const slot = &ReplicationSlotCtl->replication_slots[i];
    if (!slot->in_use) continue;
    SpinLockAcquire(&slot->mutex);
    const bool logical = slot->data.database != InvalidOid;
    const bool holds = !compat::is_invalidated(slot->data) && !XLogRecPtrIsInvalid(slot->data.restart_lsn);
    const XLogRecPtr received = slot->data.restart_lsn;
    const pid_t user = slot->active_pid;
    SpinLockRelease(&slot->mutex);
    if (logical) {
      slots.logical[slots.logical_count++] = user;
    } else if (holds) {
      slots.received = std::min(slots.received, received);
    }
  }
  LWLockRelease(ReplicationSlotControlLock);
  return slots;
}

/// Looks at walsender number `i`; false if no standby replays through it.
bool look_at_standby(int i, const Slots& slots, Standby* standby) {
  WalSnd* const sender = &WalSndCtl->walsnds[i];
  SpinLockAcquire(&sender->mutex);
  const pid_t pid = sender->pid;
  const WalSndState sending = sender->state;
  *standby = {sender->apply, sender->applyLag};
  SpinLockRelease(&sender->mutex);
  if (pid == 0 || XLogRecPtrIsInvalid(standby->applied)) return false;
  if (sending != WALSNDSTATE_STREAMING && sending != WALSNDSTATE_CATCHUP) return false;
  return std::find(slots.logical, slots.logical + slots.logical_count, pid) == slots.logical + slots.logical_count;
}

}  // namespace

XLogRecPtr passed_by_all() {
  const Slots slots = look_at_slots();
  XLogRecPtr passed = slots.received;
  Standby standby;
  for (int i = 0; i < max_wal_senders; ++i) {
    if (look_at_standby(i, slots, &standby)) passed = std::min(passed, standby.applied);
  }
  pfree(slots.logical);
  return passed;
}

void sample_replica_lag() {
  const Slots slots = look_at_slots();
  const TimestampTz now = GetCurrentTimestamp();
  Standby standby;
  for (int i = 0; i < max_wal_senders; ++i) {
    if (!look_at_standby(i, slots, &standby) || standby.lag_us < 0) continue;
    LWLockAcquire(&state->lock, LW_EXCLUSIVE);
    state->histogram.add(now, standby.lag_us);
    LWLockRelease(&state->lock);
  }
  pfree(slots.logical);
}

ReplicaLag replica_lag() {
  if (state == nullptr) return {};
  const TimestampTz now = GetCurrentTimestamp();
  LWLockAcquire(&state->lock, LW_SHARED);
  const ReplicaLag lag{state->histogram.count(now), state->histogram.percentile(now, 99).value_or(0)};
  LWLockRelease(&state->lock);
  return lag;
}

Size replica_lag_shmem_size() { return MAXALIGN(sizeof(LagState)); }

void replica_lag_shmem_init() {
  bool found;
  state = static_cast<LagState*>(ShmemInitStruct("meridian replica lag", replica_lag_shmem_size(), &found));
  if (!found) {
    LWLockInitialize(&state->lock, LWLockNewTrancheId());
    state->histogram = {};
  }
  LWLockRegisterTranche(state->lock.tranche, "MeridianReplicaLag");
}

}  // namespace meridian::pg
