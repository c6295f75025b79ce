// Shared memory holds a copy of the tables home_map, home_pin (as many keys as fit), home_change and what is needed of
// member, and the generation that it belongs to. Whoever finds another generation reads the tables and publishes what
// he found, unless the generation has changed meanwhile.
//
// A transaction that changes one of the tables begins a new generation in its commit callback, when its rows are
// visible. So after the commit has been reported to the client, nobody takes an older copy for the truth. On a standby
// nobody commits: there the relation cache's invalidation of home_map, which travels in WAL, begins a generation.
//
// The fence. A backend that writes a key of the directory or map first puts its virtual transaction into its place in
// shared memory, then looks at the generation; both with a full barrier between. Who has changed the homes, and
// committed, looks at the places afterwards: a transaction that may have decided by the old copy is there, and is
// waited for. When it has ended, what it wrote is visible and in WAL.
//
// The gate. While a server was away, the others may have taken its keys by force, and a standby that is promoted may
// lack the last changes. So a primary writes keys only when it has asked the others on its present timeline
// (setup/membership.cpp); shared memory forgets that with a restart.
//
// The lock guards the copy. It is held for a look-up, or while a copy is published, and never across I/O.
#include "pg/home_map.hpp"

#include "core/pin_table.hpp"
#include "core/rehome.hpp"
#include "pg/catalog.hpp"
#include "pg/errors.hpp"
#include "pg/home_key.hpp"
#include "pg/home_lease.hpp"
#include "pg/home_tables.hpp"
#include "pg/keeper.hpp"
#include "pg/registry.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg {

int max_cached_pins;

namespace {

struct Shared {
  LWLock lock;
  pg_atomic_uint64 generation;  ///< of the tables, from 1
  pg_atomic_uint32 relation;    ///< oid of home_map that the copy was read from
  pg_atomic_uint32 confirmed;   ///< the timeline on which the other members were asked; 0: not yet
  ConditionVariable was_confirmed;
  std::uint64_t loaded;  ///< the generation of the copy; 0: none
  View view;
};

Shared* shared = nullptr;
PinTable pins;
/// One for each backend: the virtual transaction that has written by the homes it read, or 0.
pg_atomic_uint64* writers = nullptr;

/// Of this transaction.
bool changed_here = false;
bool voters_changed_here = false;
bool writing_here = false;
/// This backend has looked at the tables since it started.
bool looked_here = false;

Size writers_offset() { return MAXALIGN(sizeof(Shared)); }
Size pins_offset() { return writers_offset() + MAXALIGN(sizeof(pg_atomic_uint64) * static_cast<Size>(MaxBackends)); }

void begin_generation() { pg_atomic_fetch_add_u64(&shared->generation, 1); }

[[noreturn]] void report_not_loaded() {
  ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("meridian was not loaded at server start"),
                  errhint("Add meridian to shared_preload_libraries and restart the server.")));
  pg_unreachable();
}

/// Reads the tables and publishes the copy, unless a newer generation has begun or somebody was quicker.
void load() {
  const MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "meridian homes", ALLOCSET_DEFAULT_SIZES);
  const MemoryContext caller = MemoryContextSwitchTo(context);
  const std::uint64_t generation = pg_atomic_read_u64(&shared->generation);
  auto* const view = static_cast<View*>(palloc0(sizeof(View)));
  read_view(view);
  int count = 0;
  const ReadPin* const found = read_pins(max_cached_pins + 1, &count);

  LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
  if (pg_atomic_read_u64(&shared->generation) == generation && shared->loaded != generation) {
    shared->view = *view;
    pins.reset();
    for (int i = 0; i < count; ++i) pins.add(found[i].key, {view->now.find(found[i].region), found[i].epoch});
    pg_atomic_write_u32(&shared->relation, table_oid(Table::home_map));
    shared->loaded = generation;
  }
  LWLockRelease(&shared->lock);
  MemoryContextSwitchTo(caller);
  MemoryContextDelete(context);
}

// --- looking up ---

