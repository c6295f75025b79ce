-- The steps by which a table is attached, published and detached on one node; see 40_tables.sql for the checks before.

CREATE FUNCTION meridian.set_key_filling(rel regclass, ids text, keys name[], above bigint) RETURNS jsonb
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  k record;
  step constant bigint := 64;
  member integer := (SELECT l.member FROM meridian.local_member l);
  undo jsonb := '[]';
  increment bigint;
  start bigint;
  last bigint;
BEGIN
  IF ids = 'keep' THEN
    RETURN undo;
  END IF;
  FOR k IN SELECT * FROM meridian.key_columns(rel) c WHERE c.name = ANY (keys) LOOP
    IF k.expression = 'meridian.next_id()' THEN
      CONTINUE;
    END IF;
    SELECT s.seqincrement, s.seqstart INTO increment, start FROM pg_sequence s WHERE s.seqrelid = k.sequence;
    last := NULL;
    IF k.sequence IS NOT NULL THEN
      EXECUTE format('SELECT last_value FROM %s', k.sequence) INTO last;
    END IF;
    undo := undo || jsonb_strip_nulls(jsonb_build_object('column', k.name, 'identity', NULLIF(k.identity, ''), 'default', k.expression,
      'sequence', k.sequence::text, 'last', last, 'increment', increment, 'start', start));
    IF ids = 'global' THEN
      IF k.identity <> '' THEN
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP IDENTITY', rel, k.name);
      END IF;
      EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT meridian.next_id()', rel, k.name);
    ELSE
      IF member >= step THEN
        RAISE EXCEPTION USING ERRCODE = 'program_limit_exceeded', MESSAGE = format('member %s has no residue of its own in steps of %s', member, step),
          HINT = 'ids=stepped serves members 1 to 63; use ids=global.';
      END IF;
      -- Also TRUNCATE ... RESTART IDENTITY begins at a number of this member.
      EXECUTE format('ALTER SEQUENCE %s INCREMENT BY %s START WITH %s RESTART', k.sequence, step,
                     above + 1 + (member - (above + 1) % step + step) % step);
    END IF;
  END LOOP;
  RETURN undo;
END
$$;
COMMENT ON FUNCTION meridian.set_key_filling(regclass, text, name[], bigint) IS 'Step: gives key columns meridian.next_id(), or a sequence that counts in steps of 64 from this member''s residue above the number; returns what was there before.';
REVOKE ALL ON FUNCTION meridian.set_key_filling(regclass, text, name[], bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.set_key_filling(regclass, text, name[], bigint) TO meridian_admin;

CREATE FUNCTION meridian.restore_key_filling(rel regclass, undo jsonb) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  k record;
  largest bigint;
BEGIN
  FOR k IN SELECT * FROM jsonb_to_recordset(undo) AS u("column" name, identity text, "default" text, sequence text, last bigint, increment bigint, start bigint) LOOP
    IF NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = rel AND a.attname = k."column" AND NOT a.attisdropped) THEN
      CONTINUE;
    END IF;
    IF k.sequence IS NULL THEN
      EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', rel, k."column");
      IF k."default" IS NOT NULL THEN
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT %s', rel, k."column", k."default");
      END IF;
      CONTINUE;
    END IF;
    EXECUTE format('SELECT max(%I)::bigint FROM %s', k."column", rel) INTO largest;
    largest := GREATEST(largest, k.last, 1);
    IF k.identity IS NOT NULL THEN
      IF NOT EXISTS (SELECT FROM meridian.key_columns(rel) c WHERE c.name = k."column" AND c.identity <> '') THEN
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', rel, k."column");
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I ADD GENERATED %s AS IDENTITY (INCREMENT BY %s)', rel, k."column",
                       CASE k.identity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END, k.increment);
      END IF;
      k.sequence := (SELECT c.sequence::text FROM meridian.key_columns(rel) c WHERE c.name = k."column");
    ELSIF to_regclass(k.sequence) IS NULL THEN
      CONTINUE;
    ELSE
      EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT %s', rel, k."column", k."default");
    END IF;
    EXECUTE format('ALTER SEQUENCE %s INCREMENT BY %s START WITH %s', k.sequence, k.increment, k.start);
    IF EXISTS (SELECT FROM pg_sequence s WHERE s.seqrelid = to_regclass(k.sequence) AND largest BETWEEN s.seqmin AND s.seqmax) THEN
      PERFORM setval(to_regclass(k.sequence), largest);
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION meridian.restore_key_filling(regclass, jsonb) IS 'Step: undoes set_key_filling(); sequences go on above every number in the table.';
REVOKE ALL ON FUNCTION meridian.restore_key_filling(regclass, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.restore_key_filling(regclass, jsonb) TO meridian_admin;

CREATE FUNCTION meridian.guard_truncate(rel regclass) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  t regclass;
BEGIN
  FOR t IN SELECT rel UNION SELECT p.relid FROM pg_partition_tree(rel) p WHERE p.isleaf LOOP
    IF NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = t AND g.tgname = 'zz_meridian_truncate' AND g.tgenabled = 'A'
                      AND g.tgfoid = 'meridian.truncate()'::regprocedure) THEN
      EXECUTE format('CREATE OR REPLACE TRIGGER zz_meridian_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION meridian.truncate()', t);
      EXECUTE format('ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER zz_meridian_truncate', t);
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION meridian.guard_truncate(regclass) IS 'Step: gives a table and each of its partitions the TRUNCATE trigger, which PostgreSQL does not pass on.';
REVOKE ALL ON FUNCTION meridian.guard_truncate(regclass) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.guard_truncate(regclass) TO meridian_admin;

