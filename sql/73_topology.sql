-- The whole topology, put together from the reports of all servers (sql/72_status_report.sql) and what the prober knows of each.
--
-- The functions assemble_...() take both as arguments and look at nothing else: an array of objects server, sample_age (seconds)
-- and report, and an array of rows of server_probes().

CREATE FUNCTION meridian.own_server() RETURNS text
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN COALESCE((SELECT r.server FROM meridian.probed_reports() r
                    WHERE r.report ->> 'server' = meridian.own_name() AND r.report ->> 'system_id' = (SELECT c.system_identifier::text FROM pg_control_system() c)
                    LIMIT 1), meridian.own_name());
END
$$;
COMMENT ON FUNCTION meridian.own_server() IS 'The name under which this server is in the views of the topology: of a member''s primary that of the member, else meridian.node.';
REVOKE ALL ON FUNCTION meridian.own_server() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.own_server() TO meridian_admin, pg_monitor;

-- This server's own report is made now, so that it is there before the first round of the prober, and without a mesh. It comes first.
-- What was probed is read once: every reading parses all reports.
CREATE FUNCTION meridian.known_reports() RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
  own jsonb := meridian.status_report();
  own_name text;
  others jsonb;
BEGIN
  SELECT min(p.server) FILTER (WHERE p.is_own),
         jsonb_agg(jsonb_build_object('server', p.server, 'sample_age', extract(epoch FROM p.sample_age), 'report', p.report)) FILTER (WHERE NOT p.is_own)
    INTO own_name, others
    FROM (SELECT r.*, (r.report ->> 'server' = own ->> 'server' AND r.report ->> 'system_id' = own ->> 'system_id') IS TRUE AS is_own
            FROM meridian.probed_reports() r WHERE r.report ->> 'server' IS NOT NULL) p;
  RETURN jsonb_build_array(jsonb_build_object('server', COALESCE(own_name, own ->> 'server'), 'sample_age', extract(epoch FROM interval '0'), 'report', own))
    || COALESCE(others, '[]');
END
$$;
COMMENT ON FUNCTION meridian.known_reports() IS 'The reports of all servers as one value: this server''s own, made now, and those that were probed.';
REVOKE ALL ON FUNCTION meridian.known_reports() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.known_reports() TO meridian_admin, pg_monitor;

CREATE FUNCTION meridian.known_servers() RETURNS jsonb
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
  RETURN (
  SELECT COALESCE(jsonb_agg(to_jsonb(s) - 'dsn'), '[]') FROM meridian.server_probes() s);
END
$$;
COMMENT ON FUNCTION meridian.known_servers() IS 'server_probes() as one value.';
REVOKE ALL ON FUNCTION meridian.known_servers() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.known_servers() TO meridian_admin, pg_monitor;

-- Links ------------------------------------------------------------------------------------------------------------
--
-- A link is seen from two sides: by the walsender (or the slot) upstream, and by the receiver (or the subscription) downstream.
-- Either may be missing: a server that cannot be asked, a link that is cut.

