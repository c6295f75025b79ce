-- What only this server knows of itself, as one value: its links, slots, lags and alarms. Probers ask for it each second while somebody reads it,
-- and the views of sql/73_topology.sql put the reports of all servers together.
--
-- Bounded: so many entries of each kind, texts cut, 64 kB altogether. Positions are given as distances, times as ages or
-- microseconds, so no reader compares the positions or the clocks of two servers. No connection string is in it.

CREATE FUNCTION meridian.own_name() RETURNS text
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT COALESCE(NULLIF(current_setting('meridian.node', true), ''), NULLIF(current_setting('cluster_name'), ''), 'unnamed')
$$;
COMMENT ON FUNCTION meridian.own_name() IS 'The name of this server in the views: meridian.node, else cluster_name.';

CREATE FUNCTION meridian.microseconds(i interval) RETURNS bigint
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT (extract(epoch FROM $1) * 1000000)::bigint $$;
COMMENT ON FUNCTION meridian.microseconds(interval) IS 'An interval as a number, for reports.';

CREATE FUNCTION meridian.receiver_name() RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT COALESCE(substring(c FROM 'application_name\s*=\s*''((?:[^''\\]|\\.)*)'''), substring(c FROM '(?:^|\s)application_name\s*=\s*([^''\s]+)'),
                  substring(c FROM '[?&]application_name=([^&]+)'), NULLIF(current_setting('cluster_name'), ''), 'walreceiver')
    FROM current_setting('primary_conninfo') c
$$;
COMMENT ON FUNCTION meridian.receiver_name() IS 'The application_name by which this standby shows where it streams from.';
REVOKE ALL ON FUNCTION meridian.receiver_name() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.receiver_name() TO meridian_admin, pg_monitor;

-- One entry for each walsender, and for each slot of a standby or member that nobody uses.
CREATE FUNCTION meridian.report_senders() RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN (
  WITH e(lsn) AS (
    SELECT CASE WHEN pg_is_in_recovery() THEN GREATEST(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) ELSE pg_current_wal_flush_lsn() END
  ), link AS (
    SELECT r.application_name AS name, s.kind, r.state, s.slot::text, s.member, r.sync_state, r.sync_priority, r.sent_lsn, r.write_lsn, r.flush_lsn,
           r.replay_lsn, r.write_lag, r.flush_lag, r.replay_lag, s.retained_bytes, s.wal_status
      FROM pg_stat_replication r LEFT JOIN meridian.local_slots() s ON s.active_pid = r.pid
     WHERE r.state IS DISTINCT FROM 'backup'
       AND (r.state IS DISTINCT FROM 'startup' OR s.kind IS NOT NULL)  -- without a slot a sender that starts up may yet become anything
    UNION ALL
    SELECT s.slot::text, s.kind, 'disconnected', s.slot::text, s.member, NULL, NULL, NULL, NULL, NULL, COALESCE(s.confirmed_flush_lsn, s.restart_lsn),
           NULL, NULL, NULL, s.retained_bytes, s.wal_status
      FROM meridian.local_slots() s
     WHERE s.active_pid IS NULL AND NOT s.temporary AND (s.kind = 'physical' OR s.member IS NOT NULL)
  )
  SELECT COALESCE(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
           'name', left(l.name, 63), 'kind', COALESCE(l.kind, 'physical'), 'state', l.state, 'slot', l.slot, 'member', l.member, 'peer', m.name,
           'stream', (meridian.stream_of(l.slot::name)).stream, 'sync_state', l.sync_state, 'sync_priority', l.sync_priority,
           'sent_bytes', pg_wal_lsn_diff(e.lsn, l.sent_lsn)::bigint, 'write_bytes', pg_wal_lsn_diff(e.lsn, l.write_lsn)::bigint,
           'flush_bytes', pg_wal_lsn_diff(e.lsn, l.flush_lsn)::bigint, 'replay_bytes', pg_wal_lsn_diff(e.lsn, l.replay_lsn)::bigint,
           'write_us', meridian.microseconds(l.write_lag), 'flush_us', meridian.microseconds(l.flush_lag), 'replay_us', meridian.microseconds(l.replay_lag),
           'retained_bytes', l.retained_bytes, 'wal_status', l.wal_status))), '[]')
    FROM (SELECT * FROM link ORDER BY kind, name LIMIT 64) l
    CROSS JOIN e
    LEFT JOIN meridian.member m ON m.id = l.member
   WHERE l.kind IS NOT DISTINCT FROM 'physical' OR l.kind IS NULL OR l.member IS NOT NULL);
