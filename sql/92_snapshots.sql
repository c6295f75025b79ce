-- Snapshots: rows that sinks deliver as they are, beside the stream of changes. src/plugin/cdc_snapshot.cpp reads them, the program of
-- the sink (src/sink/snapshot.cpp) fits them into the stream.

CREATE FUNCTION meridian.read_snapshot_chunk(options text[], rel regclass, label text, after_key text[], max_rows integer, is_initial boolean)
  RETURNS TABLE (topic text, key text, value text, row_key text[])
  LANGUAGE c VOLATILE AS '$libdir/meridian_cdc', 'meridian_read_snapshot_chunk';
COMMENT ON FUNCTION meridian.read_snapshot_chunk(text[], regclass, text, text[], integer, boolean) IS 'The next rows of a table as events, in the order of its key, with watermarks before and behind them in the WAL. The topic is NULL for rows that options filter out; no row at all: that was the end.';
REVOKE ALL ON FUNCTION meridian.read_snapshot_chunk(text[], regclass, text, text[], integer, boolean) FROM PUBLIC;

CREATE FUNCTION meridian.stream_wants_table(options text[], schema_name text, table_name text) RETURNS boolean
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_stream_wants_table';
COMMENT ON FUNCTION meridian.stream_wants_table(text[], text, text) IS 'Whether a stream with these options has events of the table.';
REVOKE ALL ON FUNCTION meridian.stream_wants_table(text[], text, text) FROM PUBLIC;

CREATE FUNCTION meridian.begin_snapshot(sink text, rel regclass, is_initial boolean) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  INSERT INTO meridian.sink_snapshot (sink, rel, is_initial, rows_expected)
    SELECT $1, c.oid, $3, CASE WHEN c.reltuples > 0 THEN c.reltuples END
      FROM pg_class c WHERE c.oid = $2 AND c.relkind = 'r'
    UNION ALL
    SELECT $1, c.oid, $3, CASE WHEN c.reltuples > 0 THEN c.reltuples END
      FROM pg_partition_tree((SELECT p.oid FROM pg_class p WHERE p.oid = $2 AND p.relkind = 'p')) t JOIN pg_class c ON c.oid = t.relid AND c.relkind = 'r'
  ON CONFLICT ON CONSTRAINT sink_snapshot_pkey DO UPDATE
    SET asked_at = EXCLUDED.asked_at, is_initial = EXCLUDED.is_initial, state = 'waiting', row_key = NULL, rows_read = 0,
        rows_expected = EXCLUDED.rows_expected, ended_at = NULL, error = NULL
$$;
COMMENT ON FUNCTION meridian.begin_snapshot(text, regclass, boolean) IS 'Has a sink deliver the rows of a table, or of its partitions.';
REVOKE ALL ON FUNCTION meridian.begin_snapshot(text, regclass, boolean) FROM PUBLIC;

CREATE FUNCTION meridian.begin_snapshots(sink text, is_initial boolean) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT meridian.begin_snapshot($1, c.oid, $2)
    FROM meridian.stream s
    JOIN pg_class c ON c.relkind = 'r' AND c.relpersistence = 'p'
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'meridian')
   WHERE s.name = 'sink_' || $1 AND meridian.stream_wants_table(meridian.stream_arguments(s.tables, s.options), n.nspname, c.relname)
$$;
COMMENT ON FUNCTION meridian.begin_snapshots(text, boolean) IS 'Step of create_sink() and resnapshot_sink(): has a sink deliver the rows of all its tables.';
REVOKE ALL ON FUNCTION meridian.begin_snapshots(text, boolean) FROM PUBLIC;

CREATE FUNCTION meridian.snapshot_table(sink text, rel regclass) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM meridian.find_sink(sink);
  IF rel IS NULL OR NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = rel AND c.relkind IN ('r', 'p')) THEN
    RAISE EXCEPTION USING ERRCODE = 'wrong_object_type', MESSAGE = format('%s is not a table', COALESCE(rel::text, 'NULL')),
      HINT = 'Name a table, or a partitioned table.';
  END IF;
  PERFORM meridian.begin_snapshot(sink, rel, false);
END
$$;
COMMENT ON FUNCTION meridian.snapshot_table(text, regclass) IS 'Has a sink deliver the rows of a table again, as events r, while it goes on with changes; no row overwrites a newer one. See the view meridian.sink_snapshots.';
REVOKE ALL ON FUNCTION meridian.snapshot_table(text, regclass) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.snapshot_table(text, regclass) TO meridian_admin;

