// What SQL can ask about sessions, by the rule of core/session_rule.hpp.
//
// On a primary its own table answers. On a standby the primary is asked, through the worker: the request is posted
// after the call has come, and an answer to an earlier one is never used. While it waits, a backend sleeps on its
// latch.
#include "pg/sessions.hpp"

#include "core/session_rule.hpp"
#include "pg/errors.hpp"
#include "pg/read_after.hpp"
#include "pg/replica_lag.hpp"
#include "pg/session_requests.hpp"
#include "pg/session_table.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/function.hpp"
#include "pg/token_check.hpp"
#include "pg/token_secret.hpp"
#include "pg/wait.hpp"

namespace meridian::pg {

int sticky_default_ms;

namespace {

constexpr long longest_sleep_ms = 200;
/// Before a server that was left behind is asked again: this one may follow another by then.
constexpr long refusal_pause_ms = 100;
constexpr int most_positions = 1000;

SessionKey checked_key(const text* argument) {
  const std::string_view name = text_view(argument);
  if (!is_session_name(name)) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("not the name of a session"),
                    errhint("Give what meridian.session was set to: 1 to 64 printable ASCII characters.")));
  }
  return session_key(name);
}

void require_tracking() {
  if (tracks_sessions()) return;
  ereport(ERROR,
          (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("sessions are not tracked on this server"),
           errhint("Add meridian to shared_preload_libraries, set meridian.max_sessions above 0, and restart.")));
}

[[noreturn]] void report_not_asked(const char* detail) {
  ereport(ERROR, (errcode(errcode_primary_not_asked), errmsg("the primary could not be asked about sessions"),
                  errdetail_internal("%s", detail),
                  errhint("Read from the primary. The view meridian.session_status and the server's log tell why.")));
  pg_unreachable();
}

enum class Asked { answered, failed, timed_out, recovery_ended };

Asked wait_for_answer(TimestampTz deadline, SessionPosition* answers) {
  static uint32 event = 0;
  if (event == 0) event = compat::wait_event("MeridianSessionAnswer");
  for (;;) {
    const RequestOutcome outcome = look_at_request(answers);
    if (outcome == RequestOutcome::answered) return Asked::answered;
    if (outcome == RequestOutcome::failed) return Asked::failed;
    if (!RecoveryInProgress()) return Asked::recovery_ended;
    const long left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
    if (left_ms <= 0) return Asked::timed_out;
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, std::min(left_ms, longest_sleep_ms), event);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
  }
}

bool refuses(const SessionPosition* answers, int count) {
  const Reach reach = own_reach();
  return std::any_of(answers, answers + count, [&reach](const SessionPosition& each) {
    return judge_session(reach, each.position, std::nullopt) == SessionVerdict::refuse;
  });
}

/// Asks the primary, on a standby. Raises MD033 if there is no answer by the deadline. False: recovery has ended, so
/// this server is the primary now.
bool ask_primary(const SessionKey* keys, int count, TimestampTz deadline, SessionPosition* answers) {
  RequestCounts counts;
  if (!count_requests(&counts))
    report_not_asked("This server was started without meridian in shared_preload_libraries.");
  const char* const not_primary = "Who answered is not the primary of this server, or was left behind in a failover.";
  bool refused = false;
  for (;;) {
    post_request(keys, count);
    switch (wait_for_answer(deadline, answers)) {
      case Asked::recovery_ended:
        return false;
      case Asked::failed:
        report_not_asked("It cannot be reached, or does not track sessions.");
      case Asked::timed_out:
        if (refused) report_not_asked(not_primary);
        report_not_asked(session_worker_pid() != 0 ? "It did not answer in time."
                                                   : "The worker that asks it does not run.");
      case Asked::answered:
        break;
    }
    if (!refuses(answers, count)) return true;
    refused = true;
    if (TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline) <= refusal_pause_ms)
      report_not_asked(not_primary);
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, refusal_pause_ms, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
  }
}

TimestampTz deadline_after(int ms) { return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms); }

/// What this primary knows.
SessionPosition own_position(const SessionKey& key) {
  require_tracking();
  const LastWrite write = last_write_of(key);
  return {{GetSystemIdentifier(), GetWALInsertionTimeLine(), write.lsn}, write.time};
}

/// Of a primary its own; of a standby what the primary answers.
void find_positions(const SessionKey* keys, int count, TimestampTz deadline, SessionPosition* positions) {
  if (RecoveryInProgress() && ask_primary(keys, count, deadline, positions)) return;
  for (int i = 0; i < count; ++i) positions[i] = own_position(keys[i]);
}

