// The identity of this server.
//
// Shared memory holds one word, (generation, actor); actor 0 means: read the table. A reader takes the word, then a
// fresh snapshot, and publishes what it found by compare-and-swap on the word it took. A transaction that changed
// meridian.local_member starts a new generation in its commit callback, which runs after its rows have become visible.
// So whoever read the rows from before fails to publish them, and whoever comes later reads the new ones.
// Within such a transaction the backend bypasses the cache, both ways: its rows may still be rolled back.
//
// The actor is published only by backends of meridian.database (require_clock), and never during recovery.

#include "pg/identity.hpp"

#include "core/identity_rules.hpp"
#include "pg/errors.hpp"
#include "pg/heartbeat.hpp"
#include "pg/hlc.hpp"
#include "pg/keeper.hpp"
#include "pg/settings.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg {
namespace {

struct IdentityState {
  pg_atomic_uint64 word;
  /// Woken by every new generation.
  ConditionVariable changed;
};
static_assert(std::is_trivially_copyable_v<IdentityState>);

IdentityState* identity_state = nullptr;
/// This transaction has changed meridian.local_member.
bool changed_here = false;

/// How long a write waits for the keeper to confirm a promoted server.
constexpr int keeper_patience_ms = 5000;

/// The row of meridian.local_member, in the current memory context.
struct LocalMember {
  pg_uuid_t mesh;
  std::int32_t member;
  std::int32_t epoch;
  const char* server;
  const char* system_id;
  std::int32_t timeline;
};
static_assert(std::is_trivially_destructible_v<LocalMember>);

enum Column : int {
  column_only_row = 1,
  column_mesh,
  column_member,
  column_epoch,
  column_server,
  column_system_id,
  column_timeline
};

Actor actor_in(std::uint64_t word) { return Actor{static_cast<std::uint32_t>(word)}; }
std::uint64_t next_generation(std::uint64_t word) { return ((word >> 32) + 1) << 32; }

/// False if there is no row, or no such table. Reads under a fresh snapshot, without regard to privileges.
bool read_local_member(LocalMember* member) {
  const Oid schema = get_namespace_oid("meridian", true);
  const Oid table = OidIsValid(schema) ? get_relname_relid("local_member", schema) : InvalidOid;
  if (!OidIsValid(table)) return false;

  const Relation relation = table_open(table, AccessShareLock);
  const SysScanDesc scan = systable_beginscan(relation, InvalidOid, false, nullptr, 0, nullptr);
  const HeapTuple tuple = systable_getnext(scan);
  const bool found = HeapTupleIsValid(tuple);
  if (found) {
    bool null;  // every column is NOT NULL
    const auto value = [&](Column column) { return heap_getattr(tuple, column, RelationGetDescr(relation), &null); };
    member->mesh = *DatumGetUUIDP(value(column_mesh));
    member->member = DatumGetInt32(value(column_member));
    member->epoch = DatumGetInt32(value(column_epoch));
    member->server = TextDatumGetCString(value(column_server));
    member->system_id = TextDatumGetCString(value(column_system_id));
    member->timeline = DatumGetInt32(value(column_timeline));
  }
  systable_endscan(scan);
  table_close(relation, AccessShareLock);
  return found;
}

/// The system identifier of this server as text, palloc'd.
char* running_system_id() { return psprintf(UINT64_FORMAT, GetSystemIdentifier()); }

/// The verdict on `member` for the server that runs, which is not in recovery.
IdentityDecision decide(const LocalMember& member) {
  return decide_identity({running_system_id(), GetWALInsertionTimeLine(), node_name},
                         {member.system_id, static_cast<std::uint32_t>(member.timeline), member.server},
                         static_cast<std::uint32_t>(member.epoch));
}

Actor actor_of(const LocalMember& member) {
  return Actor::from_parts(static_cast<std::uint16_t>(member.epoch), static_cast<std::uint16_t>(member.member));
}

[[noreturn]] void report_not_a_member() {
  ereport(ERROR, (errcode(errcode_not_a_member), errmsg("this server is not a member of a mesh"),
                  errhint("Run meridian.create_node() to begin a mesh or meridian.join() to join one.")));
  pg_unreachable();
}

[[noreturn]] void report_refused(const char* reason) {
  const bool unnamed = node_name[0] == '\0';
  ereport(ERROR,
          (errcode(errcode_identity_not_confirmed), errmsg("%s", reason),
           unnamed ? errhint("Set meridian.node in postgresql.conf to a name that no other server has, and restart.")
                   : errhint("If no other server runs as this member, call meridian.confirm_identity().")));
  pg_unreachable();
}

[[noreturn]] void report_unconfirmed(const char* reason) {
  ereport(ERROR, (errcode(errcode_identity_not_confirmed), errmsg("%s", reason),
                  errhint("The keeper confirms it under a new epoch; if it does not, see meridian.keeper_status() and "
                          "the server log.")));
  pg_unreachable();
}

/// Reads the table and publishes the actor if this server is confirmed; else `nobody` and the reason, if a new epoch
/// would confirm it. Raises in all other cases.
Actor read_actor(const char** reason) {
  std::uint64_t word = pg_atomic_read_u64(&identity_state->word);
  LocalMember member;
  if (!read_local_member(&member)) report_not_a_member();
  const IdentityDecision decision = decide(member);
  if (decision.action == IdentityAction::refuse) report_refused(decision.reason);
  *reason = decision.reason;
  if (decision.action == IdentityAction::raise_epoch) return nobody;

  const Actor actor = actor_of(member);
  if (!changed_here) pg_atomic_compare_exchange_u64(&identity_state->word, &word, (word >> 32 << 32) | actor.value);
  return actor;
}

/// read_actor, with patience for a keeper that is about to raise the epoch.
Actor await_actor() {
  const char* reason;
  Actor actor = read_actor(&reason);
  if (actor != nobody) return actor;
  if (changed_here || !wake_keeper()) report_unconfirmed(reason);

  const TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), keeper_patience_ms);
  ConditionVariablePrepareToSleep(&identity_state->changed);
  while ((actor = read_actor(&reason)) == nobody) {
    const long left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
    if (left_ms <= 0) report_unconfirmed(reason);
    ConditionVariableTimedSleep(&identity_state->changed, left_ms, PG_WAIT_EXTENSION);
  }
  ConditionVariableCancelSleep();
  return actor;
}

