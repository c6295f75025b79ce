-- Settings that a mesh needs, and what else stands in its way on this server.
--
-- Mandatory items stop create_node() and join(); the others are advice. Read live, so a changed postgresql.conf shows
-- after a restart or reload.

CREATE FUNCTION meridian.plugin_line(VARIADIC plugins text[]) RETURNS text
  LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT format('output_plugin_libraries = %L', array_to_string(l.list || m.missing, ', '))
    FROM (SELECT array_remove(regexp_split_to_array(replace(current_setting('output_plugin_libraries', true), '"', ''), '\s*,\s*'), '') AS list) l
   CROSS JOIN LATERAL (SELECT array_agg(p.plugin ORDER BY p.place) AS missing
                         FROM unnest(plugins) WITH ORDINALITY p(plugin, place) WHERE p.plugin <> ALL (l.list)) m
   WHERE m.missing IS NOT NULL
$$;
COMMENT ON FUNCTION meridian.plugin_line(text[]) IS 'The line that postgresql.conf needs for these output plugins; NULL if it needs none. Minor releases from August 2026 on load only the output plugins that are listed.';

CREATE FUNCTION meridian.setting_items(members integer, readers integer, subscriptions integer)
  RETURNS TABLE (setting text, required text, ok boolean, fix text, mandatory boolean)
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  WITH need AS (
    SELECT GREATEST($2, 1) AS readers, GREATEST($3, 1) AS subscriptions,
           (SELECT count(*) FROM pg_replication_slots s WHERE s.plugin IS DISTINCT FROM 'meridian_mesh')::integer AS other_slots,
           (SELECT count(*) FROM pg_subscription s WHERE s.subenabled AND (meridian.stream_of(s.subname)).member IS NULL)::integer AS other_subscriptions,
           (SELECT count(*) FROM pg_stat_get_wal_senders() w
             WHERE NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.active_pid = w.pid AND s.plugin = 'meridian_mesh'))::integer AS other_senders
  ), number AS (
    SELECT 'max_replication_slots' AS setting, GREATEST(readers + other_slots, subscriptions + other_subscriptions) AS least FROM need
    UNION ALL SELECT 'max_active_replication_origins', subscriptions + other_subscriptions FROM need
    UNION ALL SELECT 'max_wal_senders', readers + other_senders FROM need
    UNION ALL SELECT 'max_logical_replication_workers', subscriptions + other_subscriptions FROM need
    -- Apply workers, their launcher, Meridian's keeper, dispatcher, session worker and prober, one set-up worker and one that asks
    -- peers whether they know this node.
    UNION ALL SELECT 'max_worker_processes', subscriptions + other_subscriptions + 7 FROM need
  )
  SELECT n.setting, format('at least %s for %s members', n.least, GREATEST($1, 2)), s.setting::integer >= n.least,
         format('%s = %s', n.setting, n.least + 4), true
    FROM number n JOIN pg_settings s ON s.name = n.setting
  UNION ALL
  SELECT 'wal_level', 'logical', current_setting('wal_level') = 'logical', 'wal_level = logical', true
  UNION ALL
  SELECT 'shared_preload_libraries', 'meridian among them', 'meridian' = ANY (l.list),
         format('shared_preload_libraries = %L', array_to_string(l.list || 'meridian'::text, ',')), true
    FROM (SELECT array_remove(regexp_split_to_array(replace(current_setting('shared_preload_libraries'), '"', ''), '\s*,\s*'), '') AS list) l
  UNION ALL
  SELECT 'output_plugin_libraries', 'pgoutput and meridian_mesh among them', l.line IS NULL, l.line, true
    FROM pg_settings s CROSS JOIN meridian.plugin_line('pgoutput', 'meridian_mesh') l(line) WHERE s.name = 'output_plugin_libraries'
  UNION ALL
  SELECT 'meridian.node', 'the name of this server', COALESCE(current_setting('meridian.node', true), '') <> '',
         'meridian.node = ''<name of this server>''', true
  UNION ALL
  SELECT 'meridian.region', 'the region of this server', COALESCE(current_setting('meridian.region', true), '') <> '',
         'meridian.region = ''<region of this server>''', true
  UNION ALL
  SELECT 'meridian.database', 'the replicated database', COALESCE(current_setting('meridian.database', true), '') = current_database(),
         format('meridian.database = %L', current_database()), true
  UNION ALL
  SELECT 'wal_retrieve_retry_interval', 'at most 1s (advice: apply workers start again after so long)',
         s.setting::integer <= 1000, 'wal_retrieve_retry_interval = 500ms', false
    FROM pg_settings s WHERE s.name = 'wal_retrieve_retry_interval'
  UNION ALL
  SELECT 'track_commit_timestamp', 'on or off (advice: not used)', true, NULL, false
