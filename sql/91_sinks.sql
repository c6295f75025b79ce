-- Sinks: streams whose consumer is the program meridian-sink, which a background worker runs and watches.
--
-- A sink is a stream (90_streams.sql) named sink_NAME and the options of what it delivers to. The program reads its options, writes
-- how far it is, and asks what is wanted of it, through the functions of the last part; it connects as a superuser of this
-- server. Secrets are in files that the program reads, never here.

CREATE TABLE meridian.sink_option (
  kind text NOT NULL,
  option text NOT NULL,
  PRIMARY KEY (kind, option)
);
COMMENT ON TABLE meridian.sink_option IS 'Options that each kind of sink has, beside those of its stream; a name that ends in a dot is the beginning of names.';
COMMENT ON COLUMN meridian.sink_option.kind IS 'kafka, redis, elasticsearch, http or file; * for all.';
COMMENT ON COLUMN meridian.sink_option.option IS 'Name of the option; docs/cdc.md says what it means.';
REVOKE ALL ON meridian.sink_option FROM PUBLIC;
INSERT INTO meridian.sink_option (kind, option)
  SELECT o.kind, unnest(o.options) FROM (VALUES
    ('*', ARRAY['on_error', 'snapshot', 'batch_bytes', 'batch_events', 'batch_ms', 'secret_file']),
    ('kafka', ARRAY['brokers', 'compression', 'transactional_id', 'create_topics', 'kafka.']),
    ('redis', ARRAY['host', 'port', 'username', 'database', 'ttl', 'guard_ttl', 'key', 'mode', 'value']),
    ('elasticsearch', ARRAY['url', 'index', 'id', 'username', 'ca_file', 'compress', 'timeout_s']),
    ('http', ARRAY['url', 'username', 'ca_file', 'compress', 'timeout_s']),
    ('file', ARRAY['file'])) o(kind, options);

CREATE TABLE meridian.sink (
  name text PRIMARY KEY,
  kind text NOT NULL,
  options jsonb NOT NULL,
  paused boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE meridian.sink IS 'Sinks of this database; read view meridian.sinks.';
COMMENT ON COLUMN meridian.sink.options IS 'Of the target; those of its stream are in meridian.stream.';
COMMENT ON COLUMN meridian.sink.paused IS 'Between pause_sink() and resume_sink().';
REVOKE ALL ON meridian.sink FROM PUBLIC;

CREATE TABLE meridian.sink_progress (
  name text PRIMARY KEY REFERENCES meridian.sink ON DELETE CASCADE,
  pid integer,
  started_at timestamptz,
  state text NOT NULL DEFAULT 'starting',
  seen_at timestamptz,
  events bigint NOT NULL DEFAULT 0,
  bytes bigint NOT NULL DEFAULT 0,
  batches bigint NOT NULL DEFAULT 0,
  retries bigint NOT NULL DEFAULT 0,
  skipped bigint NOT NULL DEFAULT 0,
  last_batch bigint,
  delivered_at timestamptz,
  error text,
  error_at timestamptz,
  rate_from timestamptz NOT NULL DEFAULT now(),
  rate_events bigint NOT NULL DEFAULT 0,
  rate real
) WITH (fillfactor = 50);
COMMENT ON TABLE meridian.sink_progress IS 'What each sink''s program has told; read view meridian.sinks.';
COMMENT ON COLUMN meridian.sink_progress.rate IS 'Events per second, of the last span of 10 s or more.';
COMMENT ON COLUMN meridian.sink_progress.rate_from IS 'When the span began that is being counted.';
COMMENT ON COLUMN meridian.sink_progress.rate_events IS 'Events of that span so far.';
REVOKE ALL ON meridian.sink_progress FROM PUBLIC;

CREATE TABLE meridian.dead_letter (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  sink text NOT NULL REFERENCES meridian.sink ON DELETE CASCADE,
  at timestamptz NOT NULL DEFAULT now(),
  "position" text NOT NULL,
  topic text NOT NULL,
  key text,
  value text,
  headers text,
  reason text NOT NULL,
  state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'asked', 'superseded'))
);
COMMENT ON TABLE meridian.dead_letter IS 'Events that a target has refused for good; read view meridian.dead_letters.';
REVOKE ALL ON meridian.dead_letter FROM PUBLIC;
CREATE INDEX dead_letter_sink ON meridian.dead_letter (sink, topic, key);

