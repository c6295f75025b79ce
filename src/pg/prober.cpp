// A round begins every meridian.probe_interval: the tables are read, this server looks at itself, and all others are
// asked at once, over connections that stay open. Between rounds the worker sleeps on all its sockets. Nothing waits
// for one server: connecting and asking have limits of their own, and a server that fails is asked again after 1 s, 2
// s, ... 60 s. Whatever changed is published before the worker sleeps again.
//
// Over the same connections, when a round has shown that it is needed:
//   a standby tells its primary who it is, if what its tables say of it is not what its settings say
//   a primary fetches what another member has written down of its standbys, if the digests differ
//
// An error in this database ends the transaction, is logged when it is new, and the round goes on without it.
#include "pg/prober.hpp"

#include "pg/lease_asker.hpp"
#include "pg/prober_tables.hpp"
#include "pg/settings.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/guard.hpp"
#include "pg/support/worker.hpp"
#include "pg/watch.hpp"
#include "pg/worker_failures.hpp"

namespace meridian::pg {

int probe_interval_ms;
int max_lag_ms;
int max_lag_kb;
int lag_exit_percent;
int lag_dwell_ms;
char* advertise_dsn;
char* allowed_hosts;

namespace {
/// However often servers are asked: a busy machine may let one wait for its turn.
constexpr long shortest_stale_us = 2'000'000;
}  // namespace

long stale_after_us() { return std::max(3000L * probe_interval_ms, shortest_stale_us); }

namespace {

using namespace std::chrono_literals;
using TimePoint = ProbeClock::time_point;

constexpr auto shortest_backoff = 1s;
constexpr auto longest_backoff = 60s;
/// Between two attempts to register, or to fetch one member's servers.
constexpr auto errand_pause = 2s;
/// Reports are fetched from so many servers in a round.
constexpr std::size_t reports_per_round = 8;
/// Making a report costs a server some milliseconds. While nobody looks at them, each is fetched in one of so many
/// rounds.
constexpr std::size_t idle_report_rounds = 10;

// --- glue lane ---

/// The sockets that are waited for; rebuilt when they change.
struct Sockets {
  WaitEventSet* set;
  WaitEvent* events;
  int room;
};

void release(Sockets* sockets) {
  if (sockets->set != nullptr) FreeWaitEventSet(sockets->set);
  sockets->set = nullptr;
}

void rebuild(Sockets* sockets, const Probe::Wish* wishes, int count) {
  release(sockets);
  const MemoryContext context = MemoryContextSwitchTo(TopMemoryContext);
  const ResourceOwner owner = CurrentResourceOwner;
  CurrentResourceOwner = nullptr;
  if (sockets->events == nullptr || sockets->room < count + 2) {
    if (sockets->events != nullptr) pfree(sockets->events);
    sockets->events = nullptr;
    sockets->events = static_cast<WaitEvent*>(palloc(sizeof(WaitEvent) * static_cast<Size>(count + 2)));
    sockets->room = count + 2;
  }
  sockets->set = compat::create_wait_event_set(count + 2);
  CurrentResourceOwner = owner;
  MemoryContextSwitchTo(context);
  AddWaitEventToSet(sockets->set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, nullptr);
  AddWaitEventToSet(sockets->set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, nullptr, nullptr);
  for (int i = 0; i < count; ++i) {
    if (wishes[i].socket < 0) continue;
    const int events = (wishes[i].read ? WL_SOCKET_READABLE : 0) | (wishes[i].write ? WL_SOCKET_WRITEABLE : 0);
    // The user data is the number of the server, from 1.
    AddWaitEventToSet(sockets->set, static_cast<uint32>(events), wishes[i].socket, nullptr,
                      reinterpret_cast<void*>(static_cast<std::uintptr_t>(i) + 1));
  }
}

/// Marks in `ready` who has something to read or can write. Returns whether the configuration was read again.
bool sleep_on(Sockets* sockets, long timeout_ms, uint32 event, bool* ready) {
  const int count = WaitEventSetWait(sockets->set, timeout_ms, sockets->events, sockets->room, event);
  for (int i = 0; i < count; ++i) {
    const WaitEvent& occurred = sockets->events[i];
    if ((occurred.events & WL_LATCH_SET) != 0) ResetLatch(MyLatch);
    if (occurred.user_data != nullptr) ready[reinterpret_cast<std::uintptr_t>(occurred.user_data) - 1] = true;
  }
  CHECK_FOR_INTERRUPTS();
  if (!ConfigReloadPending) return false;
  ConfigReloadPending = false;
  ProcessConfigFile(PGC_SIGHUP);
  return true;
}

void report_failure(const char* what, const char* message) {
  ereport(LOG, (errmsg("meridian prober: %s: %s", what, message)));
}

// --- core lane ---

std::string text_or_empty(const char* text) { return text == nullptr ? std::string() : std::string(text); }

std::vector<Target> targets_in(const TextRows& rows) {
  std::vector<Target> targets;
  for (int i = 0; i < rows.rows; ++i) {
    targets.push_back({std::stoi(rows.at(i, 0)), rows.at(i, 1), rows.at(i, 2), text_or_empty(rows.at(i, 3)),
                       rows.at(i, 4)[0] == 't', std::stoi(rows.at(i, 5)), rows.at(i, 6)[0] == 't',
                       text_or_empty(rows.at(i, 7)), rows.at(i, 8)[0] == 't'});
  }
  return targets;
}

std::vector<MemberFacts> members_in(const TextRows& rows) {
  std::vector<MemberFacts> members;
  for (int i = 0; i < rows.rows; ++i) {
    const auto reign_at = [&rows, i](int column) -> Reign {
      const char* const system_id = rows.at(i, column);
      Reign reign;
      // A text in the tables; one that is no number is not known.
      if (system_id == nullptr) return reign;
      std::from_chars(system_id, system_id + std::strlen(system_id), reign.system_id);
      if (reign.system_id == 0) return {};
      reign.timeline = static_cast<std::uint32_t>(std::stoul(rows.at(i, column + 1)));
      reign.epoch = static_cast<std::uint32_t>(std::stoul(rows.at(i, column + 2)));
      return reign;
    };
    members.push_back({std::stoi(rows.at(i, 0)), rows.at(i, 1)[0] == 't', rows.at(i, 2), reign_at(3),
                       text_or_empty(rows.at(i, 6)), reign_at(7)});
  }
  return members;
}

WatchLimits current_limits() {
  const auto part = [](std::int64_t whole) { return whole / 100 * lag_exit_percent; };
  const std::int64_t time = max_lag_ms < 0 ? -1 : std::int64_t{max_lag_ms} * 1000;
  const std::int64_t bytes = max_lag_kb < 0 ? -1 : std::int64_t{max_lag_kb} * 1024;
  const std::int64_t dwell = std::int64_t{lag_dwell_ms} * 1000;
  return {{time, part(time), dwell}, {bytes, part(bytes), dwell}, stale_after_us()};
}

class Prober {
 public:
  explicit Prober(MemoryContext context) : context_(context) {}
  [[noreturn]] void serve();

