-- What this server tells a monitoring system: one scrape for each server, so nothing is counted twice.

CREATE FUNCTION meridian.metric_samples()
  RETURNS TABLE (place integer, name text, kind text, help text, labels text[], value double precision)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH report AS MATERIALIZED (SELECT meridian.status_report() AS r),
  sender AS (
    SELECT s.*, COALESCE(s.peer, s.name) AS to_peer
      FROM report, jsonb_to_recordset(report.r -> 'senders')
        AS s(name text, kind text, state text, peer text, stream integer, slot text, sent_bytes bigint, write_bytes bigint, flush_bytes bigint, replay_bytes bigint)
  ), lag AS (
    SELECT COALESCE(l.peer, l.name) AS peer, l.waiting_us, l.spans
      FROM report, jsonb_to_recordset(report.r -> 'lags') AS l(name text, peer text, waiting_us bigint, spans jsonb)
  ), slot AS (
    SELECT s.* FROM report, jsonb_to_recordset(report.r -> 'slots')
        AS s(slot text, kind text, active boolean, retained_bytes bigint, safe_wal_size bigint, risk text)
  ), subscription AS (
    SELECT s.* FROM report, jsonb_to_recordset(report.r -> 'subscriptions')
        AS s(name text, peer text, alive boolean, enabled boolean, errors bigint, failures bigint, message_age_us bigint)
  ), alarm AS (
    SELECT a.alarm, a.severity, count(*) AS alarms FROM report, jsonb_to_recordset(report.r -> 'alarms') AS a(alarm text, severity text) GROUP BY 1, 2
  ), tables AS (SELECT * FROM meridian.stat_tables),
  waits AS (SELECT * FROM meridian.wait_status)
  SELECT 1, 'meridian_server_info', 'gauge', 'This server: 1, with what it is as labels.',
         ARRAY['server', r ->> 'server', 'region', COALESCE(r ->> 'region', ''), 'role', r ->> 'role', 'member', COALESCE(r ->> 'member', ''),
               'timeline', r ->> 'timeline', 'version', r ->> 'version'], 1 FROM report
  UNION ALL SELECT 2, 'meridian_server_is_primary', 'gauge', '1 on a primary, 0 on a standby.', NULL, CASE r ->> 'role' WHEN 'primary' THEN 1 ELSE 0 END FROM report
  UNION ALL SELECT 3, 'meridian_alarms_active', 'gauge', 'Alarms of this server (meridian.local_alarms).', ARRAY['alarm', a.alarm, 'severity', a.severity], a.alarms FROM alarm a
  UNION ALL SELECT 4, 'meridian_link_connected', 'gauge', 'Whether a reader of this server''s log is streaming.',
                   ARRAY['peer', s.to_peer, 'kind', s.kind, 'stream', COALESCE(s.stream::text, '')], max(CASE s.state WHEN 'streaming' THEN 1 ELSE 0 END)
              FROM sender s GROUP BY s.to_peer, s.kind, s.stream
  UNION ALL SELECT 5, 'meridian_link_lag_bytes', 'gauge', 'WAL of this server that a reader has not received (sent, write, flush) or applied (replay).',
                   ARRAY['peer', s.to_peer, 'kind', s.kind, 'stream', COALESCE(s.stream::text, ''), 'stage', v.stage], max(v.bytes)
              FROM sender s CROSS JOIN LATERAL (VALUES ('sent', s.sent_bytes), ('write', s.write_bytes), ('flush', s.flush_bytes), ('replay', s.replay_bytes)) AS v(stage, bytes)
             WHERE v.bytes IS NOT NULL GROUP BY s.to_peer, s.kind, s.stream, v.stage
  UNION ALL SELECT 6, 'meridian_lag_seconds', 'gauge', 'From a commit on this server until it is visible on the peer, over a span (meridian.lag); quantile 1 is the longest.',
                   ARRAY['peer', l.peer, 'span', replace(s.key, ' ', ''), 'quantile', q.quantile], (s.value ->> q.place)::float8 / 1e6
              FROM lag l CROSS JOIN LATERAL jsonb_each(l.spans) s CROSS JOIN (VALUES ('0.5', 1), ('0.95', 2), ('0.99', 3), ('1', 4)) AS q(quantile, place)
             WHERE s.value ->> q.place IS NOT NULL
  UNION ALL SELECT 7, 'meridian_waiting_seconds', 'gauge', 'How long the oldest commit of this server has been waiting that the peer has not confirmed.',
                   ARRAY['peer', l.peer], l.waiting_us / 1e6 FROM lag l
  UNION ALL SELECT 8, 'meridian_slot_retained_bytes', 'gauge', 'WAL that a replication slot holds.', ARRAY['slot', s.slot], s.retained_bytes FROM slot s
             WHERE s.retained_bytes IS NOT NULL
  UNION ALL SELECT 9, 'meridian_slot_safe_bytes', 'gauge', 'WAL that may be written before the slot loses what it needs.', ARRAY['slot', s.slot], s.safe_wal_size FROM slot s
             WHERE s.safe_wal_size IS NOT NULL
  UNION ALL SELECT 10, 'meridian_slot_active', 'gauge', 'Whether a replication slot is in use.', ARRAY['slot', s.slot], s.active::integer FROM slot s
  UNION ALL SELECT 11, 'meridian_subscription_alive', 'gauge', 'Whether the apply worker of a subscription runs.', ARRAY['subscription', s.name, 'peer', COALESCE(s.peer, '')],
                   s.alive::integer FROM subscription s
  UNION ALL SELECT 12, 'meridian_subscription_errors_total', 'counter', 'How often a subscription failed.', ARRAY['subscription', s.name, 'peer', COALESCE(s.peer, '')], s.errors
              FROM subscription s WHERE s.errors IS NOT NULL
  UNION ALL SELECT 13, 'meridian_table_changes_total', 'counter', 'Changes of replicated tables, by what became of them (meridian.stat_tables).',
                   ARRAY['table', COALESCE(t.rel::text, ''), 'outcome', v.outcome], v.changes
              FROM tables t CROSS JOIN LATERAL (VALUES ('stamped', t.stamped), ('applied', t.applied), ('merged', t.merged), ('stale', t.stale), ('parked', t.parked),
                                                       ('deleted', t.tombstones)) AS v(outcome, changes)
  UNION ALL SELECT 14, 'meridian_table_conflicts_total', 'counter', 'Concurrent writes that met.', ARRAY['table', COALESCE(t.rel::text, '')], t.conflicts FROM tables t
  UNION ALL SELECT 15, 'meridian_parked_rows', 'gauge', 'Rows that wait outside their table (meridian.parked).', NULL, (r ->> 'parked')::float8 FROM report
  UNION ALL SELECT 16, 'meridian_read_waits_total', 'counter', 'Waits for a token that had to sleep.', NULL, w.waits FROM waits w WHERE w.waits IS NOT NULL
  UNION ALL SELECT 17, 'meridian_read_timeouts_total', 'counter', 'Waits for a token that ended without success.', NULL, w.timeouts FROM waits w WHERE w.timeouts IS NOT NULL
  UNION ALL SELECT 18, 'meridian_read_waiting', 'gauge', 'Sessions that wait for a token now.', NULL, w.waiting FROM waits w WHERE w.waiting IS NOT NULL
  UNION ALL SELECT 19, 'meridian_keeper_failures_total', 'counter', 'Failed runs of the keeper''s tasks.', ARRAY['task', k.task], k.failures FROM meridian.keeper_status() k
  UNION ALL SELECT 20, 'meridian_replay_paused', 'gauge', 'Whether replay is paused on this standby.', NULL, (r -> 'receiver' ->> 'paused')::boolean::integer FROM report
             WHERE r -> 'receiver' ->> 'paused' IS NOT NULL
  UNION ALL SELECT 21, 'meridian_receiver_alive', 'gauge', 'Whether this standby is connected to its upstream.', NULL, (r -> 'receiver' ->> 'alive')::boolean::integer FROM report
             WHERE r -> 'receiver' ->> 'alive' IS NOT NULL
  UNION ALL SELECT 22, 'meridian_clock_ahead_seconds', 'gauge', 'By how much the hybrid clock is ahead of physical time.', NULL, c.ahead_ms / 1e3
              FROM meridian.clock_status() c WHERE c.ahead_ms IS NOT NULL
  UNION ALL SELECT 23 + v.place, v.name, v.kind, v.help, ARRAY['sink', s.name, 'kind', s.kind], v.value
              FROM meridian.sinks s
             CROSS JOIN LATERAL (VALUES (0, 'meridian_sink_running', 'gauge', 'Whether a sink delivers (meridian.sinks).', (s.state = 'running')::integer::float8),
                                        (1, 'meridian_sink_lag_bytes', 'gauge', 'WAL that a sink has not delivered.', s.lag_bytes::float8),
                                        (2, 'meridian_sink_events_total', 'counter', 'Events that a sink has delivered.', s.events::float8),
                                        (3, 'meridian_sink_retries_total', 'counter', 'How often a target did not take something at once.', s.retries::float8),
                                        (4, 'meridian_sink_dead_letters', 'gauge', 'Events that a target has refused and nobody has settled.', s.dead_letters::float8)
                                ) AS v(place, name, kind, help, value)
             WHERE NOT pg_is_in_recovery() AND v.value IS NOT NULL
  ORDER BY 1;
END
$$;
COMMENT ON FUNCTION meridian.metric_samples() IS 'What metrics() writes, as rows; labels are names and values in turn.';
REVOKE ALL ON FUNCTION meridian.metric_samples() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.metric_samples() TO meridian_admin, pg_monitor;

CREATE FUNCTION meridian.metrics() RETURNS text
  LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'meridian_metrics';
COMMENT ON FUNCTION meridian.metrics() IS 'Metrics of this server in Prometheus'' text format. See docs/monitoring.';
REVOKE ALL ON FUNCTION meridian.metrics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.metrics() TO meridian_admin, pg_monitor;
