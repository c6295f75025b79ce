// The worker that looks at every server of the mesh, on primaries and standbys alike.
#pragma once

namespace meridian::pg {

/// `meridian.probe_interval`, milliseconds.
extern int probe_interval_ms;
/// `meridian.max_lag`, milliseconds; -1: no limit.
extern int max_lag_ms;
/// `meridian.max_lag_bytes`, kB; -1: no limit.
extern int max_lag_kb;
/// `meridian.lag_exit_percent`: of the limits, within which a replica is used again.
extern int lag_exit_percent;
/// `meridian.lag_dwell`, milliseconds, for which it must have been so.
extern int lag_dwell_ms;
/// `meridian.advertise_dsn`: the connection string with which a standby registers; empty: it does not.
extern char* advertise_dsn;
/// `meridian.allowed_hosts`: patterns of hosts that servers may be registered with.
extern char* allowed_hosts;

/// Microseconds after which a sample says nothing of now.
long stale_after_us();

/// Registers the worker. Called once, by `_PG_init`, at server start.
void register_prober();

}  // namespace meridian::pg
