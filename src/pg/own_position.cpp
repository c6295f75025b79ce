// What a server answers to a probe that only C can tell, and the check of connection strings of servers.

#include "core/dsn.hpp"
#include "core/error.hpp"
#include "pg/prober.hpp"
#include "pg/setup/conninfo.hpp"
#include "pg/setup/error.hpp"
#include "pg/support/function.hpp"

namespace meridian::pg {
namespace {

/// Core lane.
void check_dsn(const char* dsn, bool trusted, const char* hosts) {
  try {
    check_server_dsn(setup::Conninfo(dsn, "the connection string").given(), trusted, hosts);
  } catch (const setup::SetupError& error) {
    throw Error(ErrorKind::invalid_rule, error.what(), error.hint());
  }
}

}  // namespace
}  // namespace meridian::pg

/// meridian.own_position() returns (system_id text, timeline integer, in_recovery boolean, written pg_lsn, received
/// pg_lsn, replayed pg_lsn, paused boolean, receiving boolean)
MERIDIAN_FUNCTION(meridian_own_position)
{
  const bool standby = RecoveryInProgress();
  TimeLineID timeline = 0;
  // Flushed, not inserted: an insert position may lie behind a page header that no standby reports while nothing more
  // is written.
  const XLogRecPtr written = standby ? InvalidXLogRecPtr : GetFlushRecPtr(nullptr);
  const XLogRecPtr replayed = standby ? GetXLogReplayRecPtr(&timeline) : InvalidXLogRecPtr;
  if (!standby) timeline = GetWALInsertionTimeLine();
  // After a start of the receiver this is the start of a segment.
  const XLogRecPtr received = standby ? std::max(GetWalRcvFlushRecPtr(nullptr, nullptr), replayed) : InvalidXLogRecPtr;
  Datum values[] = {CStringGetTextDatum(psprintf(UINT64_FORMAT, GetSystemIdentifier())),
                    Int32GetDatum(static_cast<std::int32_t>(timeline)),
                    BoolGetDatum(standby),
                    LSNGetDatum(written),
                    LSNGetDatum(received),
                    LSNGetDatum(replayed),
                    BoolGetDatum(standby && GetRecoveryPauseState() != RECOVERY_NOT_PAUSED),
                    BoolGetDatum(standby && WalRcvStreaming())};
  bool nulls[] = {false, false, false, standby, !standby, !standby, !standby, !standby};
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(meridian::pg::result_row_type(fcinfo), values, nulls)));
}

/// meridian.check_server_dsn(dsn text, trusted boolean) returns void
MERIDIAN_FUNCTION(meridian_check_server_dsn)
{
  using namespace meridian::pg;
  const char* const dsn = text_to_cstring(PG_GETARG_TEXT_PP(0));
  const bool trusted = PG_GETARG_BOOL(1);
  const char* const hosts = allowed_hosts;
  guarded([=] { check_dsn(dsn, trusted, hosts); });
  PG_RETURN_VOID();
}