CREATE TABLE meridian.sink_snapshot (
  sink text NOT NULL REFERENCES meridian.sink ON DELETE CASCADE,
  rel regclass NOT NULL,
  asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  is_initial boolean NOT NULL,
  state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'failed')),
  row_key text[],
  rows_read bigint NOT NULL DEFAULT 0,
  rows_expected bigint,
  ended_at timestamptz,
  error text,
  PRIMARY KEY (sink, rel)
);
COMMENT ON TABLE meridian.sink_snapshot IS 'Tables whose rows sinks deliver; read view meridian.sink_snapshots.';
COMMENT ON COLUMN meridian.sink_snapshot.row_key IS 'Key of the last row that was delivered.';
COMMENT ON COLUMN meridian.sink_snapshot.rows_expected IS 'What the planner thought that the table has when its snapshot began.';
REVOKE ALL ON meridian.sink_snapshot FROM PUBLIC;

CREATE TABLE meridian.sink_resnapshot (
  sink text PRIMARY KEY REFERENCES meridian.sink ON DELETE CASCADE,
  generation integer NOT NULL DEFAULT 1,
  since pg_lsn NOT NULL,
  asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'failed')),
  mark text,
  removed bigint NOT NULL DEFAULT 0,
  ended_at timestamptz,
  error text
);
COMMENT ON TABLE meridian.sink_resnapshot IS 'Sinks that resnapshot_sink() was called for; read view meridian.sinks.';
COMMENT ON COLUMN meridian.sink_resnapshot.generation IS 'How often it was called. What the sink has delivered under a smaller one is older.';
COMMENT ON COLUMN meridian.sink_resnapshot.since IS 'From here on events are of this generation.';
COMMENT ON COLUMN meridian.sink_resnapshot.mark IS 'What the program needs to tell older from newer at the target: of kafka, where each partition ended. Set when the state is running.';
COMMENT ON COLUMN meridian.sink_resnapshot.removed IS 'Rows that were removed at the target, because the database does not have them.';
REVOKE ALL ON meridian.sink_resnapshot FROM PUBLIC;

-- For people ---------------------------------------------------------------------------------------------------------

CREATE FUNCTION meridian.sink_options_of(kind text, options jsonb, of_target boolean) RETURNS jsonb
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT COALESCE(jsonb_object_agg(o.key, o.value), '{}')
    FROM jsonb_each(options - 'tables') o
   WHERE of_target = EXISTS (SELECT FROM meridian.sink_option s
                              WHERE s.kind IN ('*', sink_options_of.kind)
                                AND (s.option = o.key OR (s.option LIKE '%.' AND starts_with(o.key, s.option))))
$$;
COMMENT ON FUNCTION meridian.sink_options_of(text, jsonb, boolean) IS 'Of the options of a sink those of its target, or those of its stream.';
REVOKE ALL ON FUNCTION meridian.sink_options_of(text, jsonb, boolean) FROM PUBLIC;

CREATE FUNCTION meridian.check_sink_host(host text) RETURNS void
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  allowed text[] := array_remove(regexp_split_to_array(current_setting('meridian.sink_hosts'), '\s*,\s*'), '');
BEGIN
  IF current_setting('is_superuser')::boolean AND allowed = '{}' THEN
    RETURN;
  ELSIF NOT EXISTS (SELECT FROM unnest(allowed) a WHERE a = host OR (a LIKE '*.%' AND right(host, length(a) - 1) = substr(a, 2))) THEN
    RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = format('sinks may not connect to host "%s"', host),
      HINT = 'A superuser can add it to the setting meridian.sink_hosts: names, or *.domain.';
  END IF;
END
$$;
COMMENT ON FUNCTION meridian.check_sink_host(text) IS 'Raises 42501 unless meridian.sink_hosts lets sinks connect there. If that is empty, only superusers may make sinks, to anywhere.';
REVOKE ALL ON FUNCTION meridian.check_sink_host(text) FROM PUBLIC;