$$;
COMMENT ON FUNCTION meridian.setting_items(integer, integer, integer) IS 'Settings that a mesh of so many members needs on this server, from which they read through so many streams and which has so many subscriptions.';
REVOKE ALL ON FUNCTION meridian.setting_items(integer, integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.setting_items(integer, integer, integer) TO meridian_admin;

CREATE FUNCTION meridian.mesh_items()
  RETURNS TABLE (setting text, value text, required text, fix text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT format('trigger %I on %s', g.tgname, t.rel), format('fires %s ours', CASE WHEN g.tgname < '00_meridian_apply' THEN 'before' ELSE 'after' END),
         'a name between 00_meridian_apply and zz_meridian_stamp',
         format('ALTER TRIGGER %I ON %s RENAME TO %I', g.tgname, t.rel, left('user_' || g.tgname, 63))
    FROM meridian.replicated_table t
    JOIN pg_trigger g ON g.tgrelid = t.rel AND NOT g.tgisinternal
   -- BEFORE (2) and ROW (1); of INSERT (4) or UPDATE (16); by name in C order, as triggers fire.
   WHERE g.tgtype & 3 = 3 AND g.tgtype & 20 <> 0
     AND g.tgname NOT IN ('00_meridian_apply', 'zz_meridian_stamp')
     AND (g.tgname < '00_meridian_apply' OR g.tgname > 'zz_meridian_stamp')
  UNION ALL
  SELECT format('trigger %I on %s', o.name, r.rel),
         CASE g.tgenabled WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'enabled for replicas only' WHEN 'O' THEN 'not enabled always' ELSE 'missing' END,
         'enabled always',
         CASE WHEN g.oid IS NULL THEN format('SELECT meridian.replicate(%L, ...) with the same rules', t.rel)
              ELSE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', r.rel, o.name) END
    FROM meridian.replicated_table t
    JOIN pg_class c ON c.oid = t.rel
    CROSS JOIN LATERAL (SELECT t.rel UNION SELECT p.relid FROM pg_partition_tree(t.rel) p WHERE p.isleaf) r(rel)
    CROSS JOIN unnest(ARRAY['00_meridian_apply', 'zz_meridian_stamp', 'zz_meridian_insert', 'zz_meridian_delete', 'zz_meridian_truncate']) o(name)
    LEFT JOIN pg_trigger g ON g.tgrelid = r.rel AND g.tgname = o.name
   WHERE g.tgenabled IS DISTINCT FROM 'A'
  UNION ALL
  SELECT format('table %s', t.id), 'dropped', 'the table on every node', 'drop_node() or leave(), and join again'
    FROM meridian.replicated_table t WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.rel)
  UNION ALL
  SELECT format('subscription %s', s.subname), p.problem, p.required, format(p.fix, s.subname)
    FROM pg_subscription s
    JOIN pg_database d ON d.oid = s.subdbid AND d.datname = current_database()
    CROSS JOIN LATERAL (VALUES
      (NOT s.subenabled, 'disabled', 'enabled', 'ALTER SUBSCRIPTION %I ENABLE'),
      (NOT s.subbinary, 'not binary', 'binary = true', 'ALTER SUBSCRIPTION %I SET (binary = true)'),
      (to_jsonb(s) ->> 'substream' NOT IN ('f', 'false'), 'streaming', 'streaming = off', 'ALTER SUBSCRIPTION %I SET (streaming = off)'),
      (s.subtwophasestate <> 'd', 'two_phase', 'two_phase = false', 'drop_node() and join() again: two_phase of subscription %I'),
      (NOT s.subpublications @> ARRAY['meridian'], 'without publication meridian', 'publication meridian', 'ALTER SUBSCRIPTION %I SET PUBLICATION meridian WITH (refresh = false)')
    ) p(wrong, problem, required, fix)
   WHERE (meridian.stream_of(s.subname)).member IS NOT NULL AND p.wrong
  UNION ALL
  SELECT format('subscription %s', n.name), 'missing', 'one for each stream of each other member', 'SELECT meridian.join(...) again on the node that was joining'
    FROM meridian.local_member l JOIN meridian.member self ON self.id = l.member
    JOIN meridian.member m ON m.id <> self.id
    CROSS JOIN LATERAL unnest(meridian.stream_names(m.id, self.streams)) n(name)
   WHERE NOT EXISTS (SELECT FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid AND d.datname = current_database()
                      WHERE s.subname = n.name)
  UNION ALL
  SELECT 'publication meridian', 'publishes more than inserts', 'publish = ''insert''', 'ALTER PUBLICATION meridian SET (publish = ''insert'')'
    FROM pg_publication p WHERE p.pubname = 'meridian' AND (p.pubupdate OR p.pubdelete OR p.pubtruncate OR NOT p.pubinsert)
  UNION ALL
  SELECT 'publication meridian', 'publishes partitions', 'publish_via_partition_root', 'ALTER PUBLICATION meridian SET (publish_via_partition_root = true)'
    FROM pg_publication p WHERE p.pubname = 'meridian' AND NOT p.pubviaroot
$$;
COMMENT ON FUNCTION meridian.mesh_items() IS 'Triggers, subscriptions and publication of the mesh that are not as set-up left them; empty if all are.';
REVOKE ALL ON FUNCTION meridian.mesh_items() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.mesh_items() TO meridian_admin;

CREATE FUNCTION meridian.config_items(members integer, readers integer, subscriptions integer)
  RETURNS TABLE (setting text, value text, required text, ok boolean, fix text, mandatory boolean)
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT i.setting, COALESCE(current_setting(i.setting, true), ''), i.required, i.ok, CASE WHEN NOT i.ok THEN i.fix END, i.mandatory
    FROM meridian.setting_items($1, $2, $3) i
  UNION ALL
  SELECT m.setting, m.value, m.required, false, m.fix, false FROM meridian.mesh_items() m
$$;
COMMENT ON FUNCTION meridian.config_items(integer, integer, integer) IS 'check_config() for a mesh as in setting_items(), and which items stop create_node() and join().';
REVOKE ALL ON FUNCTION meridian.config_items(integer, integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.config_items(integer, integer, integer) TO meridian_admin;

CREATE FUNCTION meridian.check_config()
  RETURNS TABLE (setting text, value text, required text, ok boolean, fix text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT c.setting, c.value, c.required, c.ok, c.fix
    FROM (SELECT count(*)::integer AS members, (sum(m.streams) FILTER (WHERE m.id <> l.member))::integer AS readers,
                 (count(*) - 1)::integer * max(m.streams) FILTER (WHERE m.id = l.member) AS subscriptions
            FROM meridian.member m LEFT JOIN meridian.local_member l ON true) n
    CROSS JOIN LATERAL meridian.config_items(n.members, n.readers, n.subscriptions) c
$$;
COMMENT ON FUNCTION meridian.check_config() IS 'Every setting that a mesh needs, whether it is right, and the line for postgresql.conf (or the command) that makes it right.';
REVOKE ALL ON FUNCTION meridian.check_config() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.check_config() TO meridian_admin;

CREATE FUNCTION meridian.parked_count() RETURNS bigint
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT count(*) FROM meridian.parked_image $$;
COMMENT ON FUNCTION meridian.parked_count() IS 'How many incoming changes wait on this node because they could not be applied.';
REVOKE ALL ON FUNCTION meridian.parked_count() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.parked_count() TO meridian_admin;

CREATE FUNCTION meridian.parked_in_mesh() RETURNS bigint
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT meridian.parked_count() + COALESCE(sum(p.parked), 0)::bigint
    FROM (SELECT r.member, max(r.parked) AS parked FROM meridian.progress r GROUP BY r.member) p
    JOIN meridian.peer_positions('0/0') c ON c.id = p.member AND c.connected
$$;
COMMENT ON FUNCTION meridian.parked_in_mesh() IS 'How many changes wait on this node, and on connected members as they told last: about a second ago.';
REVOKE ALL ON FUNCTION meridian.parked_in_mesh() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.parked_in_mesh() TO meridian_admin;
