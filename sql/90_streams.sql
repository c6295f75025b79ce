-- Streams: changes of tables as events, consumed by SQL. A stream is a logical slot of the output plugin meridian_cdc and a
-- row that says how far its consumer is. docs/cdc.md describes the events.
--
-- ack_changes() changes the row only, so it is undone with its transaction. The slot follows when read_changes() comes the
-- next time, to what a finished transaction has acknowledged: moving a slot cannot be undone.

CREATE TABLE meridian.stream (
  name text PRIMARY KEY CHECK (name ~ '^[a-z0-9_]{1,50}$'),
  slot name NOT NULL UNIQUE,
  tables text[] NOT NULL,
  options jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  commit_lsn pg_lsn,
  change_lsn pg_lsn,
  event_index bigint,
  end_lsn pg_lsn,
  acked_at timestamptz,
  acked_by xid8
);
COMMENT ON TABLE meridian.stream IS 'Streams of this database, and what their consumers have acknowledged.';
COMMENT ON COLUMN meridian.stream.commit_lsn IS 'Commit of the transaction of the last acknowledged event; NULL if none was. Changes before it need not be kept.';
COMMENT ON COLUMN meridian.stream.change_lsn IS 'LSN of that event.';
COMMENT ON COLUMN meridian.stream.event_index IS 'Its place in its transaction, from 0.';
COMMENT ON COLUMN meridian.stream.end_lsn IS 'Behind that commit, if the event is the last of its transaction: changes before this need not be kept.';
COMMENT ON COLUMN meridian.stream.acked_by IS 'The transaction that acknowledged.';

CREATE FUNCTION meridian.check_stream_options(options text[]) RETURNS void
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_check_stream_options';
COMMENT ON FUNCTION meridian.check_stream_options(text[]) IS 'Raises 22023 if a stream cannot have these options: names and values in turn, as the output plugin takes them.';
REVOKE ALL ON FUNCTION meridian.check_stream_options(text[]) FROM PUBLIC;

CREATE FUNCTION meridian.event_parts(frame text, OUT "position" text, OUT topic text, OUT key text, OUT value text, OUT headers text)
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_event_parts';
COMMENT ON FUNCTION meridian.event_parts(text) IS 'Takes a message of the output plugin in format=event apart. The value is NULL in a tombstone.';

CREATE FUNCTION meridian.position_parts("position" text, OUT commit_lsn pg_lsn, OUT change_lsn pg_lsn, OUT event_index bigint, OUT end_lsn pg_lsn)
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_position_parts';
COMMENT ON FUNCTION meridian.position_parts(text) IS 'Takes the position of an event apart. end_lsn is NULL unless the event is the last of its transaction.';

CREATE FUNCTION meridian.stream_arguments(tables text[], options jsonb) RETURNS text[]
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE WHEN tables = '{}' THEN '{}'::text[] ELSE ARRAY['tables', array_to_string(tables, ', ')] END
      || COALESCE((SELECT array_agg(a.argument ORDER BY o.key COLLATE "C", a.place)
                     FROM jsonb_each_text(options) o
                    CROSS JOIN LATERAL (VALUES (1, o.key), (2, COALESCE(o.value, ''))) a(place, argument)), '{}')
$$;
COMMENT ON FUNCTION meridian.stream_arguments(text[], jsonb) IS 'Options of a stream as the output plugin takes them: names and values in turn.';
REVOKE ALL ON FUNCTION meridian.stream_arguments(text[], jsonb) FROM PUBLIC;

CREATE FUNCTION meridian.stream_tables(tables text[]) RETURNS text[]
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  each text;
  names text[] := '{}';
  found regclass;
BEGIN
  FOREACH each IN ARRAY COALESCE(tables, '{}') LOOP
    IF each LIKE '%*%' THEN
      names := names || each;
      CONTINUE;
    END IF;
    found := to_regclass(each);
    IF found IS NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'undefined_table', MESSAGE = format('table "%s" does not exist', each),
        HINT = 'Write schema.table; * stands for any characters, and a pattern may match tables that are still to come.';
    END IF;
    names := names || (SELECT format('"%s"."%s"', replace(n.nspname, '"', '""'), replace(c.relname, '"', '""'))
                         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = found);
  END LOOP;
  RETURN names;