CREATE FUNCTION meridian.assemble_links(reports jsonb, servers jsonb)
  RETURNS TABLE (upstream text, downstream text, kind text, state text, sync_state text, sync_priority integer,
                 sent_bytes bigint, write_bytes bigint, flush_bytes bigint, replay_bytes bigint, write_lag interval, flush_lag interval, replay_lag interval,
                 paused boolean, receiver_alive boolean, last_message interval, slot text, retained_bytes bigint, wal_status text, timeline integer,
                 stream integer, errors bigint, conflicts bigint, error text, sample_age interval)
  LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH r AS (
    SELECT e ->> 'server' AS server, (e ->> 'sample_age')::float8 * interval '1 s' AS sample_age, e -> 'report' AS report,
           e -> 'report' ->> 'role' AS role, e -> 'report' ->> 'system_id' AS system_id, (e -> 'report' ->> 'member')::integer AS member,
           (e -> 'report' ->> 'timeline')::integer AS timeline, e -> 'report' ->> 'node' AS node
      FROM jsonb_array_elements(reports) e
  ), probe AS (
    SELECT s.* FROM jsonb_to_recordset(servers) AS s(server text, member integer, role text, upstream text, lag_bytes bigint, lag interval)
  ), primary_of AS (
    -- Of two that claim to be it, the later timeline.
    SELECT DISTINCT ON (r.member) r.member, r.server FROM r WHERE r.role = 'primary' AND r.member IS NOT NULL ORDER BY r.member, r.timeline DESC
  ), sender AS (
    SELECT row_number() OVER () AS number, r.server, r.role, r.system_id, r.member AS own_member, r.timeline, r.sample_age, s.*
      FROM r CROSS JOIN LATERAL jsonb_to_recordset(r.report -> 'senders')
        AS s(name text, kind text, state text, slot text, member integer, peer text, stream integer, sync_state text, sync_priority integer,
             sent_bytes bigint, write_bytes bigint, flush_bytes bigint, replay_bytes bigint, write_us bigint, flush_us bigint, replay_us bigint,
             retained_bytes bigint, wal_status text)
  ), receiver AS (
    SELECT r.server, r.system_id, r.timeline, r.member, r.sample_age, x.*, p.upstream, p.lag_bytes, p.lag
      FROM r CROSS JOIN LATERAL jsonb_to_record(r.report -> 'receiver')
        AS x(name text, slot text, alive boolean, host text, port integer, message_age_us bigint, paused boolean, unreplayed_bytes bigint)
      LEFT JOIN probe p ON p.server = r.server
     WHERE r.role = 'standby' AND jsonb_typeof(r.report -> 'receiver') = 'object'
  ), pair AS (
    SELECT DISTINCT ON (d.server) d.server, u.number
      FROM receiver d
      JOIN sender u ON u.kind = 'physical' AND u.system_id = d.system_id AND u.server <> d.server AND u.server = COALESCE(d.upstream, u.server)
                   AND (u.name = d.name OR u.slot = d.slot)
     ORDER BY d.server, u.state = 'disconnected', (u.name = d.name) DESC, u.slot = d.slot DESC NULLS LAST
  ), subscriber AS (
    SELECT r.server, r.member, r.node, r.sample_age, x.member AS from_member, x.peer, x.stream, x.enabled, x.alive, x.message_age_us, x.errors, x.conflicts,
           x.failures, x.error
      FROM r CROSS JOIN LATERAL jsonb_to_recordset(r.report -> 'subscriptions')
        AS x(member integer, peer text, stream integer, enabled boolean, alive boolean, message_age_us bigint, errors bigint, conflicts bigint,
             failures bigint, error text)
     WHERE r.role = 'primary' AND x.member IS NOT NULL
  )
  SELECT COALESCE(u.server, d.upstream, o.server, d.host || ':' || d.port), COALESCE(d.server, u.name),
         CASE WHEN u.role = 'standby' THEN 'cascading' WHEN u.sync_state IN ('sync', 'quorum') THEN 'synchronous' ELSE 'streaming' END,
         CASE WHEN u.state IS NOT NULL THEN u.state WHEN d.alive THEN 'unknown' ELSE 'disconnected' END,
         u.sync_state, u.sync_priority, u.sent_bytes, u.write_bytes, u.flush_bytes, COALESCE(u.replay_bytes, d.lag_bytes),
         u.write_us * interval '1 us', u.flush_us * interval '1 us', COALESCE(u.replay_us * interval '1 us', d.lag), d.paused, d.alive,
         d.message_age_us * interval '1 us', COALESCE(u.slot, d.slot), u.retained_bytes, u.wal_status, COALESCE(d.timeline, u.timeline),
         NULL::integer, NULL::bigint, NULL::bigint, NULL::text, GREATEST(u.sample_age, d.sample_age)
    FROM receiver d
    LEFT JOIN pair p ON p.server = d.server
    LEFT JOIN primary_of o ON o.member = d.member
    FULL JOIN (SELECT * FROM sender WHERE sender.kind = 'physical') u ON u.number = p.number
  UNION ALL
  SELECT COALESCE(u.server, o.server, d.peer), COALESCE(d.server, t.server, u.peer), 'logical',
         CASE WHEN NOT d.enabled THEN 'disabled' WHEN d.failures > 1 THEN 'failing' WHEN u.state IS NOT NULL THEN u.state WHEN d.alive THEN 'unknown' ELSE 'disconnected' END,
         u.sync_state, u.sync_priority, u.sent_bytes, u.write_bytes, u.flush_bytes, u.replay_bytes,
         u.write_us * interval '1 us', u.flush_us * interval '1 us', u.replay_us * interval '1 us', NULL, d.alive, d.message_age_us * interval '1 us',
         u.slot, u.retained_bytes, u.wal_status, u.timeline, COALESCE(u.stream, d.stream), d.errors, d.conflicts, d.error, GREATEST(u.sample_age, d.sample_age)
    FROM (SELECT * FROM sender WHERE sender.kind = 'logical' AND sender.role = 'primary') u
    FULL JOIN subscriber d ON d.from_member = u.own_member AND d.member = u.member AND d.stream = u.stream
    LEFT JOIN primary_of o ON o.member = d.from_member
    LEFT JOIN primary_of t ON t.member = u.member
  ORDER BY 3 DESC, 1, 2, 21;
