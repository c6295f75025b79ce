// Two buffers take turns. The prober says in `begun` which generation it is about to write, fills the buffer of that
// generation, and says so in `published`. A reader of generation g looks at the buffer of g; it is overwritten when
// generation g + 2 is begun, so what was read counts if `begun` is still below that.
//
// Reports are large and rarely read: one place each, under a lock.

#include "pg/registry.hpp"

#include "pg/support/attempt.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg {

int max_servers;

namespace {

struct Report {
  char name[NAMEDATALEN];  ///< empty: free
  int member;
  std::int64_t sampled_at;
  std::uint32_t size;
  bool cut;
  char text[longest_report];
};

struct RegistryState {
  pg_atomic_uint64 begun;
  pg_atomic_uint64 published;
  int counts[2];
  LWLock report_lock;
  pg_atomic_uint64 reports_read_at;  ///< monotonic microseconds; 0: never
  slock_t count_lock;
  int pid;
  ProberCounts prober;
};

RegistryState* state = nullptr;

Size places() { return static_cast<Size>(max_servers); }
Size buffer_size() {
  return MAXALIGN(sizeof(RouteServer) * places()) + MAXALIGN(sizeof(AppliedPositions) * places()) +
         MAXALIGN(sizeof(ServerDetail) * places());
}
char* memory() { return reinterpret_cast<char*>(state) + CACHELINEALIGN(sizeof(RegistryState)); }
Report* reports() { return reinterpret_cast<Report*>(memory() + 2 * buffer_size()); }

Topology buffer_of(std::uint64_t generation) {
  char* at = memory() + (generation % 2) * buffer_size();
  Topology topology{generation, std::clamp(state->counts[generation % 2], 0, max_servers), nullptr, nullptr, nullptr};
  topology.routes = reinterpret_cast<RouteServer*>(at);
  at += MAXALIGN(sizeof(RouteServer) * places());
  topology.applied = reinterpret_cast<AppliedPositions*>(at);
  at += MAXALIGN(sizeof(AppliedPositions) * places());
  topology.details = reinterpret_cast<ServerDetail*>(at);
  return topology;
}

Report* find_report(int member, const char* name) {
  Report* const end = reports() + places();
  return std::find_if(reports(), end,
                      [=](const Report& each) { return each.member == member && std::strcmp(each.name, name) == 0; });
}

}  // namespace

Topology current_topology() {
  if (state == nullptr) return {};
  const std::uint64_t generation = pg_atomic_read_u64(&state->published);
  pg_read_barrier();
  return buffer_of(generation);
}

bool is_intact(const Topology& topology) {
  if (state == nullptr) return true;
  pg_read_barrier();
  return pg_atomic_read_u64(&state->begun) < topology.generation + 2;
}

Topology begin_topology() {
  const std::uint64_t generation = pg_atomic_read_u64(&state->published) + 1;
  pg_atomic_write_u64(&state->begun, generation);
  pg_memory_barrier();
  return buffer_of(generation);
}

void publish_topology(const Topology& topology, int count) {
  state->counts[topology.generation % 2] = count;
  pg_write_barrier();
  pg_atomic_write_u64(&state->published, topology.generation);
}

void keep_report(int member, const char* name, std::int64_t sampled_at, const char* text, std::size_t size) {
  LWLockAcquire(&state->report_lock, LW_EXCLUSIVE);
  Report* const end = reports() + places();
  Report* report = find_report(member, name);
  if (report == end) report = std::find_if(reports(), end, [](const Report& each) { return each.name[0] == '\0'; });
  if (report != end) {
    strlcpy(report->name, name, sizeof report->name);
    report->member = member;
    report->sampled_at = sampled_at;
    report->cut = size > longest_report;
    report->size = report->cut ? 0 : static_cast<std::uint32_t>(size);
    std::memcpy(report->text, text, report->size);
  }
  LWLockRelease(&state->report_lock);
}

void drop_old_reports() {
  const Topology topology = current_topology();
  LWLockAcquire(&state->report_lock, LW_EXCLUSIVE);
  for (Size i = 0; i < places(); ++i) {
    Report& report = reports()[i];
    bool known = false;
    for (int j = 0; j < topology.count && !known; ++j)
      known = topology.routes[j].member == report.member && std::strcmp(topology.details[j].name, report.name) == 0;
    if (!known) report.name[0] = '\0';
  }
  LWLockRelease(&state->report_lock);
}