CREATE VIEW meridian.sink_snapshots AS
  SELECT s.sink, s.rel, s.state, s.rows_read AS rows,
         CASE WHEN s.state = 'done' THEN 100 ELSE round(LEAST(99, 100.0 * s.rows_read / GREATEST(s.rows_expected, s.rows_read, 1)), 1) END AS percent,
         s.asked_at, s.ended_at, s.error
    FROM meridian.sink_snapshot s;
COMMENT ON VIEW meridian.sink_snapshots IS 'Tables whose rows sinks deliver or have delivered, beside the changes.';
COMMENT ON COLUMN meridian.sink_snapshots.rows IS 'Rows that were read and, if no change had replaced them, delivered.';
COMMENT ON COLUMN meridian.sink_snapshots.percent IS 'Of the rows that the planner expected; at most 99 until it is done.';
COMMENT ON COLUMN meridian.sink_snapshots.error IS 'Why it failed; snapshot_table() begins again.';
GRANT SELECT ON meridian.sink_snapshots TO meridian_admin, pg_monitor;

-- For the program ----------------------------------------------------------------------------------------------------

CREATE FUNCTION meridian.next_snapshot(sink text, generation integer) RETURNS TABLE (rel text, row_key text, asked_at text)
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT s.rel::oid::text, s.row_key::text, s.asked_at::text
    FROM meridian.sink_snapshot s
    LEFT JOIN meridian.sink_resnapshot r ON r.sink = s.sink
   WHERE s.sink = $1 AND s.state IN ('waiting', 'running') AND COALESCE(r.generation, 0) = $2 AND r.state IS DISTINCT FROM 'waiting'
   ORDER BY s.state, s.asked_at, s.rel::oid LIMIT 1
$$;
COMMENT ON FUNCTION meridian.next_snapshot(text, integer) IS 'The table whose rows a sink is to read next, and behind which key; a table that was begun comes first. None for a program of another generation than resnapshot_sink() wants, and before that one is prepared.';
REVOKE ALL ON FUNCTION meridian.next_snapshot(text, integer) FROM PUBLIC;

CREATE FUNCTION meridian.read_sink_chunk(sink text, rel oid, label text) RETURNS TABLE (topic text, key text, value text, row_key text)
  LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT c.topic, c.key, c.value, c.row_key::text
    FROM meridian.sink_snapshot s
    JOIN meridian.stream t ON t.name = 'sink_' || s.sink
   CROSS JOIN LATERAL meridian.read_snapshot_chunk(meridian.stream_arguments(t.tables, t.options), s.rel, $3, s.row_key, 1000, s.is_initial) c
   WHERE s.sink = $1 AND s.rel = $2
$$;
COMMENT ON FUNCTION meridian.read_sink_chunk(text, oid, text) IS 'The next rows of a table for a sink.';
REVOKE ALL ON FUNCTION meridian.read_sink_chunk(text, oid, text) FROM PUBLIC;

CREATE FUNCTION meridian.snapshot_advanced(sink text, rel oid, asked_at text, before text, row_key text, rows_read bigint) RETURNS void
  LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
  UPDATE meridian.sink_snapshot s
     SET row_key = COALESCE($5::text[], s.row_key), rows_read = s.rows_read + $6, state = CASE WHEN $5 IS NULL THEN 'done' ELSE 'running' END,
         ended_at = CASE WHEN $5 IS NULL THEN clock_timestamp() END
   WHERE s.sink = $1 AND s.rel = $2 AND s.asked_at = $3::timestamptz AND s.row_key IS NOT DISTINCT FROM $4::text[]
$$;
COMMENT ON FUNCTION meridian.snapshot_advanced(text, oid, text, text, text, bigint) IS 'A sink has delivered rows up to a key (NULL: there are no more). Does nothing if the snapshot was begun again meanwhile.';
REVOKE ALL ON FUNCTION meridian.snapshot_advanced(text, oid, text, text, text, bigint) FROM PUBLIC;

CREATE FUNCTION meridian.snapshot_failed(sink text, rel oid, reason text) RETURNS void
  LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$ UPDATE meridian.sink_snapshot s SET state = 'failed', ended_at = clock_timestamp(), error = $3 WHERE s.sink = $1 AND s.rel = $2 $$;
COMMENT ON FUNCTION meridian.snapshot_failed(text, oid, text) IS 'Rows of a table cannot be read for a sink.';
REVOKE ALL ON FUNCTION meridian.snapshot_failed(text, oid, text) FROM PUBLIC;
