-- What arrived for each table and what became of it, counted in shared memory.

CREATE FUNCTION meridian.table_counters(OUT rel regclass, OUT stamped bigint, OUT applied bigint, OUT merged bigint, OUT stale bigint,
  OUT insert_insert bigint, OUT update_update bigint, OUT update_delete bigint, OUT delete_update bigint, OUT unique_key bigint, OUT other_conflicts bigint,
  OUT history_dropped bigint, OUT parked bigint, OUT tombstones bigint, OUT merge_ns bigint, OUT reset_at timestamptz) RETURNS SETOF record
  LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_table_counters';
COMMENT ON FUNCTION meridian.table_counters() IS 'Counters of replicated tables since the server started or reset_stat_tables(); read view meridian.stat_tables.';

CREATE VIEW meridian.stat_tables AS
  SELECT c.rel, c.stamped, c.applied, c.merged, c.stale,
         c.insert_insert + c.update_update + c.update_delete + c.delete_update + c.unique_key + c.other_conflicts AS conflicts,
         c.insert_insert, c.update_update, c.update_delete, c.delete_update, c.unique_key, c.other_conflicts, c.history_dropped,
         c.parked, c.tombstones, c.merge_ns / 1e6::double precision AS merge_time, c.reset_at
  FROM meridian.table_counters() c;
COMMENT ON VIEW meridian.stat_tables IS 'Per table: local writes stamped, incoming images applied, merged with local writes, dropped as already known, conflicts, parked images, tombstones.';
COMMENT ON COLUMN meridian.stat_tables.rel IS 'The table; NULL for all tables beyond the first 1024 together.';
COMMENT ON COLUMN meridian.stat_tables.stamped IS 'Local inserts and updates.';
COMMENT ON COLUMN meridian.stat_tables.applied IS 'Incoming changes that were news and met no concurrent write.';
COMMENT ON COLUMN meridian.stat_tables.merged IS 'Incoming changes that were merged with a concurrent write.';
COMMENT ON COLUMN meridian.stat_tables.stale IS 'Incoming changes that changed nothing here.';
COMMENT ON COLUMN meridian.stat_tables.conflicts IS 'Concurrent writes that met, of every kind, whether they are in the history or not.';
COMMENT ON COLUMN meridian.stat_tables.insert_insert IS 'Conflicts of two inserts of one key.';
COMMENT ON COLUMN meridian.stat_tables.update_update IS 'Conflicts of two updates.';
COMMENT ON COLUMN meridian.stat_tables.update_delete IS 'Conflicts of a write here with an incoming delete.';
COMMENT ON COLUMN meridian.stat_tables.delete_update IS 'Conflicts of a delete here with an incoming write.';
COMMENT ON COLUMN meridian.stat_tables.unique_key IS 'Conflicts of two rows that claim the same secondary unique key.';
COMMENT ON COLUMN meridian.stat_tables.other_conflicts IS 'Conflicts of any other kind.';
COMMENT ON COLUMN meridian.stat_tables.history_dropped IS 'Conflicts that meridian.conflict_rate_limit kept out of the history.';
COMMENT ON COLUMN meridian.stat_tables.parked IS 'Incoming changes that were parked.';
COMMENT ON COLUMN meridian.stat_tables.tombstones IS 'Deletes here that left a tombstone.';
COMMENT ON COLUMN meridian.stat_tables.merge_time IS 'Milliseconds spent on incoming row images, waiting for locks included.';
COMMENT ON COLUMN meridian.stat_tables.reset_at IS 'Since when everything is counted.';
GRANT SELECT ON meridian.stat_tables TO PUBLIC;

CREATE FUNCTION meridian.reset_stat_tables() RETURNS void
  LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_reset_stat_tables';
COMMENT ON FUNCTION meridian.reset_stat_tables() IS 'Sets all counters of meridian.stat_tables to zero.';
REVOKE ALL ON FUNCTION meridian.reset_stat_tables() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.reset_stat_tables() TO meridian_admin;
