// A lag is a round trip on this server's own monotonic clock: from the commit here until the reader has told that it
// applied it, so no two clocks are compared. What is committed here is the last commit of a client on a primary, and
// what has been replayed on a standby; so checkpoints, vacuum and other servers' changes make no lag on an idle system.
// A standby replays before it confirms, and an apply worker confirms after its commit, so what is confirmed is visible.
//
// The sampler looks ten times a second. That leaves each lag in an interval (core/commit_times.hpp); the walsender's
// own measurement, which is exact but begins only when the walsender gets to the commit, decides inside of it. A reader
// that has left a commit waiting for a second gets one sample a second of how long, so that a link that is cut, or
// replay that stands still, shows in the percentiles before it ends.
//
// A reader is remembered for a day after it was seen last; a member of the mesh as long as it has a slot. Of the
// streams of a member, and of standbys with one name, the one that is farthest behind counts.
//
// `state->lock` guards what is shared. The sampler's own memory (`commits`, `senders`) dies with it: a new one begins
// again.
#include "pg/peer_lag.hpp"

#include "core/commit_times.hpp"
#include "core/lag_histogram.hpp"
#include "core/stream.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/function.hpp"
#include "pg/support/monotonic.hpp"
#include "pg/token.hpp"

namespace meridian::pg {
namespace {

constexpr int most_readers = 64;
constexpr std::int64_t second_us = 1'000'000;
constexpr std::int64_t remembered_us = 24 * 3600 * second_us;

/// A quarter of an hour, as LagWindows has it.
using FlushHistogram = decltype(LagWindows::quarter);

struct Reader {
  char name[NAMEDATALEN];  ///< application_name of a standby; empty: a member
  std::int32_t member;     ///< 0: a standby
  bool connected;
  XLogRecPtr position;       ///< what it has confirmed
  std::int64_t seen_us;      ///< when it was looked at last while connected, or was found first
  std::int64_t waiting_us;   ///< how long its oldest unconfirmed commit has waited at that look
  std::int64_t reported_us;  ///< when a wait was last counted
  TimestampTz connected_at;  ///< when it was connected last; 0: not since this server started
  LagWindows visible;
  FlushHistogram flushed;
};

struct PeerLagState {
  LWLock lock;
  int count;
  Reader readers[most_readers];
};
static_assert(std::is_trivially_copyable_v<Reader>);

PeerLagState* state = nullptr;

/// What a walsender or a slot says now.
struct Standing {
  const char* name;
  std::int32_t member;
  bool connected;
  XLogRecPtr position;
  TimeOffset applied_us;  ///< as the walsender measured them last; -1: unknown
  TimeOffset flushed_us;
};

/// What is remembered of walsender number i: whom it serves, and what it measured last. It forgets its measurements
/// when nothing is sent for a moment.
struct Sender {
  pid_t pid;
  bool named;
  char name[NAMEDATALEN];  ///< empty: it serves a logical slot
  TimeOffset applied_us;
  TimeOffset flushed_us;
};

CommitTimes* commits = nullptr;
Sender* senders = nullptr;
std::int64_t looked_us = 0;

void prepare() {
  if (commits != nullptr) return;
  senders = static_cast<Sender*>(
      MemoryContextAllocZero(TopMemoryContext, sizeof(Sender) * static_cast<Size>(max_wal_senders + 1)));
  commits = static_cast<CommitTimes*>(MemoryContextAllocZero(TopMemoryContext, sizeof(CommitTimes)));
}

/// Where this server's log ends, as far as it concerns readers.
XLogRecPtr own_position() {
  if (RecoveryInProgress()) return GetXLogReplayRecPtr(nullptr);
  const XLogRecPtr last = last_issued();
  // Before the first commit: what the server started with, so that a reader which lacks it shows.
  return XLogRecPtrIsInvalid(last) && commits->size() == 0 ? GetFlushRecPtr(nullptr) : last;
}

struct SenderState {
  pid_t pid;
  WalSndState sending;
  XLogRecPtr applied;
  TimeOffset applied_us;
  TimeOffset flushed_us;
};

SenderState look_at_sender(int i) {
  WalSnd* const sender = &WalSndCtl->walsnds[i];
  SpinLockAcquire(&sender->mutex);
  SenderState found{sender->pid, sender->state, sender->apply, sender->applyLag, sender->flushLag};
  SpinLockRelease(&sender->mutex);
  Sender* const known = &senders[i];
  if (known->pid != found.pid) *known = {found.pid, false, "", -1, -1};
  if (found.applied_us >= 0) known->applied_us = found.applied_us;
  if (found.flushed_us >= 0) known->flushed_us = found.flushed_us;
  found.applied_us = known->applied_us;
  found.flushed_us = known->flushed_us;
  return found;
}

/// The walsender of this process; false if there is none.
bool find_sender(pid_t pid, SenderState* found) {
  for (int i = 0; pid != 0 && i < max_wal_senders; ++i) {
    *found = look_at_sender(i);
    if (found->pid == pid) return true;
  }
  return false;
}

/// `standings` has room for every slot and walsender.
int look_at_members(Standing* standings) {
  int count = 0;
  LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
  for (int i = 0; i < max_replication_slots; ++i) {
    ReplicationSlot* const slot = &ReplicationSlotCtl->replication_slots[i];
    if (!slot->in_use) continue;
    SpinLockAcquire(&slot->mutex);
    const NameData name = slot->data.name;
    const bool ours = slot->data.database != InvalidOid && slot->data.persistency == RS_PERSISTENT &&
                      strcmp(NameStr(slot->data.plugin), "meridian_mesh") == 0;
    const XLogRecPtr confirmed = slot->data.confirmed_flush;
    const pid_t user = slot->active_pid;
    SpinLockRelease(&slot->mutex);
    const auto stream = ours ? parse_stream_name(NameStr(name)) : std::nullopt;
    if (!stream) continue;
    SenderState sender{};
    const bool connected = find_sender(user, &sender);
    standings[count++] = {"",
                          stream->member,
                          connected,
                          std::max(confirmed, connected ? sender.applied : InvalidXLogRecPtr),
                          connected ? sender.applied_us : -1,
                          -1};
  }
  LWLockRelease(ReplicationSlotControlLock);
  return count;
}

/// Whether a logical slot is read through this process.
bool reads_logically(pid_t pid) {
  bool found = false;
  LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
  for (int i = 0; i < max_replication_slots && !found; ++i) {
    ReplicationSlot* const slot = &ReplicationSlotCtl->replication_slots[i];
    if (!slot->in_use) continue;
    SpinLockAcquire(&slot->mutex);
    found = slot->active_pid == pid && slot->data.database != InvalidOid;
    SpinLockRelease(&slot->mutex);
  }
  LWLockRelease(ReplicationSlotControlLock);
  return found;
}

int look_at_standbys(Standing* standings) {
  int count = 0;
  for (int i = 0; i < max_wal_senders; ++i) {
    const SenderState sender = look_at_sender(i);
    if (sender.pid == 0 || XLogRecPtrIsInvalid(sender.applied)) continue;
    if (sender.sending != WALSNDSTATE_STREAMING && sender.sending != WALSNDSTATE_CATCHUP) continue;
    if (!senders[i].named && !reads_logically(sender.pid)) compat::application_name_of(sender.pid, senders[i].name);
    senders[i].named = true;
    if (senders[i].name[0] == '\0') continue;
    standings[count++] = {senders[i].name, 0, true, sender.applied, sender.applied_us, sender.flushed_us};
  }
  return count;
}

bool is_of(const Reader& reader, const Standing& standing) {
  return reader.member == standing.member && strcmp(reader.name, standing.name) == 0;
}

/// Of standings of one reader, the first is left, and tells of the one that is farthest behind.
int unite(Standing* standings, int count) {
  int kept = 0;
  for (int i = 0; i < count; ++i) {
    Standing* const found = std::find_if(standings, standings + kept, [&](const Standing& each) {
      return each.member == standings[i].member && strcmp(each.name, standings[i].name) == 0;
    });
    if (found == standings + kept) {
      standings[kept++] = standings[i];
      continue;
    }
    found->connected = found->connected && standings[i].connected;
    found->position = std::min(found->position, standings[i].position);
    found->applied_us = std::max(found->applied_us, standings[i].applied_us);
    found->flushed_us = std::max(found->flushed_us, standings[i].flushed_us);
  }
  return kept;
}

Reader* find_reader(const Standing& standing, std::int64_t now_us) {
  Reader* const end = state->readers + state->count;
  Reader* const found = std::find_if(state->readers, end, [&](const Reader& each) { return is_of(each, standing); });
  if (found != end) return found;
  if (state->count == most_readers) return nullptr;
  ++state->count;
  *found = {};
  strlcpy(found->name, standing.name, sizeof found->name);
  found->member = standing.member;
  found->position = standing.position;
  found->seen_us = now_us;
  return found;
}

void count_wait(Reader* reader, std::int64_t now_us) {
  reader->waiting_us = commits->waiting_us(reader->position, now_us);
  if (reader->waiting_us < second_us || now_us - reader->reported_us < second_us) return;
  reader->visible.add(now_us, reader->waiting_us);
  reader->reported_us = now_us;
}

void note_standing(Reader* reader, const Standing& standing, std::int64_t now_us) {
  const XLogRecPtr reached = std::max(reader->position, standing.position);
  commits->for_each_reached(reader->position, reached, looked_us, now_us, [&](std::int64_t low, std::int64_t high) {
    const std::int64_t measured = standing.applied_us < 0 ? high : std::clamp(standing.applied_us, low, high);
    reader->visible.add(now_us, measured);
    if (standing.flushed_us >= 0) reader->flushed.add(now_us, std::min(standing.flushed_us, high));
  });
  reader->position = reached;
  reader->connected = standing.connected;
  if (!standing.connected) return;
  reader->seen_us = now_us;
  reader->connected_at = GetCurrentTimestamp();
}

/// Readers that are not in `standings`: a standby is away, a member without a slot is none any more.
void note_absent(const Standing* standings, int count, std::int64_t now_us) {
  for (int i = state->count - 1; i >= 0; --i) {
    Reader* const reader = &state->readers[i];
    if (std::any_of(standings, standings + count, [&](const Standing& each) { return is_of(*reader, each); })) continue;
    reader->connected = false;
    if (reader->member != 0 || now_us - reader->seen_us > remembered_us) *reader = state->readers[--state->count];
  }
}

}  // namespace

void sample_peer_lag() {
  prepare();
  const Size room = static_cast<Size>(max_replication_slots + max_wal_senders + 1);
  auto* const standings = static_cast<Standing*>(palloc(sizeof(Standing) * room));
  // Readers first: what they have confirmed was committed before.
  int count = look_at_members(standings);
  count += look_at_standbys(standings + count);
  count = unite(standings, count);
  const std::int64_t now_us = monotonic_us();
  commits->look(now_us, own_position());
  LWLockAcquire(&state->lock, LW_EXCLUSIVE);
  note_absent(standings, count, now_us);
  for (int i = 0; i < count; ++i) {
    if (Reader* const reader = find_reader(standings[i], now_us)) note_standing(reader, standings[i], now_us);
  }
  for (int i = 0; i < state->count; ++i) count_wait(&state->readers[i], now_us);
  LWLockRelease(&state->lock);
  looked_us = now_us;
  pfree(standings);
}

Size peer_lag_shmem_size() { return MAXALIGN(sizeof(PeerLagState)); }

void peer_lag_shmem_init() {
  bool found;
  state = static_cast<PeerLagState*>(ShmemInitStruct("meridian peer lag", peer_lag_shmem_size(), &found));
  if (!found) {
    std::memset(static_cast<void*>(state), 0, sizeof *state);
    LWLockInitialize(&state->lock, LWLockNewTrancheId());
  }
  LWLockRegisterTranche(state->lock.tranche, "MeridianPeerLag");
}

namespace {

/// The 95th percentile of each window of the quarter, the oldest first; NULL where there is no sample.
Datum recent_p95(const Reader& reader, std::int64_t now_us) {
  constexpr int windows = static_cast<int>(FlushHistogram::windows);
  Datum values[windows];
  bool nulls[windows];
  for (int i = 0; i < windows; ++i) {
    const auto lag = reader.visible.quarter.percentile_before(now_us, static_cast<std::size_t>(windows - 1 - i), 95);
    values[i] = Int64GetDatum(lag.value_or(0));
    nulls[i] = !lag;
  }
  int length = windows;
  int lower_bound = 1;
  return PointerGetDatum(
      construct_md_array(values, nulls, 1, &length, &lower_bound, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

void show(ReturnSetInfo* result, const Reader& reader, const char* span, const LagSummary& lags, std::int64_t now_us) {
  const LagSummary flush = reader.flushed.summary(now_us);
  const bool none = lags.samples == 0;
  const bool no_flush = flush.samples == 0;
  const Datum values[] = {
      CStringGetTextDatum(reader.name), Int32GetDatum(reader.member),
      BoolGetDatum(reader.connected),   TimestampTzGetDatum(reader.connected_at),
      LSNGetDatum(reader.position),     Int64GetDatum(reader.waiting_us),
      CStringGetTextDatum(span),        Int64GetDatum(static_cast<std::int64_t>(lags.samples)),
      Int64GetDatum(lags.p50_us),       Int64GetDatum(lags.p95_us),
      Int64GetDatum(lags.p99_us),       Int64GetDatum(lags.longest_us),
      Int64GetDatum(flush.p50_us),      Int64GetDatum(flush.p95_us),
      recent_p95(reader, now_us),
  };
  const bool nulls[] = {reader.member != 0,
                        reader.member == 0,
                        false,
                        reader.connected_at == 0,
                        false,
                        false,
                        false,
                        false,
                        none,
                        none,
                        none,
                        none,
                        no_flush,
                        no_flush,
                        false};
  tuplestore_putvalues(result->setResult, result->setDesc, const_cast<Datum*>(values), const_cast<bool*>(nulls));
}

}  // namespace
}  // namespace meridian::pg

/// meridian.read_peer_lags() returns set of one row per reader and span; see sql/72_status_report.sql.
MERIDIAN_FUNCTION(meridian_read_peer_lags)
{
  using namespace meridian::pg;
  InitMaterializedSRF(fcinfo, 0);
  auto* const result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  if (state == nullptr) PG_RETURN_NULL();
  auto* const reader = static_cast<Reader*>(palloc(sizeof(Reader)));
  for (int i = 0;; ++i) {
    LWLockAcquire(&state->lock, LW_SHARED);
    const bool there = i < state->count;
    if (there) *reader = state->readers[i];
    LWLockRelease(&state->lock);
    if (!there) break;
    const std::int64_t now_us = monotonic_us();
    show(result, *reader, "1 min", reader->visible.minute.summary(now_us), now_us);
    show(result, *reader, "15 min", reader->visible.quarter.summary(now_us), now_us);
    show(result, *reader, "24 h", reader->visible.day.summary(now_us), now_us);
  }
  PG_RETURN_NULL();
}