void tell_prober_counts(const ProberCounts& counts) {
  SpinLockAcquire(&state->count_lock);
  state->prober = counts;
  SpinLockRelease(&state->count_lock);
}

bool reports_are_read() {
  const std::uint64_t read_at = pg_atomic_read_u64(&state->reports_read_at);
  return read_at != 0 && monotonic_us() - static_cast<std::int64_t>(read_at) < 60'000'000;
}

void attach_prober(int pid) {
  SpinLockAcquire(&state->count_lock);
  state->pid = pid;
  SpinLockRelease(&state->count_lock);
}

Size registry_shmem_size() {
  return CACHELINEALIGN(sizeof(RegistryState)) + 2 * buffer_size() + sizeof(Report) * places();
}

void registry_shmem_init() {
  bool found;
  state = static_cast<RegistryState*>(ShmemInitStruct("meridian registry", registry_shmem_size(), &found));
  const int tranche = found ? state->report_lock.tranche : LWLockNewTrancheId();
  LWLockRegisterTranche(tranche, "MeridianReports");
  if (found) return;
  pg_atomic_init_u64(&state->begun, 0);
  pg_atomic_init_u64(&state->published, 0);
  state->counts[0] = state->counts[1] = 0;
  LWLockInitialize(&state->report_lock, tranche);
  pg_atomic_init_u64(&state->reports_read_at, 0);
  SpinLockInit(&state->count_lock);
  state->pid = 0;
  state->prober = {};
  for (Size i = 0; i < places(); ++i) reports()[i].name[0] = '\0';
}

Datum readable_text(const char* text, Size size) {
  const auto length = static_cast<int>(strnlen(text, size - 1));
  struct varlena* const copy = cstring_to_text_with_len(text, length);
  if (!pg_verifymbstr(VARDATA(copy), length, true)) {
    for (int i = 0; i < length; ++i) {
      if (IS_HIGHBIT_SET(VARDATA(copy)[i])) VARDATA(copy)[i] = '?';
    }
  }
  return PointerGetDatum(copy);
}

Datum interval_of_us(std::int64_t us) {
  auto* const interval = static_cast<Interval*>(palloc0(sizeof(Interval)));
  interval->time = std::max<std::int64_t>(us, 0);
  return IntervalPGetDatum(interval);
}

namespace {

bool sees_details() {
  const Oid admin = get_role_oid("meridian_admin", true);
  return has_privs_of_role(GetUserId(), ROLE_PG_MONITOR) ||
         (OidIsValid(admin) && has_privs_of_role(GetUserId(), admin));
}

constexpr int probe_columns = 23;

struct ProbeRow {
  Datum values[probe_columns];
  bool nulls[probe_columns];
};

void fill_row(const RouteServer& route, const ServerDetail& detail, std::int64_t now, bool all, ProbeRow* row) {
  int column = 0;
  const auto put = [row, &column](bool known, auto make) {
    row->nulls[column] = !known;
    row->values[column] = known ? make() : Datum{0};
    ++column;
  };
  const bool answered = detail.answered;
  const bool standby = answered && route.in_recovery;
  put(true, [&] { return readable_text(detail.name); });
  put(true, [&] { return Int32GetDatum(route.member); });
  put(true, [&] { return readable_text(detail.region); });
  put(true, [&] { return CStringGetTextDatum(route.expected_primary ? "primary" : "standby"); });
  put(answered, [&] { return CStringGetTextDatum(route.in_recovery ? "standby" : "primary"); });
  put(detail.upstream[0] != '\0', [&] { return readable_text(detail.upstream); });
  put(detail.redacted[0] != '\0', [&] { return all ? readable_text(detail.redacted) : readable_text(detail.address); });
  put(answered, [&] { return CStringGetTextDatum(psprintf(UINT64_FORMAT, route.system_id)); });
  put(answered, [&] { return Int32GetDatum(static_cast<std::int32_t>(route.timeline)); });
  put(true, [&] { return CStringGetTextDatum(name_of(route.health)); });
  put(true, [&] { return Int32GetDatum(route.weight); });
  put(true, [&] { return BoolGetDatum(route.drained); });
  put(true, [&] { return TimestampTzGetDatum(detail.since); });
  put(detail.last_seen != 0, [&] { return TimestampTzGetDatum(detail.last_seen); });
  put(answered, [&] { return interval_of_us(now - route.sampled_at); });
  put(answered && !standby, [&] { return LSNGetDatum(detail.written); });
  put(standby && detail.received != 0, [&] { return LSNGetDatum(detail.received); });
  put(standby, [&] { return LSNGetDatum(detail.replayed); });
  put(standby && detail.lag_bytes_known, [&] { return Int64GetDatum(detail.lag_bytes); });
  put(standby && route.lag_known, [&] { return interval_of_us(route.lag_us); });
  put(standby, [&] { return BoolGetDatum(route.paused); });
  put(standby, [&] { return BoolGetDatum(detail.receiving); });
  put(all && detail.error[0] != '\0', [&] { return readable_text(detail.error); });
}

/// Null if the text is no JSON.
Datum* parsed_json(const char* text) {
  Datum* const parsed = static_cast<Datum*>(palloc(sizeof(Datum)));
  const MemoryContext caller = CurrentMemoryContext;
  const ErrorData* const failure = attempt([=] {
    const Datum value = DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
    const MemoryContext own = MemoryContextSwitchTo(caller);
    *parsed = datumCopy(value, false, -1);
    MemoryContextSwitchTo(own);
  });
  return failure == nullptr ? parsed : nullptr;
}

}  // namespace