CREATE FUNCTION meridian.follow_partitions() RETURNS event_trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  t regclass;
BEGIN
  FOR t IN SELECT r.rel FROM meridian.replicated_table r JOIN pg_class c ON c.oid = r.rel AND c.relkind = 'p' LOOP
    PERFORM meridian.refuse_partitions(t), meridian.guard_truncate(t);
  END LOOP;
  IF t IS NOT NULL THEN
    FOR t IN SELECT g.tgrelid FROM pg_trigger g
              WHERE g.tgfoid = 'meridian.truncate()'::regprocedure AND g.tgname = 'zz_meridian_truncate'
                AND NOT EXISTS (SELECT FROM meridian.replicated_table r
                                 WHERE r.rel = g.tgrelid OR r.rel IN (SELECT a.relid FROM pg_partition_ancestors(g.tgrelid) a)) LOOP
      EXECUTE format('DROP TRIGGER zz_meridian_truncate ON %s', t);
    END LOOP;
  END IF;
END
$$;
COMMENT ON FUNCTION meridian.follow_partitions() IS 'Event trigger: what replicate() sees to for the partitions that are there, for those that are added or detached later.';
REVOKE ALL ON FUNCTION meridian.follow_partitions() FROM PUBLIC;
CREATE EVENT TRIGGER meridian_partitions ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE')
  EXECUTE FUNCTION meridian.follow_partitions();
ALTER EVENT TRIGGER meridian_partitions ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER meridian_partitions IS 'Refuses partitions that cannot be replicated, and guards others against TRUNCATE.';

CREATE FUNCTION meridian.attach_triggers(rel regclass, rules text[]) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  stamp_column text := (SELECT substr(r, 9, length(r) - 9) FROM unnest(rules) r WHERE r LIKE 'row=lww(%)');
  resolver text;
  t record;
BEGIN
  IF stamp_column IS NOT NULL THEN
    IF stamp_column LIKE '"%"' THEN
      stamp_column := replace(substr(stamp_column, 2, length(stamp_column) - 2), '""', '"');
    END IF;
    resolver := format('meridian.lww(%L)', stamp_column);
  ELSE
    resolver := format('meridian.resolve(%s)', (SELECT string_agg(quote_literal(r), ', ' ORDER BY n) FROM unnest(rules) WITH ORDINALITY u(r, n)));
    IF NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = rel AND a.attname = '_meridian' AND NOT a.attisdropped) THEN
      EXECUTE format('ALTER TABLE %s ADD COLUMN _meridian meridian.row_state', rel);
    END IF;
  END IF;
  -- Row triggers of a partitioned table are given to its partitions, also to later ones, by PostgreSQL.
  FOR t IN VALUES ('00_meridian_apply', 'BEFORE INSERT OR UPDATE'),
                  ('zz_meridian_stamp', 'BEFORE INSERT OR UPDATE'),
                  ('zz_meridian_insert', format('AFTER INSERT OR UPDATE OF %s', (SELECT string_agg(quote_ident(k.name), ', ') FROM meridian.key_columns(rel) k))),
                  ('zz_meridian_delete', 'AFTER DELETE')
  LOOP
    -- A schema dump of another member brings our triggers along.
    IF EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = rel AND g.tgname = t.column1) THEN
      EXECUTE format('DROP TRIGGER %I ON %s', t.column1, rel);
    END IF;
    EXECUTE format('CREATE TRIGGER %I %s ON %s FOR EACH ROW EXECUTE FUNCTION %s', t.column1, t.column2, rel, resolver);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', rel, t.column1);
  END LOOP;
  PERFORM meridian.guard_truncate(rel);