CREATE FUNCTION meridian.sink_hosts_of(kind text, options jsonb) RETURNS SETOF text
  LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT regexp_replace(b, '^\s*\[?([^]]*?)\]?(:\d+)?\s*$', '\1') FROM regexp_split_to_table(options ->> 'brokers', ',') b WHERE kind = 'kafka'
  UNION ALL SELECT options ->> 'host' WHERE kind = 'redis'
  UNION ALL SELECT substring(options ->> 'url' FROM '^https?://(?:[^/?#@]*@)?\[?([^]/?#:]+)') WHERE kind IN ('elasticsearch', 'http')
$$;
COMMENT ON FUNCTION meridian.sink_hosts_of(text, jsonb) IS 'Hosts that such a sink connects to.';
REVOKE ALL ON FUNCTION meridian.sink_hosts_of(text, jsonb) FROM PUBLIC;

CREATE FUNCTION meridian.check_sink(kind text, options jsonb) RETURNS void
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  needed text := CASE kind WHEN 'kafka' THEN 'brokers' WHEN 'redis' THEN 'host' WHEN 'file' THEN 'file' ELSE 'url' END;
  host text;
BEGIN
  IF NOT EXISTS (SELECT FROM meridian.sink_option o WHERE o.kind = check_sink.kind AND o.kind <> '*') THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('there is no kind of sink "%s"', kind),
      HINT = 'Kinds are kafka, redis, elasticsearch, http and file.';
  ELSIF options ?| ARRAY['password', 'api_key', 'bearer_token', 'kafka.sasl.password', 'kafka.ssl.key.password'] OR options ->> 'url' ~ '^[a-z]+://[^/]*@' THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'a secret may not be an option of a sink',
      HINT = 'Put a line "name = value" into a file that only the server''s user can read, and name it: "secret_file": "/path".';
  ELSIF COALESCE(options ->> needed, '') = '' THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('a sink of kind %s needs the option "%s"', kind, needed);
  ELSIF kind IN ('elasticsearch', 'http') AND options ->> 'url' !~ '^https?://' THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'option "url" must begin with http:// or https://';
  ELSIF kind = 'file' AND (options ->> 'file' ~ '/' OR options ->> 'file' IN ('.', '..')) THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'option "file" must be a plain name',
      HINT = 'The file is in the directory of the setting meridian.sink_directory.';
  ELSIF kind = 'file' AND current_setting('meridian.sink_directory') = '' THEN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = 'there is no directory for files of sinks',
      HINT = 'Set meridian.sink_directory.';
  ELSIF COALESCE(options ->> 'snapshot', 'initial') NOT IN ('initial', 'never') THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'option "snapshot" must be initial or never';
  ELSIF kind IN ('redis', 'elasticsearch') AND options ? 'unavailable_value' THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('a sink of kind %s cannot have the option "unavailable_value"', kind),
      HINT = 'It would take the text for the value of the column.';
  ELSIF kind IN ('redis', 'elasticsearch') AND COALESCE(options ->> 'envelope', 'bare') NOT IN ('bare', 'payload') THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('a sink of kind %s needs events in the envelope bare or payload', kind);
  ELSIF options ? 'secret_file' AND NOT current_setting('is_superuser')::boolean THEN
    RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = 'only a superuser may name a file that the server reads';
  END IF;
  FOR host IN SELECT h FROM meridian.sink_hosts_of(kind, options) h LOOP
    PERFORM meridian.check_sink_host(host);
  END LOOP;
END
$$;
COMMENT ON FUNCTION meridian.check_sink(text, jsonb) IS 'Raises an error unless there can be such a sink.';
REVOKE ALL ON FUNCTION meridian.check_sink(text, jsonb) FROM PUBLIC;

CREATE FUNCTION meridian.create_sink(name text, kind text, options jsonb DEFAULT '{}') RETURNS pg_lsn
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  tables text[];
  start pg_lsn;
