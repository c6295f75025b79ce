-- The replication slots of this server: what they hold, and what becomes of it.

CREATE FUNCTION meridian.read_slot_watch(OUT slot name, OUT inactive_since timestamptz) RETURNS SETOF record
  LANGUAGE c VOLATILE PARALLEL SAFE ROWS 10 AS 'MODULE_PATHNAME', 'meridian_read_slot_watch';
COMMENT ON FUNCTION meridian.read_slot_watch() IS 'The replication slots of this server that are not in use, and since when as far as it has seen; read view meridian.slots.';
REVOKE ALL ON FUNCTION meridian.read_slot_watch() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.read_slot_watch() TO meridian_admin, pg_monitor;

CREATE FUNCTION meridian.local_slots()
  RETURNS TABLE (slot name, kind text, plugin name, database name, member integer, temporary boolean, active_pid integer, inactive_since timestamptz,
                 retained_bytes bigint, safe_wal_size bigint, wal_status text, restart_lsn pg_lsn, confirmed_flush_lsn pg_lsn, xmin_age integer,
                 catalog_xmin_age integer, risk text, failover text)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT s.slot_name, s.slot_type, s.plugin, s.database, CASE WHEN s.plugin = 'meridian_mesh' THEN (meridian.stream_of(s.slot_name)).member END,
         s.temporary, s.active_pid, w.inactive_since, h.retained, s.safe_wal_size, s.wal_status, s.restart_lsn, s.confirmed_flush_lsn,
         age(s.xmin), age(s.catalog_xmin),
         CASE WHEN s.wal_status = 'lost' THEN 'lost'
              WHEN k.is_copy THEN 'none'
              WHEN s.wal_status = 'unreserved' OR s.safe_wal_size < l.bytes / 10 THEN 'losing'
              WHEN NOT s.active AND h.retained > pg_size_bytes(COALESCE(current_setting('meridian.slot_alarm_size', true), '1GB')) THEN 'growing'
              WHEN NOT s.active THEN 'inactive'
              ELSE 'none' END,
         CASE WHEN k.is_copy THEN 'copy' WHEN (to_jsonb(s) ->> 'failover')::boolean THEN 'yes' WHEN s.slot_type = 'logical' THEN 'no' END
    FROM pg_replication_slots s
    LEFT JOIN meridian.read_slot_watch() w ON w.slot = s.slot_name AND NOT s.active
    CROSS JOIN (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END) AS e(lsn)
    CROSS JOIN LATERAL (SELECT pg_wal_lsn_diff(e.lsn, s.restart_lsn)::bigint) AS h(retained)
    CROSS JOIN (SELECT NULLIF(pg_size_bytes(current_setting('max_slot_wal_keep_size')), -1)) AS l(bytes)
    -- On a primary it says nothing: it stays from before a promotion.
    CROSS JOIN LATERAL (SELECT pg_is_in_recovery() AND COALESCE((to_jsonb(s) ->> 'synced')::boolean, false)) AS k(is_copy);
END
$$;
COMMENT ON FUNCTION meridian.local_slots() IS 'The replication slots of this server; read view meridian.slots.';
REVOKE ALL ON FUNCTION meridian.local_slots() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.local_slots() TO meridian_admin, pg_monitor;
