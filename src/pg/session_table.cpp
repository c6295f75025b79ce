// Locks: a partition's lock guards the partition, is held for a few hundred instructions, and never across I/O or
// another lock.
//
// A partition knows whether it is the authority of this primary's timeline, or the mirror of a standby. Whoever uses it
// makes it what it has to be, under its lock: so nothing has to happen at the moment of a promotion, and what a standby
// mirrored is void as soon as it writes itself. A table that begins as authority knows nothing of the writes before; it
// puts the floor where the WAL stood that recovery brought, or the checkpoint from which the server started. Both are
// the end or the start of a record, so that standbys pass them; the present insert position may lie behind a page
// header that no standby reports.
//
// A mirror may be written late, by a worker that has not noticed the promotion: under the lock it looks whether
// recovery has ended. If not, the partition cannot be the authority yet.
#include "pg/session_table.hpp"

#include "pg/session_file.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/guard.hpp"

namespace meridian::pg {

char* session_setting;
int max_sessions;

namespace {

struct SharedState {
  pg_atomic_uint64 gave_way;
  pg_atomic_uint64 expired;
  XLogRecPtr started_from;  ///< redo position of the checkpoint from which the server started; constant
};

SharedState* state = nullptr;
/// In shared memory, behind `state`.
LWLockPadded* locks = nullptr;
SessionTable table;

/// Of meridian.session, whose `extra` it is; null if that is empty.
const SessionKey* current_key = nullptr;

std::uint32_t places() { return static_cast<std::uint32_t>(max_sessions); }
Size locks_offset() { return CACHELINEALIGN(sizeof(SharedState)); }
Size table_offset() { return locks_offset() + sizeof(LWLockPadded) * SessionTable::partitions_for(places()); }

LWLock* lock_of(std::uint32_t partition) { return &locks[partition].lock; }

/// Under the exclusive lock, on a primary. Raises nothing.
void own(std::uint32_t partition, TimeLineID timeline) noexcept {
  if (table.is(partition, SessionRole::authority, timeline)) return;
  const XLogRecPtr floor = std::max(GetXLogReplayRecPtr(nullptr), state->started_from);
  table.begin(partition, SessionRole::authority, timeline, {floor, GetCurrentTimestamp()});
}

}  // namespace

extern "C" bool meridian_check_session_name(char** value, void** extra, GucSource) {
  if ((*value)[0] == '\0') return true;
  if (!is_session_name(*value)) {
    GUC_check_errmsg("not the name of a session");
    GUC_check_errdetail("It must be 1 to %zu printable ASCII characters.", max_session_name);
    GUC_check_errhint("Use an identifier such as that of the user, or a digest.");
    return false;
  }
  auto* key = static_cast<SessionKey*>(compat::guc_allocate(sizeof(SessionKey)));
  if (key == nullptr) return false;
  *key = session_key(*value);
  *extra = key;
  return true;
}

extern "C" void meridian_assign_session_name(const char*, void* extra) {
  current_key = static_cast<const SessionKey*>(extra);
}

bool tracks_sessions() { return table.partitions() > 0; }

void note_session_commit(XLogRecPtr end) noexcept {
  if (current_key == nullptr || !tracks_sessions()) return;
  const std::uint32_t partition = table.partition_of(*current_key);
  const LastWrite write{end, GetCurrentTransactionStopTimestamp()};
  LWLockAcquire(lock_of(partition), LW_EXCLUSIVE);
  own(partition, GetWALInsertionTimeLine());
  const bool gave_way = table.note(*current_key, write);
  LWLockRelease(lock_of(partition));
  if (gave_way) pg_atomic_fetch_add_u64(&state->gave_way, 1);
}

LastWrite last_write_of(const SessionKey& key) {
  const std::uint32_t partition = table.partition_of(key);
  const TimeLineID timeline = GetWALInsertionTimeLine();
  LWLockAcquire(lock_of(partition), LW_SHARED);
  const bool owned = table.is(partition, SessionRole::authority, timeline);
  LastWrite write = owned ? table.last_write(key) : LastWrite{};
  LWLockRelease(lock_of(partition));
  if (owned) return write;
  LWLockAcquire(lock_of(partition), LW_EXCLUSIVE);
  own(partition, timeline);
  write = table.last_write(key);
  LWLockRelease(lock_of(partition));
  return write;
}

void mirror_session(const SessionKey& key, const Position& position, TimestampTz time) {
  if (!tracks_sessions()) return;
  const std::uint32_t partition = table.partition_of(key);
  LWLockAcquire(lock_of(partition), LW_EXCLUSIVE);
  if (RecoveryInProgress()) {
    if (!table.is(partition, SessionRole::mirror, position.timeline))
      table.begin(partition, SessionRole::mirror, position.timeline, {});
    table.note(key, {position.lsn, time});
  }
  LWLockRelease(lock_of(partition));
}

bool mirrored_session(const SessionKey& key, Position* position) {
  if (!tracks_sessions()) return false;
  const std::uint32_t partition = table.partition_of(key);
  LWLockAcquire(lock_of(partition), LW_SHARED);
  const SessionEntry* const entry = table.role(partition) == SessionRole::mirror ? table.find(key) : nullptr;
  if (entry != nullptr) *position = {GetSystemIdentifier(), table.timeline(partition), entry->write.lsn};
  LWLockRelease(lock_of(partition));
  return entry != nullptr;
}

void own_all_sessions() {
  if (RecoveryInProgress()) return;
  const TimeLineID timeline = GetWALInsertionTimeLine();
  for (std::uint32_t i = 0; i < table.partitions(); ++i) {
    LWLockAcquire(lock_of(i), LW_EXCLUSIVE);
    own(i, timeline);
    LWLockRelease(lock_of(i));
  }
}

bool forget_session(const SessionKey& key) {
  if (!tracks_sessions()) return false;
  const std::uint32_t partition = table.partition_of(key);
  LWLockAcquire(lock_of(partition), LW_EXCLUSIVE);
  const bool found = table.forget(key);
  LWLockRelease(lock_of(partition));
  return found;
}

void sweep_sessions(const SessionExpiry& expiry, std::uint32_t* progress) {
  constexpr std::uint32_t steps = 256;
  std::uint32_t dropped = 0;
  for (std::uint32_t i = 0; i < table.partitions(); ++i) {
    LWLockAcquire(lock_of(i), LW_EXCLUSIVE);
    const SessionTable::Sweep sweep = table.sweep(i, progress[i], steps, expiry);
    LWLockRelease(lock_of(i));
    progress[i] = sweep.next;
    dropped += sweep.dropped;
  }
  if (dropped > 0) pg_atomic_fetch_add_u64(&state->expired, dropped);
}

std::uint32_t copy_sessions(std::uint32_t partition, SessionEntry* entries) {
  std::uint32_t count = 0;
  LWLockAcquire(lock_of(partition), LW_SHARED);
  table.for_each(partition, [entries, &count](const SessionEntry& entry) { entries[count++] = entry; });
  LWLockRelease(lock_of(partition));
  return count;
}

std::uint32_t session_partitions() { return table.partitions(); }
std::uint32_t session_partition_capacity() { return table.capacity(); }

SessionCounts count_sessions() {
  if (!tracks_sessions()) return {};
  SessionCounts counts{0, pg_atomic_read_u64(&state->gave_way), pg_atomic_read_u64(&state->expired)};
  for (std::uint32_t i = 0; i < table.partitions(); ++i) {
    LWLockAcquire(lock_of(i), LW_SHARED);
    counts.sessions += table.count(i);
    LWLockRelease(lock_of(i));
  }
  return counts;
}

Size session_table_shmem_size() { return table_offset() + SessionTable::bytes(places()); }

void session_table_shmem_init() {
  bool found;
  char* const memory = static_cast<char*>(ShmemInitStruct("meridian sessions", session_table_shmem_size(), &found));
  state = reinterpret_cast<SharedState*>(memory);
  locks = reinterpret_cast<LWLockPadded*>(memory + locks_offset());
  table = max_sessions == 0 ? SessionTable() : SessionTable(memory + table_offset(), places());
  if (!found) {
    pg_atomic_init_u64(&state->gave_way, 0);
    pg_atomic_init_u64(&state->expired, 0);
    const int tranche = LWLockNewTrancheId();
    for (std::uint32_t i = 0; i < table.partitions(); ++i) LWLockInitialize(lock_of(i), tranche);
    table.reset();
    state->started_from = load_session_file(table);
  }
  if (tracks_sessions()) LWLockRegisterTranche(lock_of(0)->tranche, "MeridianSessions");
  if (!IsUnderPostmaster) on_shmem_exit(meridian_save_sessions, PointerGetDatum(&table));
}

}  // namespace meridian::pg
