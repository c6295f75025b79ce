-- The servers of the mesh as this one sees them: what its tables say, what streams from it, and what its prober found.

CREATE VIEW meridian.nodes AS
  WITH self AS (
    SELECT l.member, pg_catalog.pg_is_in_recovery() AS standby, meridian.server_timeline() AS timeline
      FROM meridian.local_member l LIMIT 1  -- as the planner does not know that there is only one
  ), peer AS MATERIALIZED (SELECT * FROM meridian.replication_peers()),
  -- The streams by which others read from here, by member. The states sort with streaming last.
  reader AS (
    SELECT (meridian.stream_of(p.slot_name)).member, count(p.state) AS streams, min(p.state) AS state,
           min(p.replay_lsn) AS replay_lsn, max(p.reply_time) AS reply_time
      FROM peer p WHERE p.slot_name IS NOT NULL GROUP BY 1
  ), heard AS (
    SELECT (meridian.stream_of(s.subname)).member, max(st.last_msg_receipt_time) AS at
      FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_stat_subscription st ON st.subid = s.oid
     GROUP BY 1
  ), probe AS MATERIALIZED (SELECT * FROM meridian.server_probes()),
  -- Standbys that stream from here, by the name that they give themselves. A sender that has only started up may yet become
  -- anything.
  replica AS (
    SELECT p.application_name AS name, max(p.state) AS state, min(p.replay_lsn) AS replay_lsn, max(p.reply_time) AS reply_time
      FROM peer p
     WHERE p.state IS NOT NULL AND p.state NOT IN ('startup', 'backup')
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots s WHERE s.slot_name = p.slot_name AND s.slot_type = 'logical')
     GROUP BY 1
  ), standby AS (
    SELECT p.server AS name, p.member AS id FROM probe p WHERE p.role_expected = 'standby'
    UNION
    SELECT r.name, self.member FROM replica r CROSS JOIN self
     WHERE NOT EXISTS (SELECT FROM probe p WHERE p.server = r.name AND p.member = self.member)
    UNION
    SELECT pg_catalog.current_setting('meridian.node', true), self.member FROM self
     WHERE self.standby AND NOT EXISTS (SELECT FROM meridian.member m
                                         WHERE m.id = self.member AND m.name = pg_catalog.current_setting('meridian.node', true))
  )
  SELECT m.name AS node, m.id, m.region, COALESCE(b.role, 'primary') AS role, b.upstream,
         CASE WHEN m.id = self.member AND NOT self.standby THEN self.timeline ELSE b.timeline END AS timeline,
         CASE WHEN m.state = 'joining' THEN 'joining'
              WHEN m.id = self.member AND NOT self.standby
                THEN CASE WHEN (SELECT i.confirmed FROM meridian.identity i) THEN 'active' ELSE 'unconfirmed' END
              WHEN self.standby THEN 'unknown'
              WHEN p.state IS NULL THEN 'unreachable'
              WHEN p.streams < m.streams THEN 'incomplete'
              ELSE p.state END AS state,
         CASE WHEN m.id = self.member AND NOT self.standby THEN pg_catalog.now()
              ELSE GREATEST(p.reply_time, h.at, b.last_seen) END AS last_seen,
         CASE WHEN NOT pg_catalog.pg_is_in_recovery() AND p.streams >= m.streams
              THEN pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_flush_lsn(), p.replay_lsn)::bigint END AS lag_bytes,
         meridian.redact_dsn(m.dsn) AS dsn, m.streams, b.state AS health, 'primary'::text AS role_expected, b.weight, b.drained, b.lag,
         b.sample_age, b.system_id
    FROM meridian.member m
    LEFT JOIN self ON true
    LEFT JOIN reader p ON p.member = m.id
    LEFT JOIN heard h ON h.member = m.id
    LEFT JOIN probe b ON b.member = m.id AND b.server = m.name
  UNION ALL
  SELECT s.name, s.id, COALESCE(b.region, CASE WHEN s.name = pg_catalog.current_setting('meridian.node', true) AND self.standby
                                               THEN pg_catalog.current_setting('meridian.region', true) END),
         COALESCE(b.role, 'standby'), COALESCE(b.upstream, CASE WHEN b.role = 'primary' THEN NULL ELSE m.name END),
         COALESCE(b.timeline, CASE WHEN r.name IS NOT NULL THEN self.timeline END),
         CASE WHEN s.name = pg_catalog.current_setting('meridian.node', true) THEN 'active' ELSE COALESCE(r.state, b.state, 'unknown') END,
         CASE WHEN s.name = pg_catalog.current_setting('meridian.node', true) THEN pg_catalog.now()
              ELSE GREATEST(r.reply_time, b.last_seen) END,
         COALESCE(CASE WHEN NOT self.standby
                       THEN pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_flush_lsn(), r.replay_lsn)::bigint END, b.lag_bytes),
         b.dsn, NULL, b.state, 'standby', b.weight, b.drained, b.lag, b.sample_age, b.system_id
    FROM standby s
    JOIN self ON true
    JOIN meridian.member m ON m.id = s.id
    LEFT JOIN replica r ON r.name = s.name AND s.id = self.member
    LEFT JOIN probe b ON b.member = s.id AND b.server = s.name;