SessionVerdict judge_here(const SessionKey& key, TimestampTz deadline) {
  for (;;) {
    Position known;
    const std::optional<Position> mirror = mirrored_session(key, &known) ? std::optional(known) : std::nullopt;
    const SessionVerdict said = judge_session(own_reach(), std::nullopt, mirror);
    if (said != SessionVerdict::ask) return said;
    SessionPosition answer;
    if (!ask_primary(&key, 1, deadline, &answer)) continue;
    const SessionVerdict verdict = judge_session(own_reach(), answer.position, std::nullopt);
    if (verdict != SessionVerdict::refuse) return verdict;
  }
}

/// The session names of an array, palloc'd.
SessionKey* checked_keys(ArrayType* array, int* count) {
  Datum* elements;
  bool* nulls;
  deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, count);
  if (*count > most_positions) {
    ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("more than %d sessions", most_positions),
                    errhint("Ask for some of them at a time.")));
  }
  auto* const keys = static_cast<SessionKey*>(palloc(sizeof(SessionKey) * (static_cast<Size>(*count) + 1)));
  for (int i = 0; i < *count; ++i) {
    if (nulls[i]) {
      ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the name of a session is NULL"),
                      errhint("Leave it out.")));
    }
    keys[i] = checked_key(DatumGetTextPP(elements[i]));
  }
  return keys;
}

void put_position(ReturnSetInfo* result, int place, const SessionPosition& position) {
  char token[short_token_size];
  write_token(position.position, {}, token);
  const Datum values[] = {Int32GetDatum(place), CStringGetTextDatum(token), Int64GetDatum(position.written_at)};
  const bool nulls[] = {false, false, false};
  tuplestore_putvalues(result->setResult, result->setDesc, const_cast<Datum*>(values), const_cast<bool*>(nulls));
}

void put_sessions(ReturnSetInfo* result, std::uint32_t partition, SessionEntry* entries, XLogRecPtr passed) {
  const std::uint32_t count = copy_sessions(partition, entries);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::string_view name = name_in(entries[i].name);
    const Datum values[] = {PointerGetDatum(cstring_to_text_with_len(name.data(), static_cast<int>(name.size()))),
                            LSNGetDatum(entries[i].write.lsn), TimestampTzGetDatum(entries[i].write.time),
                            BoolGetDatum(entries[i].write.lsn <= passed)};
    const bool nulls[] = {false, false, false, passed == InvalidXLogRecPtr};
    tuplestore_putvalues(result->setResult, result->setDesc, const_cast<Datum*>(values), const_cast<bool*>(nulls));
  }
}

Datum interval_of(std::int64_t us) {
  auto* const interval = static_cast<Interval*>(palloc0(sizeof(Interval)));
  interval->time = us;
  return IntervalPGetDatum(interval);
}

/// Until when a session that is not everywhere yet is to stay at the primary.
TimestampTz stay_until(const LastWrite& write) {
  const ReplicaLag lag = replica_lag();
  const std::int64_t expected_us = lag.samples > 0 ? lag.p99_us : std::int64_t{sticky_default_ms} * 1000;
  const TimestampTz until = write.time + expected_us;
  const TimestampTz now = GetCurrentTimestamp();
  // Later than most, and still not everywhere: a replica is further behind than it was.
  return until > now ? until : now + expected_us;
}

}  // namespace
}  // namespace meridian::pg

/// meridian.session_token(session text) returns text
MERIDIAN_FUNCTION(meridian_session_token)
{
  using namespace meridian::pg;
  const meridian::SessionKey key = checked_key(PG_GETARG_TEXT_PP(0));
  SessionPosition found;
  find_positions(&key, 1, deadline_after(read_after_timeout_ms), &found);
  char token[meridian::short_token_size];
  write_token(found.position, token_secret(), token);
  PG_RETURN_TEXT_P(cstring_to_text(token));
}

/// meridian.check_session(session text) returns text
MERIDIAN_FUNCTION(meridian_check_session)
{
  using namespace meridian::pg;
  const meridian::SessionKey key = checked_key(PG_GETARG_TEXT_PP(0));
  const meridian::SessionVerdict verdict = judge_here(key, deadline_after(read_after_timeout_ms));
  PG_RETURN_TEXT_P(cstring_to_text(verdict == meridian::SessionVerdict::yes ? "yes" : "not_yet"));
}