END
$$;
COMMENT ON FUNCTION meridian.attach_triggers(regclass, text[]) IS 'Step: adds the column and the triggers that the rules need.';
REVOKE ALL ON FUNCTION meridian.attach_triggers(regclass, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.attach_triggers(regclass, text[]) TO meridian_admin;

CREATE FUNCTION meridian.lock_table(rel regclass) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', rel);
END
$$;
COMMENT ON FUNCTION meridian.lock_table(regclass) IS 'Step: nobody reads or writes the table until the transaction ends.';
REVOKE ALL ON FUNCTION meridian.lock_table(regclass) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.lock_table(regclass) TO meridian_admin;

CREATE FUNCTION meridian.attach_table(id integer, rel regclass, rules text[], ids text, keys name[], above bigint) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM meridian.note_issued('table', id);
  -- A table that was dropped, and made again, takes its place.
  DELETE FROM meridian.replicated_table t WHERE t.id = attach_table.id AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.rel);
  IF EXISTS (SELECT FROM meridian.replicated_table t WHERE t.id = attach_table.id) THEN
    PERFORM meridian.attach_triggers(rel, rules);
    RETURN;
  END IF;
  INSERT INTO meridian.replicated_table (id, rel, rules, ids, keys, key_undo)
    VALUES (id, rel, rules, ids, keys, meridian.set_key_filling(rel, ids, keys, above));
  PERFORM meridian.attach_triggers(rel, rules);