COMMENT ON VIEW meridian.nodes IS 'Every server of the mesh as this one sees it: the members'' primaries, and their standbys, registered or streaming from here.';
COMMENT ON COLUMN meridian.nodes.node IS 'Name of the member; of a standby its meridian.node, or if it is not registered its application_name.';
COMMENT ON COLUMN meridian.nodes.id IS 'Number of the member; a standby has that of its primary.';
COMMENT ON COLUMN meridian.nodes.region IS 'Region of the server.';
COMMENT ON COLUMN meridian.nodes.role IS 'primary or standby, as it answered last; as expected if it never did.';
COMMENT ON COLUMN meridian.nodes.upstream IS 'Of a standby: the server that it streams from.';
COMMENT ON COLUMN meridian.nodes.timeline IS 'Timeline that it writes or replays; NULL if not known.';
COMMENT ON COLUMN meridian.nodes.state IS 'Its link with this server: active or unconfirmed (this server; see meridian.identity), streaming, catchup, incomplete (some of its streams do not run), joining, unreachable, or unknown (asked on a standby); of a standby that streams from another server its health.';
COMMENT ON COLUMN meridian.nodes.last_seen IS 'When the server was heard of last; NULL if never since this server started.';
COMMENT ON COLUMN meridian.nodes.lag_bytes IS 'Of a member: WAL of this server that it has not applied yet, by the stream that is farthest behind; NULL if one does not run. Of a standby: WAL of its primary that it has not replayed.';
COMMENT ON COLUMN meridian.nodes.dsn IS 'Connection string without passwords.';
COMMENT ON COLUMN meridian.nodes.streams IS 'Through how many streams the member reads from each other one.';
COMMENT ON COLUMN meridian.nodes.health IS 'What the prober makes of it: unknown, up, suspect, down, drained, promoted (a standby that writes for its member now) or diverged (a primary that its member does not follow); see meridian.server_probes().';
COMMENT ON COLUMN meridian.nodes.role_expected IS 'primary or standby, as it was registered.';
COMMENT ON COLUMN meridian.nodes.weight IS 'Its share of the reads.';
COMMENT ON COLUMN meridian.nodes.drained IS 'Whether reads are kept from it: meridian.drain_node().';
COMMENT ON COLUMN meridian.nodes.lag IS 'Of a standby: the age of what it has not replayed.';
COMMENT ON COLUMN meridian.nodes.sample_age IS 'How long ago the prober had an answer.';
COMMENT ON COLUMN meridian.nodes.system_id IS 'Its system identifier.';
GRANT SELECT ON meridian.nodes TO PUBLIC;
