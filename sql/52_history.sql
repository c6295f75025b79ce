-- The conflict history: concurrent writes that met on this node, kept by time.
--
-- One partition per day, or per week if entries are kept for more than 60 days, so that old entries go with whole partitions. The
-- keeper makes them two ahead. What finds none (the keeper was away) stays in the default partition until it is old. Making and dropping
-- a partition needs the table for a moment: neither waits for it, so that nobody waits behind them; the keeper comes back.

CREATE TABLE meridian.conflict_history (
  id bigint GENERATED ALWAYS AS IDENTITY,
  occurred_at timestamptz NOT NULL,
  rel regclass NOT NULL,
  key jsonb NOT NULL,
  kind text NOT NULL,
  winner text NOT NULL,
  rule text NOT NULL,
  local_row jsonb,
  remote_row jsonb,
  local_stamp bigint NOT NULL,
  local_actor bigint NOT NULL,
  remote_stamp bigint NOT NULL,
  remote_actor bigint NOT NULL,
  PRIMARY KEY (id, occurred_at)
) PARTITION BY RANGE (occurred_at);
COMMENT ON TABLE meridian.conflict_history IS 'Concurrent writes that met on this node, and how each was decided. Local, not replicated; read view meridian.conflicts.';
CREATE TABLE meridian.conflict_history_default PARTITION OF meridian.conflict_history DEFAULT;
COMMENT ON TABLE meridian.conflict_history_default IS 'Entries of a time for which the keeper had made no partition.';
REVOKE ALL ON meridian.conflict_history, meridian.conflict_history_default FROM PUBLIC;
GRANT SELECT ON meridian.conflict_history TO meridian_admin;

CREATE FUNCTION meridian.conflict_partitions() RETURNS TABLE (partition regclass, since timestamptz, until timestamptz)
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO'
AS $$
  SELECT c.oid::regclass, bound[1]::timestamptz, bound[2]::timestamptz
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN regexp_match(pg_get_expr(c.relpartbound, c.oid), '^FOR VALUES FROM \(''(.*)''\) TO \(''(.*)''\)$') bound
   WHERE i.inhparent = 'meridian.conflict_history'::regclass AND bound IS NOT NULL
   ORDER BY 2
$$;
COMMENT ON FUNCTION meridian.conflict_partitions() IS 'Partitions of the conflict history, without the default one, and which times each holds: since <= occurred_at < until.';

CREATE FUNCTION meridian.prepare_conflicts(at timestamptz, width interval) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO'
AS $$
DECLARE
  since timestamptz := GREATEST(date_trunc('day', at), (SELECT max(p.until) FROM meridian.conflict_partitions() p));
  until timestamptz;
  name text;
  made integer := 0;
BEGIN
  IF since >= at + 2 * width THEN
    RETURN 0;
  END IF;
  LOCK TABLE ONLY meridian.conflict_history, ONLY meridian.conflict_history_default IN ACCESS EXCLUSIVE MODE NOWAIT;
  -- What the default partition has taken over, it keeps.
  since := GREATEST(since, (SELECT max(d.occurred_at) + interval '1 microsecond' FROM meridian.conflict_history_default d));
  WHILE since < at + 2 * width LOOP
    until := date_trunc('day', since) + width;
    name := 'conflict_history_' || to_char(since, 'YYYYMMDD');
    EXECUTE format('CREATE TABLE meridian.%I PARTITION OF meridian.conflict_history FOR VALUES FROM (%L) TO (%L)', name, since, until);
    EXECUTE format('REVOKE ALL ON meridian.%I FROM PUBLIC', name);
    -- As a part of the extension it is not dumped, like the table. The script of the extension makes it one by itself.
    IF NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = format('meridian.%I', name)::regclass AND d.deptype = 'e') THEN
      EXECUTE format('ALTER EXTENSION meridian ADD TABLE meridian.%I', name);
    END IF;
    since := until;
    made := made + 1;
  END LOOP;
  RETURN made;
