-- How long commits take to be visible on those that read from this server.

CREATE FUNCTION meridian.read_peer_lags(OUT standby text, OUT member integer, OUT connected boolean, OUT connected_at timestamptz, OUT "position" pg_lsn,
                                        OUT waiting_us bigint, OUT span text, OUT samples bigint, OUT p50_us bigint, OUT p95_us bigint,
                                        OUT p99_us bigint, OUT longest_us bigint, OUT flush_p50_us bigint, OUT flush_p95_us bigint, OUT recent_p95_us bigint[])
  RETURNS SETOF record
  LANGUAGE c VOLATILE PARALLEL SAFE ROWS 10 AS 'MODULE_PATHNAME', 'meridian_read_peer_lags';
COMMENT ON FUNCTION meridian.read_peer_lags() IS 'Lags of those that read from this server, standbys by name and members by number, for each span; microseconds. recent: the 95th percentile of each 90 s of the last quarter of an hour. Read view meridian.lag.';
REVOKE ALL ON FUNCTION meridian.read_peer_lags() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.read_peer_lags() TO meridian_admin, pg_monitor;
