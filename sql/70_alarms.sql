-- What somebody must look at. Each kind of alarm is a function of its own; the view puts them together.

CREATE FUNCTION meridian.tombstone_alarms()
  RETURNS TABLE (alarm text, severity text, since timestamptz, subject text, detail text, remedy text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT 'tombstones held', 'warning', p.blocks_since, p.node,
         format('%s tombstones wait for node "%s" (%s), the oldest since %s', p.tombstones_held, p.node, p.state, p.blocks_since),
         CASE p.state WHEN 'epoch raised' THEN format('On another node: SELECT meridian.drop_node(%L); then let it join again.', p.node)
                      WHEN 'joining' THEN 'Repeat meridian.join() on that node, or give it up with meridian.drop_node().'
                      WHEN 'other generation' THEN 'A meridian.drop_node() did not reach every member: repeat it when all are reachable.'
                      ELSE format('Bring node "%s" and its links back (meridian.nodes), end transactions that stay open there, or: SELECT meridian.drop_node(%L)', p.node, p.node) END
    FROM meridian.tombstone_progress p
   WHERE p.tombstones_held > current_setting('meridian.tombstone_alarm_count')::bigint
      OR p.blocks_since < now() - current_setting('meridian.tombstone_alarm_age')::interval
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
     AND t.added_at < now() - current_setting('meridian.tombstone_alarm_age')::interval
$$;
COMMENT ON FUNCTION meridian.tombstone_alarms() IS 'Alarms about tombstones that cannot be dropped; read view meridian.alarms.';
REVOKE ALL ON FUNCTION meridian.tombstone_alarms() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.tombstone_alarms() TO meridian_admin, pg_monitor;

CREATE FUNCTION meridian.membership_alarms()
  RETURNS TABLE (alarm text, severity text, since timestamptz, subject text, detail text, remedy text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT g.held, 'error', g.since, m.name,
         format('drop_node() removed node "%s" from the mesh: it receives nothing, and what is written here reaches nobody', m.name),
         'SELECT meridian.leave(); empty its tables, then meridian.join() again.'
    FROM meridian.generation g JOIN meridian.local_member l ON true JOIN meridian.member m ON m.id = l.member
   WHERE g.held = 'dropped from the mesh'
$$;
COMMENT ON FUNCTION meridian.membership_alarms() IS 'Alarm of a node that was dropped from the mesh; read view meridian.alarms.';
REVOKE ALL ON FUNCTION meridian.membership_alarms() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.membership_alarms() TO meridian_admin, pg_monitor;

CREATE FUNCTION meridian.parked_alarms()
  RETURNS TABLE (alarm text, severity text, since timestamptz, subject text, detail text, remedy text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT 'rows parked', CASE p.reason WHEN 'clock_skew' THEN 'warning' ELSE 'error' END, min(p.parked_at), p.subject,
         format('%s rows of %s wait outside it (%s), for example: %s', count(*), p.subject, p.reason, min(p.detail)),
         CASE p.reason WHEN 'clock_skew' THEN 'Set the clock of the node that is ahead; the rows are applied when their time has come.'
                       WHEN 'unique' THEN 'Give one of the rows another key, or delete it (meridian.conflicts, kind unique).'
                       WHEN 'misfit' THEN 'Change the table here as it was changed on the node that sent the rows: they are tried again by themselves.'
                       ELSE 'SELECT * FROM meridian.parked; make the table take the rows: they are tried again by themselves.' END
    FROM (SELECT i.*, COALESCE((quote_ident(i.sent_schema) || '.' || quote_ident(i.sent_table)), i.rel::text) AS subject FROM meridian.parked_image i) p
   GROUP BY p.subject, p.reason
$$;
COMMENT ON FUNCTION meridian.parked_alarms() IS 'Alarms about rows that their table does not take; read view meridian.alarms.';
REVOKE ALL ON FUNCTION meridian.parked_alarms() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.parked_alarms() TO meridian_admin, pg_monitor;

CREATE VIEW meridian.alarms AS
  SELECT * FROM meridian.membership_alarms()
  UNION ALL SELECT * FROM meridian.parked_alarms()
  UNION ALL SELECT * FROM meridian.tombstone_alarms();
COMMENT ON VIEW meridian.alarms IS 'What somebody must look at on this node, and what to do about it; empty if all is well.';
COMMENT ON COLUMN meridian.alarms.alarm IS 'Kind of alarm.';
COMMENT ON COLUMN meridian.alarms.severity IS 'warning: something grows or waits; error: something does not work.';
COMMENT ON COLUMN meridian.alarms.since IS 'Since when, as far as is known.';
COMMENT ON COLUMN meridian.alarms.subject IS 'The node, table or object that it is about.';
COMMENT ON COLUMN meridian.alarms.detail IS 'What is the matter.';
COMMENT ON COLUMN meridian.alarms.remedy IS 'What helps.';
GRANT SELECT ON meridian.alarms TO meridian_admin, pg_monitor;