END
$$;
COMMENT ON FUNCTION meridian.report_senders() IS 'Part of status_report(): who streams from this server, or has a slot on it.';
REVOKE ALL ON FUNCTION meridian.report_senders() FROM PUBLIC;

CREATE FUNCTION meridian.report_receiver() RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN (
  SELECT jsonb_strip_nulls(jsonb_build_object(
           'name', left(meridian.receiver_name(), 63), 'slot', NULLIF(current_setting('primary_slot_name'), ''), 'alive', r.pid IS NOT NULL, 'status', r.status,
           'host', r.sender_host, 'port', r.sender_port, 'message_age_us', meridian.microseconds(clock_timestamp() - r.last_msg_receipt_time),
           'pause', pg_get_wal_replay_pause_state(), 'paused', pg_get_wal_replay_pause_state() <> 'not paused',
           'unreplayed_bytes', GREATEST(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), 0)::bigint))
    FROM pg_stat_get_wal_receiver() r
   WHERE pg_is_in_recovery());
END
$$;
COMMENT ON FUNCTION meridian.report_receiver() IS 'Part of status_report(): how this standby receives; NULL on a primary.';
REVOKE ALL ON FUNCTION meridian.report_receiver() FROM PUBLIC;

CREATE FUNCTION meridian.report_subscriptions() RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN (
  SELECT COALESCE(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
           'name', s.subname, 'member', n.member, 'peer', m.name, 'stream', n.stream, 'enabled', s.subenabled, 'alive', w.pid IS NOT NULL,
           'message_age_us', meridian.microseconds(clock_timestamp() - w.last_msg_receipt_time),
           'errors', c.apply_error_count + c.sync_error_count, 'failures', f.failures, 'error', left(f.message, 300), 'sqlstate', f.sqlstate,
           -- From 18 on PostgreSQL counts conflicts of its own.
           'conflicts', (SELECT sum(k.value::bigint) FROM jsonb_each_text(to_jsonb(c)) k WHERE k.key LIKE 'confl\_%')))
           ORDER BY s.subname), '[]')
    FROM (SELECT s.* FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid AND d.datname = current_database() ORDER BY s.subname LIMIT 64) s
    CROSS JOIN LATERAL meridian.stream_of(s.subname) n
    LEFT JOIN meridian.member m ON m.id = n.member
    LEFT JOIN LATERAL (SELECT max(w.pid) AS pid, max(w.last_msg_receipt_time) AS last_msg_receipt_time
                         FROM pg_stat_subscription w WHERE w.subid = s.oid AND w.relid IS NULL) w ON true
    LEFT JOIN pg_stat_subscription_stats c ON c.subid = s.oid
    LEFT JOIN meridian.read_worker_failures() f ON f.subscription = s.oid
   WHERE NOT pg_is_in_recovery());
END
$$;
COMMENT ON FUNCTION meridian.report_subscriptions() IS 'Part of status_report(): what this server subscribes to.';
REVOKE ALL ON FUNCTION meridian.report_subscriptions() FROM PUBLIC;

CREATE FUNCTION meridian.report_slots() RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN (
  SELECT COALESCE(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
           'slot', s.slot, 'kind', s.kind, 'plugin', s.plugin, 'database', s.database, 'peer', m.name, 'temporary', s.temporary, 'active', s.active_pid IS NOT NULL,
           'inactive_us', meridian.microseconds(clock_timestamp() - s.inactive_since), 'retained_bytes', s.retained_bytes, 'safe_wal_size', s.safe_wal_size,
           'wal_status', s.wal_status, 'restart_lsn', s.restart_lsn, 'confirmed_flush_lsn', s.confirmed_flush_lsn, 'xmin_age', s.xmin_age,
           'catalog_xmin_age', s.catalog_xmin_age, 'risk', s.risk, 'failover', s.failover)) ORDER BY s.slot), '[]')
    FROM (SELECT * FROM meridian.local_slots() ORDER BY risk = 'none', slot LIMIT 64) s
    LEFT JOIN meridian.member m ON m.id = s.member);
END
$$;
COMMENT ON FUNCTION meridian.report_slots() IS 'Part of status_report(): the replication slots of this server.';
REVOKE ALL ON FUNCTION meridian.report_slots() FROM PUBLIC;

