// Two sources say how far a peer's writes can be read here; the farther one counts. Of several streams from the peer
// each brings its own share, so what can be read is what the one has brought that is farthest behind.
//
//   row      what the peer published in its stream (meridian.heartbeat): all that it committed up to `lsn` comes before
//            the row in the stream, so where the row is visible, that is. It is an ordinary row, so standbys have it,
//            and it survives restarts. It also covers transactions that sent nothing. At most a quarter of a second
//            late.
//   applied  the end of the last transaction that was applied here: at once, but only for transactions that sent
//            something. On a primary from a commit callback of the apply worker, because the progress that PostgreSQL
//            keeps of an origin runs ahead of visibility there; on a standby that progress, because redo advances it
//            last.
//
// `applied` says nothing of timelines. It is of the row's timeline if it is beyond the row's `residue`, which is how
// far the stream had been applied when the first row of that timeline came. A peer raises its epoch before it stamps
// anything on a new timeline and tells the new timeline in the same transaction, so nothing on it comes earlier through
// a slot that is as old. (A transaction that was prepared before the promotion and committed before the epoch was
// raised does.) A slot that was made after the promotion lacks that transaction. So an apply worker that finds its
// sender on another timeline than the row's closes the row before it reads: `lsn` becomes all that was applied, and
// `residue` the end of all positions, until the row of the new timeline replaces it. `applied` is read before the row,
// so the row is never the older of the two.
//
// What was applied of a timeline stays readable here when its successor turns out to have lost it. So the ends of
// earlier timelines in a row are never below what this node has of them (core/token_check.hpp, keep_known_ends).
#include "pg/heartbeat.hpp"

#include "pg/applying.hpp"
#include "pg/catalog.hpp"
#include "pg/identity.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/function.hpp"
#include "pg/token.hpp"
#include "pg/token_check.hpp"
#include "pg/wait.hpp"