END
$$;
COMMENT ON FUNCTION meridian.stream_tables(text[]) IS 'Names of tables as patterns of the output plugin; raises 42P01 if one does not exist.';
REVOKE ALL ON FUNCTION meridian.stream_tables(text[]) FROM PUBLIC;

CREATE FUNCTION meridian.require_stream_plugin() RETURNS void
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  line text := meridian.plugin_line('meridian_cdc');
BEGIN
  IF line IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = 'this server does not load the output plugin meridian_cdc',
      DETAIL = 'It loads only the plugins that output_plugin_libraries lists.',
      HINT = format('Put this line into postgresql.conf, then SELECT pg_reload_conf(): %s', line);
  END IF;
END
$$;
COMMENT ON FUNCTION meridian.require_stream_plugin() IS 'Raises 55000 with the line that is missing in postgresql.conf, if one is.';
REVOKE ALL ON FUNCTION meridian.require_stream_plugin() FROM PUBLIC;

CREATE FUNCTION meridian.find_stream(name text) RETURNS meridian.stream
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  s meridian.stream;
BEGIN
  SELECT * INTO s FROM meridian.stream t WHERE t.name = find_stream.name;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('stream "%s" does not exist', name),
      HINT = 'The view meridian.streams lists those that do.';
  END IF;
  RETURN s;
END
$$;
COMMENT ON FUNCTION meridian.find_stream(text) IS 'The row of a stream; raises 42704 if there is none.';
REVOKE ALL ON FUNCTION meridian.find_stream(text) FROM PUBLIC;

CREATE FUNCTION meridian.stream_slots(name text) RETURNS name[]
  LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT ARRAY['meridian_cdc_' || $1, 'meridian_cdc2_' || $1]::name[] $$;
COMMENT ON FUNCTION meridian.stream_slots(text) IS 'The names that the slot of a stream can have; renew_stream_slot() goes from one to the other.';
REVOKE ALL ON FUNCTION meridian.stream_slots(text) FROM PUBLIC;

CREATE FUNCTION meridian.drop_stream_slots(slots name[]) RETURNS void
  LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT pg_drop_replication_slot(r.slot_name) FROM pg_replication_slots r
   WHERE r.slot_name = ANY ($1) AND r.plugin = 'meridian_cdc' AND r.database = current_database()
$$;
COMMENT ON FUNCTION meridian.drop_stream_slots(name[]) IS 'Drops those of these slots that there are.';
REVOKE ALL ON FUNCTION meridian.drop_stream_slots(name[]) FROM PUBLIC;

-- The only place that knows what the versions of PostgreSQL can: slots that synchronized standbys take over (17 and later).
CREATE FUNCTION meridian.make_stream_slot(slot name) RETURNS pg_lsn
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  failover text := '';
  start pg_lsn;
BEGIN
  IF meridian.can_fail_over() THEN
    failover := ', failover => true';
  END IF;
  EXECUTE format('SELECT c.lsn FROM pg_create_logical_replication_slot($1, ''meridian_cdc''%s) c', failover) INTO start USING slot;
  RETURN start;
END
$$;
COMMENT ON FUNCTION meridian.make_stream_slot(name) IS 'Makes the slot of a stream, one that survives a promotion where PostgreSQL has such (17 and later).';
REVOKE ALL ON FUNCTION meridian.make_stream_slot(name) FROM PUBLIC;

CREATE FUNCTION meridian.renew_stream_slot(name text) RETURNS pg_lsn
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  s meridian.stream := meridian.find_stream(name);
  fresh name;
  start pg_lsn;
BEGIN
  -- Another name: if this transaction is undone, the new slot stays, and must not be taken for one that has everything.
  SELECT n.slot INTO fresh FROM unnest(meridian.stream_slots(s.name)) n(slot) WHERE n.slot <> s.slot LIMIT 1;
  PERFORM meridian.drop_stream_slots(ARRAY[fresh]);
  start := meridian.make_stream_slot(fresh);
  UPDATE meridian.stream t SET slot = fresh WHERE t.name = s.name;
  PERFORM meridian.drop_stream_slots(ARRAY[s.slot]);
  RETURN start;