CREATE FUNCTION meridian.report_lags() RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN (
  SELECT COALESCE(jsonb_agg(l.entry ORDER BY l.standby, l.member), '[]')
    FROM (SELECT p.standby, p.member, jsonb_strip_nulls(jsonb_build_object(
                   'name', p.standby, 'member', p.member, 'peer', min(m.name), 'connected', p.connected, 'waiting_us', p.waiting_us,
                   'flush_p50_us', min(p.flush_p50_us), 'flush_p95_us', min(p.flush_p95_us)))
                 || jsonb_build_object('recent_p95_us', min(p.recent_p95_us),
                      'spans', jsonb_object_agg(p.span, jsonb_build_array(p.samples, p.p50_us, p.p95_us, p.p99_us, p.longest_us))) AS entry
            FROM meridian.read_peer_lags() p LEFT JOIN meridian.member m ON m.id = p.member
           GROUP BY p.standby, p.member, p.connected, p.waiting_us
           LIMIT 64) l);
END
$$;
COMMENT ON FUNCTION meridian.report_lags() IS 'Part of status_report(): how long commits of this server take to be visible elsewhere.';
REVOKE ALL ON FUNCTION meridian.report_lags() FROM PUBLIC;

CREATE FUNCTION meridian.report_alarms() RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN (
  SELECT COALESCE(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
           'alarm', a.alarm, 'severity', a.severity, 'age_us', meridian.microseconds(clock_timestamp() - a.since), 'subject', left(a.subject, 200),
           'detail', left(a.detail, 400), 'remedy', left(a.remedy, 400)))), '[]')
    FROM (SELECT * FROM meridian.local_alarms ORDER BY severity, since LIMIT 24) a);
END
$$;
COMMENT ON FUNCTION meridian.report_alarms() IS 'Part of status_report(): the alarms of this server.';
REVOKE ALL ON FUNCTION meridian.report_alarms() FROM PUBLIC;

CREATE FUNCTION meridian.report_keys() RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN (
  SELECT COALESCE(jsonb_agg(jsonb_build_array(k.key, k.written + k.away)), '[]')
    FROM (SELECT * FROM meridian.read_key_counts() ORDER BY written + away DESC LIMIT 100) k);
END
$$;
COMMENT ON FUNCTION meridian.report_keys() IS 'Part of status_report(): the keys that were requested most on this server.';
REVOKE ALL ON FUNCTION meridian.report_keys() FROM PUBLIC;

-- plpgsql, so that a session that asks again and again plans once.
CREATE FUNCTION meridian.status_report() RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  report jsonb;
  sync record;
BEGIN
  SELECT * INTO sync FROM meridian.synchronous_config();
  SELECT jsonb_build_object(
           'server', left(meridian.own_name(), 63), 'member', l.member, 'node', m.name, 'region', NULLIF(current_setting('meridian.region', true), ''),
           'role', CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE 'primary' END, 'system_id', c.system_identifier::text,
           'timeline', CASE WHEN pg_is_in_recovery()
                            THEN GREATEST(meridian.server_timeline(), (SELECT r.received_tli FROM pg_stat_get_wal_receiver() r))
                            ELSE meridian.server_timeline() END,
           'now', clock_timestamp(), 'started', pg_postmaster_start_time(), 'version', current_setting('server_version'),
           'synchronous', CASE WHEN sync.method IS NOT NULL
                               THEN jsonb_build_object('method', sync.method, 'required', sync.required, 'names', to_jsonb(sync.names[1:32])) END,
           'parked', CASE WHEN pg_is_in_recovery() THEN 0 ELSE meridian.parked_count() END,
           'conflicts', (SELECT COALESCE(sum(t.conflicts), 0) FROM meridian.stat_tables t))
    INTO report
    FROM pg_control_system() c
    LEFT JOIN meridian.local_member l ON true
    LEFT JOIN meridian.member m ON m.id = l.member;
  report := report || jsonb_build_object('receiver', meridian.report_receiver(), 'senders', meridian.report_senders(),
                                         'subscriptions', meridian.report_subscriptions(), 'lags', meridian.report_lags(), 'alarms', meridian.report_alarms());
  IF current_setting('meridian.counted_keys', true) <> '0' AND NOT pg_is_in_recovery() THEN
    report := report || jsonb_build_object('keys', meridian.report_keys());
  END IF;
  report := report || jsonb_build_object('slots', meridian.report_slots());
  IF octet_length(report::text) > 65000 THEN
    report := report || '{"slots": [], "cut": true}';
  END IF;
  IF octet_length(report::text) > 65000 THEN
    report := report || '{"subscriptions": [], "lags": []}';
  END IF;
  RETURN report;
END
$$;
COMMENT ON FUNCTION meridian.status_report() IS 'What this server knows of itself: its links, slots, lags and alarms, of each at most some dozens, 64 kB altogether. Probers ask for it; read the views meridian.replication_status, topology, slots, lag and alarms.';
REVOKE ALL ON FUNCTION meridian.status_report() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.status_report() TO meridian_admin, pg_monitor;