END
$$;
COMMENT ON FUNCTION meridian.assemble_links(jsonb, jsonb) IS 'The rows of view meridian.replication_status, from the reports and probes of all servers.';
REVOKE ALL ON FUNCTION meridian.assemble_links(jsonb, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.assemble_links(jsonb, jsonb) TO meridian_admin, pg_monitor;

CREATE VIEW meridian.replication_status AS
  SELECT l.* FROM meridian.assemble_links(meridian.known_reports(), meridian.known_servers()) l;
COMMENT ON VIEW meridian.replication_status IS 'Every link of the topology, as far as its servers can be asked: from primaries to standbys, from standbys to standbys, and between members in both directions.';
COMMENT ON COLUMN meridian.replication_status.upstream IS 'The server that sends.';
COMMENT ON COLUMN meridian.replication_status.downstream IS 'The server that receives; its application_name or slot if it is not known otherwise.';
COMMENT ON COLUMN meridian.replication_status.kind IS 'streaming, synchronous (commits wait for it), cascading (from a standby), or logical (between members).';
COMMENT ON COLUMN meridian.replication_status.state IS 'As the sender says: streaming, catchup, startup; disconnected (only a slot, or only a receiver is left); disabled or failing (the subscription); unknown (the sender was not asked).';
COMMENT ON COLUMN meridian.replication_status.sync_state IS 'async, potential, sync or quorum.';
COMMENT ON COLUMN meridian.replication_status.sync_priority IS 'Place in synchronous_standby_names.';
COMMENT ON COLUMN meridian.replication_status.sent_bytes IS 'WAL of the upstream that has not been sent; likewise written, flushed and replayed (a member: applied).';
COMMENT ON COLUMN meridian.replication_status.write_lag IS 'As the walsender measured last, also flush_lag and replay_lag; NULL is unknown, not zero. For percentiles read meridian.lag.';
COMMENT ON COLUMN meridian.replication_status.paused IS 'Replay was paused.';
COMMENT ON COLUMN meridian.replication_status.receiver_alive IS 'Whether the receiver (a member: the apply worker) runs.';
COMMENT ON COLUMN meridian.replication_status.last_message IS 'How old the last message was that the receiver had got.';
COMMENT ON COLUMN meridian.replication_status.retained_bytes IS 'WAL that the slot holds.';
COMMENT ON COLUMN meridian.replication_status.wal_status IS 'Of the slot: reserved, extended, unreserved or lost.';
COMMENT ON COLUMN meridian.replication_status.timeline IS 'Timeline that is received.';
COMMENT ON COLUMN meridian.replication_status.stream IS 'Between members: which of the streams.';
COMMENT ON COLUMN meridian.replication_status.errors IS 'Of a subscription: how often it failed, since statistics were reset.';
COMMENT ON COLUMN meridian.replication_status.conflicts IS 'Of a subscription, from PostgreSQL 18 on: conflicts that PostgreSQL counted. Those that Meridian merged are in meridian.stat_tables.';
COMMENT ON COLUMN meridian.replication_status.error IS 'Why it failed last, if it has not succeeded since.';
COMMENT ON COLUMN meridian.replication_status.sample_age IS 'How old the older of the two reports is.';
GRANT SELECT ON meridian.replication_status TO meridian_admin, pg_monitor;

-- Tree -------------------------------------------------------------------------------------------------------------

CREATE FUNCTION meridian.assemble_topology(reports jsonb, servers jsonb)
  RETURNS TABLE (node text, depth integer, upstream text, link text, role text, region text, state text, timeline integer, lag_bytes bigint, lag interval,
                 peers text[], sample_age interval, path text[], drawing text)
  LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH RECURSIVE link AS MATERIALIZED (
    SELECT * FROM meridian.assemble_links(reports, servers)
  ), report AS (
    SELECT e ->> 'server' AS server, (e ->> 'sample_age')::float8 * interval '1 s' AS sample_age, e -> 'report' ->> 'role' AS role,
           e -> 'report' ->> 'region' AS region, (e -> 'report' ->> 'timeline')::integer AS timeline, (e -> 'report' ->> 'member')::integer AS member
      FROM jsonb_array_elements(reports) e
  ), probe AS (
    SELECT s.* FROM jsonb_to_recordset(servers) AS s(server text, member integer, region text, role text, upstream text, timeline integer, state text,
                                                     sample_age interval, lag_bytes bigint, lag interval)
  ), main AS (
    SELECT DISTINCT ON (m.member) m.member, m.server
      FROM (SELECT r.member, r.server, r.timeline FROM report r WHERE r.role = 'primary'
            UNION ALL SELECT p.member, p.server, p.timeline FROM probe p WHERE p.role = 'primary') m
     WHERE m.member IS NOT NULL ORDER BY m.member, m.timeline DESC NULLS LAST
  ), inner_link AS (
    SELECT DISTINCT ON (l.downstream) l.* FROM link l WHERE l.kind <> 'logical' ORDER BY l.downstream, l.state = 'disconnected'
  ), named(server) AS (
    SELECT server FROM report UNION SELECT server FROM probe
    UNION SELECT l.upstream FROM link l WHERE l.upstream IS NOT NULL
    UNION SELECT l.downstream FROM link l WHERE l.state <> 'disconnected' OR l.kind = 'logical'
  ), node AS MATERIALIZED (
    SELECT n.server, COALESCE(r.role, p.role, CASE WHEN l.downstream IS NOT NULL THEN 'standby' END, 'unknown') AS role, COALESCE(r.region, p.region) AS region,
           COALESCE(p.state, CASE WHEN r.server IS NOT NULL THEN 'up' ELSE 'unknown' END) AS state, COALESCE(r.timeline, p.timeline) AS timeline,
           NULLIF(COALESCE(l.upstream, CASE WHEN COALESCE(r.role, p.role) = 'standby' THEN COALESCE(p.upstream, m.server) END), n.server) AS upstream,
           l.kind AS link, l.state AS link_state, COALESCE(p.lag_bytes, l.replay_bytes) AS lag_bytes, COALESCE(p.lag, l.replay_lag) AS lag,
           ARRAY(SELECT DISTINCT g.downstream FROM link g WHERE g.kind = 'logical' AND g.upstream = n.server AND g.state <> 'disconnected' ORDER BY 1) AS peers,
           COALESCE(p.sample_age, r.sample_age) AS sample_age
      FROM named n
      LEFT JOIN report r ON r.server = n.server
      LEFT JOIN probe p ON p.server = n.server
      LEFT JOIN inner_link l ON l.downstream = n.server AND COALESCE(r.role, p.role, 'standby') = 'standby'
      LEFT JOIN main m ON m.member = COALESCE(r.member, p.member)
  ), tree AS (
    SELECT n.*, 0 AS depth, ARRAY[n.server] AS path FROM node n
     WHERE n.upstream IS NULL OR NOT EXISTS (SELECT FROM node u WHERE u.server = n.upstream)
    UNION ALL
    SELECT n.*, t.depth + 1, t.path || n.server FROM tree t JOIN node n ON n.upstream = t.server
     WHERE n.server <> ALL (t.path) AND t.depth < 32
  )
  SELECT t.server, t.depth, t.upstream, t.link, t.role, t.region, t.state, t.timeline, t.lag_bytes, t.lag, t.peers, t.sample_age, t.path,
         CASE WHEN t.depth > 0 THEN repeat('   ', t.depth - 1) || '+- ' ELSE '' END || t.server || ' ('
           || concat_ws(', ', NULLIF(t.region, t.server), t.role, t.state, CASE WHEN t.timeline > 1 THEN 'timeline ' || t.timeline END,
                        NULLIF(t.link, 'streaming'), CASE WHEN t.link_state <> 'streaming' THEN 'link ' || t.link_state END,
                        CASE WHEN t.lag_bytes > 0 THEN pg_size_pretty(t.lag_bytes) || ' behind' END) || ')'
           || CASE WHEN t.peers <> '{}' THEN ' -> ' || array_to_string(t.peers, ', ') ELSE '' END
    FROM (SELECT * FROM tree UNION ALL
          -- Whoever claims to be below itself.
          SELECT n.*, 0, ARRAY[n.server] FROM node n WHERE NOT EXISTS (SELECT FROM tree t WHERE t.server = n.server)) t
   ORDER BY t.path;
END
$$;
COMMENT ON FUNCTION meridian.assemble_topology(jsonb, jsonb) IS 'The rows of view meridian.topology, from the reports and probes of all servers.';
REVOKE ALL ON FUNCTION meridian.assemble_topology(jsonb, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.assemble_topology(jsonb, jsonb) TO meridian_admin, pg_monitor;

CREATE VIEW meridian.topology AS
  SELECT t.* FROM meridian.assemble_topology(meridian.known_reports(), meridian.known_servers()) t;
COMMENT ON VIEW meridian.topology IS 'Every server that is known, each below the one that it streams from: SELECT drawing FROM meridian.topology shows the tree.';
COMMENT ON COLUMN meridian.topology.depth IS '0 for a primary, 1 for a standby of it, 2 for a standby of that, ...';
COMMENT ON COLUMN meridian.topology.upstream IS 'The server that it streams from.';
COMMENT ON COLUMN meridian.topology.link IS 'How: streaming, synchronous or cascading.';
COMMENT ON COLUMN meridian.topology.role IS 'primary or standby, as the server itself says.';
COMMENT ON COLUMN meridian.topology.state IS 'As the prober sees it: up, suspect, down, drained, promoted, diverged; unknown if it does not know the server.';
COMMENT ON COLUMN meridian.topology.lag_bytes IS 'How far it is behind its primary, or its upstream if that is all that is known; likewise lag.';
COMMENT ON COLUMN meridian.topology.peers IS 'The servers of other members that read from it.';
COMMENT ON COLUMN meridian.topology.path IS 'The servers from the primary down to it; the order of the view.';
COMMENT ON COLUMN meridian.topology.drawing IS 'A line of the tree.';
GRANT SELECT ON meridian.topology TO meridian_admin, pg_monitor;

-- Slots and lags ---------------------------------------------------------------------------------------------------

CREATE FUNCTION meridian.assemble_slots(reports jsonb)
  RETURNS TABLE (server text, slot text, kind text, plugin text, database text, used_by text, active boolean, temporary boolean, inactive_since timestamptz,
                 retained_bytes bigint, safe_wal_size bigint, wal_status text, restart_lsn pg_lsn, confirmed_flush_lsn pg_lsn, xmin_age integer,
                 catalog_xmin_age integer, risk text, failover text, sample_age interval)
  LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT e ->> 'server', s.slot, s.kind, s.plugin, s.database, s.peer, s.active, s.temporary, clock_timestamp() - s.inactive_us * interval '1 us',
         s.retained_bytes, s.safe_wal_size, s.wal_status, s.restart_lsn, s.confirmed_flush_lsn, s.xmin_age, s.catalog_xmin_age, s.risk, s.failover,
         (e ->> 'sample_age')::float8 * interval '1 s'
    FROM jsonb_array_elements(assemble_slots.reports) e
    CROSS JOIN LATERAL jsonb_to_recordset(e -> 'report' -> 'slots')
      AS s(slot text, kind text, plugin text, database text, peer text, active boolean, temporary boolean, inactive_us bigint, retained_bytes bigint,
           safe_wal_size bigint, wal_status text, restart_lsn pg_lsn, confirmed_flush_lsn pg_lsn, xmin_age integer, catalog_xmin_age integer, risk text, failover text)
   ORDER BY 1, 2;
END
$$;
COMMENT ON FUNCTION meridian.assemble_slots(jsonb) IS 'The rows of view meridian.slots, from the reports of all servers.';
REVOKE ALL ON FUNCTION meridian.assemble_slots(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.assemble_slots(jsonb) TO meridian_admin, pg_monitor;

CREATE VIEW meridian.slots AS SELECT s.* FROM meridian.assemble_slots(meridian.known_reports()) s;
COMMENT ON VIEW meridian.slots IS 'The replication slots of all servers: what they hold, and what becomes of it.';
COMMENT ON COLUMN meridian.slots.used_by IS 'The member that reads through it.';
COMMENT ON COLUMN meridian.slots.inactive_since IS 'Since when nobody uses it, as far as its server has seen since it started.';
COMMENT ON COLUMN meridian.slots.retained_bytes IS 'WAL that is kept for it.';
COMMENT ON COLUMN meridian.slots.safe_wal_size IS 'How much more WAL may be written before it is lost (max_slot_wal_keep_size); NULL: no limit.';
COMMENT ON COLUMN meridian.slots.xmin_age IS 'How many transactions old the oldest one is that vacuum keeps rows for; likewise catalog_xmin_age.';
COMMENT ON COLUMN meridian.slots.risk IS 'none, inactive, growing (inactive, and holds more than meridian.slot_alarm_size), losing (WAL is about to be removed), or lost.';
COMMENT ON COLUMN meridian.slots.failover IS 'Of logical slots: yes, standbys can take it over; copy: this standby has taken it over, and has it when it is promoted; no: it is lost with its server.';
GRANT SELECT ON meridian.slots TO meridian_admin, pg_monitor;

CREATE FUNCTION meridian.assemble_lags(reports jsonb)
  RETURNS TABLE (origin text, peer text, kind text, connected boolean, waiting interval, span interval, samples bigint, p50 interval, p95 interval, p99 interval,
                 max interval, sample_age interval)
  LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH r AS (
    SELECT e ->> 'server' AS server, (e ->> 'sample_age')::float8 * interval '1 s' AS sample_age, e -> 'report' AS report,
           (e -> 'report' ->> 'member')::integer AS member, e -> 'report' ->> 'role' AS role
      FROM jsonb_array_elements(assemble_lags.reports) e
  )
  SELECT r.server, COALESCE((SELECT p.server FROM r p WHERE p.member = l.member AND p.role = 'primary' LIMIT 1), l.peer, l.name),
         CASE WHEN l.member IS NOT NULL THEN 'logical' WHEN r.role = 'standby' THEN 'cascading' ELSE 'streaming' END, l.connected,
         l.waiting_us * interval '1 us', s.key::interval, (s.value ->> 0)::bigint, (s.value ->> 1)::bigint * interval '1 us',
         (s.value ->> 2)::bigint * interval '1 us', (s.value ->> 3)::bigint * interval '1 us', (s.value ->> 4)::bigint * interval '1 us', r.sample_age
    FROM r
    CROSS JOIN LATERAL jsonb_to_recordset(r.report -> 'lags') AS l(name text, member integer, peer text, connected boolean, waiting_us bigint, spans jsonb)
    CROSS JOIN LATERAL jsonb_each(l.spans) s
   ORDER BY 1, 2, 6;
END
$$;
COMMENT ON FUNCTION meridian.assemble_lags(jsonb) IS 'The rows of view meridian.lag, from the reports of all servers.';
REVOKE ALL ON FUNCTION meridian.assemble_lags(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.assemble_lags(jsonb) TO meridian_admin, pg_monitor;

CREATE VIEW meridian.lag AS SELECT l.* FROM meridian.assemble_lags(meridian.known_reports()) l;
COMMENT ON VIEW meridian.lag IS 'How long commits take to be visible on each server that reads from another: from the commit until the reader has confirmed that it applied it, by the clock of the origin alone.';
COMMENT ON COLUMN meridian.lag.origin IS 'The server that commits; for cascading links the standby that passes on.';
COMMENT ON COLUMN meridian.lag.peer IS 'The server that reads.';
COMMENT ON COLUMN meridian.lag.connected IS 'Whether it is connected.';
COMMENT ON COLUMN meridian.lag.waiting IS 'How long the oldest commit has been waiting that it has not confirmed; 0 if there is none. Grows while a link is cut.';
COMMENT ON COLUMN meridian.lag.span IS '1 minute, 15 minutes, 24 hours.';
COMMENT ON COLUMN meridian.lag.samples IS 'How many were taken: at most ten a second while something is committed, and one a second while a commit waits for longer than that.';
COMMENT ON COLUMN meridian.lag.p50 IS 'Half of the samples did not exceed it; likewise 95 and 99 %. NULL if nothing was committed.';
COMMENT ON COLUMN meridian.lag.max IS 'The longest.';
GRANT SELECT ON meridian.lag TO meridian_admin, pg_monitor;

-- Alarms -----------------------------------------------------------------------------------------------------------

CREATE FUNCTION meridian.assemble_alarms(reports jsonb, servers jsonb)
  RETURNS TABLE (alarm text, severity text, since timestamptz, subject text, detail text, remedy text)
  LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH report AS (
    SELECT e ->> 'server' AS server, (e ->> 'sample_age')::float8 * interval '1 s' AS sample_age, (e -> 'report' ->> 'now')::timestamptz AS now
      FROM jsonb_array_elements(reports) e
  ), probe AS (
    SELECT s.* FROM jsonb_to_recordset(servers) AS s(server text, role text, system_id text, timeline integer, state text, since timestamptz, error text)
  ), claim AS (
    SELECT p.system_id, min(p.since) AS since, string_agg(format('%s (timeline %s)', p.server, p.timeline), ', ' ORDER BY p.timeline DESC) AS who,
           (array_agg(p.server ORDER BY p.timeline DESC))[1] AS latest, string_agg(p.server, ', ' ORDER BY p.timeline) FILTER (WHERE NOT p.is_latest) AS others
      FROM (SELECT q.*, row_number() OVER (PARTITION BY q.system_id ORDER BY q.timeline DESC) = 1 AS is_latest
              FROM probe q WHERE q.role = 'primary' AND q.system_id IS NOT NULL AND q.state NOT IN ('down', 'unknown')) p
     GROUP BY p.system_id HAVING count(*) > 1
  )
  SELECT 'two primaries', 'error', c.since, c.who, format('servers of one system accept writes on their own: %s', c.who),
         format('Stop %s, keep what only it has, and make it a standby again: SELECT * FROM meridian.standby_setup(...) on %s.', c.others, c.latest)
    FROM claim c
  UNION ALL
  SELECT 'server down', 'error', p.since, p.server, format('server %s cannot be reached', p.server) || COALESCE(': ' || p.error, ''),
         format('Start it or its network; if it is gone for good: SELECT meridian.drop_node(%L);', p.server)
    FROM probe p WHERE p.state = 'down'
  UNION ALL
  SELECT 'server diverged', 'error', p.since, p.server, format('server %s is on timeline %s, which the others have left', p.server, p.timeline),
         'Stop it; rebuild it as a standby of the present primary: SELECT * FROM meridian.standby_setup(...) there.'
    FROM probe p WHERE p.state = 'diverged'
  UNION ALL
  -- A report's time is of the moment when it was made; it reached us less than a second later as a rule.
  SELECT 'clock skew', CASE WHEN abs(k.skew) > m.limit THEN 'error' ELSE 'warning' END, NULL, r.server,
         format('the clock of server %s is %s s %s', r.server, round(abs(k.skew)::numeric, 1), CASE WHEN k.skew > 0 THEN 'ahead' ELSE 'behind' END),
         'Synchronize the clocks of all servers (chrony, ntpd); rows stamped further ahead than meridian.max_clock_skew wait.'
    FROM report r
    CROSS JOIN LATERAL (SELECT extract(epoch FROM r.now - (clock_timestamp() - r.sample_age))::float8) AS k(skew)
    CROSS JOIN (SELECT extract(epoch FROM COALESCE(current_setting('meridian.max_clock_skew', true), '5s')::interval)::float8) AS m("limit")
   WHERE abs(k.skew) > GREATEST(m.limit / 2, 1);
END
$$;
COMMENT ON FUNCTION meridian.assemble_alarms(jsonb, jsonb) IS 'Alarms that only a comparison of servers shows, from the reports and probes of all; read view meridian.alarms.';
REVOKE ALL ON FUNCTION meridian.assemble_alarms(jsonb, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.assemble_alarms(jsonb, jsonb) TO meridian_admin, pg_monitor;

CREATE FUNCTION meridian.all_alarms()
  RETURNS TABLE (alarm text, severity text, since timestamptz, subject text, detail text, remedy text, server text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  reports jsonb := meridian.known_reports();
BEGIN
  RETURN QUERY
  SELECT a.alarm, a.severity, a.since, a.subject, a.detail, a.remedy, reports -> 0 ->> 'server' FROM meridian.local_alarms a
  UNION ALL
  SELECT a.alarm, a.severity, clock_timestamp() - a.age_us * interval '1 us', a.subject, a.detail, a.remedy, e ->> 'server'
    FROM jsonb_array_elements(reports - 0) e
    CROSS JOIN LATERAL jsonb_to_recordset(e -> 'report' -> 'alarms')
      AS a(alarm text, severity text, age_us bigint, subject text, detail text, remedy text)
  UNION ALL
  SELECT a.*, NULL FROM meridian.assemble_alarms(reports, meridian.known_servers()) a;
END
$$;
COMMENT ON FUNCTION meridian.all_alarms() IS 'The rows of view meridian.alarms.';
REVOKE ALL ON FUNCTION meridian.all_alarms() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.all_alarms() TO meridian_admin, pg_monitor;

CREATE VIEW meridian.alarms AS SELECT * FROM meridian.all_alarms();
COMMENT ON VIEW meridian.alarms IS 'What somebody must look at, on all servers, and what to do about it; empty if all is well.';
COMMENT ON COLUMN meridian.alarms.alarm IS 'Kind of alarm.';
COMMENT ON COLUMN meridian.alarms.severity IS 'warning: something grows or waits; error: something does not work.';
COMMENT ON COLUMN meridian.alarms.since IS 'Since when, as far as is known.';
COMMENT ON COLUMN meridian.alarms.subject IS 'The node, table or object that it is about.';
COMMENT ON COLUMN meridian.alarms.detail IS 'What is the matter.';
COMMENT ON COLUMN meridian.alarms.remedy IS 'What helps.';
COMMENT ON COLUMN meridian.alarms.server IS 'The server that reports it, where the remedy is for; NULL if it is about several.';
GRANT SELECT ON meridian.alarms TO meridian_admin, pg_monitor;
