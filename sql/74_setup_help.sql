-- Help with setting up the three patterns: a master with replicas, cascading replicas, several masters.

-- Checks by purpose ------------------------------------------------------------------------------------------------

CREATE FUNCTION meridian.primary_items()
  RETURNS TABLE (setting text, value text, required text, ok boolean, fix text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  WITH used AS (
    SELECT (SELECT count(*) FROM pg_stat_get_wal_senders()) AS senders, (SELECT count(*) FROM pg_replication_slots) AS slots
  ), item(setting, required, ok, fix) AS (
    SELECT 'wal_level', 'replica or logical', current_setting('wal_level') IN ('replica', 'logical'), 'wal_level = logical'
    UNION ALL SELECT 'max_wal_senders', format('at least %s: those in use, a new standby and its base backup', u.senders + 3),
                     current_setting('max_wal_senders')::bigint >= u.senders + 3, format('max_wal_senders = %s', GREATEST(u.senders + 6, 10)) FROM used u
    UNION ALL SELECT 'max_replication_slots', format('at least %s: those in use and one more', u.slots + 1),
                     current_setting('max_replication_slots')::bigint > u.slots, format('max_replication_slots = %s', GREATEST(u.slots + 4, 10)) FROM used u
    UNION ALL SELECT 'max_slot_wal_keep_size', 'a limit (advice: a standby that is away must not fill the disk)', p.setting <> '-1', 'max_slot_wal_keep_size = ''64GB'''
                FROM pg_settings p WHERE p.name = 'max_slot_wal_keep_size'
    UNION ALL SELECT 'wal_log_hints', 'on, or data checksums (advice: pg_rewind needs one of them)',
                     current_setting('wal_log_hints')::boolean OR current_setting('data_checksums')::boolean, 'wal_log_hints = on'
    UNION ALL SELECT 'full_page_writes', 'on', current_setting('full_page_writes')::boolean, 'full_page_writes = on'
    UNION ALL SELECT 'hot_standby', 'on (the standbys copy it)', current_setting('hot_standby')::boolean, 'hot_standby = on'
    UNION ALL SELECT 'meridian.node', 'the name of this server', COALESCE(current_setting('meridian.node', true), '') <> '', 'meridian.node = ''<name of this server>'''
    UNION ALL SELECT 'meridian.database', 'the replicated database', COALESCE(current_setting('meridian.database', true), '') = current_database(),
                     format('meridian.database = %L', current_database())
    UNION ALL SELECT 'shared_preload_libraries', 'meridian among them', s.ok, s.fix
                FROM meridian.setting_items(2, 1, 1) s WHERE s.setting = 'shared_preload_libraries'
  )
  SELECT i.setting, COALESCE(current_setting(i.setting, true), ''), i.required, i.ok, CASE WHEN NOT i.ok THEN i.fix END FROM item i
  UNION ALL
  SELECT 'this server', 'a standby', 'a primary', false, 'SELECT pg_promote();' WHERE pg_is_in_recovery()
$$;
COMMENT ON FUNCTION meridian.primary_items() IS 'check_config(''primary'').';
REVOKE ALL ON FUNCTION meridian.primary_items() FROM PUBLIC;

CREATE FUNCTION meridian.standby_items()
  RETURNS TABLE (setting text, value text, required text, ok boolean, fix text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  WITH item(setting, value, required, ok, fix) AS (
    SELECT 'this server', CASE WHEN pg_is_in_recovery() THEN 'a standby' ELSE 'a primary' END, 'a standby', pg_is_in_recovery(),
           'SELECT * FROM meridian.standby_setup(''<name>'') on its primary tells how to make one'
    UNION ALL SELECT 'hot_standby', current_setting('hot_standby'), 'on', current_setting('hot_standby')::boolean, 'hot_standby = on'
    -- The setting itself may hold a password.
    UNION ALL SELECT 'primary_conninfo', CASE c.s WHEN '' THEN '' ELSE 'application_name ' || n.name END, 'application_name as meridian.node',
                     c.s <> '' AND n.name = current_setting('meridian.node', true),
                     format('primary_conninfo = ''... application_name=%s''', COALESCE(NULLIF(current_setting('meridian.node', true), ''), '<name of this server>'))
                FROM current_setting('primary_conninfo') AS c(s), meridian.receiver_name() AS n(name)
    UNION ALL SELECT 'primary_slot_name', s.s, 'a slot of its own (advice: its primary keeps WAL for it)', s.s <> '',
                     'SELECT pg_create_physical_replication_slot(''<name>''); on its primary, then primary_slot_name = ''<name>'''
                FROM current_setting('primary_slot_name') AS s(s)
    UNION ALL SELECT 'recovery_target_timeline', current_setting('recovery_target_timeline'), 'latest: it follows a promotion',
                     current_setting('recovery_target_timeline') = 'latest', 'recovery_target_timeline = latest'
    UNION ALL SELECT 'meridian.node', COALESCE(current_setting('meridian.node', true), ''), 'another name than its primary''s',
                     COALESCE(current_setting('meridian.node', true), '') NOT IN ('', COALESCE((SELECT l.server FROM meridian.local_member l), '')),
                     'meridian.node = ''<name of this server>'''
    UNION ALL SELECT 'meridian.database', COALESCE(current_setting('meridian.database', true), ''), 'the replicated database',
                     COALESCE(current_setting('meridian.database', true), '') = current_database(), format('meridian.database = %L', current_database())
    UNION ALL SELECT 'wal_receiver_status_interval', current_setting('wal_receiver_status_interval'), 'not 0: its primary is told of its progress',
                     p.setting <> '0', 'wal_receiver_status_interval = ''10s''' FROM pg_settings p WHERE p.name = 'wal_receiver_status_interval'
    UNION ALL SELECT 'wal_retrieve_retry_interval', current_setting('wal_retrieve_retry_interval'), 'at most 1s (advice: it connects again after so long)',
                     p.setting::integer <= 1000, 'wal_retrieve_retry_interval = ''500ms''' FROM pg_settings p WHERE p.name = 'wal_retrieve_retry_interval'
    UNION ALL SELECT 'hot_standby_feedback', current_setting('hot_standby_feedback'), 'on or off (advice: on spares long reads from being cancelled, and lets the primary keep dead rows for them)',
                     true, NULL
    UNION ALL SELECT 'replay', pg_get_wal_replay_pause_state(), 'not paused', pg_get_wal_replay_pause_state() = 'not paused', 'SELECT pg_wal_replay_resume();'
               WHERE CASE WHEN pg_is_in_recovery() THEN true ELSE false END
    UNION ALL SELECT 'receiver', COALESCE(r.status, 'none'), 'streaming', COALESCE(r.status = 'streaming', false),
                     'the server''s log says why it does not connect: primary_conninfo, pg_hba.conf of the primary (replication), or the slot'
                FROM pg_stat_get_wal_receiver() r WHERE pg_is_in_recovery()
  )
  SELECT i.setting, i.value, i.required, i.ok, CASE WHEN NOT i.ok THEN i.fix END FROM item i
$$;
COMMENT ON FUNCTION meridian.standby_items() IS 'check_config(''standby'').';
REVOKE ALL ON FUNCTION meridian.standby_items() FROM PUBLIC;

CREATE FUNCTION meridian.sync_items()
  RETURNS TABLE (setting text, value text, required text, ok boolean, fix text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  WITH config AS (SELECT c.*, COALESCE(c.required, 1) AS wanted FROM meridian.synchronous_config() c),
  standby AS (SELECT lower(r.application_name) AS name FROM pg_stat_replication r WHERE r.state = 'streaming' AND r.sync_priority IS NOT NULL),
  candidate AS (SELECT DISTINCT s.name FROM standby s, config c WHERE '*' = ANY (c.names) OR s.name = ANY (lower(c.names::text)::text[])),
  item(setting, value, required, ok, fix) AS (
    SELECT 'synchronous_standby_names', current_setting('synchronous_standby_names'), 'the standbys that a commit waits for', c.method IS NOT NULL,
           'SELECT * FROM meridian.synchronous_plan(apply => true);' FROM config c
    UNION ALL SELECT 'synchronous_commit', current_setting('synchronous_commit'), 'on (flushed there) or remote_apply (readable there)',
                     current_setting('synchronous_commit') IN ('on', 'remote_apply'), 'synchronous_commit = on'
    UNION ALL SELECT 'connected standbys', (SELECT count(*) FROM candidate)::text, format('at least %s of those named, or commits wait', c.wanted),
                     (SELECT count(*) FROM candidate) >= c.wanted, 'start the standbys, with their names as application_name in primary_conninfo' FROM config c
    UNION ALL SELECT 'spare standbys', GREATEST((SELECT count(*) FROM candidate) - c.wanted, 0)::text, 'at least 1 (advice: else commits wait when one standby is away)',
                     (SELECT count(*) FROM candidate) > c.wanted, 'add a standby: SELECT * FROM meridian.standby_setup(''<name>'');' FROM config c
    UNION ALL SELECT 'this server', 'a standby', 'a primary', false, 'ask on the primary' WHERE pg_is_in_recovery()
  )
  SELECT i.setting, i.value, i.required, i.ok, CASE WHEN NOT i.ok THEN i.fix END FROM item i
$$;
COMMENT ON FUNCTION meridian.sync_items() IS 'check_config(''sync'').';
REVOKE ALL ON FUNCTION meridian.sync_items() FROM PUBLIC;

CREATE FUNCTION meridian.can_fail_over() RETURNS boolean
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$ SELECT current_setting('sync_replication_slots', true) IS NOT NULL $$;
COMMENT ON FUNCTION meridian.can_fail_over() IS 'Whether this PostgreSQL has logical slots that standbys can take over (17 and later).';
REVOKE ALL ON FUNCTION meridian.can_fail_over() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.can_fail_over() TO meridian_admin;

CREATE FUNCTION meridian.failover_items()
  RETURNS TABLE (setting text, value text, required text, ok boolean, fix text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  WITH standby AS (
    SELECT array_agg(r.slot_name::text ORDER BY r.slot_name) FILTER (WHERE r.slot_name IS NOT NULL) AS slots
      FROM (SELECT s.slot_name FROM pg_replication_slots s WHERE s.slot_type = 'physical' AND NOT s.temporary
            UNION ALL
            -- Those that stream without a slot of their own.
            SELECT NULL FROM pg_stat_replication w WHERE NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.active_pid = w.pid)) r
    HAVING count(*) > 0
  ), item(setting, value, required, ok, fix) AS (
    SELECT 'failover slots', 'none before PostgreSQL 17', 'advice: a promotion loses streams and sinks; then meridian.resnapshot_sink()', true, NULL
      FROM standby WHERE NOT meridian.can_fail_over() AND NOT pg_is_in_recovery()
    UNION ALL
    SELECT 'synchronized_standby_slots', c.s, 'the slots of the standbys that may be promoted, so that no sink is ahead of them',
           COALESCE(l.listed <@ s.slots, false),
           CASE WHEN s.slots IS NULL THEN 'SELECT pg_create_physical_replication_slot(''<name>''); then synchronized_standby_slots = ''<name>'', and primary_slot_name = ''<name>'' on the standby'
                ELSE format('synchronized_standby_slots = %L', array_to_string(s.slots, ', ')) END
      FROM standby s
     CROSS JOIN current_setting('synchronized_standby_slots', true) c(s)
     CROSS JOIN LATERAL (SELECT regexp_split_to_array(NULLIF(btrim(replace(c.s, '"', '')), ''), '\s*,\s*')) l(listed)
     WHERE meridian.can_fail_over() AND NOT pg_is_in_recovery()
    UNION ALL
    SELECT format('replication slot %s', r.slot_name), 'not for failover', 'failover, or it is lost with this server', false,
           format('ALTER_REPLICATION_SLOT %s (FAILOVER true); in psql "dbname=... replication=database"', r.slot_name)
      FROM pg_replication_slots r
     WHERE r.plugin = 'meridian_cdc' AND r.slot_name LIKE 'meridian\_cdc%' AND to_jsonb(r) ->> 'failover' = 'false' AND NOT pg_is_in_recovery()
    UNION ALL
    SELECT v.setting, v.value, v.required, v.ok, v.fix
      FROM current_setting('primary_conninfo') c(s)
     CROSS JOIN LATERAL (SELECT c.s ~ '(^|\s)dbname\s*=\s*(''[^'']|[^''\s])' OR c.s ~ '^postgres(ql)?://[^/?]*/[^?]') d(given)
     CROSS JOIN LATERAL (VALUES
        ('sync_replication_slots', current_setting('sync_replication_slots', true), 'on: this standby takes over the slots of streams and sinks',
         current_setting('sync_replication_slots', true) = 'on', 'sync_replication_slots = on'),
        ('hot_standby_feedback', current_setting('hot_standby_feedback'), 'on, for sync_replication_slots', current_setting('hot_standby_feedback')::boolean, 'hot_standby_feedback = on'),
        ('primary_slot_name', current_setting('primary_slot_name'), 'a slot of its own, for sync_replication_slots; also in synchronized_standby_slots of its primary',
         current_setting('primary_slot_name') <> '', 'SELECT pg_create_physical_replication_slot(''<name>''); on its primary, then primary_slot_name = ''<name>'''),
        -- The setting itself may hold a password.
        ('primary_conninfo', CASE WHEN d.given THEN 'with dbname' ELSE 'without dbname' END, 'with dbname, for sync_replication_slots', d.given,
         format('primary_conninfo = ''... dbname=%s''', current_database()))) v(setting, value, required, ok, fix)
     WHERE meridian.can_fail_over() AND pg_is_in_recovery()
    UNION ALL
    SELECT format('replication slot %s', r.slot_name), 'left from when this server was the primary', 'none on a standby but copies of its primary''s', false,
           format('SELECT pg_drop_replication_slot(%L);', r.slot_name)
      FROM pg_replication_slots r
     WHERE pg_is_in_recovery() AND r.plugin = 'meridian_cdc' AND r.slot_name LIKE 'meridian\_cdc%' AND COALESCE(to_jsonb(r) ->> 'synced', 'false') = 'false'
  )
  SELECT i.setting, COALESCE(i.value, ''), i.required, i.ok, CASE WHEN NOT i.ok THEN i.fix END FROM item i
$$;
COMMENT ON FUNCTION meridian.failover_items() IS 'Part of check_config(''cdc''): what streams and sinks need so that a promotion does not lose them.';
REVOKE ALL ON FUNCTION meridian.failover_items() FROM PUBLIC;

CREATE FUNCTION meridian.cdc_items()
  RETURNS TABLE (setting text, value text, required text, ok boolean, fix text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  WITH used AS (SELECT (SELECT count(*) FROM pg_replication_slots) AS slots),
  item(setting, required, ok, fix) AS (
    SELECT 'wal_level', 'logical', current_setting('wal_level') = 'logical', 'wal_level = logical'
    UNION ALL SELECT 'max_replication_slots', format('at least %s: those in use and one more', u.slots + 1),
                     current_setting('max_replication_slots')::bigint > u.slots, format('max_replication_slots = %s', GREATEST(u.slots + 4, 10)) FROM used u
    UNION ALL SELECT 'max_slot_wal_keep_size', 'a limit (advice: a consumer that is away must not fill the disk)', p.setting <> '-1', 'max_slot_wal_keep_size = ''64GB'''
                FROM pg_settings p WHERE p.name = 'max_slot_wal_keep_size'
    UNION ALL SELECT 'output_plugin_libraries', 'meridian_cdc among them', l.line IS NULL, l.line
                FROM pg_settings p CROSS JOIN meridian.plugin_line('meridian_cdc') l(line) WHERE p.name = 'output_plugin_libraries'
    UNION ALL SELECT s.setting, s.required, s.ok, s.fix FROM meridian.setting_items(2, 1, 1) s
               WHERE s.setting IN ('shared_preload_libraries', 'meridian.node', 'meridian.database')
  )
  SELECT i.setting, COALESCE(current_setting(i.setting, true), ''), i.required, i.ok, CASE WHEN NOT i.ok THEN i.fix END FROM item i
  UNION ALL SELECT * FROM meridian.failover_items()
$$;
COMMENT ON FUNCTION meridian.cdc_items() IS 'check_config(''cdc'').';
REVOKE ALL ON FUNCTION meridian.cdc_items() FROM PUBLIC;

CREATE FUNCTION meridian.check_config(purpose text)
  RETURNS TABLE (setting text, value text, required text, ok boolean, fix text)
  LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  CASE purpose
    WHEN 'primary' THEN RETURN QUERY SELECT * FROM meridian.primary_items();
    WHEN 'standby' THEN RETURN QUERY SELECT * FROM meridian.standby_items();
    WHEN 'sync' THEN RETURN QUERY SELECT * FROM meridian.sync_items();
    WHEN 'mesh' THEN RETURN QUERY SELECT * FROM meridian.check_config();
    WHEN 'cdc' THEN RETURN QUERY SELECT * FROM meridian.cdc_items();
    ELSE RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('unknown purpose "%s"', purpose),
           HINT = 'Purposes are primary, standby, sync, mesh and cdc.';
  END CASE;
END
$$;
COMMENT ON FUNCTION meridian.check_config(text) IS 'What this server needs as a primary of standbys (primary), as a standby (standby), for synchronous commits (sync), in a mesh (mesh, as check_config()), or to send events (cdc); whether it is right, and the line for postgresql.conf, or the command, that makes it right.';
REVOKE ALL ON FUNCTION meridian.check_config(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.check_config(text) TO meridian_admin;

-- A new standby ----------------------------------------------------------------------------------------------------

CREATE FUNCTION meridian.reachable_dsn() RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT COALESCE(
    meridian.redact_dsn(NULLIF(current_setting('meridian.advertise_dsn', true), '')),
    (SELECT meridian.redact_dsn(m.dsn) FROM meridian.local_member l JOIN meridian.member m ON m.id = l.member WHERE NOT pg_is_in_recovery()),
    format('host=%s port=%s', COALESCE(host(inet_server_addr()), NULLIF(split_part(current_setting('unix_socket_directories'), ',', 1), ''), '<this host>'),
           current_setting('port')))
$$;
COMMENT ON FUNCTION meridian.reachable_dsn() IS 'How other servers reach this one, as far as it knows: meridian.advertise_dsn, the dsn of its member, or the address of the caller''s connection. Without passwords.';
REVOKE ALL ON FUNCTION meridian.reachable_dsn() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.reachable_dsn() TO meridian_admin;

-- For a shell: plain words stay as they are.
CREATE FUNCTION meridian.shell_quote(word text) RETURNS text
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT CASE WHEN $1 ~ '^[A-Za-z0-9_./:@%+=,-]+$' THEN $1 ELSE '''' || replace($1, '''', '''\''''') || '''' END $$;
COMMENT ON FUNCTION meridian.shell_quote(text) IS 'A word as a POSIX shell reads it back.';

CREATE FUNCTION meridian.standby_setup(name text)
  RETURNS TABLE (step integer, run_on text, command text, purpose text)
  LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  slot text := left(regexp_replace(lower(standby_setup.name), '[^a-z0-9_]', '_', 'g'), 63);
  here text := meridian.own_name();
  dsn text := regexp_replace(meridian.reachable_dsn(), '\s*\mapplication_name=(''[^'']*''|\S+)', '', 'g');
  conf text;
BEGIN
  IF standby_setup.name !~ '^[[:print:]]+$' OR standby_setup.name ~ '[''\\]' OR octet_length(standby_setup.name) > 63 THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'not a name of a server',
      HINT = 'Use 1 to 63 printable characters, without quotes and backslashes.';
  END IF;
  IF standby_setup.name = here THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('"%s" is the name of this server', here),
      HINT = 'Every server has a name of its own, also the standbys of one primary.';
  END IF;
  conf := format(E'meridian.node = ''%s''\nmeridian.region = ''%s''\n# How others reach it; with this it registers itself:\n#meridian.advertise_dsn = ''host=... port=... dbname=%s user=...''',
                 standby_setup.name, COALESCE(NULLIF(current_setting('meridian.region', true), ''), '<region>'), replace(current_database(), '''', ''''''));
  RETURN QUERY
    SELECT row_number() OVER (ORDER BY s.place)::integer, s.run_on, s.command, s.purpose
      FROM (VALUES
        (1, here, 'SELECT * FROM meridian.check_config(''primary'') WHERE NOT ok;', 'Nothing should be left to mend here.', NOT pg_is_in_recovery()),
        (2, here, format('SELECT pg_create_physical_replication_slot(%L, true);', slot), 'Keeps WAL for the standby from now on.',
         NOT EXISTS (SELECT FROM pg_replication_slots r WHERE r.slot_name = slot)),
        (3, 'new server', format('pg_basebackup -d %s -D "$PGDATA" -S %s -X stream -c fast -R',
                                 meridian.shell_quote(dsn || ' application_name=' || CASE WHEN standby_setup.name ~ '^[^\s=]+$' THEN standby_setup.name ELSE '''' || standby_setup.name || '''' END), slot),
         'Copies this server, and writes primary_conninfo and primary_slot_name. The role needs REPLICATION, and a line "replication" in pg_hba.conf here; a password belongs into ~/.pgpass.', true),
        (4, 'new server', format(E'cat >> "$PGDATA/postgresql.conf" <<''END''\n%s\nEND', conf), 'Its own name. Set meridian.advertise_dsn as well, and port and listen_addresses if they differ there.', true),
        (5, 'new server', 'pg_ctl -D "$PGDATA" -l "$PGDATA/server.log" -w start', 'It replays, and answers reads.', true),
        (6, 'new server', 'SELECT * FROM meridian.check_config(''standby'') WHERE NOT ok;', 'Nothing should be left to mend.', true),
        (7, here, 'SELECT drawing FROM meridian.topology;', 'It is in the tree.', true)
      ) AS s(place, run_on, command, purpose, wanted)
     WHERE s.wanted;
END
$$;
COMMENT ON FUNCTION meridian.standby_setup(text) IS 'The commands and settings, in order, that make a new standby of this server; of a standby, a cascading one.';
REVOKE ALL ON FUNCTION meridian.standby_setup(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.standby_setup(text) TO meridian_admin;

-- Synchronous replication ------------------------------------------------------------------------------------------

CREATE FUNCTION meridian.set_synchronous_names(names text) RETURNS void
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'meridian_set_synchronous_names';
COMMENT ON FUNCTION meridian.set_synchronous_names(text) IS 'ALTER SYSTEM SET synchronous_standby_names, and lets the server read its configuration again. At once: ROLLBACK does not undo it.';
REVOKE ALL ON FUNCTION meridian.set_synchronous_names(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.set_synchronous_names(text) TO meridian_admin;

CREATE FUNCTION meridian.synchronous_choices(n integer)
  RETURNS TABLE (choice text, setting text, standbys text[], may_fail integer, commit_p50 interval, commit_p95 interval, visible_p50 interval)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  -- Nearest first. Microseconds; NULL: nothing was committed in the last quarter of an hour.
  WITH standby AS (
    SELECT r.application_name AS name, min(l.flush_p50_us) AS p50, min(l.flush_p95_us) AS p95, min(l.p50_us) AS visible
      FROM pg_stat_replication r
      LEFT JOIN meridian.read_peer_lags() l ON l.standby = r.application_name AND l.span = '15 min'
     WHERE r.state = 'streaming' AND NOT EXISTS (SELECT FROM meridian.local_slots() s WHERE s.active_pid = r.pid AND s.kind = 'logical')
     GROUP BY r.application_name
  ), ranked AS (
    SELECT s.*, row_number() OVER (ORDER BY s.p50 NULLS LAST, s.name) AS place FROM standby s
  ), list AS (
    SELECT count(*)::integer AS present, string_agg(format('"%s"', replace(r.name, '"', '""')), ', ' ORDER BY r.place) AS names,
           array_agg(r.name ORDER BY r.place) AS standbys FROM ranked r
  )
  SELECT 'NONE', '', '{}'::text[], NULL::integer, interval '0', interval '0', interval '0'
  UNION ALL
  SELECT m.method, format('%s %s (%s)', m.method, n, l.names), l.standbys, l.present - n,
         -- FIRST waits for the slowest of its first n; ANY for the nth that answers, whichever that is.
         c.p50 * interval '1 us', c.p95 * interval '1 us', c.visible * interval '1 us'
    FROM list l
    CROSS JOIN (VALUES ('FIRST'), ('ANY')) AS m(method)
    CROSS JOIN LATERAL (
      SELECT CASE WHEN count(r.p50) = count(*) THEN max(r.p50) END AS p50,
             CASE WHEN count(r.p95) = count(*) THEN CASE m.method WHEN 'FIRST' THEN max(r.p95) ELSE (SELECT p95 FROM ranked ORDER BY p95 OFFSET n - 1 LIMIT 1) END END AS p95,
             CASE WHEN count(r.visible) = count(*) THEN CASE m.method WHEN 'FIRST' THEN max(r.visible) ELSE (SELECT visible FROM ranked ORDER BY visible OFFSET n - 1 LIMIT 1) END END AS visible
        FROM ranked r WHERE r.place <= n) AS c
   WHERE l.present >= n
$$;
COMMENT ON FUNCTION meridian.synchronous_choices(integer) IS 'The rows of synchronous_plan(), without what is set now.';
REVOKE ALL ON FUNCTION meridian.synchronous_choices(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.synchronous_choices(integer) TO meridian_admin;

CREATE FUNCTION meridian.synchronous_plan(n integer DEFAULT 1, method text DEFAULT 'ANY', apply boolean DEFAULT false)
  RETURNS TABLE (choice text, setting text, standbys text[], may_fail integer, commit_p50 interval, commit_p95 interval, visible_p50 interval, is_set boolean)
  LANGUAGE plpgsql VOLATILE STRICT SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  chosen text;
BEGIN
  IF pg_is_in_recovery() THEN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = 'this server is a standby', HINT = 'Ask on its primary: commits wait there.';
  END IF;
  IF synchronous_plan.n < 1 OR upper(synchronous_plan.method) NOT IN ('ANY', 'FIRST', 'NONE') THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'n must be at least 1, and method ANY, FIRST or NONE',
      HINT = 'n is how many standbys a commit waits for.';
  END IF;
  IF synchronous_plan.apply THEN
    SELECT c.setting INTO chosen FROM meridian.synchronous_choices(synchronous_plan.n) c WHERE c.choice = upper(synchronous_plan.method);
    IF NOT FOUND THEN
      RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = format('fewer than %s standbys are connected', synchronous_plan.n),
        DETAIL = 'Commits would wait for ever.', HINT = 'SELECT * FROM meridian.standby_setup(''<name>'') tells how to add one.';
    END IF;
    PERFORM meridian.set_synchronous_names(chosen);
  END IF;
  RETURN QUERY
    SELECT c.*, CASE WHEN chosen IS NOT NULL THEN c.setting = chosen ELSE c.setting = current_setting('synchronous_standby_names') END
      FROM meridian.synchronous_choices(synchronous_plan.n) c;
END
$$;
COMMENT ON FUNCTION meridian.synchronous_plan(integer, text, boolean) IS 'synchronous_standby_names for commits that wait for n of the standbys connected now: the nearest (FIRST), any (ANY), or none. commit_p50 and commit_p95 are what waiting adds to a commit, from the flush lags that walsenders measured in the last 15 minutes (NULL: nothing was committed): of FIRST the slowest of the n nearest, of ANY the nth fastest. visible_p50 likewise, for synchronous_commit = remote_apply. may_fail: how many standbys may be away before commits wait. With apply => true it sets the choice of method by ALTER SYSTEM and a reload, at once; only superusers may.';
REVOKE ALL ON FUNCTION meridian.synchronous_plan(integer, text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.synchronous_plan(integer, text, boolean) TO meridian_admin;
