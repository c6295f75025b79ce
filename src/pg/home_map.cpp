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
#include "pg/keeper.hpp"
#include "pg/registry.hpp"
#include "pg/setup/conninfo.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg {

int max_cached_pins;

namespace {

/// What the tables say, but for the directory.
struct View {
  HomeMap now;
  std::uint64_t map_epoch;
  HomeMap next;  ///< if map_moves
  bool map_moves;
  bool pin_moves;
  std::uint64_t change_epoch;  ///< of the change in progress
  char moving_key[longest_key];
  std::size_t moving_length;
  RegionName moving_to;  ///< empty: to where the map says
  RegionName self;
  int servers;
  RegionName server_regions[max_home_regions];
  std::int32_t server_members[max_home_regions];
  RegionServer region_servers[max_home_regions];
};
static_assert(std::is_trivially_copyable_v<View>);

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

void set_name(RegionName* name, std::string_view text) {
  *name = {};
  std::memcpy(name->text, text.data(), std::min(text.size(), max_region_name));
}

// --- reading the tables ---

/// One table, all rows, under a snapshot that sees what was committed until now.
struct Rows {
  Relation relation;
  SysScanDesc scan;
  HeapTuple tuple;
};

Rows open_rows(Table table) {
  Rows rows{};
  rows.relation = table_open(table_oid(table), AccessShareLock);
  rows.scan = systable_beginscan(rows.relation, InvalidOid, false, nullptr, 0, nullptr);
  return rows;
}

bool next_row(Rows* rows) {
  rows->tuple = systable_getnext(rows->scan);
  return HeapTupleIsValid(rows->tuple);
}

void close_rows(Rows* rows) {
  systable_endscan(rows->scan);
  table_close(rows->relation, AccessShareLock);
}

Datum column(const Rows& rows, AttrNumber number, bool* is_null) {
  return heap_getattr(rows.tuple, number, RelationGetDescr(rows.relation), is_null);
}

/// Empty for NULL.
std::string_view text_column(const Rows& rows, AttrNumber number) {
  bool is_null = false;
  const Datum value = column(rows, number, &is_null);
  return is_null ? std::string_view() : std::string_view(TextDatumGetCString(value));
}

std::int64_t bigint_column(const Rows& rows, AttrNumber number) {
  bool is_null = false;
  const Datum value = column(rows, number, &is_null);
  return is_null ? 0 : DatumGetInt64(value);
}

/// Fills a map from the columns rule, regions and weights, which follow each other.
void read_map(const Rows& rows, AttrNumber first, HomeMap* map) {
  bool is_null = false;
  Datum* names = nullptr;
  Datum* weights = nullptr;
  int count = 0;
  int weight_count = 0;
  const std::string_view rule = text_column(rows, first);
  deconstruct_array(DatumGetArrayTypeP(column(rows, static_cast<AttrNumber>(first + 1), &is_null)), TEXTOID, -1, false,
                    TYPALIGN_INT, &names, nullptr, &count);
  deconstruct_array(DatumGetArrayTypeP(column(rows, static_cast<AttrNumber>(first + 2), &is_null)), INT4OID, 4, true,
                    TYPALIGN_INT, &weights, nullptr, &weight_count);
  auto* texts = static_cast<const char**>(palloc(sizeof(char*) * static_cast<Size>(count + 1)));
  for (int i = 0; i < count; ++i) texts[i] = TextDatumGetCString(names[i]);
  count = std::min(count, weight_count);
  guarded([=] {
    map->set_rule(parse_home_rule(rule));
    for (int i = 0; i < count; ++i) map->add(texts[i], static_cast<std::uint32_t>(DatumGetInt32(weights[i])));
  });
}

enum MapColumn : AttrNumber { map_epoch = 2, map_rule };

void read_current_map(View* view) {
  Rows rows = open_rows(Table::home_map);
  if (next_row(&rows)) {
    view->map_epoch = static_cast<std::uint64_t>(bigint_column(rows, map_epoch));
    read_map(rows, map_rule, &view->now);
  }
  close_rows(&rows);
}

enum ChangeColumn : AttrNumber { change_epoch = 1, change_state, change_kind, change_key, change_region, change_rule };

void read_change(View* view) {
  Rows rows = open_rows(Table::home_change);
  while (next_row(&rows)) {
    if (text_column(rows, change_state) != "moving") continue;
    view->change_epoch = static_cast<std::uint64_t>(bigint_column(rows, change_epoch));
    if (text_column(rows, change_kind) == "map") {
      view->map_moves = true;
      read_map(rows, change_rule, &view->next);
    } else {
      const std::string_view key = portable_text(text_column(rows, change_key));
      view->pin_moves = true;
      view->moving_length = std::min(key.size(), longest_key);
      std::memcpy(view->moving_key, key.data(), view->moving_length);
      set_name(&view->moving_to, text_column(rows, change_region));
    }
  }
  close_rows(&rows);
}

std::int32_t own_member() {
  Rows rows = open_rows(Table::local_member);
  constexpr AttrNumber member = 3;
  bool is_null = false;
  const std::int32_t id = next_row(&rows) ? DatumGetInt32(column(rows, member, &is_null)) : 0;
  close_rows(&rows);
  return id;
}

// Core lane.
void write_redacted(const char* dsn, RegionServer* server) {
  const std::string text = setup::redacted_dsn(dsn);
  if (text.size() <= RegionServer::longest_dsn) std::memcpy(server->dsn, text.c_str(), text.size() + 1);
}

enum MemberColumn : AttrNumber { member_id = 1, member_name, member_region, member_dsn };

/// The member with the smallest number serves its region.
void read_members(View* view) {
  const std::int32_t self = own_member();
  Rows rows = open_rows(Table::member);
  while (next_row(&rows)) {
    bool is_null = false;
    const std::int32_t id = DatumGetInt32(column(rows, member_id, &is_null));
    const std::string_view region = text_column(rows, member_region);
    if (id == self) set_name(&view->self, region);
    int at = 0;
    while (at < view->servers && view->server_regions[at].view() != region) ++at;
    if (at == static_cast<int>(max_home_regions)) continue;
    if (at == view->servers) {
      ++view->servers;
    } else if (view->server_members[at] < id) {
      continue;
    }
    view->server_members[at] = id;
    set_name(&view->server_regions[at], region);
    RegionServer* const server = &view->region_servers[at];
    *server = {};
    strlcpy(server->node, text_column(rows, member_name).data(), sizeof server->node);
    const char* const dsn = text_column(rows, member_dsn).data();
    guarded([dsn, server] { write_redacted(dsn, server); });
  }
  close_rows(&rows);
}

/// A row of the directory.
struct ReadPin {
  const char* key;
  const char* region;
  std::uint64_t epoch;
};

enum PinColumn : AttrNumber { pin_key = 1, pin_region, pin_epoch };

/// One more than shared memory holds is enough.
ReadPin* read_pins(int* count) {
  const int most = max_cached_pins + 1;
  int size = 64;
  auto* found = static_cast<ReadPin*>(palloc(sizeof(ReadPin) * static_cast<Size>(size)));
  *count = 0;
  Rows rows = open_rows(Table::home_pin);
  while (*count < most && next_row(&rows)) {
    const std::string_view region = text_column(rows, pin_region);
    if (region.empty()) continue;
    if (*count == size) {
      size *= 2;
      found = static_cast<ReadPin*>(repalloc(found, sizeof(ReadPin) * static_cast<Size>(size)));
    }
    found[(*count)++] = {portable_text(text_column(rows, pin_key)).data(), region.data(),
                         static_cast<std::uint64_t>(bigint_column(rows, pin_epoch))};
  }
  close_rows(&rows);
  return found;
}

/// Reads the tables and publishes the copy, unless a newer generation has begun or somebody was quicker.
void load() {
  const MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "meridian homes", ALLOCSET_DEFAULT_SIZES);
  const MemoryContext caller = MemoryContextSwitchTo(context);
  const std::uint64_t generation = pg_atomic_read_u64(&shared->generation);
  auto* const view = static_cast<View*>(palloc0(sizeof(View)));
  read_current_map(view);
  read_change(view);
  read_members(view);
  int count = 0;
  const ReadPin* const found = read_pins(&count);

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

/// The directory's row of a key that shared memory does not hold. `region` is palloc'd.
bool look_up_pin(std::string_view key, const char** region, std::uint64_t* epoch) {
  const Relation relation = table_open(table_oid(Table::home_pin), AccessShareLock);
  const char* const utf8 = pnstrdup(key.data(), key.size());
  const char* const stored = pg_any_to_server(utf8, static_cast<int>(key.size()), PG_UTF8);
  ScanKeyData condition;
  ScanKeyInit(&condition, pin_key, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(stored));
  Rows rows{relation, systable_beginscan(relation, index_oid(Index::home_pin_key), true, nullptr, 1, &condition),
            nullptr};
  const bool found = next_row(&rows) && !text_column(rows, pin_region).empty();
  if (found) {
    *region = text_column(rows, pin_region).data();
    *epoch = static_cast<std::uint64_t>(bigint_column(rows, pin_epoch));
  }
  close_rows(&rows);
  return found;
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
      [[fallthrough]];
    case XACT_EVENT_ABORT:
      if (writing_here) pg_atomic_write_u64(own_place(), 0);
      changed_here = false;
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
  pg_atomic_write_u32(&shared->confirmed, GetWALInsertionTimeLine());
  ConditionVariableBroadcast(&shared->was_confirmed);
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
