-- What somebody must look at on this server. Each kind of alarm is a function of its own; the view puts them together.
-- Alarms about the topology, and those of other servers, come in sql/73_topology.sql.

CREATE FUNCTION meridian.tombstones_pile_up() RETURNS boolean
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  -- A tombstone takes 80 bytes at least.
  RETURN pg_relation_size('meridian.tombstone') > 80 * current_setting('meridian.tombstone_alarm_count')::bigint
    OR EXISTS (
      SELECT FROM meridian.replicated_table t
        CROSS JOIN (VALUES (false), (true)) AS v(laid_down)
        CROSS JOIN LATERAL (SELECT b.written FROM meridian.tombstone b
                             WHERE b.table_id = t.id AND b.laid_down = v.laid_down AND b.settled ORDER BY b.written LIMIT 1) AS o
       WHERE meridian.hlc_time(o.written) < now() - current_setting('meridian.tombstone_alarm_age')::interval);
END
$$;
COMMENT ON FUNCTION meridian.tombstones_pile_up() IS 'Whether there may be so many or so old tombstones that they are an alarm; false at the cost of some index look-ups, since alarms are asked for every second.';
REVOKE ALL ON FUNCTION meridian.tombstones_pile_up() FROM PUBLIC;

CREATE FUNCTION meridian.tombstone_alarms()
  RETURNS TABLE (alarm text, severity text, since timestamptz, subject text, detail text, remedy text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT 'tombstones held', 'warning', p.blocks_since, p.node,
         format('%s tombstones wait for node "%s" (%s), the oldest since %s', p.tombstones_held, p.node, p.state, p.blocks_since),
         CASE p.state WHEN 'epoch raised' THEN format('On another node: SELECT meridian.drop_node(%L); then let it join again.', p.node)
                      WHEN 'joining' THEN 'Repeat meridian.join() on that node, or give it up with meridian.drop_node().'
                      WHEN 'other generation' THEN 'A meridian.drop_node() did not reach every member: repeat it when all are reachable.'
                      ELSE format('Bring node "%s" and its links back (meridian.nodes), end transactions that stay open there, or: SELECT meridian.drop_node(%L)', p.node, p.node) END
    FROM meridian.tombstone_progress p
   WHERE (SELECT meridian.tombstones_pile_up())
     AND (p.tombstones_held > current_setting('meridian.tombstone_alarm_count')::bigint
          OR p.blocks_since < now() - current_setting('meridian.tombstone_alarm_age')::interval)
  UNION ALL
  SELECT 'tombstone removal held', 'warning', g.since, m.name, format('node "%s" drops no tombstones: %s', m.name, g.held),
         'Repeat the meridian.drop_node() that was cut off.'
    FROM meridian.generation g JOIN meridian.local_member l ON true JOIN meridian.member m ON m.id = l.member
   WHERE g.held <> 'dropped from the mesh'
     AND g.since < now() - current_setting('meridian.tombstone_alarm_age')::interval
  UNION ALL
  SELECT 'epoch raised', 'warning', g.since, m.name,
         format('node "%s" was promoted, restored or upgraded (epoch %s, %s when the generation began): what it had told of its progress may be lost, so no member drops tombstones',
                m.name, l.epoch, g.epoch),
         format('On another node: SELECT meridian.drop_node(%L); then let it join again.', m.name)
    FROM meridian.generation g JOIN meridian.local_member l ON l.epoch <> g.epoch JOIN meridian.member m ON m.id = l.member
  UNION ALL
  SELECT 'tombstones held', 'warning', t.added_at, t.rel::text,
         format('rows of table %s were not copied to the end, so its tombstones stay', t.rel),
         format('Repeat meridian.replicate(%L, ...) with the same rules.', t.rel)
    FROM meridian.replicated_table t
   WHERE NOT t.filled
     AND t.added_at < now() - current_setting('meridian.tombstone_alarm_age')::interval;
END
$$;
COMMENT ON FUNCTION meridian.tombstone_alarms() IS 'Alarms about tombstones that cannot be dropped; read view meridian.alarms.';
REVOKE ALL ON FUNCTION meridian.tombstone_alarms() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.tombstone_alarms() TO meridian_admin, pg_monitor;

CREATE FUNCTION meridian.membership_alarms()
  RETURNS TABLE (alarm text, severity text, since timestamptz, subject text, detail text, remedy text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT g.held, 'error', g.since, m.name,
         format('drop_node() removed node "%s" from the mesh: it receives nothing, and what is written here reaches nobody', m.name),
         'SELECT meridian.leave(); empty its tables, then meridian.join() again.'
    FROM meridian.generation g JOIN meridian.local_member l ON true JOIN meridian.member m ON m.id = l.member
   WHERE g.held = 'dropped from the mesh';
END
$$;
COMMENT ON FUNCTION meridian.membership_alarms() IS 'Alarm of a node that was dropped from the mesh; read view meridian.alarms.';
REVOKE ALL ON FUNCTION meridian.membership_alarms() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.membership_alarms() TO meridian_admin, pg_monitor;

CREATE FUNCTION meridian.parked_alarms()
  RETURNS TABLE (alarm text, severity text, since timestamptz, subject text, detail text, remedy text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT 'rows parked', CASE p.reason WHEN 'clock_skew' THEN 'warning' ELSE 'error' END, min(p.parked_at), p.subject,
         format('%s rows of %s wait outside it (%s), for example: %s', count(*), p.subject, p.reason, min(p.detail)),
         CASE p.reason WHEN 'clock_skew' THEN 'Set the clock of the node that is ahead; the rows are applied when their time has come.'
                       WHEN 'unique' THEN 'Give one of the rows another key, or delete it (meridian.conflicts, kind unique).'
                       WHEN 'misfit' THEN 'Change the table here as it was changed on the node that sent the rows: they are tried again by themselves.'
                       ELSE 'SELECT * FROM meridian.parked; make the table take the rows: they are tried again by themselves.' END
    FROM (SELECT i.*, COALESCE((quote_ident(i.sent_schema) || '.' || quote_ident(i.sent_table)), i.rel::text) AS subject FROM meridian.parked_image i) p
   GROUP BY p.subject, p.reason;
END
$$;
COMMENT ON FUNCTION meridian.parked_alarms() IS 'Alarms about rows that their table does not take; read view meridian.alarms.';
REVOKE ALL ON FUNCTION meridian.parked_alarms() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.parked_alarms() TO meridian_admin, pg_monitor;

CREATE FUNCTION meridian.read_worker_failures(OUT worker text, OUT subscription oid, OUT failures bigint, OUT first_at timestamptz,
                                              OUT last_at timestamptz, OUT sqlstate text, OUT message text)
  RETURNS SETOF record
  LANGUAGE c VOLATILE PARALLEL SAFE ROWS 10 AS 'MODULE_PATHNAME', 'meridian_read_worker_failures';
COMMENT ON FUNCTION meridian.read_worker_failures() IS 'Workers of this server that failed and have not succeeded since: of Meridian by name, apply workers by subscription; the message is that of the last failure. Read view meridian.alarms.';
REVOKE ALL ON FUNCTION meridian.read_worker_failures() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.read_worker_failures() TO meridian_admin, pg_monitor;

CREATE FUNCTION meridian.subscription_alarms()
  RETURNS TABLE (alarm text, severity text, since timestamptz, subject text, detail text, remedy text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  -- Twice, because one failure is what a peer's restart looks like.
  SELECT 'subscription fails', 'error', f.first_at, s.subname::text,
         format('subscription %I has failed %s times, last at %s (%s): %s', s.subname, f.failures, date_trunc('second', f.last_at), f.sqlstate, f.message),
         CASE WHEN left(f.sqlstate, 2) IN ('08', '28', '3D', '57')
              THEN format('Make the server reachable that it reads from (connection string: SELECT meridian.redact_dsn(subconninfo) FROM pg_subscription WHERE subname = %L); it is tried again by itself.', s.subname)
              ELSE format('Mend on this server what the message names; it is tried again by itself. To leave the transaction out: ALTER SUBSCRIPTION %I SKIP (lsn = ...), with the position in the server''s log.', s.subname) END
    FROM meridian.read_worker_failures() f
    JOIN pg_subscription s ON s.oid = f.subscription
    JOIN pg_database d ON d.oid = s.subdbid AND d.datname = current_database()
   WHERE s.subenabled AND f.failures > 1
     AND f.last_at > now() - GREATEST(interval '1 min', 10 * current_setting('wal_retrieve_retry_interval')::interval)
  UNION ALL
  SELECT 'subscription disabled', 'warning', f.last_at, s.subname::text,
         format('nothing arrives through subscription %I, because it is disabled', s.subname) || COALESCE(', after: ' || f.message, ''),
         format('ALTER SUBSCRIPTION %I ENABLE;', s.subname)
    FROM pg_subscription s
    JOIN pg_database d ON d.oid = s.subdbid AND d.datname = current_database()
    JOIN meridian.local_member l ON true
    JOIN meridian.member self ON self.id = l.member AND self.state = 'active'
    JOIN meridian.member peer ON peer.id = (meridian.stream_of(s.subname)).member AND peer.state = 'active'
    LEFT JOIN meridian.read_worker_failures() f ON f.subscription = s.oid
   WHERE NOT s.subenabled
     AND NOT EXISTS (SELECT FROM meridian.generation g WHERE g.held = 'dropped from the mesh');
END
$$;
COMMENT ON FUNCTION meridian.subscription_alarms() IS 'Alarms about subscriptions through which nothing arrives; read view meridian.alarms.';
REVOKE ALL ON FUNCTION meridian.subscription_alarms() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.subscription_alarms() TO meridian_admin, pg_monitor;

CREATE FUNCTION meridian.worker_alarms()
  RETURNS TABLE (alarm text, severity text, since timestamptz, subject text, detail text, remedy text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT 'worker restarts', 'error', f.first_at, f.worker,
         format('worker "%s" has failed %s times, last at %s (%s): %s', f.worker, f.failures, date_trunc('second', f.last_at), f.sqlstate, f.message),
         'Mend what the message names; the worker is started again by itself.'
    FROM meridian.read_worker_failures() f
   WHERE f.worker IS NOT NULL AND f.failures > 1 AND f.last_at > now() - interval '1 min'
  UNION ALL
  SELECT 'keeper task fails', 'warning', k.last_run, k.task,
         format('task "%s" of the keeper failed with SQLSTATE %s; %s of its %s runs failed', k.task, k.sqlstate, k.failures, k.runs),
         'The server''s log says why ("meridian keeper: task ... failed"); it is tried again by itself.'
    FROM meridian.keeper_status() k
   WHERE k.sqlstate NOT IN ('55P03', '40001', '40P01')
  UNION ALL
  SELECT 'keeper does not run', 'error', NULL, 'meridian keeper', 'the keeper of this server does not run, so nothing is published, settled or tried again',
         format('Create database %L or set meridian.database; the server''s log says why the keeper ends.', current_setting('meridian.database'))
   WHERE NOT pg_is_in_recovery() AND pg_postmaster_start_time() < now() - interval '30 s'
     AND EXISTS (SELECT FROM meridian.keeper_status() k WHERE k.pid IS NULL);
END
$$;
COMMENT ON FUNCTION meridian.worker_alarms() IS 'Alarms about Meridian''s own workers; read view meridian.alarms.';
REVOKE ALL ON FUNCTION meridian.worker_alarms() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.worker_alarms() TO meridian_admin, pg_monitor;

CREATE FUNCTION meridian.slot_alarms()
  RETURNS TABLE (alarm text, severity text, since timestamptz, subject text, detail text, remedy text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT a.alarm, a.severity, s.inactive_since, s.slot::text, format(a.detail, s.slot, pg_size_pretty(s.retained_bytes), pg_size_pretty(s.safe_wal_size)),
         CASE WHEN s.risk = 'lost' AND m.name IS NOT NULL
              THEN format('See "a lost slot" in the README: meridian.hold_removal(), make the slot again, meridian.resend(%L, ...); or meridian.drop_node(%L), and let it join again.', m.name, m.name)
              WHEN s.risk = 'lost' THEN format('SELECT pg_drop_replication_slot(%L); then rebuild what read from it (a standby: meridian.standby_setup()).', s.slot)
              WHEN s.active_pid IS NOT NULL THEN 'Find out why its reader is slow (meridian.replication_status), or raise max_slot_wal_keep_size.'
              WHEN m.name IS NOT NULL THEN format('Bring node "%s" back, or give it up: SELECT meridian.drop_node(%L);', m.name, m.name)
              ELSE format('Bring its reader back, or give it up: SELECT pg_drop_replication_slot(%L);', s.slot) END
    FROM meridian.local_slots() s
    LEFT JOIN meridian.member m ON m.id = s.member
    JOIN (VALUES ('lost', 'slot lost WAL', 'error', 'replication slot %I has lost WAL that its reader needs'),
                 ('losing', 'slot loses WAL soon', 'error', 'replication slot %I holds %s of WAL, and loses it after %s more'),
                 ('growing', 'slot holds WAL', 'warning', 'replication slot %I is not in use, and holds %s of WAL')) AS a(risk, alarm, severity, detail)
      ON a.risk = s.risk
   -- Of streams and sinks sink_alarms() tells, with what mends them.
   WHERE NOT (s.risk = 'lost' AND EXISTS (SELECT FROM meridian.stream t WHERE t.slot = s.slot) AND NOT pg_is_in_recovery());
END
$$;
COMMENT ON FUNCTION meridian.slot_alarms() IS 'Alarms about replication slots that hold or lose WAL; read view meridian.alarms.';
REVOKE ALL ON FUNCTION meridian.slot_alarms() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.slot_alarms() TO meridian_admin, pg_monitor;

CREATE FUNCTION meridian.synchronous_config(OUT method text, OUT required integer, OUT names text[])
  LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_synchronous_config';
COMMENT ON FUNCTION meridian.synchronous_config() IS 'synchronous_standby_names as the server reads it: FIRST or ANY, how many standbys a commit waits for, and their names. NULLs if it is empty.';
REVOKE ALL ON FUNCTION meridian.synchronous_config() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.synchronous_config() TO meridian_admin, pg_monitor;

CREATE FUNCTION meridian.synchronous_alarms()
  RETURNS TABLE (alarm text, severity text, since timestamptz, subject text, detail text, remedy text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH config AS (SELECT c.* FROM meridian.synchronous_config() c WHERE c.method IS NOT NULL AND NOT pg_is_in_recovery())
  SELECT 'commits wait', 'error', NULL::timestamptz, 'synchronous_standby_names',
         format('commits wait for %s synchronous standbys, and %s are connected', c.required, n.present),
         'Bring the standbys back that are missing, or let commits go on: SELECT * FROM meridian.synchronous_plan(); ALTER SYSTEM SET synchronous_standby_names = ...; SELECT pg_reload_conf();'
    FROM config c
    CROSS JOIN LATERAL (SELECT count(*) FROM pg_stat_replication r WHERE r.sync_state IN ('sync', 'quorum') AND r.state = 'streaming') AS n(present)
   WHERE n.present < c.required
  UNION ALL
  SELECT 'synchronous standby missing', 'warning', l.connected_at, u.name,
         format('standby "%s" is in synchronous_standby_names and not connected', u.name),
         'Start it, or give its server this application_name (in primary_conninfo), or take it out: SELECT * FROM meridian.synchronous_plan();'
    FROM config c
    CROSS JOIN LATERAL unnest(c.names) AS u(name)
    LEFT JOIN meridian.read_peer_lags() l ON lower(l.standby) = lower(u.name) AND l.span = '1 min'
   WHERE u.name <> '*'
     AND NOT EXISTS (SELECT FROM pg_stat_replication r WHERE lower(r.application_name) = lower(u.name) AND r.state = 'streaming');
END
$$;
COMMENT ON FUNCTION meridian.synchronous_alarms() IS 'Alarms about synchronous standbys that are missing; read view meridian.alarms.';
REVOKE ALL ON FUNCTION meridian.synchronous_alarms() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.synchronous_alarms() TO meridian_admin, pg_monitor;

CREATE FUNCTION meridian.server_alarms()
  RETURNS TABLE (alarm text, severity text, since timestamptz, subject text, detail text, remedy text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT 'replay paused', 'warning', NULL::timestamptz, NULLIF(current_setting('meridian.node', true), ''),
         format('replay is %s: what is read here grows older', pg_get_wal_replay_pause_state()), 'SELECT pg_wal_replay_resume();'
   WHERE CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() <> 'not paused' END
  UNION ALL
  SELECT 'standby receives nothing', 'error', NULL, NULLIF(current_setting('meridian.node', true), ''),
         'this standby is not connected to the server that it streams from',
         'Start that server, or correct primary_conninfo and primary_slot_name and SELECT pg_reload_conf(); the server''s log says why it does not connect.'
   WHERE pg_is_in_recovery() AND current_setting('primary_conninfo') <> '' AND NOT EXISTS (SELECT FROM pg_stat_get_wal_receiver() r WHERE r.pid IS NOT NULL)
  UNION ALL
  SELECT 'identity not confirmed', 'error', NULL, i.server, format('this server may not write for its member: %s', i.reason),
         'If no other server writes for the member: SELECT meridian.confirm_identity();'
    FROM meridian.identity i WHERE NOT i.confirmed AND i.member IS NOT NULL AND NOT pg_is_in_recovery()
  UNION ALL
  SELECT 'plugin not allowed', 'error', NULL, 'output_plugin_libraries',
         'this server does not load the output plugin of the mesh, so no other member can read from it',
         format('%s in postgresql.conf, then SELECT pg_reload_conf();', l.line)
    FROM meridian.plugin_line('meridian_mesh') l(line)
   WHERE l.line IS NOT NULL AND EXISTS (SELECT FROM meridian.local_member l JOIN meridian.member m ON m.id <> l.member);
END
$$;
COMMENT ON FUNCTION meridian.server_alarms() IS 'Alarms about this server itself; read view meridian.alarms.';
REVOKE ALL ON FUNCTION meridian.server_alarms() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.server_alarms() TO meridian_admin, pg_monitor;

CREATE FUNCTION meridian.sink_alarms()
  RETURNS TABLE (alarm text, severity text, since timestamptz, subject text, detail text, remedy text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT a.alarm, a.severity, a.since, s.name, a.detail, a.remedy
    FROM meridian.sink s
    JOIN meridian.sink_progress p ON p.name = s.name
    JOIN meridian.stream t ON t.name = 'sink_' || s.name
    LEFT JOIN pg_replication_slots r ON r.slot_name = t.slot
    LEFT JOIN meridian.sink_resnapshot n ON n.sink = s.name
   CROSS JOIN LATERAL (
      SELECT 'sink lost changes', 'error', NULL::timestamptz, format('the slot of sink "%s" is gone, and changes with it', s.name),
             format('SELECT meridian.resnapshot_sink(%L);', s.name)
       WHERE r.slot_name IS NULL OR r.wal_status = 'lost'
      UNION ALL
      SELECT 'sink keeps deleted rows', 'error', n.ended_at, format('the target of sink "%s" may still have rows that are gone: %s', s.name, n.error),
             format('Correct what is wrong, then SELECT meridian.resnapshot_sink(%L);', s.name)
       WHERE n.state = 'failed'
      UNION ALL
      SELECT 'sink stopped', 'error', p.error_at, format('sink "%s" stopped: %s', s.name, p.error),
             format('Correct what is wrong, or set another on_error; then SELECT meridian.resume_sink(%L);', s.name)
       WHERE p.state = 'stopped'
      UNION ALL
      SELECT 'sink delivers nothing', 'warning', p.error_at, format('sink "%s" cannot deliver: %s', s.name, p.error), 'See its target; the sink goes on by itself.'
       WHERE p.state IN ('retrying', 'failed') AND COALESCE(p.delivered_at, s.created_at) < now() - interval '1 minute'
   ) AS a(alarm, severity, since, detail, remedy)
  UNION ALL
  SELECT 'stream lost changes', 'error', NULL, t.name, format('the slot of stream "%s" is gone, and changes with it', t.name),
         format('SELECT meridian.drop_stream(%L); then create it again, and read the tables.', t.name)
    FROM meridian.stream t
    LEFT JOIN pg_replication_slots r ON r.slot_name = t.slot
   WHERE (r.slot_name IS NULL OR r.wal_status = 'lost') AND NOT EXISTS (SELECT FROM meridian.sink s WHERE t.name = 'sink_' || s.name);
END
$$;
COMMENT ON FUNCTION meridian.sink_alarms() IS 'Alarms about sinks that do not deliver, and streams that have lost changes; read view meridian.alarms.';
REVOKE ALL ON FUNCTION meridian.sink_alarms() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.sink_alarms() TO meridian_admin, pg_monitor;

CREATE FUNCTION meridian.home_alarms()
  RETURNS TABLE (alarm text, severity text, since timestamptz, subject text, detail text, remedy text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT 'home lease ended', 'error', NULL::timestamptz, m.region,
         format('%s of %s other members that must have answered within %s have: no key of region "%s" is written here', s.answers, s.needed, s.lease, m.region),
         'Bring the network or the other members back (meridian.nodes). If they are lost: SELECT meridian.take_home(region, force => true) with each of their regions.'
    FROM meridian.home_lease_status s, meridian.local_member l JOIN meridian.member m ON m.id = l.member
   WHERE NOT s.held AND EXISTS (SELECT FROM meridian.home_map h WHERE m.region = ANY (h.regions));
END
$$;
COMMENT ON FUNCTION meridian.home_alarms() IS 'Alarms about homes of keys; read view meridian.alarms.';
REVOKE ALL ON FUNCTION meridian.home_alarms() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.home_alarms() TO meridian_admin, pg_monitor;

-- What a standby has in its tables is its primary's to report.
CREATE VIEW meridian.local_alarms AS
  SELECT * FROM meridian.server_alarms()
  UNION ALL SELECT * FROM meridian.worker_alarms()
  UNION ALL SELECT * FROM meridian.slot_alarms()
  UNION ALL SELECT * FROM meridian.synchronous_alarms()
  UNION ALL SELECT * FROM meridian.membership_alarms() WHERE NOT pg_catalog.pg_is_in_recovery()
  UNION ALL SELECT * FROM meridian.subscription_alarms() WHERE NOT pg_catalog.pg_is_in_recovery()
  UNION ALL SELECT * FROM meridian.sink_alarms() WHERE NOT pg_catalog.pg_is_in_recovery()
  UNION ALL SELECT * FROM meridian.parked_alarms() WHERE NOT pg_catalog.pg_is_in_recovery()
  UNION ALL SELECT * FROM meridian.home_alarms() WHERE NOT pg_catalog.pg_is_in_recovery()
  UNION ALL SELECT * FROM meridian.tombstone_alarms() WHERE NOT pg_catalog.pg_is_in_recovery();
COMMENT ON VIEW meridian.local_alarms IS 'The rows of meridian.alarms that this server reports of itself.';
GRANT SELECT ON meridian.local_alarms TO meridian_admin, pg_monitor;