 private:
  void begin_round(TimePoint now);
  bool read_tables(ProberTables* tables);
  void look_at_self(const ProberTables& tables, std::int64_t asked_at);
  void start_questions(TimePoint now);
  void run_errands(TimePoint now);
  void register_here(TimePoint now);
  void fetch_servers(TimePoint now);
  void sleep();
  void advance(TimePoint now);
  void take(WatchedServer& server, const Probe::Outcome& outcome, TimePoint now);
  void take_status(WatchedServer& server, const PGresult* rows);
  void take_servers(const WatchedServer& server, const PGresult* rows);
  void remember_reigns();
  template <typename Write>
  bool write(Write write);
  void keep_report(const WatchedServer& server, const char* text);
  void publish();
  void complain(const char* what, const std::string& message);
  [[nodiscard]] bool wants_report(std::size_t number) const;

  MemoryContext context_;
  uint32 event_ = 0;
  Watch watch_;
  LeaseAsker lease_;
  ProberCounts counts_{};
  Sockets sockets_{};
  std::vector<Probe::Wish> wishes_;
  std::unique_ptr<bool[]> ready_;
  TimePoint next_round_{};
  TimePoint registered_at_{};
  std::vector<std::pair<int, TimePoint>> fetched_at_;
  std::string last_complaint_;
  bool changed_ = false;
  bool reigns_due_ = false;  ///< once per round
};

void Prober::serve() {
  event_ = call([] { return compat::wait_event("MeridianProber"); });
  for (;;) {
    const TimePoint now = ProbeClock::now();
    if (now >= next_round_) begin_round(now);
    advance(now);
    if (changed_) publish();
    run_errands(now);
    sleep();
  }
}

/// Logs what is new, so that a lasting failure does not fill the log.
void Prober::complain(const char* what, const std::string& message) {
  if (message == last_complaint_) return;
  last_complaint_ = message;
  const char* const text = last_complaint_.c_str();
  call([=] { report_failure(what, text); });
}

/// Runs one transaction of prober_tables.hpp. False, and the log says why, if it failed.
template <typename Write>
bool Prober::write(Write write) {
  try {
    call(write);
    return true;
  } catch (const PgError& error) {
    const std::string text = error.data()->message == nullptr ? "" : error.data()->message;
    call([] { abandon_prober_transaction(); });
    complain("its tables cannot be read or written", text);
  }
  return false;
}

bool Prober::read_tables(ProberTables* tables) {
  const bool with_report = wants_report(0);
  const MemoryContext context = context_;
  return write([=] {
    MemoryContextReset(context);
    MemoryContextSwitchTo(context);
    read_prober_tables(with_report, tables);
  });
}

void Prober::begin_round(TimePoint now) {
  // Rounds that were missed, because the machine slept, are not made up for.
  const auto interval = std::chrono::milliseconds(probe_interval_ms);
  next_round_ = std::max(next_round_ + interval, now + interval / 2);
  ++counts_.rounds;
  ProberTables tables{};
  const std::int64_t asked_at = monotonic_us();
  if (!read_tables(&tables)) return;
  const bool in_recovery = tables.installed && tables.self.at(0, 6) != nullptr && tables.self.at(0, 6)[0] == 't';
  const std::int64_t wall = call([] { return GetCurrentTimestamp(); });
  watch_.set_targets(targets_in(tables.targets), members_in(tables.members),
                     {node_name, region_name, advertise_dsn, in_recovery}, static_cast<std::size_t>(max_servers), wall);
  counts_.servers = static_cast<std::uint32_t>(watch_.servers().size());
  counts_.left_out = static_cast<std::uint32_t>(watch_.left_out());
  if (tables.installed) look_at_self(tables, asked_at);
  lease_.set_terms(tables.lease);
  start_questions(now);
  changed_ = true;
  reigns_due_ = true;
  call([] {
    drop_old_reports();
    note_worker_success();
  });
}

void Prober::look_at_self(const ProberTables& tables, std::int64_t asked_at) {
  WatchedServer* const self = watch_.self();
  if (self == nullptr) return;
  AnswerTexts texts;
  for (int i = 0; i < static_cast<int>(answer_columns); ++i) texts[static_cast<std::size_t>(i)] = tables.self.at(0, i);
  const std::int64_t wall = call([] { return GetCurrentTimestamp(); });
  watch_.answered(*self, texts, asked_at, monotonic_us(), wall);
  keep_report(*self, tables.self.at(0, answer_columns - 1));
}

/// Reports take turns when there are many servers, or nobody to read them. The first are wanted at once: this server's
/// own tells under which name it is in the views.
bool Prober::wants_report(std::size_t number) const {
  const bool are_read = counts_.rounds <= 2 || call([] { return reports_are_read(); });
  const std::size_t turns =
      std::max<std::size_t>((watch_.servers().size() + reports_per_round - 1) / reports_per_round, 1);
  return (counts_.rounds + number) % (are_read ? turns : turns * idle_report_rounds) == 0;
}

void Prober::start_questions(TimePoint now) {
  const std::string encoding = pg_encoding_to_char(GetDatabaseEncoding());
  for (std::size_t i = 0; i < watch_.servers().size(); ++i) {
    WatchedServer& server = *watch_.servers()[i];
    if (server.is_self || server.target.dsn.empty()) continue;
    server.probe.set_target(server.target.dsn, server.target.trusted, encoding);
    if (server.probe.asking() || now < server.due) continue;
    server.probe.ask(Probe::Question::status, lease_.ask(server, wants_report(i)), now);
  }
}

void Prober::advance(TimePoint now) {
  const auto& servers = watch_.servers();
  for (std::size_t i = 0; i < servers.size(); ++i) {
    WatchedServer& server = *servers[i];
    const bool ready = i < wishes_.size() && ready_[i];
    if (!ready && now < server.probe.deadline()) continue;
    if (const auto outcome = server.probe.advance(now)) take(server, *outcome, now);
  }
}

void Prober::take(WatchedServer& server, const Probe::Outcome& outcome, TimePoint now) {
  if (outcome.question != Probe::Question::status) {
    if (outcome.rows == nullptr) {
      complain(outcome.question == Probe::Question::servers ? "a member does not tell its servers"
                                                            : "this standby cannot be registered",
               outcome.error);
      return;
    }
    if (outcome.question == Probe::Question::servers) take_servers(server, outcome.rows.get());
    next_round_ = std::min(next_round_, now);
    return;
  }
  ++counts_.probes;
  changed_ = true;
  if (outcome.rows != nullptr) {
    take_status(server, outcome.rows.get());
  } else {
    watch_.failed(server, outcome.error);
  }
  if (server.error.empty()) {
    server.backoff = {};
    server.due = now;
    return;
  }
  ++counts_.failures;
  server.backoff = std::clamp<ProbeClock::duration>(2 * server.backoff, shortest_backoff,
                                                    LeaseAsker::longest_pause(longest_backoff));
  server.due = now + server.backoff;
}

void Prober::take_status(WatchedServer& server, const PGresult* rows) {
  if (PQntuples(rows) != 1 || PQnfields(rows) != static_cast<int>(answer_columns)) {
    watch_.failed(server, "its answer cannot be read");
    return;
  }
  AnswerTexts texts;
  for (int i = 0; i < static_cast<int>(answer_columns); ++i)
    texts[static_cast<std::size_t>(i)] = PQgetisnull(rows, 0, i) != 0 ? nullptr : PQgetvalue(rows, 0, i);
  const auto asked_at =
      std::chrono::duration_cast<std::chrono::microseconds>(server.probe.asked_at().time_since_epoch());
  const std::int64_t wall = call([] { return GetCurrentTimestamp(); });
  watch_.answered(server, texts, asked_at.count(), monotonic_us(), wall);
  if (!server.error.empty()) return;
  keep_report(server, texts[answer_columns - 1]);
  lease_.take(server, texts[lease_column]);
}

void Prober::keep_report(const WatchedServer& server, const char* text) {
  if (text == nullptr) return;
  const int member = server.target.member;
  const char* const name = server.target.name.c_str();
  const std::int64_t now = server.sampled_at;
  call([=] { pg::keep_report(member, name, now, text, std::strlen(text)); });
}

void Prober::take_servers(const WatchedServer& server, const PGresult* rows) {
  TextRows texts{PQntuples(rows), PQnfields(rows), nullptr};
  std::vector<const char*> values;
  for (int row = 0; row < texts.rows; ++row) {
    for (int column = 0; column < texts.columns; ++column)
      values.push_back(PQgetisnull(rows, row, column) != 0 ? nullptr : PQgetvalue(rows, row, column));
  }
  texts.values = values.data();
  const int member = server.target.member;
  write([=] { store_servers(member, texts); });
}

void Prober::run_errands(TimePoint now) {
  const WatchedServer* const self = watch_.self();
  if (self == nullptr || !self->answer) return;
  if (self->answer->in_recovery) {
    register_here(now);
    return;
  }
  if (reigns_due_) remember_reigns();
  if (self->writes) fetch_servers(now);
}

/// On a primary, also on one that was left behind: what is to be known after a restart.
void Prober::remember_reigns() {
  reigns_due_ = false;
  for (const auto& server : watch_.servers()) {
    const MemberFacts* const facts = watch_.facts_of(server->target.member);
    if (!server->writes || facts == nullptr) continue;
    const int member = facts->member;
    const Reign seen = watch_.seen_of(member);
    if (seen != facts->stored) write([=] { store_reign(member, seen.system_id, seen.timeline, seen.epoch); });
  }
}

/// On a standby: the primary is told, if this server's tables do not say of it what its settings do.
void Prober::register_here(TimePoint now) {
  const WatchedServer& self = *watch_.self();
  if (advertise_dsn[0] == '\0' || node_name[0] == '\0' || self.target.is_primary || now < registered_at_ + errand_pause)
    return;
  const std::string upstream = watch_.upstream_of(self);
  const std::string region = region_name;
  const bool same = self.target.dsn == advertise_dsn && self.listed &&
                    (region.empty() || self.target.region == region) &&
                    (upstream.empty() || self.target.upstream == upstream);
  if (same) return;
  WatchedServer* const primary = watch_.writer_of(self.target.member);
  if (primary == nullptr || !primary->probe.connected() || primary->probe.asking()) return;
  registered_at_ = now;
  const auto or_null = [](const std::string& text) {
    return text.empty() ? Probe::Parameter() : Probe::Parameter(text);
  };
  primary->probe.ask(Probe::Question::registration, {node_name, or_null(region), advertise_dsn, or_null(upstream)},
                     now);
}

/// On a primary: of members whose primary knows other servers than this one has written down.
void Prober::fetch_servers(TimePoint now) {
  for (const auto& server : watch_.servers()) {
    if (!server->writes || server->is_self || server->target.member == watch_.self()->target.member) continue;
    const MemberFacts* const facts = watch_.facts_of(server->target.member);
    if (facts == nullptr || server->answer->digest == facts->digest) continue;
    if (!server->probe.connected() || server->probe.asking()) continue;
    auto at = std::find_if(fetched_at_.begin(), fetched_at_.end(),
                           [facts](const auto& each) { return each.first == facts->member; });
    if (at == fetched_at_.end()) at = fetched_at_.insert(at, {facts->member, TimePoint{}});
    if (now < at->second + errand_pause) continue;
    at->second = now;
    server->probe.ask(Probe::Question::servers, {}, now);
  }
}

void Prober::publish() {
  changed_ = false;
  const WatchLimits limits = current_limits();
  const std::int64_t now = monotonic_us();
  const std::int64_t wall = call([] { return GetCurrentTimestamp(); });
  watch_.decide(now, wall, limits);
  const Topology topology = begin_topology();
  publish_topology(topology, watch_.fill(topology, now, limits));
  const ProberCounts counts = counts_;
  call([counts] { tell_prober_counts(counts); });
}

void Prober::sleep() {
  const uint32 event = event_;
  std::vector<Probe::Wish> wishes;
  TimePoint until = next_round_;
  for (const auto& server : watch_.servers()) {
    wishes.push_back(server->probe.wish());
    until = std::min(until, server->probe.deadline());
  }
  Sockets* const sockets = &sockets_;
  const int count = static_cast<int>(wishes.size());
  if (sockets_.set == nullptr || wishes != wishes_) {
    wishes_ = std::move(wishes);
    const Probe::Wish* const data = wishes_.data();
    call([=] { rebuild(sockets, data, count); });
  }
  ready_ = std::make_unique<bool[]>(static_cast<std::size_t>(count) + 1);
  bool* const ready = ready_.get();
  const TimePoint now = ProbeClock::now();
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now).count();
  const long timeout_ms = std::max<long>(static_cast<long>(left), 0);
  if (call([=] { return sleep_on(sockets, timeout_ms, event, ready); })) next_round_ = now;
}

void say_goodbye(int, Datum) { attach_prober(0); }

void run() {
  begin_worker_session(database_name, "2s");
  before_shmem_exit(say_goodbye, 0);
  attach_prober(MyProcPid);
  pgstat_report_activity(STATE_IDLE, nullptr);
  const MemoryContext context = AllocSetContextCreate(TopMemoryContext, "meridian prober", ALLOCSET_DEFAULT_SIZES);
  guarded([context] {
    const auto prober = std::make_unique<Prober>(context);
    prober->serve();
  });
}

}  // namespace

void register_prober() {
  BackgroundWorker worker = make_worker("meridian prober", "meridian_prober_main");
  worker.bgw_flags |= BGWORKER_BACKEND_DATABASE_CONNECTION;
  worker.bgw_start_time = BgWorkerStart_ConsistentState;
  worker.bgw_restart_time = 5;
  RegisterBackgroundWorker(&worker);
}

extern "C" {
PGDLLEXPORT void meridian_prober_main(Datum argument);
void meridian_prober_main(Datum) {
  guarded([] { run(); });
}
}

}  // namespace meridian::pg