END
$$;
COMMENT ON FUNCTION meridian.prepare_conflicts(timestamptz, interval) IS 'Makes the partitions of the conflict history, each so many days wide, that will be needed from a time on; returns how many were missing.';
REVOKE ALL ON FUNCTION meridian.prepare_conflicts(timestamptz, interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.prepare_conflicts(timestamptz, interval) TO meridian_admin;
SELECT meridian.prepare_conflicts(now(), '1 day');

CREATE FUNCTION meridian.expire_conflicts(before timestamptz) RETURNS integer
  LANGUAGE plpgsql STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  expired regclass;
  dropped integer := 0;
BEGIN
  FOR expired IN SELECT p.partition FROM meridian.conflict_partitions() p WHERE p.until <= before LOOP
    EXECUTE format('LOCK TABLE ONLY meridian.conflict_history, ONLY %s IN ACCESS EXCLUSIVE MODE NOWAIT', expired);
    EXECUTE format('ALTER EXTENSION meridian DROP TABLE %s', expired);
    EXECUTE format('DROP TABLE %s', expired);
    dropped := dropped + 1;
  END LOOP;
  DELETE FROM meridian.conflict_history_default d WHERE d.occurred_at < before;
  RETURN dropped;
END
$$;
COMMENT ON FUNCTION meridian.expire_conflicts(timestamptz) IS 'Drops the partitions of the conflict history that hold only entries from before a time, and such entries of the default partition; returns the number of partitions. Fails at once, and can be repeated, while somebody reads or writes the history.';
REVOKE ALL ON FUNCTION meridian.expire_conflicts(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.expire_conflicts(timestamptz) TO meridian_admin;

CREATE FUNCTION meridian.keep_conflicts(at timestamptz) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  retention interval := NULLIF(current_setting('meridian.conflict_retention'), '-1')::interval;
BEGIN
  BEGIN
    PERFORM meridian.prepare_conflicts(at, CASE WHEN retention <= interval '60 days' THEN interval '1 day' ELSE interval '7 days' END);
    PERFORM meridian.expire_conflicts(at - retention);
  EXCEPTION WHEN lock_not_available THEN
    RETURN;
  END;
END
$$;
COMMENT ON FUNCTION meridian.keep_conflicts(timestamptz) IS 'What the keeper does with the conflict history every minute: makes partitions ahead, and drops those that are older than meridian.conflict_retention. Does nothing while somebody reads or writes the history.';
REVOKE ALL ON FUNCTION meridian.keep_conflicts(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.keep_conflicts(timestamptz) TO meridian_admin;

-- Reading ----------------------------------------------------------------------------------------------------------

CREATE FUNCTION meridian.node_name(actor bigint) RETURNS text
  LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
  AS $$ SELECT CASE WHEN actor = 0 THEN 'before replication'
                    ELSE coalesce((SELECT m.name FROM meridian.member m WHERE m.id = (actor & 65535)::integer),
                                  'member ' || (actor & 65535)) END $$;
COMMENT ON FUNCTION meridian.node_name(bigint) IS 'Name of the member that an actor belongs to.';

CREATE VIEW meridian.conflicts WITH (security_barrier) AS
  SELECT h.id, h.occurred_at, h.rel, h.key, h.kind, h.winner, h.rule, h.local_row, h.remote_row,
         CASE WHEN h.rule LIKE 'row=lww(%' THEN NULL WHEN h.local_stamp > 0 THEN meridian.hlc_time(h.local_stamp) END AS local_time,
         meridian.node_name(h.local_actor) AS local_node,
         CASE WHEN h.rule LIKE 'row=lww(%' THEN NULL WHEN h.remote_stamp > 0 THEN meridian.hlc_time(h.remote_stamp) END AS remote_time,
         meridian.node_name(h.remote_actor) AS remote_node,
         h.local_stamp, h.remote_stamp
  FROM meridian.conflict_history h
  WHERE pg_catalog.has_table_privilege(h.rel, 'SELECT')
    AND NOT pg_catalog.row_security_active(h.rel);
COMMENT ON VIEW meridian.conflicts IS 'Concurrent writes that met on this node: both rows, both stamps, and who won. Rows of tables that the reader may SELECT as a whole; tables with row security are for their owner.';
GRANT SELECT ON meridian.conflicts TO PUBLIC;

CREATE FUNCTION meridian.conflict_sentence(rel text, key text, kind text, winner text, rule text, local_node text, local_time text,
    remote_node text, remote_time text) RETURNS text
  LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_conflict_sentence';
COMMENT ON FUNCTION meridian.conflict_sentence(text, text, text, text, text, text, text, text, text) IS 'The text of explain_conflict(), from the columns of an entry.';

CREATE FUNCTION meridian.explain_conflict(id bigint) RETURNS text
  LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT meridian.conflict_sentence(c.rel::text, c.key::text, c.kind, c.winner, c.rule, c.local_node, c.local_time::text,
                                    c.remote_node, c.remote_time::text)
    FROM meridian.conflicts c WHERE c.id = $1
$$;
COMMENT ON FUNCTION meridian.explain_conflict(bigint) IS 'An entry of meridian.conflicts in plain words: what the two nodes did, when, who won by which rule, and where the other''s values are. NULL if there is no such entry, or none that the caller may see.';