END
$$;
COMMENT ON FUNCTION meridian.attach_table(integer, regclass, text[], text, name[], bigint) IS 'Step: the table stamps its writes and merges incoming ones from now on. Nothing leaves or arrives yet.';
REVOKE ALL ON FUNCTION meridian.attach_table(integer, regclass, text[], text, name[], bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.attach_table(integer, regclass, text[], text, name[], bigint) TO meridian_admin;

CREATE FUNCTION meridian.publish_table(id integer) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  rel regclass := (SELECT t.rel FROM meridian.replicated_table t WHERE t.id = publish_table.id);
BEGIN
  IF EXISTS (SELECT FROM pg_publication_rel pr JOIN pg_publication p ON p.oid = pr.prpubid
              WHERE p.pubname = 'meridian' AND pr.prrelid = rel) THEN
    RETURN;
  END IF;
  -- Without writers: what a running transaction still writes might leave by the old idea of the publication.
  EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', rel);
  EXECUTE format('ALTER PUBLICATION meridian ADD TABLE ONLY %s', rel);
END
$$;
COMMENT ON FUNCTION meridian.publish_table(integer) IS 'Step: changes of the table leave this node. Every node has it attached by now.';
REVOKE ALL ON FUNCTION meridian.publish_table(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.publish_table(integer) TO meridian_admin;

CREATE FUNCTION meridian.unpublish_table(id integer) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  relation oid := (SELECT t.rel FROM meridian.replicated_table t WHERE t.id = unpublish_table.id);
BEGIN
  IF EXISTS (SELECT FROM pg_publication_rel pr JOIN pg_publication p ON p.oid = pr.prpubid
              WHERE p.pubname = 'meridian' AND pr.prrelid = relation) THEN
    EXECUTE format('ALTER PUBLICATION meridian DROP TABLE ONLY %s', relation::regclass);
  END IF;
END
$$;
COMMENT ON FUNCTION meridian.unpublish_table(integer) IS 'Step: changes of the table do not leave this node any more.';
REVOKE ALL ON FUNCTION meridian.unpublish_table(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.unpublish_table(integer) TO meridian_admin;

CREATE FUNCTION meridian.detach_table(id integer) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  there meridian.replicated_table;
  t record;
BEGIN
  SELECT * INTO there FROM meridian.replicated_table r WHERE r.id = detach_table.id;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  PERFORM meridian.unpublish_table(id);
  -- First, or follow_partitions() would put its trigger back.
  DELETE FROM meridian.replicated_table r WHERE r.id = detach_table.id;
  IF EXISTS (SELECT FROM pg_class c WHERE c.oid = there.rel) THEN
    FOR t IN SELECT g.tgname, g.tgrelid::regclass AS rel FROM pg_trigger g
              WHERE (g.tgrelid = there.rel OR g.tgrelid IN (SELECT p.relid FROM pg_partition_tree(there.rel) p)) AND g.tgparentid = 0
                AND g.tgname IN ('00_meridian_apply', 'zz_meridian_stamp', 'zz_meridian_insert', 'zz_meridian_delete', 'zz_meridian_truncate') LOOP
      EXECUTE format('DROP TRIGGER %I ON %s', t.tgname, t.rel);
    END LOOP;
    IF EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = there.rel AND a.attname = '_meridian' AND NOT a.attisdropped
                  AND a.atttypid = 'meridian.row_state'::regtype) THEN
      EXECUTE format('ALTER TABLE %s DROP COLUMN _meridian', there.rel);
    END IF;
    PERFORM meridian.restore_key_filling(there.rel, there.key_undo);
  END IF;
  DELETE FROM meridian.tombstone d WHERE d.table_id = detach_table.id;
  DELETE FROM meridian.parked_image p WHERE p.rel = there.rel OR to_regclass((quote_ident(p.sent_schema) || '.' || quote_ident(p.sent_table))) = there.rel;
END
$$;
COMMENT ON FUNCTION meridian.detach_table(integer) IS 'Step: takes from the table what attach_table() and publish_table() gave it; its rows stay.';
REVOKE ALL ON FUNCTION meridian.detach_table(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.detach_table(integer) TO meridian_admin;

CREATE FUNCTION meridian.copied_columns(rel regclass) RETURNS text
  LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$
  SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname)
    FROM pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
$$;
COMMENT ON FUNCTION meridian.copied_columns(regclass) IS 'Step: the columns of a row image as a list for COPY, in an order that is the same on every node.';
REVOKE ALL ON FUNCTION meridian.copied_columns(regclass) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.copied_columns(regclass) TO meridian_admin;

CREATE FUNCTION meridian.blockers(waiting integer) RETURNS text
  LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
  WITH waiter AS (
    SELECT a.pid, a.wait_event FROM pg_stat_activity a WHERE a.pid = $1 AND a.wait_event_type = 'Lock'
  ), open AS (
    SELECT format('process %s (%s, user %s, %stransaction open since %s, %s)', a.pid, COALESCE(NULLIF(a.application_name, ''), a.backend_type),
                  COALESCE(a.usename, '-'), CASE WHEN a.backend_xid IS NOT NULL THEN format('xid %s, ', a.backend_xid) END,
                  date_trunc('second', COALESCE(a.xact_start, a.backend_start)), COALESCE(a.state, '-')) AS what, a.xact_start AS since
      FROM pg_stat_activity a, waiter w
     WHERE a.pid = ANY (pg_blocking_pids(w.pid))
        OR w.wait_event = 'transactionid' AND a.backend_xid IS NOT NULL AND a.pid <> w.pid
    UNION ALL
    SELECT format('prepared transaction %L (xid %s, since %s)', p.gid, p.transaction, date_trunc('second', p.prepared)), p.prepared
      FROM pg_prepared_xacts p, waiter w
     WHERE w.wait_event = 'transactionid' OR 0 = ANY (pg_blocking_pids(w.pid))
  )
  SELECT string_agg(what, '; ' ORDER BY since) FROM open
$$;
COMMENT ON FUNCTION meridian.blockers(integer) IS 'What the process waits for: open transactions and holders of locks. NULL if it waits for none.';
REVOKE ALL ON FUNCTION meridian.blockers(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.blockers(integer) TO meridian_admin;

-- Public functions -------------------------------------------------------------------------------------------------

CREATE FUNCTION meridian.own_dsn() RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT m.dsn FROM meridian.member m JOIN meridian.local_member l ON l.member = m.id $$;
COMMENT ON FUNCTION meridian.own_dsn() IS 'Connection string of this member; NULL if this database is in no mesh.';
REVOKE ALL ON FUNCTION meridian.own_dsn() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.own_dsn() TO meridian_admin;

CREATE FUNCTION meridian.replicate(rel regclass, VARIADIC rules text[] DEFAULT '{}') RETURNS void
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'meridian_replicate';
COMMENT ON FUNCTION meridian.replicate(regclass, text[]) IS 'Replicates a table on every node: rules are column=rule and the options delete=, ids=, row=lww(column). Called once, on any node; rows that exist reach all. A repeat with the same rules completes what is missing.';
REVOKE ALL ON FUNCTION meridian.replicate(regclass, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.replicate(regclass, text[]) TO meridian_admin;

CREATE FUNCTION meridian.unreplicate(rel regclass) RETURNS void
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'meridian_unreplicate';
COMMENT ON FUNCTION meridian.unreplicate(regclass) IS 'Ends the replication of a table on every node. Rows stay; column, triggers and tombstones go.';
REVOKE ALL ON FUNCTION meridian.unreplicate(regclass) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.unreplicate(regclass) TO meridian_admin;