/// Leaves with the lock held, shared, on a copy of the present generation.
void lock_copy() {
  if (shared == nullptr) report_not_loaded();
  if (changed_here) {
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("the homes of keys were changed in this transaction"), errhint("Commit it first.")));
  }
  if (RecoveryInProgress()) {
    // Nobody but us may have heard that the tables changed; nor may we, if we have only just come.
    if (!looked_here) begin_generation();
    looked_here = true;
    AcceptInvalidationMessages();
  }
  for (;;) {
    LWLockAcquire(&shared->lock, LW_SHARED);
    if (shared->loaded == pg_atomic_read_u64(&shared->generation)) return;
    LWLockRelease(&shared->lock);
    CHECK_FOR_INTERRUPTS();
    load();
  }
}

bool is_moving_key(const View& view, std::string_view key) {
  return view.pin_moves && key == std::string_view(view.moving_key, view.moving_length);
}

/// What a map says of a key; empty if nothing.
std::string_view by_rule(const HomeMap& map, std::string_view key) {
  const int region = guarded([&map, key] { return map.home_of(key); });
  return region == HomeMap::nowhere ? std::string_view() : map[region].view();
}

/// Under the lock. `pinned`: the region that the directory names, or empty.
Home judge(const View& view, std::string_view key, std::string_view pinned, std::uint64_t pinned_in,
           std::string_view named) {
  Home home{};
  home.source = !pinned.empty() ? Home::Source::directory : !named.empty() ? Home::Source::column : Home::Source::rule;
  home.epoch = pinned.empty() ? view.map_epoch : pinned_in;
  home.modulo = view.now.rule() == HomeRule::modulo;
  const std::string_view unpinned =
      !named.empty() || (!pinned.empty() && !is_moving_key(view, key)) ? named : by_rule(view.now, key);
  const std::string_view before = pinned.empty() ? unpinned : pinned;
  std::string_view after = before;
  if (is_moving_key(view, key)) {
    after = view.moving_to.view().empty() ? unpinned : view.moving_to.view();
  } else if (view.map_moves && home.source == Home::Source::rule) {
    after = by_rule(view.next, key);
  } else if (view.map_moves && view.next.find(before) == HomeMap::nowhere) {
    after = by_rule(view.next, key);  // its region is dropped by force
  }
  set_name(&home.region, before);
  if (before.empty()) home.source = Home::Source::none;
  if (before != after) {
    set_name(&home.target, after);
    home.epoch = view.change_epoch;
  }
  const std::string_view self = view.self.view();
  home.here = !self.empty() && before == self;
  const HomeChange change = before == after ? HomeChange::unknown : HomeChange::moving;
  home.accepted = accepts_write(change, home.here, !self.empty() && after == self);
  return home;
}

}  // namespace

Home find_home(std::string_view key, std::string_view named) {
  for (;;) {
    lock_copy();
    Pin pin{};
    const PinAnswer answer = pins.find(key, &pin);
    if (answer != PinAnswer::ask) {
      const bool pinned = answer == PinAnswer::pinned && pin.region != HomeMap::nowhere;
      const Home home =
          judge(shared->view, key, pinned ? shared->view.now[pin.region].view() : std::string_view(), pin.epoch, named);
      LWLockRelease(&shared->lock);
      return home;
    }
    const std::uint64_t generation = shared->loaded;
    LWLockRelease(&shared->lock);
    const char* region = "";
    std::uint64_t epoch = 0;
    look_up_pin(key, &region, &epoch);
    lock_copy();
    const bool unchanged = shared->loaded == generation;
    Home home{};
    if (unchanged) home = judge(shared->view, key, region, epoch, named);
    LWLockRelease(&shared->lock);
    if (unchanged) return home;
  }
}

namespace {

/// Puts in the server that writes for the member now, if the prober knows it.
void follow_failover(std::int32_t member, RegionServer* server) {
  const RegionServer known = *server;
  read_topology([&](const Topology& topology) {
    *server = known;
    for (int i = 0; i < topology.count; ++i) {
      const RouteServer& probed = topology.routes[i];
      if (probed.member != member || !probed.writes) continue;
      server->down = probed.health == Health::down;
      const ServerDetail& detail = topology.details[i];
      strlcpy(server->node, detail.name, sizeof server->node);
      if (probed.has_address) strlcpy(server->dsn, detail.address, sizeof server->dsn);
      return;
    }
  });
}

}  // namespace