END
$$;
COMMENT ON FUNCTION meridian.renew_stream_slot(text) IS 'Gives a stream another slot, from whose position, which is returned, it goes on.';
REVOKE ALL ON FUNCTION meridian.renew_stream_slot(text) FROM PUBLIC;

CREATE FUNCTION meridian.warn_of_failover() RETURNS void
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  missing text;
BEGIN
  SELECT string_agg(i.fix, E'\n') INTO missing FROM meridian.failover_items() i WHERE NOT i.ok;
  IF missing IS NOT NULL THEN
    RAISE NOTICE USING MESSAGE = 'the promotion of a standby may lose this stream', DETAIL = 'Missing here: ' || missing,
      HINT = 'SELECT * FROM meridian.check_config(''cdc'') WHERE NOT ok; here, and on the standby.';
  END IF;
END
$$;
COMMENT ON FUNCTION meridian.warn_of_failover() IS 'Tells the caller of create_stream() and create_sink() what is missing on this server so that a promotion does not lose the stream.';
REVOKE ALL ON FUNCTION meridian.warn_of_failover() FROM PUBLIC;

CREATE FUNCTION meridian.create_stream(name text, tables text[], options jsonb DEFAULT '{}') RETURNS pg_lsn
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  slots name[] := meridian.stream_slots(name);
  patterns text[];
  start pg_lsn;
BEGIN
  IF name IS NULL OR name !~ '^[a-z0-9_]{1,50}$' THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_name', MESSAGE = format('"%s" is not the name of a stream', name),
      HINT = 'Up to 50 lower-case letters, digits and underscores.';
  ELSIF options IS NULL OR jsonb_typeof(options) <> 'object' THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'options of a stream must be a JSON object',
      HINT = 'Options are listed in docs/cdc.md; {} if there are none.';
  ELSIF options ? 'tables' THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'tables of a stream are not an option',
      HINT = 'Name them in the second argument of create_stream().';
  ELSIF pg_current_xact_id_if_assigned() IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'active_sql_transaction', MESSAGE = 'create_stream() cannot run in a transaction that has written',
      HINT = 'A slot begins where no transaction is open: call it in a transaction of its own.';
  ELSIF current_setting('wal_level') <> 'logical' THEN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = 'streams need wal_level = logical',
      HINT = 'Put wal_level = logical into postgresql.conf and restart the server.';
  END IF;
  PERFORM meridian.require_stream_plugin();
  PERFORM pg_advisory_xact_lock(hashtextextended('meridian.stream ' || name, 0));
  IF EXISTS (SELECT FROM meridian.stream s WHERE s.name = create_stream.name) THEN
    RAISE EXCEPTION USING ERRCODE = 'duplicate_object', MESSAGE = format('stream "%s" exists already', name),
      HINT = format('SELECT meridian.drop_stream(%L) removes it.', name);
  END IF;
  patterns := meridian.stream_tables(tables);
  PERFORM meridian.check_stream_options(meridian.stream_arguments(patterns, options));
  -- What a call that was undone has left.
  PERFORM meridian.drop_stream_slots(slots);
  start := meridian.make_stream_slot(slots[1]);
  INSERT INTO meridian.stream (name, slot, tables, options) VALUES (create_stream.name, slots[1], patterns, create_stream.options);
  PERFORM meridian.warn_of_failover();
  RETURN start;
