// What the prober has found out about every server, in shared memory: written by the prober alone, read without a lock.
#pragma once

#include "core/route.hpp"
#include "pg/support/monotonic.hpp"
#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// `meridian.max_servers`: how many servers are probed.
extern int max_servers;

/// What routing does not need. Texts end with a zero and are cut to fit.
struct ServerDetail {
  char name[NAMEDATALEN];
  char region[NAMEDATALEN];
  char upstream[NAMEDATALEN];
  char address[512];   ///< for clients: neither user nor password
  char redacted[512];  ///< the connection string without passwords
  char error[256];     ///< of the last probe, without secrets; empty: it answered
  bool answered;       ///< at least once: positions and role below and in the route are known
  bool receiving;
  bool lag_bytes_known;
  TimestampTz since;      ///< of the state
  TimestampTz last_seen;  ///< 0: never
  XLogRecPtr written;
  XLogRecPtr received;
  XLogRecPtr replayed;
  std::int64_t lag_bytes;
};

/// All servers as of one moment. The arrays are parallel.
struct Topology {
  std::uint64_t generation;
  int count;
  RouteServer* routes;
  AppliedPositions* applied;
  ServerDetail* details;
};

// --- for readers ---

/// What was published last; nothing before the prober has looked, or without shared memory. It may be overwritten while
/// it is read, so what was read counts only if is_intact() says so afterwards. Texts always end.
Topology current_topology();
bool is_intact(const Topology& topology);

/// Calls `read(topology)`, again while it was overwritten meanwhile. `read` must bear any content, and leave nothing
/// behind but memory of its context.
template <typename Read>
void read_topology(Read read) {
  for (;;) {
    const Topology topology = current_topology();
    read(topology);
    if (is_intact(topology)) return;
  }
}

/// A text of the topology as one of this database; shared memory is of all databases. `size`: of its array.
Datum readable_text(const char* text, Size size);
template <std::size_t size>
Datum readable_text(const char (&text)[size]) {
  return readable_text(text, size);
}
/// Microseconds as an interval; 0 if negative.
Datum interval_of_us(std::int64_t us);

// --- for the prober ---

/// The buffer to be filled, with room for max_servers; publish() shows the first `count`.
Topology begin_topology();
void publish_topology(const Topology& topology, int count);

/// Keeps the report of a server. Longer ones than `longest_report` are marked as cut.
inline constexpr std::size_t longest_report = 65'536;
void keep_report(int member, const char* name, std::int64_t sampled_at, const char* text, std::size_t size);
/// Drops the reports of servers that are not in the topology that was published last.
void drop_old_reports();
/// Whether somebody has read the reports in the last minute, so that they are worth asking for in every round.
bool reports_are_read();

struct ProberCounts {
  std::uint64_t rounds;
  std::uint64_t probes;
  std::uint64_t failures;
  std::uint32_t servers;
  std::uint32_t left_out;
};
void tell_prober_counts(const ProberCounts& counts);
/// Notes the prober's process; 0: it ends.
void attach_prober(int pid);

/// Shared memory, for the hooks in module.cpp.
Size registry_shmem_size();
void registry_shmem_init();

}  // namespace meridian::pg