bool find_region_server(std::string_view region, RegionServer* server) {
  lock_copy();
  const View& view = shared->view;
  int at = 0;
  while (at < view.servers && view.server_regions[at].view() != region) ++at;
  const bool found = at < view.servers;
  const std::int32_t member = found ? view.server_members[at] : 0;
  if (found) *server = view.region_servers[at];
  LWLockRelease(&shared->lock);
  if (found) follow_failover(member, server);
  return found;
}

RegionName own_region() {
  lock_copy();
  const RegionName name = shared->view.self;
  LWLockRelease(&shared->lock);
  return name;
}

bool is_home_region(std::string_view region) {
  lock_copy();
  const bool found = shared->view.now.find(region) != HomeMap::nowhere;
  LWLockRelease(&shared->lock);
  return found;
}

bool Voters::List::has(std::int32_t member) const noexcept {
  const auto list = span();
  return std::find(list.begin(), list.end(), member) != list.end();
}

Voters find_voters() {
  lock_copy();
  const Voters voters = shared->view.voters;
  LWLockRelease(&shared->lock);
  return voters;
}

// --- the fence ---

namespace {

pg_atomic_uint64* own_place() { return &writers[compat::backend_index()]; }

/// How long a write waits for the worker that asks the other members.
constexpr int patience_ms = 10'000;

void await_confirmation() {
  const bool asking = wake_keeper();
  const TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), asking ? patience_ms : 0);
  ConditionVariablePrepareToSleep(&shared->was_confirmed);
  while (!homes_confirmed()) {
    const long left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
    if (left_ms <= 0) {
      ereport(ERROR, (errcode(errcode_home_unconfirmed),
                      errmsg("this server has not heard from the other members since it started"),
                      errdetail("They may have taken its keys meanwhile."),
                      errhint("It asks them again and again. If they are gone for good, drop them with "
                              "meridian.drop_node(), or call meridian.confirm_homes().")));
    }
    ConditionVariableTimedSleep(&shared->was_confirmed, left_ms, PG_WAIT_EXTENSION);
  }
  ConditionVariableCancelSleep();
}

void on_transaction_event(XactEvent event) {
  switch (event) {
    case XACT_EVENT_COMMIT:
      if (changed_here) begin_generation();
      if (voters_changed_here) drop_home_lease();
      [[fallthrough]];
    case XACT_EVENT_ABORT:
      if (writing_here) pg_atomic_write_u64(own_place(), 0);
      changed_here = false;
      voters_changed_here = false;
      writing_here = false;
      break;
    case XACT_EVENT_PRE_PREPARE:
      // It would commit without this callback.
      if (changed_here || writing_here) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("cannot PREPARE a transaction that has %s",
                               changed_here ? "changed the homes of keys" : "written a key with a home region"),
                        errhint("Commit it in one step: a key whose home moves waits for it.")));
      }
      break;
    default:
      break;
  }
}

extern "C" void meridian_home_at_transaction_event(XactEvent event, void*) {
  guarded([event] { on_transaction_event(event); });
}

extern "C" void meridian_home_at_invalidation(Datum, Oid relation) {
  if (shared == nullptr || !RecoveryInProgress()) return;
  if (!OidIsValid(relation) || relation == pg_atomic_read_u32(&shared->relation)) begin_generation();
}

}  // namespace

bool homes_confirmed() {
  return shared != nullptr && !RecoveryInProgress() &&
         pg_atomic_read_u32(&shared->confirmed) == GetWALInsertionTimeLine();
}

void confirm_homes() {
  if (shared == nullptr) report_not_loaded();
  if (!homes_confirmed()) begin_promising();
  pg_atomic_write_u32(&shared->confirmed, GetWALInsertionTimeLine());
  ConditionVariableBroadcast(&shared->was_confirmed);
}