/// meridian.wait_for_session(session text, timeout interval) returns text
MERIDIAN_FUNCTION(meridian_wait_for_session)
{
  using namespace meridian::pg;
  const meridian::SessionKey key = checked_key(PG_GETARG_TEXT_PP(0));
  const TimestampTz deadline = deadline_after(checked_timeout(PG_GETARG_INTERVAL_P(1)));
  SessionPosition found;
  if (!RecoveryInProgress() || !ask_primary(&key, 1, deadline, &found))
    PG_RETURN_TEXT_P(cstring_to_text(outcome_name(meridian::Verdict::yes)));
  const Wanted wanted{true, 1, {found.position}};
  const long left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
  PG_RETURN_TEXT_P(cstring_to_text(outcome_name(wait_until_here(wanted, static_cast<int>(left_ms)).verdict)));
}

/// meridian.session_positions(sessions text[]) returns set of (place integer, token text, written_us bigint)
MERIDIAN_FUNCTION(meridian_session_positions)
{
  using namespace meridian::pg;
  InitMaterializedSRF(fcinfo, 0);
  auto* const result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  int count = 0;
  const meridian::SessionKey* const keys = checked_keys(PG_GETARG_ARRAYTYPE_P(0), &count);
  const TimestampTz deadline = deadline_after(read_after_timeout_ms);
  SessionPosition positions[most_keys_asked];
  for (int first = 0; first < count; first += most_keys_asked) {
    const int some = std::min(most_keys_asked, count - first);
    find_positions(keys + first, some, deadline, positions);
    for (int i = 0; i < some; ++i) put_position(result, first + i + 1, positions[i]);
  }
  PG_RETURN_NULL();
}

/// meridian.sticky_until(session text) returns timestamptz
MERIDIAN_FUNCTION(meridian_sticky_until)
{
  using namespace meridian::pg;
  const meridian::SessionKey key = checked_key(PG_GETARG_TEXT_PP(0));
  if (RecoveryInProgress()) {
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("only the primary can tell how long a session should stay with it"),
                    errhint("Call sticky_until() there; on a standby use check_session().")));
  }
  require_tracking();
  const meridian::LastWrite write = last_write_of(key);
  if (write.lsn <= passed_by_all()) PG_RETURN_NULL();
  PG_RETURN_TIMESTAMPTZ(stay_until(write));
}

/// meridian.forget_session(session text) returns boolean
MERIDIAN_FUNCTION(meridian_forget_session)
{
  using namespace meridian::pg;
  PG_RETURN_BOOL(forget_session(checked_key(PG_GETARG_TEXT_PP(0))));
}

/// meridian.read_sessions() returns set of (session text, last_write pg_lsn, written_at timestamptz, passed_by_all
/// boolean)
MERIDIAN_FUNCTION(meridian_read_sessions)
{
  using namespace meridian::pg;
  InitMaterializedSRF(fcinfo, 0);
  auto* const result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  if (!tracks_sessions()) PG_RETURN_NULL();
  own_all_sessions();
  const XLogRecPtr passed = RecoveryInProgress() ? InvalidXLogRecPtr : passed_by_all();
  const Size size = sizeof(meridian::SessionEntry) * session_partition_capacity();
  auto* const entries = static_cast<meridian::SessionEntry*>(palloc(size));
  for (std::uint32_t i = 0; i < session_partitions(); ++i) put_sessions(result, i, entries, passed);
  PG_RETURN_NULL();
}

/// meridian.read_session_status() returns (places bigint, sessions bigint, gave_way bigint, expired bigint, worker_pid
/// integer, requests bigint, queries bigint, failures bigint, failing_since timestamptz, last_failure text,
/// replay_lag_p99 interval, lag_samples bigint)
MERIDIAN_FUNCTION(meridian_read_session_status)
{
  using namespace meridian::pg;
  RequestCounts asked{};
  const bool loaded = count_requests(&asked);
  const SessionCounts counts = count_sessions();
  const ReplicaLag lag = replica_lag();
  const auto number = [](std::uint64_t value) { return Int64GetDatum(static_cast<std::int64_t>(value)); };
  Datum values[] = {number(std::uint64_t{session_partitions()} * session_partition_capacity()),
                    number(counts.sessions),
                    number(counts.gave_way),
                    number(counts.expired),
                    Int32GetDatum(session_worker_pid()),
                    number(asked.requests),
                    number(asked.queries),
                    number(asked.failures),
                    TimestampTzGetDatum(asked.failing_since),
                    CStringGetTextDatum(asked.reason),
                    interval_of(lag.p99_us),
                    number(lag.samples)};
  bool nulls[std::size(values)] = {};
  nulls[4] = session_worker_pid() == 0;
  nulls[8] = asked.failing_since == 0;
  nulls[9] = asked.failures == 0;
  nulls[10] = lag.samples == 0;
  if (!loaded) std::fill(std::begin(nulls), std::end(nulls), true);
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(meridian::pg::result_row_type(fcinfo), values, nulls)));
}