namespace meridian::pg {
namespace {

namespace heartbeat_column {
enum : int {
  member,
  stream,
  streams,
  system_id,
  timeline,
  lsn,
  ancestors,
  ends,
  peers,
  published_at,
  received_at,
  residue,
  columns
};
}

// --- what was applied, on a primary ---

struct Applied {
  pg_atomic_uint32 subscription;  ///< 0: free
  pg_atomic_uint64 lsn;
};

/// A peer beyond these is known by its rows alone.
constexpr std::size_t most_subscriptions = 256;

struct HeartbeatState {
  pg_atomic_uint64 commits;
  Applied applied[most_subscriptions];
};

HeartbeatState* state = nullptr;

Applied* find_applied(Oid subscription, bool add) {
  for (Applied& each : state->applied) {
    uint32 holder = pg_atomic_read_u32(&each.subscription);
    if (holder == 0) {
      if (!add) return nullptr;
      if (pg_atomic_compare_exchange_u32(&each.subscription, &holder, subscription)) return &each;
    }
    if (holder == subscription) return &each;
  }
  return nullptr;
}

void note_applied(XactEvent event) noexcept {
  if (event != XACT_EVENT_COMMIT || state == nullptr || !IsLogicalWorker() || MySubscription == nullptr ||
      XLogRecPtrIsInvalid(replorigin_session_origin_lsn))
    return;
  if (Applied* const applied = find_applied(MySubscription->oid, true))
    pg_atomic_write_u64(&applied->lsn, replorigin_session_origin_lsn);
  pg_atomic_fetch_add_u64(&state->commits, 1);
  note_peer_commit();
}

extern "C" void meridian_heartbeat_at_transaction_event(XactEvent event, void*) { note_applied(event); }

// Through one stream; its subscription is named as core/stream.hpp says.
XLogRecPtr applied_from(std::int32_t member, Stream stream) {
  char name[NAMEDATALEN];
  if (stream.count == 1) {
    snprintf(name, sizeof name, "meridian_%d", member);
  } else {
    snprintf(name, sizeof name, "meridian_%d_%dof%d", member, stream.number, stream.count);
  }
  const Oid subscription = get_subscription_oid(name, true);
  if (!OidIsValid(subscription)) return InvalidXLogRecPtr;
  if (RecoveryInProgress()) {
    snprintf(name, sizeof name, "pg_%u", subscription);
    const RepOriginId origin = replorigin_by_name(name, true);
    return origin == InvalidRepOriginId ? InvalidXLogRecPtr : replorigin_get_progress(origin, false);
  }
  const Applied* const applied = state == nullptr ? nullptr : find_applied(subscription, false);
  return applied == nullptr ? InvalidXLogRecPtr : pg_atomic_read_u64(&const_cast<Applied*>(applied)->lsn);
}

// --- rows ---

struct Row {
  std::int32_t member;
  Stream stream;
  std::uint64_t system_id;
  std::uint32_t timeline;
  XLogRecPtr lsn;
  int ancestor_count;
  TimelineEnd* ancestors;
  XLogRecPtr residue;
  HeapTuple tuple;  ///< a copy, of a row that was found
};

std::span<TimelineEnd> ancestors_in(const Row& row) {
  return {row.ancestors, static_cast<std::size_t>(row.ancestor_count)};
}

void read_ancestors(Datum ancestors, Datum ends, Row* row) {
  Datum* timelines = nullptr;
  Datum* positions = nullptr;
  int count = 0;
  int position_count = 0;
  deconstruct_array(DatumGetArrayTypeP(ancestors), INT4OID, 4, true, TYPALIGN_INT, &timelines, nullptr, &count);
  deconstruct_array(DatumGetArrayTypeP(ends), PG_LSNOID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &positions, nullptr,
                    &position_count);
  row->ancestor_count = std::min(count, position_count);
  row->ancestors = static_cast<TimelineEnd*>(palloc(sizeof(TimelineEnd) * (static_cast<Size>(count) + 1)));
  for (int i = 0; i < row->ancestor_count; ++i) {
    row->ancestors[i] = {static_cast<std::uint32_t>(DatumGetInt32(timelines[i])), DatumGetLSN(positions[i])};
  }
}

Row read_row(HeapTuple tuple, TupleDesc columns_of) {
  using namespace heartbeat_column;
  Datum values[columns];
  bool nulls[columns];
  heap_deform_tuple(tuple, columns_of, values, nulls);
  Row row{};
  row.member = DatumGetInt32(values[member]);
  row.stream = {DatumGetInt32(values[stream]), DatumGetInt32(values[streams])};
  row.system_id = std::strtoull(TextDatumGetCString(values[system_id]), nullptr, 10);
  row.timeline = static_cast<std::uint32_t>(DatumGetInt32(values[timeline]));
  row.lsn = DatumGetLSN(values[lsn]);
  row.residue = DatumGetLSN(values[residue]);
  read_ancestors(values[ancestors], values[ends], &row);
  return row;
}

/// The first row that `wanted` accepts, under a fresh snapshot that is not the transaction's. There are few rows, so
/// every search looks at all.
template <typename Predicate>
bool find_row(Predicate wanted, Row* found) {
  const Oid schema = get_namespace_oid("meridian", true);
  const Oid table = OidIsValid(schema) ? get_relname_relid("heartbeat", schema) : InvalidOid;
  if (!OidIsValid(table)) return false;
  const Relation relation = table_open(table, AccessShareLock);
  const SysScanDesc scan = systable_beginscan(relation, InvalidOid, false, nullptr, 0, nullptr);
  bool exists = false;
  for (HeapTuple tuple; !exists && HeapTupleIsValid(tuple = systable_getnext(scan));) {
    const Row row = read_row(tuple, RelationGetDescr(relation));
    exists = wanted(row);
    if (exists) {
      *found = row;
      found->tuple = heap_copytuple(tuple);
    }
  }
  systable_endscan(scan);
  table_close(relation, AccessShareLock);
  InvalidateCatalogSnapshot();
  return exists;
}

bool find_row_of(std::int32_t member, int stream, Row* found) {
  return find_row([member, stream](const Row& row) { return row.member == member && row.stream.number == stream; },
                  found);
}

XLogRecPtr reach_of(const Row& row, XLogRecPtr applied) {
  return applied > row.residue ? std::max(applied, row.lsn) : row.lsn;
}

/// How far one stream has brought the peer's writes; `applied` was read before. False if there is no such row.
bool reach_by_stream(std::uint64_t system_id, std::int32_t member, Stream stream, XLogRecPtr applied, Reach* reach) {
  Row row;
  if (!find_row_of(member, stream.number, &row) || row.system_id != system_id || row.stream != stream) return false;
  *reach = {};
  reach->system_id = system_id;
  reach->timeline = row.timeline;
  reach->lsn = reach_of(row, applied);
  reach->ancestors = ancestors_in(row);
  reach->history_known = row.timeline == 1 || row.ancestor_count > 0;
  reach->issues = false;
  return true;
}

/// What this process has found readable of peers. It stays so, whatever becomes of the peer: most tokens are fresh, and
/// need no look at the table.
constinit Position readable[Token::max_positions];
std::size_t next_readable = 0;

bool is_known_readable(const Position& position) {
  return std::any_of(std::begin(readable), std::end(readable), [&](const Position& each) {
    return each.system_id == position.system_id && each.timeline == position.timeline && position.lsn <= each.lsn;
  });
}

void remember_readable(const Position& reached) {
  for (Position& each : readable) {
    if (each.system_id != reached.system_id || each.timeline != reached.timeline) continue;
    each.lsn = std::max(each.lsn, reached.lsn);
    return;
  }
  readable[next_readable++ % std::size(readable)] = reached;
}

/// The residue of a row that has been closed: nothing that is applied now is of its timeline.
constexpr XLogRecPtr closed = UINT64_MAX;

// --- publishing ---

// Who joins may have missed what was told before it was active.
#define MERIDIAN_ACTIVE_PEERS \
  "SELECT m.id FROM meridian.member m WHERE m.state OPERATOR(pg_catalog.=) 'active' ORDER BY m.id"

/// What the row of this server says compared with what it should say.
struct Standing {
  bool has_peers;
  std::int32_t member;
  bool current;
};

/// Where the row stood when this keeper looked last; 0 before its first look: tokens of an earlier life of the server
/// may not be covered.
XLogRecPtr told = InvalidXLogRecPtr;
TimestampTz look_again = 0;
constexpr int look_ms = 1000;

Standing read_standing() {
  Oid types[] = {TEXTOID, INT4OID, PG_LSNOID};
  Datum values[] = {CStringGetTextDatum(psprintf(UINT64_FORMAT, GetSystemIdentifier())),
                    Int32GetDatum(static_cast<std::int32_t>(GetWALInsertionTimeLine())), LSNGetDatum(last_issued())};
  SPI_connect();
  const int outcome = SPI_execute_with_args(
      "SELECT l.member, (SELECT pg_catalog.count(*) FROM meridian.member m) > 1, "
      "coalesce(h.system_id = $1 AND h.timeline = $2 AND h.lsn >= $3 AND h.peers = ARRAY(" MERIDIAN_ACTIVE_PEERS
      "), false) "
      "FROM meridian.local_member l LEFT JOIN meridian.heartbeat h ON h.member = l.member",
      lengthof(types), types, values, nullptr, false, 1);
  if (outcome != SPI_OK_SELECT) elog(ERROR, "SPI_execute_with_args returned %s", SPI_result_code_string(outcome));
  Standing standing{};
  if (SPI_processed == 1) {
    bool is_null = false;
    const HeapTuple row = SPI_tuptable->vals[0];
    standing.member = DatumGetInt32(SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &is_null));
    standing.has_peers = DatumGetBool(SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &is_null));
    standing.current = DatumGetBool(SPI_getbinval(row, SPI_tuptable->tupdesc, 3, &is_null));
  }
  SPI_finish();
  return standing;
}

