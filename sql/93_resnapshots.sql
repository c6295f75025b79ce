-- Sinks that are to deliver everything again, because changes are missing at the target: their slot was lost. What the target still
-- has of rows that the database does not have is removed. src/sink/resnapshot.cpp does it; docs/cdc.md says what each kind does.

CREATE FUNCTION meridian.resnapshot_sink(name text) RETURNS pg_lsn
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  s meridian.sink := meridian.find_sink(name);
  start pg_lsn;
BEGIN
  IF pg_current_xact_id_if_assigned() IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'active_sql_transaction', MESSAGE = 'resnapshot_sink() cannot run in a transaction that has written',
      HINT = 'A slot begins where no transaction is open: call it in a transaction of its own.';
  END IF;
  PERFORM meridian.require_stream_plugin();
  PERFORM pg_advisory_xact_lock(hashtextextended('meridian.stream sink_' || s.name, 0));
  SELECT r.confirmed_flush_lsn INTO start
    FROM meridian.stream t JOIN pg_replication_slots r ON r.slot_name = t.slot AND r.database = current_database()
   WHERE t.name = 'sink_' || s.name AND r.wal_status <> 'lost';
  IF start IS NULL THEN
    PERFORM meridian.release_sink_slot(s.name);
    start := meridian.renew_stream_slot('sink_' || s.name);
  END IF;
  INSERT INTO meridian.sink_resnapshot (sink, since) VALUES (s.name, start)
    ON CONFLICT (sink) DO UPDATE
      SET generation = meridian.sink_resnapshot.generation + 1, since = EXCLUDED.since, asked_at = clock_timestamp(), state = 'waiting', mark = NULL,
          removed = 0, ended_at = NULL, error = NULL;
  DELETE FROM meridian.sink_snapshot n WHERE n.sink = s.name;
  PERFORM meridian.begin_snapshots(s.name, false);
  -- Their keys are delivered, or removed.
  UPDATE meridian.dead_letter d SET state = 'superseded' WHERE d.sink = s.name;
  UPDATE meridian.sink_progress p SET state = 'starting' WHERE p.name = s.name AND p.state IN ('failed', 'stopped', 'ended');
  RETURN start;
END
$$;
COMMENT ON FUNCTION meridian.resnapshot_sink(text) IS 'Has a sink deliver all rows again, with a new slot if its slot was lost, and then remove at the target what the database does not have. Returns the position from which on it has the changes. Waits for open transactions. Progress: the views sinks and sink_snapshots.';
REVOKE ALL ON FUNCTION meridian.resnapshot_sink(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.resnapshot_sink(text) TO meridian_admin;

CREATE FUNCTION meridian.describe_stream_table(options text[], rel regclass, at pg_lsn,
                                               OUT topic text, OUT key_row text, OUT old_row text, OUT truncation text)
  LANGUAGE c VOLATILE STRICT AS '$libdir/meridian_cdc', 'meridian_describe_stream_table';
COMMENT ON FUNCTION meridian.describe_stream_table(text[], regclass, pg_lsn) IS 'How a stream with these options shows a table: its topic, its key and an old row with nothing known but the key, without values, as JSON, and the event of a TRUNCATE at a position. NULLs if the stream does not have it.';
REVOKE ALL ON FUNCTION meridian.describe_stream_table(text[], regclass, pg_lsn) FROM PUBLIC;

-- For the program ----------------------------------------------------------------------------------------------------

CREATE FUNCTION meridian.resnapshot_task(sink text)
  RETURNS TABLE (generation integer, since text, age_s bigint, mark text, is_marked boolean, has_rows boolean, blocked_by text)
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT r.generation, r.since::text, extract(epoch FROM clock_timestamp() - r.asked_at)::bigint, r.mark, r.state = 'running',
         NOT EXISTS (SELECT FROM meridian.sink_snapshot n WHERE n.sink = $1 AND n.state IN ('waiting', 'running')),
         -- What is not known to have been delivered must not be taken for gone. Rows without a key are in no target by name.
         (SELECT format('rows of table %s could not be read: %s', n.rel, n.error)
            FROM meridian.sink_snapshot n
           WHERE n.sink = $1 AND n.state = 'failed' AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = n.rel AND i.indisunique) LIMIT 1)
    FROM meridian.sink_resnapshot r WHERE r.sink = $1 AND r.state IN ('waiting', 'running')
$$;
COMMENT ON FUNCTION meridian.resnapshot_task(text) IS 'What is left to do for resnapshot_sink().';
REVOKE ALL ON FUNCTION meridian.resnapshot_task(text) FROM PUBLIC;

CREATE FUNCTION meridian.resnapshot_tables(sink text) RETURNS TABLE (topic text, key_row text, old_row text, truncation text)
  LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT d.topic, d.key_row, d.old_row, d.truncation
    FROM meridian.sink_resnapshot r
    JOIN meridian.sink_snapshot n ON n.sink = r.sink
    JOIN pg_class c ON c.oid = n.rel
    JOIN meridian.stream t ON t.name = 'sink_' || r.sink
   CROSS JOIN LATERAL meridian.describe_stream_table(meridian.stream_arguments(t.tables, t.options), c.oid, r.since) d
   WHERE r.sink = $1 AND d.topic IS NOT NULL ORDER BY d.topic, c.oid
$$;
COMMENT ON FUNCTION meridian.resnapshot_tables(text) IS 'The tables that a sink delivers again, as its events show them.';
REVOKE ALL ON FUNCTION meridian.resnapshot_tables(text) FROM PUBLIC;

CREATE FUNCTION meridian.resnapshot_marked(sink text, generation integer, mark text) RETURNS void
  LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$ UPDATE meridian.sink_resnapshot r SET state = 'running', mark = $3, error = NULL WHERE r.sink = $1 AND r.generation = $2 AND r.state = 'waiting' $$;
COMMENT ON FUNCTION meridian.resnapshot_marked(text, integer, text) IS 'A sink knows older from newer at its target, so rows may be delivered.';
REVOKE ALL ON FUNCTION meridian.resnapshot_marked(text, integer, text) FROM PUBLIC;

CREATE FUNCTION meridian.resnapshot_reported(sink text, generation integer, removed bigint, error text, has_ended boolean) RETURNS void
  LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
  UPDATE meridian.sink_resnapshot r
     SET removed = r.removed + $3, error = $4,
         state = CASE WHEN NOT $5 THEN r.state WHEN $4 IS NULL THEN 'done' ELSE 'failed' END, ended_at = CASE WHEN $5 THEN clock_timestamp() END
   WHERE r.sink = $1 AND r.generation = $2
$$;
COMMENT ON FUNCTION meridian.resnapshot_reported(text, integer, bigint, text, boolean) IS 'So many more rows were removed at the target of a sink, and what is the matter, if anything is.';
REVOKE ALL ON FUNCTION meridian.resnapshot_reported(text, integer, bigint, text, boolean) FROM PUBLIC;