/// Confirms the running server under the next epoch, unless somebody else did so since `member` was read. Takes effect
/// at commit, which is forced to disk before anybody can use the new epoch.
bool raise_epoch(const LocalMember& member) {
  Oid types[] = {INT4OID, TEXTOID, TEXTOID, INT4OID, INT4OID};
  Datum values[] = {Int32GetDatum(member.epoch + 1), CStringGetTextDatum(node_name),
                    CStringGetTextDatum(running_system_id()),
                    Int32GetDatum(static_cast<std::int32_t>(GetWALInsertionTimeLine())), Int32GetDatum(member.epoch)};
  SPI_connect();
  const int outcome = SPI_execute_with_args(
      "UPDATE meridian.local_member SET epoch = $1, server = $2, system_id = $3, timeline = $4 WHERE epoch "
      "OPERATOR(pg_catalog.=) $5",
      lengthof(types), types, values, nullptr, false, 0);
  if (outcome != SPI_OK_UPDATE) elog(ERROR, "SPI_execute_with_args returned %s", SPI_result_code_string(outcome));
  const bool raised = SPI_processed == 1;
  SPI_finish();
  if (raised) write_heartbeat(member.member);
  ForceSyncCommit();
  return raised;
}

/// Starts a new generation, so that everybody reads the table.
void drop_cache() {
  if (identity_state == nullptr) return;
  std::uint64_t word = pg_atomic_read_u64(&identity_state->word);
  while (!pg_atomic_compare_exchange_u64(&identity_state->word, &word, next_generation(word))) {
  }
  ConditionVariableBroadcast(&identity_state->changed);
}