BEGIN
  IF current_database() <> current_setting('meridian.database') THEN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = format('sinks run in database "%s" only', current_setting('meridian.database')),
      HINT = 'Create it there, or run meridian-sink standalone on a stream of this database.';
  ELSIF name IS NULL OR name !~ '^[a-z0-9_]{1,40}$' THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_name', MESSAGE = format('"%s" is not the name of a sink', name),
      HINT = 'Up to 40 lower-case letters, digits and underscores.';
  ELSIF options IS NULL OR jsonb_typeof(options) <> 'object' THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'options of a sink must be a JSON object';
  ELSIF jsonb_typeof(COALESCE(options -> 'tables', '[]')) <> 'array' THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'option "tables" must be an array of names';
  END IF;
  PERFORM meridian.check_sink(kind, options);
  tables := ARRAY(SELECT jsonb_array_elements_text(COALESCE(options -> 'tables', '[]')));
  start := meridian.create_stream('sink_' || name, tables, meridian.sink_options_of(kind, options, false));
  PERFORM meridian.put_sink(name, kind, meridian.sink_options_of(kind, options, true));
  IF COALESCE(options ->> 'snapshot', 'initial') = 'initial' THEN
    PERFORM meridian.begin_snapshots(name, true);
  END IF;
  RETURN start;