void doubt_homes() {
  if (shared == nullptr) report_not_loaded();
  pg_atomic_write_u32(&shared->confirmed, 0);
  (void)wake_keeper();
}

void begin_home_write() {
  if (writing_here) return;
  if (shared == nullptr) report_not_loaded();
  if (!homes_confirmed()) await_confirmation();
  VirtualTransactionId transaction;
  GET_VXID_FROM_PGPROC(transaction, *MyProc);
  static_assert(sizeof transaction == sizeof(std::uint64_t));
  writing_here = true;
  pg_atomic_write_u64(own_place(), std::bit_cast<std::uint64_t>(transaction));
  pg_memory_barrier();
}

void register_home_callbacks() {
  RegisterXactCallback(meridian_home_at_transaction_event, nullptr);
  CacheRegisterRelcacheCallback(meridian_home_at_invalidation, static_cast<Datum>(0));
}

void forget_homes() {
  if (shared != nullptr) begin_generation();
}

Size home_map_shmem_size() { return pins_offset() + PinTable::bytes(static_cast<std::uint32_t>(max_cached_pins)); }

void home_map_shmem_init() {
  bool found;
  auto* const memory = static_cast<char*>(ShmemInitStruct("meridian homes", home_map_shmem_size(), &found));
  shared = reinterpret_cast<Shared*>(memory);
  writers = reinterpret_cast<pg_atomic_uint64*>(memory + writers_offset());
  pins = PinTable(memory + pins_offset(), static_cast<std::uint32_t>(max_cached_pins));
  if (!found) {
    LWLockInitialize(&shared->lock, LWLockNewTrancheId());
    pg_atomic_init_u64(&shared->generation, 1);
    pg_atomic_init_u32(&shared->relation, InvalidOid);
    pg_atomic_init_u32(&shared->confirmed, 0);
    ConditionVariableInit(&shared->was_confirmed);
    shared->loaded = 0;
    for (int i = 0; i < MaxBackends; ++i) pg_atomic_init_u64(&writers[i], 0);
    pins.reset();
  }
  LWLockRegisterTranche(shared->lock.tranche, "MeridianHomes");
}

}  // namespace meridian::pg

/// Trigger, statement level, on the tables that the copy is made of.
MERIDIAN_FUNCTION(meridian_note_home_change)
{
  using namespace meridian::pg;
  if (!CALLED_AS_TRIGGER(fcinfo)) {
    ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                    errmsg("meridian.note_home_change() must be called as a trigger")));
  }
  changed_here = shared != nullptr;
  CacheInvalidateRelcacheByRelid(table_oid(Table::home_map));
  // Whoever goes on after this commit must be able to rely on it.
  ForceSyncCommit();
  PG_RETURN_POINTER(nullptr);
}

/// meridian.homes_confirmed() returns boolean
MERIDIAN_FUNCTION(meridian_homes_confirmed)
{ PG_RETURN_BOOL(meridian::pg::homes_confirmed()); }

/// meridian.confirm_homes() returns void
MERIDIAN_FUNCTION(meridian_confirm_homes)
{
  meridian::pg::confirm_homes();
  PG_RETURN_VOID();
}

/// meridian.doubt_homes() returns void
MERIDIAN_FUNCTION(meridian_doubt_homes)
{
  meridian::pg::doubt_homes();
  PG_RETURN_VOID();
}

/// meridian.end_home_lease() returns void
MERIDIAN_FUNCTION(meridian_end_home_lease)
{
  meridian::pg::voters_changed_here = true;
  PG_RETURN_VOID();
}

/// meridian.wait_for_home_writers() returns void
MERIDIAN_FUNCTION(meridian_wait_for_home_writers)
{
  using namespace meridian::pg;
  if (shared == nullptr) report_not_loaded();
  pg_memory_barrier();
  for (int i = 0; i < MaxBackends; ++i) {
    const std::uint64_t place = pg_atomic_read_u64(&writers[i]);
    if (place == 0 || i == meridian::pg::compat::backend_index()) continue;
    VirtualXactLock(std::bit_cast<VirtualTransactionId>(place), true);
  }
  PG_RETURN_VOID();
}
