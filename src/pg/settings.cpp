// Defines the settings. Two of them fix what this server process tree is, so they change only with a restart; without
// shared_preload_libraries PostgreSQL no longer accepts such settings, and they are defined as ordinary ones of the
// configuration file, for status functions to show.

#include "pg/settings.hpp"

#include "pg/forward.hpp"
#include "pg/home_lease.hpp"
#include "pg/home_map.hpp"
#include "pg/key_counts.hpp"
#include "pg/prober.hpp"
#include "pg/read_after.hpp"
#include "pg/registry.hpp"
#include "pg/session_table.hpp"
#include "pg/session_worker.hpp"
#include "pg/sessions.hpp"
#include "pg/sink_supervisor.hpp"
#include "pg/token.hpp"
#include "pg/token_secret.hpp"
#include "pg/transaction_group.hpp"
#include "pg/upstream.hpp"
#include "pg/wait.hpp"

namespace meridian::pg {

char* node_name;
char* region_name;
char* database_name;
int max_clock_skew_ms;
bool allow_truncate;
int conflict_rate_limit;
int max_waiters;

namespace {

// Read by views only.
int tombstone_alarm_age_s;
int tombstone_alarm_count;
int slot_alarm_size_mb;
// Read by SQL only (meridian.keep_conflicts), as an interval.
int conflict_retention_min;
// Its content is what counts.
char* token_secret_file;

constexpr config_enum_entry read_after_actions[] = {{"error", static_cast<int>(ReadAfterAction::error), false},
                                                    {"proceed", static_cast<int>(ReadAfterAction::proceed), false},
                                                    {nullptr, 0, false}};

void define_token_settings(GucContext fixed) {
  DefineCustomStringVariable("meridian.last_write", "Token of the last commit of this session that wrote.",
                             "Reported to the client with the reply to that commit.", &last_write_setting, "",
                             PGC_INTERNAL, GUC_REPORT | GUC_NO_RESET_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
                             nullptr, nullptr, meridian_show_last_write);
  DefineCustomStringVariable("meridian.token_secret_file", "File with the secret that tokens are signed with.",
                             "The same secret on all servers; a token without its signature is then invalid. Empty: "
                             "tokens are not signed.",
                             &token_secret_file, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, meridian_check_secret_file,
                             meridian_assign_secret_file, nullptr);
  DefineCustomIntVariable("meridian.max_waiters", "How many sessions can wait for tokens at a time without polling.",
                          nullptr, &max_waiters, 200, 0, 100'000, fixed, 0, nullptr, nullptr, nullptr);
  DefineCustomStringVariable(
      "meridian.read_after", "Token of the writes that this session must see.",
      "SET waits for them at once; a value that comes with the connection or from set_config() is "
      "waited for by the next BEGIN or statement.",
      &read_after, "", PGC_USERSET, GUC_REPORT | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE, nullptr,
      meridian_assign_read_after, nullptr);
  DefineCustomIntVariable("meridian.read_after_timeout", "How long a session waits for meridian.read_after.", nullptr,
                          &read_after_timeout_ms, 5000, 0, longest_wait_ms, PGC_USERSET, GUC_UNIT_MS, nullptr, nullptr,
                          nullptr);
  DefineCustomEnumVariable("meridian.read_after_action", "What happens when the writes do not come in time.",
                           "error: the statement fails, with an SQLSTATE of its own. proceed: it reads what is there; "
                           "setting meridian.read_after then never fails.",
                           &read_after_action, static_cast<int>(ReadAfterAction::error), read_after_actions,
                           PGC_USERSET, 0, nullptr, nullptr, nullptr);
}

void define_session_settings(GucContext fixed) {
  DefineCustomStringVariable("meridian.session", "Name of the application's session that this connection writes for.",
                             "Every commit with it moves the session's last write, on whatever connection.",
                             &session_setting, "", PGC_USERSET, GUC_REPORT | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
                             meridian_check_session_name, meridian_assign_session_name, nullptr);
  DefineCustomIntVariable(
      "meridian.max_sessions", "How many sessions are tracked at a time.",
      "96 bytes of shared memory each. Beyond it those that wrote least recently are forgotten, and "
      "answered as if they had written a little later. 0 tracks none.",
      &max_sessions, 10'000, 0, 10'000'000, fixed, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("meridian.session_expiry", "After what time without a write a session is forgotten.", nullptr,
                          &session_expiry_s, 3600, 1, INT_MAX, PGC_SIGHUP, GUC_UNIT_S, nullptr, nullptr, nullptr);
  DefineCustomStringVariable("meridian.primary_dsn", "Where a standby asks about sessions.",
                             "Empty: the server of primary_conninfo, in the database meridian.database.", &primary_dsn,
                             "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("meridian.sticky_default",
                          "How long sticky_until() lets a session stay at the primary while no lag was measured.",
                          nullptr, &sticky_default_ms, 1000, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS, nullptr, nullptr,
                          nullptr);
}

void define_registry_settings(GucContext fixed) {
  DefineCustomStringVariable("meridian.advertise_dsn", "Connection string with which this standby registers.",
                             "The one under which all servers reach it. Empty: it is registered with "
                             "meridian.add_standby(), or not at all.",
                             &advertise_dsn, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, nullptr, nullptr, nullptr);
  DefineCustomStringVariable("meridian.allowed_hosts", "Hosts that servers may be registered with.",
                             "Names and addresses with commas; * stands for any text. Empty: all.", &allowed_hosts, "",
                             PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("meridian.probe_interval", "How often this server looks at the others.", nullptr,
                          &probe_interval_ms, 1000, 100, 60'000, PGC_SIGHUP, GUC_UNIT_MS, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("meridian.max_servers", "How many servers are looked at.",
                          "70 kB of shared memory each, most of it for their reports.", &max_servers, 64, 1, 1000,
                          fixed, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("meridian.max_lag", "By how much time a replica may be behind to get reads.",
                          "-1 sets no limit.", &max_lag_ms, 10'000, -1, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS, nullptr,
                          nullptr, nullptr);
  DefineCustomIntVariable("meridian.max_lag_bytes", "By how much WAL a replica may be behind to get reads.",
                          "-1 sets no limit.", &max_lag_kb, -1, -1, INT_MAX, PGC_SIGHUP, GUC_UNIT_KB, nullptr, nullptr,
                          nullptr);
  DefineCustomIntVariable("meridian.lag_exit_percent",
                          "Within which part of its limit a replica that was beyond gets reads again.", nullptr,
                          &lag_exit_percent, 50, 0, 100, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("meridian.lag_dwell", "For how long it must have been within.", nullptr, &lag_dwell_ms, 5000,
                          0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS, nullptr, nullptr, nullptr);
}

void define_sink_settings() {
  DefineCustomStringVariable("meridian.sink_program", "The program that runs sinks.",
                             "Empty: meridian-sink beside the server's program.", &sink_program, "", PGC_SIGHUP,
                             GUC_SUPERUSER_ONLY, nullptr, nullptr, nullptr);
  DefineCustomStringVariable("meridian.sink_dsn", "Connection string by which sinks reach this server.",
                             "Empty: its first socket, as the bootstrap superuser, in meridian.database.", &sink_dsn,
                             "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, nullptr, nullptr, nullptr);
  DefineCustomStringVariable("meridian.sink_directory", "Where sinks of kind file write.", "Empty: there can be none.",
                             &sink_directory, "", PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomStringVariable("meridian.sink_hosts", "Hosts that sinks may connect to.",
                             "Names with commas, or *.domain. Empty: any, for sinks that superusers make.", &sink_hosts,
                             "", PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
}

}  // namespace

void define_settings() {
  const GucContext fixed = process_shared_preload_libraries_in_progress ? PGC_POSTMASTER : PGC_SIGHUP;

  DefineCustomStringVariable("meridian.node", "Name of this server.",
                             "Every server has its own name, also the standbys of one primary.", &node_name, "", fixed,
                             0, nullptr, nullptr, nullptr);
  DefineCustomStringVariable("meridian.region", "Region in which this server stands.", nullptr, &region_name, "",
                             PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomStringVariable("meridian.database", "The one replicated database of this server.", nullptr,
                             &database_name, "postgres", fixed, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("meridian.max_clock_skew", "How far in the future a stamp from a peer may lie.",
                          "A row image beyond it is set aside until this server's clock has passed it.",
                          &max_clock_skew_ms, 5000, 100, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS, nullptr, nullptr, nullptr);

  DefineCustomIntVariable("meridian.tombstone_alarm_age",
                          "From what age a tombstone that cannot be dropped is an alarm.",
                          "See the views meridian.alarms and meridian.tombstone_progress.", &tombstone_alarm_age_s,
                          3600, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_S, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("meridian.tombstone_alarm_count",
                          "How many tombstones a member may hold back before it is an alarm.",
                          "See the views meridian.alarms and meridian.tombstone_progress.", &tombstone_alarm_count,
                          1'000'000, 0, INT_MAX, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("meridian.slot_alarm_size",
                          "How much WAL a replication slot that nobody uses may hold before it is an alarm.",
                          "See the views meridian.alarms and meridian.slots.", &slot_alarm_size_mb, 1024, 0, INT_MAX,
                          PGC_SIGHUP, GUC_UNIT_MB, nullptr, nullptr, nullptr);
  DefineCustomBoolVariable("meridian.allow_truncate", "Whether TRUNCATE of a replicated table is allowed.",
                           "It then deletes every row on all nodes, and costs as much as DELETE.", &allow_truncate,
                           false, PGC_SUSET, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("meridian.apply_group_size", "Most transactions of a peer that are applied as one.",
                          "Small ones that have arrived already, while nobody else writes on this server. 1 applies "
                          "each by itself.",
                          &apply_group_size, 32, 1, 1000, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("meridian.conflict_rate_limit",
                          "Most entries per second that this server adds to the conflict history.",
                          "Conflicts beyond it are counted in meridian.stat_tables, but not kept. 0 sets no limit.",
                          &conflict_rate_limit, 1000, 0, 1'000'000, PGC_SUSET, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("meridian.conflict_retention", "How long entries of the conflict history are kept at least.",
                          "Older ones are dropped by whole partitions, of a day or a week. -1 keeps them for good.",
                          &conflict_retention_min, 30 * 24 * 60, -1, INT_MAX / 60, PGC_SIGHUP, GUC_UNIT_MIN, nullptr,
                          nullptr, nullptr);

  DefineCustomIntVariable("meridian.max_cached_pins", "How many pinned keys shared memory holds.",
                          "80 to 160 bytes each. Beyond it the home of a key takes a look into the directory's table.",
                          &max_cached_pins, 10'000, 0, 10'000'000, fixed, 0, nullptr, nullptr, nullptr);

  DefineCustomIntVariable("meridian.counted_keys", "Of how many keys is counted where requests for them come from.",
                          "Of those with a home region, for meridian.rehome_suggestions(); about 90 bytes each, and a "
                          "lock for each row that is written. 0: of none.",
                          &counted_keys, 0, 0, 1'000'000, fixed, 0, nullptr, nullptr, nullptr);

  DefineCustomIntVariable("meridian.home_lease",
                          "How long a region goes on writing its keys without hearing from the others.",
                          "The same on all members, and several times meridian.probe_interval. 0: for ever; keys must "
                          "then not be taken by force from a region that runs.",
                          &home_lease_ms, 0, 0, 3'600'000, PGC_SIGHUP, GUC_UNIT_MS, nullptr, nullptr, nullptr);

  DefineCustomIntVariable("meridian.forward_timeout", "How long execute_at(), or a forwarded row, may take.",
                          "For connecting and for the statement together.", &forward_timeout_ms, 30'000, 1, INT_MAX,
                          PGC_USERSET, GUC_UNIT_MS, nullptr, nullptr, nullptr);
  DefineCustomBoolVariable("meridian.forward_after_write",
                           "Whether a transaction that has written may also write in another region.",
                           "The other region commits whatever becomes of the transaction.", &forward_after_write, false,
                           PGC_USERSET, 0, nullptr, nullptr, nullptr);

  define_token_settings(fixed);
  define_session_settings(fixed);
  define_registry_settings(fixed);
  define_sink_settings();

  MarkGUCPrefixReserved("meridian");
}

}  // namespace meridian::pg
