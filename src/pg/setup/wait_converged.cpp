// wait_converged(): waits in the caller's backend until peers have applied what this node has written. Glue lane.
//
// The target is the end of a message that the call itself writes and flushes: pg_current_wal_insert_lsn() can point
// behind a page header that no peer will ever confirm. A peer's replay position passes the target when all earlier
// commits are applied and visible there.

#include "pg/errors.hpp"
#include "pg/support/compat.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg::setup {
namespace {

constexpr double longest_wait_ms = 86'400'000;  // a day
constexpr long first_poll_ms = 5;
constexpr long last_poll_ms = 100;

XLogRecPtr mark_position() {
  if (RecoveryInProgress()) {
    ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION), errmsg("this server is a standby"),
                    errhint("Call the function on the primary.")));
  }
  const XLogRecPtr end = compat::log_logical_message("meridian", "", 0, false);
  XLogFlush(end);
  return end;
}

/// Milliseconds of the interval; raises 22023 unless between 0 and a day.
long checked_timeout(const Interval* timeout) {
  const double days = static_cast<double>(timeout->month) * DAYS_PER_MONTH + timeout->day;
  const double ms = days * longest_wait_ms + static_cast<double>(timeout->time) / 1000;
  if (ms < 0 || ms > longest_wait_ms) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("timeout must be between 0 and 1 day"),
                    errhint("Give an interval such as '30s'.")));
  }
  return static_cast<long>(ms);
}

/// How the peers stand.
struct Peers {
  std::int64_t behind;
  std::int64_t unreachable;
  bool parked;  ///< something waits here, or on a peer as it told last; looked at once nobody is behind
};

char* first_value() { return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1); }

void require_member() {
  SPI_execute("SELECT meridian.own_dsn() IS NOT NULL", true, 1);
  if (*first_value() == 't') return;
  ereport(ERROR, (errcode(errcode_not_a_member), errmsg("this database is not a member of a mesh"),
                  errhint("Call meridian.create_node() or meridian.join() first.")));
}

bool anything_parked() {
  SPI_execute("SELECT meridian.parked_in_mesh()", false, 1);
  return std::strcmp(first_value(), "0") != 0;
}

/// Not read-only: each look needs a snapshot of its own, to see members come and go.
Peers look(XLogRecPtr target) {
  Oid types[] = {PG_LSNOID};
  Datum values[] = {LSNGetDatum(target)};
  SPI_execute_with_args(
      "SELECT count(*) FILTER (WHERE connected AND NOT reached), count(*) FILTER (WHERE NOT connected) "
      "FROM meridian.peer_positions($1)",
      1, types, values, nullptr, false, 1);
  bool is_null = false;
  const HeapTuple row = SPI_tuptable->vals[0];
  const TupleDesc columns = SPI_tuptable->tupdesc;
  Peers peers = {DatumGetInt64(SPI_getbinval(row, columns, 1, &is_null)),
                 DatumGetInt64(SPI_getbinval(row, columns, 2, &is_null)), false};
  SPI_freetuptable(SPI_tuptable);
  if (peers.behind == 0) peers.parked = anything_parked();
  return peers;
}

void warn_of_unreachable() {
  SPI_execute("SELECT string_agg(name, ', ') FROM meridian.peer_positions('0/0') WHERE NOT connected", false, 1);
  const char* names = first_value();
  // One may have come back since.
  if (names == nullptr) return;
  ereport(WARNING, (errcode(ERRCODE_WARNING), errmsg("not reachable, so not waited for: %s", names),
                    errhint("These nodes will receive the changes when they are back.")));
}

bool wait_converged(long timeout_ms) {
  SPI_connect();
  require_member();
  const XLogRecPtr target = mark_position();
  const TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
  static uint32 event = 0;
  if (event == 0) event = compat::wait_event("MeridianConverge");
  long poll_ms = first_poll_ms;
  Peers peers = look(target);
  while (peers.behind + peers.unreachable > 0 || peers.parked) {
    const long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
    if (left <= 0) break;
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, std::min(poll_ms, left), event);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
    poll_ms = std::min(poll_ms * 2, last_poll_ms);
    peers = look(target);
  }
  if (peers.unreachable > 0) warn_of_unreachable();
  const bool converged = peers.behind == 0 && !peers.parked;
  SPI_finish();
  return converged;
}

}  // namespace
}  // namespace meridian::pg::setup

MERIDIAN_FUNCTION(meridian_mark_position)
{ PG_RETURN_LSN(meridian::pg::setup::mark_position()); }

MERIDIAN_FUNCTION(meridian_wait_converged)
{
  const long timeout_ms = meridian::pg::setup::checked_timeout(PG_GETARG_INTERVAL_P(0));
  PG_RETURN_BOOL(meridian::pg::setup::wait_converged(timeout_ms));
}