void on_transaction_event(XactEvent event) {
  if (!changed_here) return;
  switch (event) {
    case XACT_EVENT_COMMIT:
      changed_here = false;
      drop_cache();
      break;
    case XACT_EVENT_ABORT:
      changed_here = false;
      break;
    case XACT_EVENT_PRE_PREPARE:
      // The commit would come from another backend, without this callback.
      ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                      errmsg("cannot PREPARE a transaction that has changed the identity of this server")));
      break;
    default:
      break;
  }
}

extern "C" void meridian_identity_at_transaction_event(XactEvent event, void*) {
  guarded([event] { on_transaction_event(event); });
}

}  // namespace

Actor local_actor() {
  require_clock();
  const Actor cached = actor_in(pg_atomic_read_u64(&identity_state->word));
  return cached != nobody && !changed_here ? cached : await_actor();
}

bool is_member() {
  LocalMember member;
  return read_local_member(&member);
}

bool is_confirmed_member() {
  LocalMember member;
  return read_local_member(&member) && decide(member).action == IdentityAction::accept;
}

void forget_identity() { changed_here = true; }

void confirm_promoted_identity() {
  LocalMember member;
  if (!read_local_member(&member)) return;
  const IdentityDecision decision = decide(member);
  if (decision.action != IdentityAction::raise_epoch || !raise_epoch(member)) return;
  ereport(LOG, (errmsg("meridian: member %d goes on in epoch %d", member.member, member.epoch + 1),
                errdetail_internal("%s", decision.reason)));
}

void register_identity_callbacks() { RegisterXactCallback(meridian_identity_at_transaction_event, nullptr); }

Size identity_shmem_size() { return MAXALIGN(sizeof(IdentityState)); }

void identity_shmem_init() {
  bool found;
  identity_state = static_cast<IdentityState*>(ShmemInitStruct("meridian identity", identity_shmem_size(), &found));
  if (found) return;
  pg_atomic_init_u64(&identity_state->word, 0);
  ConditionVariableInit(&identity_state->changed);
}

/// Trigger on meridian.local_member.
MERIDIAN_FUNCTION(meridian_forget_identity)
{
  if (!CALLED_AS_TRIGGER(fcinfo)) {
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("meridian.forget_identity() must be called as a trigger")));
  }
  forget_identity();
  PG_RETURN_POINTER(nullptr);
}

/// meridian.confirm_identity() returns integer, the new epoch
MERIDIAN_FUNCTION(meridian_confirm_identity)
{
  require_clock();
  LocalMember member;
  if (!read_local_member(&member)) report_not_a_member();
  const IdentityDecision decision = decide(member);
  if (node_name[0] == '\0') report_refused(decision.reason);
  if (static_cast<std::uint32_t>(member.epoch) >= last_epoch) {
    ereport(ERROR,
            (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("this member has used up its %u epochs", last_epoch),
             errhint("Join the mesh again as a new member.")));
  }
  if (!raise_epoch(member)) {
    ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                    errmsg("the identity of this server was changed at the same time"),
                    errhint("See meridian.identity, and retry if it is still not confirmed.")));
  }
  PG_RETURN_INT32(member.epoch + 1);
}

/// meridian.read_identity() returns (mesh uuid, member integer, epoch integer, server text, confirmed boolean, reason
/// text)
MERIDIAN_FUNCTION(meridian_read_identity)
{
  LocalMember member;
  const bool found = read_local_member(&member);
  const bool standby = RecoveryInProgress();
  IdentityDecision decision{IdentityAction::refuse, "this server is not a member of a mesh"};
  if (found && standby) decision.reason = "this server is a standby: its primary writes";
  if (found && !standby) decision = decide(member);

  Datum values[6] = {};
  bool nulls[6] = {!found, !found, !found, false, false, false};
  if (found) {
    values[0] = UUIDPGetDatum(&member.mesh);
    values[1] = Int32GetDatum(member.member);
    values[2] = Int32GetDatum(member.epoch);
  }
  values[3] = CStringGetTextDatum(node_name);
  values[4] = BoolGetDatum(decision.action == IdentityAction::accept);
  values[5] = CStringGetTextDatum(decision.reason);
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(meridian::pg::result_row_type(fcinfo), values, nulls)));
}

}  // namespace meridian::pg