END
$$;
COMMENT ON FUNCTION meridian.create_stream(text, text[], jsonb) IS 'Begins a stream of the changes of these tables (patterns like public.*; NULL or an empty array: all), and returns the position from which on it has them. Options: docs/cdc.md. Waits for open transactions.';
REVOKE ALL ON FUNCTION meridian.create_stream(text, text[], jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.create_stream(text, text[], jsonb) TO meridian_admin;

CREATE FUNCTION meridian.require_stream_slot(stream meridian.stream) RETURNS pg_lsn
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  slot pg_replication_slots;
BEGIN
  SELECT r.* INTO slot FROM pg_replication_slots r WHERE r.slot_name = stream.slot AND r.database = current_database();
  IF NOT FOUND OR slot.wal_status = 'lost' THEN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = format('stream "%s" has lost changes', stream.name),
      DETAIL = CASE WHEN slot.slot_name IS NULL THEN format('Replication slot "%s" does not exist on this server.', stream.slot)
                    ELSE format('Replication slot "%s" was invalidated: most often it was behind by more than max_slot_wal_keep_size.', stream.slot) END,
      HINT = format('Drop and create it again, then read the tables: SELECT meridian.drop_stream(%L).', stream.name);
  END IF;
  RETURN slot.confirmed_flush_lsn;
END
$$;
COMMENT ON FUNCTION meridian.require_stream_slot(meridian.stream) IS 'What the stream''s slot was last told that its consumer has; raises 55000 if the slot is lost.';
REVOKE ALL ON FUNCTION meridian.require_stream_slot(meridian.stream) FROM PUBLIC;

CREATE FUNCTION meridian.read_changes(name text, max_changes integer DEFAULT 1000)
  RETURNS TABLE ("position" text, topic text, key jsonb, value jsonb)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  s meridian.stream := meridian.find_stream(name);
  confirmed pg_lsn;
  reachable pg_lsn;
  arguments text[];
  settled boolean;
BEGIN
  IF max_changes IS NULL OR max_changes < 1 THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'max_changes must be at least 1',
      HINT = 'It bounds the number of events that one call returns.';
  END IF;
  PERFORM meridian.require_stream_plugin();
  confirmed := meridian.require_stream_slot(s);
  settled := s.acked_by IS NULL OR s.acked_by IS DISTINCT FROM pg_current_xact_id_if_assigned();
  IF settled AND COALESCE(s.end_lsn, s.commit_lsn) > confirmed THEN
    SELECT a.end_lsn INTO confirmed FROM pg_replication_slot_advance(s.slot, COALESCE(s.end_lsn, s.commit_lsn)) a;
  END IF;
  arguments := meridian.stream_arguments(s.tables, s.options) || ARRAY['format', 'event', 'limit', max_changes::text];
  IF s.commit_lsn IS NOT NULL THEN
    arguments := arguments || ARRAY['after', format('%s,%s,%s', s.commit_lsn, s.change_lsn, s.event_index)];
  END IF;
  reachable := pg_current_wal_flush_lsn();
  RETURN QUERY
    SELECT e.position, e.topic, e.key::jsonb, e.value::jsonb
      FROM pg_logical_slot_peek_changes(s.slot, NULL, max_changes, VARIADIC arguments) WITH ORDINALITY c(lsn, xid, data, n)
     CROSS JOIN LATERAL meridian.event_parts(c.data) e
     ORDER BY c.n;
  -- Nothing for this consumer up to here: WAL of others' changes need not be kept for it.
  IF NOT FOUND AND settled AND reachable > confirmed THEN
    PERFORM pg_replication_slot_advance(s.slot, reachable);
  END IF;
END
$$;
COMMENT ON FUNCTION meridian.read_changes(text, integer) IS 'The next events of a stream, at most so many, in order: those behind the last acknowledged one. Reading again gives the same until ack_changes(). The value is NULL in a tombstone. One session at a time.';
REVOKE ALL ON FUNCTION meridian.read_changes(text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.read_changes(text, integer) TO meridian_admin;

CREATE FUNCTION meridian.ack_changes(name text, "position" text) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  s meridian.stream := meridian.find_stream(name);
  p record;
BEGIN
  IF "position" IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed', MESSAGE = 'the position to acknowledge is null',
      HINT = 'Acknowledge only if read_changes() has returned events.';
  END IF;
  p := meridian.position_parts("position");
  IF GREATEST(p.commit_lsn, p.change_lsn, p.end_lsn) > pg_current_wal_flush_lsn() THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('position "%s" is ahead of this server', "position"),
      HINT = 'Acknowledge a position that read_changes() has returned on this server.';
  END IF;
  UPDATE meridian.stream t
     SET commit_lsn = p.commit_lsn, change_lsn = p.change_lsn, event_index = p.event_index, end_lsn = p.end_lsn,
         acked_at = clock_timestamp(), acked_by = pg_current_xact_id()
   WHERE t.name = s.name
     AND (t.commit_lsn IS NULL OR (t.commit_lsn, t.event_index) < (p.commit_lsn, p.event_index));
END
$$;
COMMENT ON FUNCTION meridian.ack_changes(text, text) IS 'The consumer has this event and all before it: they are not read again once this transaction has committed. Acknowledging an older position does nothing.';
REVOKE ALL ON FUNCTION meridian.ack_changes(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.ack_changes(text, text) TO meridian_admin;

CREATE FUNCTION meridian.drop_stream(name text) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  s meridian.stream := meridian.find_stream(name);
BEGIN
  PERFORM meridian.drop_stream_slots(meridian.stream_slots(s.name));
  DELETE FROM meridian.stream t WHERE t.name = s.name;
END
$$;
COMMENT ON FUNCTION meridian.drop_stream(text) IS 'Ends a stream and drops its slot. What was not read is gone.';
REVOKE ALL ON FUNCTION meridian.drop_stream(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.drop_stream(text) TO meridian_admin;

CREATE FUNCTION meridian.wal_position() RETURNS pg_lsn
  LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$ SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END $$;
COMMENT ON FUNCTION meridian.wal_position() IS 'Where this server is in the WAL: written, or replayed on a standby.';

CREATE VIEW meridian.streams AS
  SELECT s.name, s.slot, s.tables, s.options - 'hash_salt' AS options,
         CASE WHEN r.slot_name IS NULL OR r.wal_status = 'lost' THEN 'lost' WHEN r.active THEN 'active' ELSE 'idle' END AS state,
         s.commit_lsn AS acked_lsn, s.acked_at,
         w.position - d.lsn AS lag_bytes,
         CASE WHEN w.position > d.lsn THEN clock_timestamp() - COALESCE(s.acked_at, s.created_at) ELSE interval '0' END AS lag_time,
         w.position - r.restart_lsn AS retained_wal, r.safe_wal_size, r.wal_status,
         (to_jsonb(r) ->> 'failover')::boolean AS failover
    FROM meridian.stream s
    LEFT JOIN pg_catalog.pg_replication_slots r ON r.slot_name = s.slot AND r.database = pg_catalog.current_database()
    CROSS JOIN (SELECT meridian.wal_position() AS position) w
    CROSS JOIN LATERAL (SELECT GREATEST(COALESCE(s.end_lsn, s.commit_lsn), r.confirmed_flush_lsn) AS lsn) d;
COMMENT ON VIEW meridian.streams IS 'Streams of this database and how far behind their consumers are.';
COMMENT ON COLUMN meridian.streams.options IS 'As create_stream() got them, without the salt.';
COMMENT ON COLUMN meridian.streams.state IS 'active: a session reads now. idle: none does. lost: the slot, and changes with it, are gone; drop_stream() and create_stream().';
COMMENT ON COLUMN meridian.streams.acked_lsn IS 'Commit of the transaction of the last acknowledged event.';
COMMENT ON COLUMN meridian.streams.acked_at IS 'When that was.';
COMMENT ON COLUMN meridian.streams.lag_bytes IS 'WAL that the consumer has not acknowledged, of other tables'' changes too.';
COMMENT ON COLUMN meridian.streams.lag_time IS 'Time since the last acknowledgement, or since the stream began; 0 if nothing was written since.';
COMMENT ON COLUMN meridian.streams.retained_wal IS 'Bytes of WAL that the server keeps for this stream.';
COMMENT ON COLUMN meridian.streams.safe_wal_size IS 'Bytes that can still be written before the stream may be lost; NULL if there is no limit (max_slot_wal_keep_size).';
COMMENT ON COLUMN meridian.streams.wal_status IS 'As in pg_replication_slots.';
COMMENT ON COLUMN meridian.streams.failover IS 'Whether standbys can take the slot over, and with it the stream when they are promoted; NULL: PostgreSQL before 17 has no such slots. See check_config(''cdc'').';
GRANT SELECT ON meridian.streams TO meridian_admin, pg_monitor;