/// Names a history in arrays of SQL.
void to_arrays(std::span<const TimelineEnd> history, Datum* ancestors, Datum* ends) {
  auto* timelines = static_cast<Datum*>(palloc(sizeof(Datum) * (history.size() + 1)));
  auto* positions = static_cast<Datum*>(palloc(sizeof(Datum) * (history.size() + 1)));
  for (std::size_t i = 0; i < history.size(); ++i) {
    timelines[i] = Int32GetDatum(static_cast<std::int32_t>(history[i].timeline));
    positions[i] = LSNGetDatum(history[i].end);
  }
  const int count = static_cast<int>(history.size());
  *ancestors = PointerGetDatum(construct_array(timelines, count, INT4OID, 4, true, TYPALIGN_INT));
  *ends = PointerGetDatum(construct_array(positions, count, PG_LSNOID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

XLogRecPtr write_row(std::int32_t member) {
  const XLogRecPtr lsn = GetXLogInsertRecPtr();
  Oid types[] = {INT4OID, TEXTOID, INT4OID, PG_LSNOID, INT4ARRAYOID, PG_LSNARRAYOID};
  Datum values[] = {Int32GetDatum(member),
                    CStringGetTextDatum(psprintf(UINT64_FORMAT, GetSystemIdentifier())),
                    Int32GetDatum(static_cast<std::int32_t>(GetWALInsertionTimeLine())),
                    LSNGetDatum(lsn),
                    0,
                    0};
  to_arrays(ancestors_of(GetWALInsertionTimeLine()), &values[4], &values[5]);
  SPI_connect();
  const int outcome = SPI_execute_with_args(
      "INSERT INTO meridian.heartbeat AS h (member, system_id, timeline, lsn, ancestors, ends, peers, published_at) "
      "VALUES ($1, $2, $3, $4, $5, $6, ARRAY(" MERIDIAN_ACTIVE_PEERS
      "), pg_catalog.now()) "
      "ON CONFLICT (member, stream) DO UPDATE SET system_id = EXCLUDED.system_id, timeline = EXCLUDED.timeline, lsn = "
      "EXCLUDED.lsn, ancestors = EXCLUDED.ancestors, ends = EXCLUDED.ends, peers = EXCLUDED.peers, published_at = "
      "EXCLUDED.published_at",
      lengthof(types), types, values, nullptr, false, 0);
  if (outcome != SPI_OK_INSERT) elog(ERROR, "SPI_execute_with_args returned %s", SPI_result_code_string(outcome));
  SPI_finish();
  return lsn;
}

// --- arriving ---

/// How far this worker had applied its stream before the running transaction.
XLogRecPtr applied_before() { return IsLogicalWorker() ? replorigin_session_get_progress(false) : InvalidXLogRecPtr; }

void replace(Relation heartbeat, HeapTuple arrived) {
  using namespace heartbeat_column;
  CommandCounterIncrement();
  Datum values[columns];
  bool nulls[columns];
  heap_deform_tuple(arrived, RelationGetDescr(heartbeat), values, nulls);
  const Row fresh = read_row(arrived, RelationGetDescr(heartbeat));
  if (static_cast<std::uint32_t>(fresh.member) == local_actor().member()) return;
  Row old;
  const Stream arriving = arriving_stream();
  values[stream] = Int32GetDatum(arriving.number);
  values[streams] = Int32GetDatum(arriving.count);
  const bool same_system = find_row_of(fresh.member, arriving.number, &old) && old.system_id == fresh.system_id;
  if (same_system) {
    keep_known_ends(ancestors_in(fresh), {old.timeline, old.lsn}, ancestors_in(old));
    to_arrays(ancestors_in(fresh), &values[ancestors], &values[ends]);
  }
  const bool goes_on = same_system && old.timeline == fresh.timeline && old.residue != closed;
  values[residue] = LSNGetDatum(goes_on ? old.residue : applied_before());
  values[received_at] = TimestampTzGetDatum(GetCurrentTimestamp());
  nulls[received_at] = false;
  replace_row_in(heartbeat, Index::heartbeat_by_member, stream + 1, values, nulls);
}

}  // namespace

Verdict judge_by_peer(const Position& position) {
  if (is_known_readable(position)) return Verdict::yes;
  if (!IsTransactionState() || !OidIsValid(MyDatabaseId)) return Verdict::foreign;
  Row any;
  if (!find_row([&](const Row& each) { return each.system_id == position.system_id; }, &any)) return Verdict::foreign;
  Verdict verdict = Verdict::yes;
  Position slowest{position.system_id, position.timeline, UINT64_MAX};
  for (int number = 1; number <= any.stream.count; ++number) {
    const Stream stream{number, any.stream.count};
    const XLogRecPtr applied = applied_from(any.member, stream);
    Reach reach;
    if (!reach_by_stream(position.system_id, any.member, stream, applied, &reach)) return Verdict::foreign;
    verdict = combine(verdict, judge(position, reach));
    // On an earlier timeline no more is known than the verdict.
    slowest.lsn = std::min(slowest.lsn, reach.timeline == position.timeline ? reach.lsn : position.lsn);
  }
  if (verdict == Verdict::yes) remember_readable(slowest);
  return verdict;
}

void begin_reading(const StreamName& from, std::uint64_t system_id, std::uint32_t timeline) {
  using namespace heartbeat_column;
  Row row;
  if (!find_row_of(from.member, from.stream.number, &row) || row.residue == closed ||
      (row.system_id == system_id && row.timeline == timeline))
    return;
  const Relation heartbeat = table_open(table_oid(Table::heartbeat), RowExclusiveLock);
  Datum values[columns];
  bool nulls[columns];
  heap_deform_tuple(row.tuple, RelationGetDescr(heartbeat), values, nulls);
  values[lsn] = LSNGetDatum(reach_of(row, applied_from(from.member, from.stream)));
  values[residue] = LSNGetDatum(closed);
  replace_row_in(heartbeat, Index::heartbeat_by_member, stream + 1, values, nulls);
  table_close(heartbeat, RowExclusiveLock);
}

void publish_heartbeat() {
  const TimestampTz now = GetCurrentTimestamp();
  if (!XLogRecPtrIsInvalid(told) && last_issued() <= told && now < look_again) return;
  look_again = TimestampTzPlusMilliseconds(now, look_ms);
  const Standing standing = read_standing();
  const bool covered = standing.current && !XLogRecPtrIsInvalid(told);
  if (!standing.has_peers || covered || !is_confirmed_member()) return;
  told = write_row(standing.member);
}

void write_heartbeat(std::int32_t member) { write_row(member); }

std::uint64_t peer_commits() { return state == nullptr ? 0 : pg_atomic_read_u64(&state->commits); }

void register_heartbeat_callbacks() { RegisterXactCallback(meridian_heartbeat_at_transaction_event, nullptr); }

Size heartbeat_shmem_size() { return MAXALIGN(sizeof(HeartbeatState)); }

void heartbeat_shmem_init() {
  bool found;
  state = static_cast<HeartbeatState*>(ShmemInitStruct("meridian heartbeat", heartbeat_shmem_size(), &found));
  if (found) return;
  pg_atomic_init_u64(&state->commits, 0);
  for (Applied& each : state->applied) {
    pg_atomic_init_u32(&each.subscription, 0);
    pg_atomic_init_u64(&each.lsn, 0);
  }
}

}  // namespace meridian::pg

/// Trigger of meridian.heartbeat.
MERIDIAN_FUNCTION(meridian_fold_heartbeat)
{
  using namespace meridian::pg;
  if (!CALLED_AS_TRIGGER(fcinfo)) {
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("meridian.fold_heartbeat() is a trigger function")));
  }
  auto* trigger = reinterpret_cast<TriggerData*>(fcinfo->context);
  if (RelationGetRelid(trigger->tg_relation) != table_oid(Table::heartbeat) ||
      !TRIGGER_FIRED_BEFORE(trigger->tg_event) || !TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ||
      !TRIGGER_FIRED_FOR_ROW(trigger->tg_event)) {
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("meridian.fold_heartbeat() is the trigger of meridian.heartbeat only")));
  }
  if (!applying()) PG_RETURN_POINTER(trigger->tg_trigtuple);
  replace(trigger->tg_relation, trigger->tg_trigtuple);
  PG_RETURN_POINTER(nullptr);
}