END
$$;
COMMENT ON FUNCTION meridian.create_sink(text, text, jsonb) IS 'Delivers the changes of tables ("tables": an array; all without it) to kafka, redis, elasticsearch, http or file, from now on, and first the rows as they are. Options of the stream and of the kind: docs/cdc.md. Returns the position from which on it has the changes.';
REVOKE ALL ON FUNCTION meridian.create_sink(text, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.create_sink(text, text, jsonb) TO meridian_admin;

CREATE FUNCTION meridian.put_sink(name text, kind text, options jsonb) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  INSERT INTO meridian.sink (name, kind, options) VALUES ($1, $2, $3);
  INSERT INTO meridian.sink_progress (name) VALUES ($1);
$$;
COMMENT ON FUNCTION meridian.put_sink(text, text, jsonb) IS 'Step of create_sink(): writes the sink down.';
REVOKE ALL ON FUNCTION meridian.put_sink(text, text, jsonb) FROM PUBLIC;

CREATE FUNCTION meridian.find_sink(name text) RETURNS meridian.sink
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  s meridian.sink;
BEGIN
  SELECT * INTO s FROM meridian.sink t WHERE t.name = find_sink.name;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('sink "%s" does not exist', name),
      HINT = 'The view meridian.sinks lists those that do.';
  END IF;
  RETURN s;
END
$$;
COMMENT ON FUNCTION meridian.find_sink(text) IS 'The row of a sink; raises 42704 if there is none.';
REVOKE ALL ON FUNCTION meridian.find_sink(text) FROM PUBLIC;

CREATE FUNCTION meridian.release_sink_slot(name text) RETURNS void
  LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT pg_terminate_backend(r.active_pid, 5000) FROM pg_replication_slots r
   WHERE r.slot_name = ANY (meridian.stream_slots('sink_' || $1)) AND r.active_pid IS NOT NULL
$$;
COMMENT ON FUNCTION meridian.release_sink_slot(text) IS 'Ends the connection by which a sink''s program reads its slot.';
REVOKE ALL ON FUNCTION meridian.release_sink_slot(text) FROM PUBLIC;

CREATE FUNCTION meridian.drop_sink(name text) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  s meridian.sink := meridian.find_sink(name);
BEGIN
  PERFORM meridian.release_sink_slot(s.name);
  PERFORM meridian.drop_stream('sink_' || s.name);
  DELETE FROM meridian.sink t WHERE t.name = s.name;
END
$$;
COMMENT ON FUNCTION meridian.drop_sink(text) IS 'Ends a sink, with its slot and its dead letters. What was not delivered is not.';
REVOKE ALL ON FUNCTION meridian.drop_sink(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.drop_sink(text) TO meridian_admin;

CREATE FUNCTION meridian.pause_sink(name text) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM meridian.find_sink(name);
  UPDATE meridian.sink s SET paused = true WHERE s.name = pause_sink.name;
END
$$;
COMMENT ON FUNCTION meridian.pause_sink(text) IS 'Lets a sink rest after the batch that is on its way. WAL is kept for it meanwhile.';
REVOKE ALL ON FUNCTION meridian.pause_sink(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.pause_sink(text) TO meridian_admin;

CREATE FUNCTION meridian.resume_sink(name text) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM meridian.find_sink(name);
  UPDATE meridian.sink s SET paused = false WHERE s.name = resume_sink.name;
  UPDATE meridian.sink_progress p SET state = 'starting' WHERE p.name = resume_sink.name AND p.state = 'stopped';
END
$$;
COMMENT ON FUNCTION meridian.resume_sink(text) IS 'Lets a sink go on that was paused, or that stopped at an error.';
REVOKE ALL ON FUNCTION meridian.resume_sink(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.resume_sink(text) TO meridian_admin;

CREATE VIEW meridian.sinks AS
  SELECT s.name, s.kind, s.options, st.tables,
         CASE WHEN st.state = 'lost' THEN 'lost' WHEN s.paused THEN 'paused' ELSE p.state END AS state,
         st.acked_lsn AS "position", st.lag_bytes, st.lag_time, st.retained_wal, st.safe_wal_size,
         p.events, CASE WHEN p.delivered_at > now() - interval '1 minute' THEN p.rate ELSE 0 END AS events_per_second, p.bytes, p.batches, p.last_batch, p.retries, p.skipped, p.delivered_at, p.pid, p.started_at, p.error, p.error_at,
         (SELECT count(*) FROM meridian.dead_letter d WHERE d.sink = s.name AND d.state <> 'superseded') AS dead_letters,
         n.rows AS snapshot_rows, n.percent AS snapshot_percent, st.failover, rs.state AS resnapshot, rs.removed AS resnapshot_removed, rs.error AS resnapshot_error
    FROM meridian.sink s
    LEFT JOIN meridian.sink_resnapshot rs ON rs.sink = s.name
   CROSS JOIN LATERAL (
      SELECT sum(r.rows_read)::bigint AS rows,
             CASE WHEN bool_and(r.state = 'done') THEN 100
                  ELSE round(LEAST(99, 100.0 * sum(r.rows_read) / GREATEST(sum(CASE r.state WHEN 'done' THEN r.rows_read ELSE GREATEST(r.rows_expected, r.rows_read) END), 1)), 1) END AS percent
        FROM meridian.sink_snapshot r WHERE r.sink = s.name) n
    JOIN meridian.sink_progress p ON p.name = s.name
    LEFT JOIN meridian.streams st ON st.name = 'sink_' || s.name;
COMMENT ON VIEW meridian.sinks IS 'Sinks of this database: how far they are, and what is the matter with those that do not run.';
COMMENT ON COLUMN meridian.sinks.state IS 'starting, running, retrying (the target does not take events now), paused, failed (started again soon), stopped (until resume_sink()), lost (its slot is gone, and changes with it: resnapshot_sink()) or ended.';
COMMENT ON COLUMN meridian.sinks."position" IS 'Commit of the last event that was delivered.';
COMMENT ON COLUMN meridian.sinks.lag_bytes IS 'WAL that is not delivered yet, of other tables'' changes too.';
COMMENT ON COLUMN meridian.sinks.events IS 'Delivered, since the sink was created; repetitions count.';
COMMENT ON COLUMN meridian.sinks.events_per_second IS 'Over the last 10 s in which there were any; NULL before it is known.';
COMMENT ON COLUMN meridian.sinks.last_batch IS 'Events in the last batch.';
COMMENT ON COLUMN meridian.sinks.retries IS 'How often something was not taken at once.';
COMMENT ON COLUMN meridian.sinks.skipped IS 'Events that the target refused for good and the policy skipped.';
COMMENT ON COLUMN meridian.sinks.pid IS 'Process of meridian-sink.';
COMMENT ON COLUMN meridian.sinks.snapshot_rows IS 'Rows that were delivered beside changes; by table in meridian.sink_snapshots. NULL: no snapshot was asked for.';
COMMENT ON COLUMN meridian.sinks.snapshot_percent IS 'Of the rows that the planner expected in these tables.';
COMMENT ON COLUMN meridian.sinks.failover IS 'Whether standbys can take the slot over; NULL: PostgreSQL before 17 has no such slots.';
COMMENT ON COLUMN meridian.sinks.resnapshot IS 'Of the last resnapshot_sink(): waiting, running (rows are delivered, then the target is looked through), done, or failed. NULL: it was never called.';
COMMENT ON COLUMN meridian.sinks.resnapshot_removed IS 'Rows that it has removed at the target, because the database does not have them.';
COMMENT ON COLUMN meridian.sinks.resnapshot_error IS 'What last held it up, or why it failed.';
COMMENT ON COLUMN meridian.sinks.error IS 'The last error, and when it was.';
GRANT SELECT ON meridian.sinks TO meridian_admin, pg_monitor;

-- For the program ----------------------------------------------------------------------------------------------------

CREATE FUNCTION meridian.sink_options(name text) RETURNS TABLE (option text, value text)
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  WITH s AS (SELECT * FROM meridian.sink t WHERE t.name = $1),
       st AS (SELECT t.* FROM meridian.stream t JOIN s ON t.name = 'sink_' || s.name),
       argument AS (SELECT a.value, a.place FROM st CROSS JOIN unnest(meridian.stream_arguments(st.tables, st.options)) WITH ORDINALITY a(value, place))
  SELECT 'kind', s.kind FROM s
  UNION ALL SELECT 'slot', st.slot::text FROM st
  UNION ALL SELECT o.key, o.value FROM s CROSS JOIN jsonb_each_text(s.options - 'snapshot') o
  UNION ALL SELECT 'plugin.' || n.value, v.value FROM argument n JOIN argument v ON v.place = n.place + 1 WHERE n.place % 2 = 1
  UNION ALL SELECT 'generation', r.generation::text FROM meridian.sink_resnapshot r JOIN s ON r.sink = s.name
  UNION ALL SELECT 'directory', current_setting('meridian.sink_directory') FROM s WHERE s.kind = 'file'
$$;
COMMENT ON FUNCTION meridian.sink_options(text) IS 'What the program is told of its sink.';
REVOKE ALL ON FUNCTION meridian.sink_options(text) FROM PUBLIC;

CREATE FUNCTION meridian.sink_started(name text, pid integer) RETURNS void
  LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$ UPDATE meridian.sink_progress p SET pid = $2, started_at = now(), seen_at = now(), state = 'starting' WHERE p.name = $1 $$;
COMMENT ON FUNCTION meridian.sink_started(text, integer) IS 'The program of a sink says that it runs.';
REVOKE ALL ON FUNCTION meridian.sink_started(text, integer) FROM PUBLIC;

CREATE FUNCTION meridian.sink_position(name text) RETURNS text
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT format('%s,%s,%s', s.commit_lsn, s.change_lsn, s.event_index) FROM meridian.stream s WHERE s.name = 'sink_' || $1 AND s.commit_lsn IS NOT NULL
$$;
COMMENT ON FUNCTION meridian.sink_position(text) IS 'Position of the last event that a sink has delivered; NULL if it has none.';
REVOKE ALL ON FUNCTION meridian.sink_position(text) FROM PUBLIC;

CREATE FUNCTION meridian.sink_advanced(name text, "position" text, events bigint, bytes bigint, batches bigint, retries bigint, skipped bigint) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM meridian.ack_changes('sink_' || name, "position");
  UPDATE meridian.sink_progress p
     SET events = p.events + sink_advanced.events, bytes = p.bytes + sink_advanced.bytes, batches = p.batches + sink_advanced.batches,
         retries = p.retries + sink_advanced.retries, skipped = p.skipped + sink_advanced.skipped, last_batch = sink_advanced.events,
         delivered_at = clock_timestamp(), seen_at = clock_timestamp(),
         rate = CASE WHEN r.ends THEN (p.rate_events + sink_advanced.events) / r.seconds ELSE p.rate END,
         rate_from = CASE WHEN r.ends THEN clock_timestamp() ELSE p.rate_from END,
         rate_events = CASE WHEN r.ends THEN 0 ELSE p.rate_events + sink_advanced.events END
    FROM (SELECT t.seconds, t.seconds >= 10 AS ends
            FROM meridian.sink_progress q
           CROSS JOIN LATERAL (SELECT extract(epoch FROM clock_timestamp() - q.rate_from) AS seconds) t
           WHERE q.name = sink_advanced.name) r
   WHERE p.name = sink_advanced.name;
END
$$;
COMMENT ON FUNCTION meridian.sink_advanced(text, text, bigint, bigint, bigint, bigint, bigint) IS 'A sink has delivered everything up to a position.';
REVOKE ALL ON FUNCTION meridian.sink_advanced(text, text, bigint, bigint, bigint, bigint, bigint) FROM PUBLIC;

CREATE FUNCTION meridian.sink_reported(name text, state text, error text) RETURNS void
  LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
  UPDATE meridian.sink_progress p
     SET state = $2, seen_at = clock_timestamp(), error = COALESCE($3, p.error), error_at = CASE WHEN $3 IS NULL THEN p.error_at ELSE clock_timestamp() END
   WHERE p.name = $1
$$;
COMMENT ON FUNCTION meridian.sink_reported(text, text, text) IS 'A sink says how it is.';
REVOKE ALL ON FUNCTION meridian.sink_reported(text, text, text) FROM PUBLIC;

CREATE FUNCTION meridian.sink_ended(name text, pid integer, how text) RETURNS void
  LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
  UPDATE meridian.sink_progress p SET state = 'failed', error = $3, error_at = clock_timestamp()
   WHERE p.name = $1 AND COALESCE(p.pid, $2) = $2 AND p.state NOT IN ('failed', 'stopped', 'ended')
$$;
COMMENT ON FUNCTION meridian.sink_ended(text, integer, text) IS 'Who runs the program of a sink says that it ended, unless the program has said why itself.';
REVOKE ALL ON FUNCTION meridian.sink_ended(text, integer, text) FROM PUBLIC;

-- As is_over() in src/core/succession.hpp.
CREATE FUNCTION meridian.sinks_are_fenced() RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
  SELECT EXISTS (SELECT FROM meridian.local_member l JOIN meridian.reign r ON r.member = l.member
                  WHERE CASE WHEN r.system_id <> l.system_id THEN l.epoch <= r.epoch
                             WHEN r.timeline <> l.timeline THEN l.timeline < r.timeline
                             ELSE l.epoch < r.epoch END)
      OR EXISTS (SELECT FROM meridian.identity i WHERE i.member IS NOT NULL AND NOT i.confirmed)
$$;
COMMENT ON FUNCTION meridian.sinks_are_fenced() IS 'Whether this server knows that it is not the one that writes for its member: it was left behind in a failover, or is a copy. Then its sinks deliver nothing.';
REVOKE ALL ON FUNCTION meridian.sinks_are_fenced() FROM PUBLIC;

CREATE FUNCTION meridian.sink_wish(name text) RETURNS text
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE meridian.sink_progress p SET seen_at = clock_timestamp() WHERE p.name = sink_wish.name AND p.seen_at < clock_timestamp() - interval '15 s';
  RETURN (SELECT CASE WHEN s.paused OR meridian.sinks_are_fenced() THEN 'pause' ELSE 'run' END FROM meridian.sink s WHERE s.name = sink_wish.name);
END
$$;
COMMENT ON FUNCTION meridian.sink_wish(text) IS 'What is wanted of a sink: run or pause; NULL if it was dropped.';
REVOKE ALL ON FUNCTION meridian.sink_wish(text) FROM PUBLIC;

CREATE FUNCTION meridian.sinks_to_run() RETURNS TABLE (name text, silent boolean, busy boolean)
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT s.name, p.seen_at < now() - interval '2 minutes', r.active
    FROM meridian.sink s
    JOIN meridian.sink_progress p ON p.name = s.name
    JOIN meridian.stream t ON t.name = 'sink_' || s.name
    JOIN pg_replication_slots r ON r.slot_name = t.slot AND r.database = current_database() AND r.wal_status <> 'lost'
   WHERE p.state <> 'stopped' AND NOT meridian.sinks_are_fenced() ORDER BY s.name
$$;
COMMENT ON FUNCTION meridian.sinks_to_run() IS 'Sinks whose program is to run: none of those that have lost their slot, and none on a server that may not deliver (sinks_are_fenced()). silent: it was not heard of for two minutes; busy: its slot is in use.';
REVOKE ALL ON FUNCTION meridian.sinks_to_run() FROM PUBLIC;