/// meridian.server_probes(): see sql/31_registry.sql
MERIDIAN_FUNCTION(meridian_server_probes)
{
  InitMaterializedSRF(fcinfo, 0);
  auto* const result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  const bool all = sees_details();
  ProbeRow* rows = nullptr;
  int count = 0;
  read_topology([&](const Topology& topology) {
    rows = static_cast<ProbeRow*>(palloc(sizeof(ProbeRow) * static_cast<Size>(topology.count + 1)));
    count = topology.count;
    const std::int64_t now = monotonic_us();
    for (int i = 0; i < count; ++i) fill_row(topology.routes[i], topology.details[i], now, all, &rows[i]);
  });
  for (int i = 0; i < count; ++i)
    tuplestore_putvalues(result->setResult, result->setDesc, rows[i].values, rows[i].nulls);
  PG_RETURN_NULL();
}

/// meridian.probed_reports() returns set of (server text, sample_age interval, report jsonb)
MERIDIAN_FUNCTION(meridian_probed_reports)
{
  InitMaterializedSRF(fcinfo, 0);
  auto* const result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  if (state == nullptr) PG_RETURN_NULL();
  pg_atomic_write_u64(&state->reports_read_at, static_cast<std::uint64_t>(monotonic_us()));
  for (Size i = 0; i < places(); ++i) {
    LWLockAcquire(&state->report_lock, LW_SHARED);
    const Report& report = reports()[i];
    const bool found = report.name[0] != '\0';
    char name[NAMEDATALEN];
    strlcpy(name, report.name, sizeof name);
    const std::int64_t sampled_at = report.sampled_at;
    const char* const text = !found ? "" : report.cut ? "{\"cut\": true}" : pnstrdup(report.text, report.size);
    LWLockRelease(&state->report_lock);
    if (!found) continue;
    const Datum* const parsed = parsed_json(text);
    const Datum values[] = {readable_text(name), interval_of_us(monotonic_us() - sampled_at),
                            parsed == nullptr ? Datum{0} : *parsed};
    const bool nulls[] = {false, false, parsed == nullptr};
    tuplestore_putvalues(result->setResult, result->setDesc, const_cast<Datum*>(values), const_cast<bool*>(nulls));
  }
  PG_RETURN_NULL();
}

/// meridian.prober_status() returns (pid integer, rounds bigint, probes bigint, failures bigint, servers integer,
/// left_out integer)
MERIDIAN_FUNCTION(meridian_prober_status)
{
  ProberCounts counts{};
  int pid = 0;
  if (state != nullptr) {
    SpinLockAcquire(&state->count_lock);
    counts = state->prober;
    pid = state->pid;
    SpinLockRelease(&state->count_lock);
  }
  const auto number = [](std::uint64_t value) { return Int64GetDatum(static_cast<std::int64_t>(value)); };
  Datum values[] = {Int32GetDatum(pid),
                    number(counts.rounds),
                    number(counts.probes),
                    number(counts.failures),
                    Int32GetDatum(static_cast<std::int32_t>(counts.servers)),
                    Int32GetDatum(static_cast<std::int32_t>(counts.left_out))};
  bool nulls[std::size(values)] = {pid == 0};
  if (state == nullptr) std::fill(std::begin(nulls), std::end(nulls), true);
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(meridian::pg::result_row_type(fcinfo), values, nulls)));
}

}  // namespace meridian::pg
