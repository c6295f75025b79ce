-- Replicated tables, and the checks before a table becomes one. The steps that follow are in 41_attach.sql.
--
-- replicate() and unreplicate() orchestrate these steps on every node, see src/pg/setup/README.md. All steps run with
-- the rights of the connection and a pinned search_path, so regclass prints as a qualified name.

CREATE TABLE meridian.replicated_table (
  id integer PRIMARY KEY CHECK (id > 0),
  rel regclass NOT NULL UNIQUE,
  rules text[] NOT NULL,
  added_at timestamptz NOT NULL DEFAULT now(),
  ids text NOT NULL CHECK (ids IN ('global', 'stepped', 'keep')),
  keys name[] NOT NULL,
  key_undo jsonb NOT NULL DEFAULT '[]',
  filled boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE meridian.replicated_table IS 'Tables that replicate() attached; id, rules and ids are the same on every member.';
COMMENT ON COLUMN meridian.replicated_table.id IS 'Number of the table in the mesh, never given twice.';
COMMENT ON COLUMN meridian.replicated_table.rel IS 'The table on this node.';
COMMENT ON COLUMN meridian.replicated_table.rules IS 'Rules in canonical form, without the ids option.';
COMMENT ON COLUMN meridian.replicated_table.added_at IS 'When the table was attached on this node.';
COMMENT ON COLUMN meridian.replicated_table.ids IS 'How key columns are filled: global (meridian.next_id()), stepped (a sequence in steps of 64), keep.';
COMMENT ON COLUMN meridian.replicated_table.keys IS 'Key columns that ids applies to.';
COMMENT ON COLUMN meridian.replicated_table.key_undo IS 'What those columns had before, for unreplicate().';
COMMENT ON COLUMN meridian.replicated_table.filled IS 'False while rows are copied between nodes outside the streams, and if that was cut off: its tombstones stay.';
REVOKE ALL ON meridian.replicated_table FROM PUBLIC;
GRANT SELECT ON meridian.replicated_table TO meridian_admin;

CREATE VIEW meridian.tables AS
  SELECT t.id, t.rel, t.rules, t.ids, t.added_at,
         c.oid IS NOT NULL AS exists,
         EXISTS (SELECT FROM pg_catalog.pg_publication_rel pr JOIN pg_catalog.pg_publication p ON p.oid = pr.prpubid
                  WHERE p.pubname = 'meridian' AND pr.prrelid = t.rel) AS published,
         (SELECT pg_catalog.count(DISTINCT (meridian.stream_of(s.subname)).member)
            FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_subscription_rel sr ON sr.srsubid = s.oid
           WHERE sr.srrelid = t.rel)::integer AS subscriptions
    FROM meridian.replicated_table t
    LEFT JOIN pg_catalog.pg_class c ON c.oid = t.rel;
COMMENT ON VIEW meridian.tables IS 'Replicated tables of this node.';
COMMENT ON COLUMN meridian.tables.id IS 'Number of the table in the mesh.';
COMMENT ON COLUMN meridian.tables.rel IS 'The table.';
COMMENT ON COLUMN meridian.tables.rules IS 'Rules in canonical form.';
COMMENT ON COLUMN meridian.tables.ids IS 'How key columns are filled: global, stepped or keep.';
COMMENT ON COLUMN meridian.tables.added_at IS 'When the table was attached on this node.';
COMMENT ON COLUMN meridian.tables.exists IS 'False if the table was dropped without unreplicate().';
COMMENT ON COLUMN meridian.tables.published IS 'Whether changes of this node leave it.';
COMMENT ON COLUMN meridian.tables.subscriptions IS 'From how many other members changes arrive.';
GRANT SELECT ON meridian.tables TO PUBLIC;

-- Checks -----------------------------------------------------------------------------------------------------------

CREATE FUNCTION meridian.table_shape(rel regclass) RETURNS jsonb
  LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$
  SELECT jsonb_build_object(
    'columns', (
      SELECT jsonb_object_agg(a.attname, jsonb_build_object(
               'type', format_type(a.atttypid, a.atttypmod) || COALESCE(
                 (SELECT ' (' || string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder) || ')' FROM pg_enum e WHERE e.enumtypid = a.atttypid), ''),
               'null', CASE WHEN a.attnotnull THEN 'not null' ELSE 'nullable' END,
               'generated', CASE WHEN a.attgenerated = '' THEN 'not generated'
                 ELSE 'generated as ' || (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d
                                           WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum) END,
               'collation', COALESCE((SELECT 'collation ' || quote_ident(n.nspname) || '.' || quote_ident(c.collname)
                                        FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
                                       WHERE c.oid = a.attcollation), 'no collation')))
        FROM pg_attribute a
       WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
         AND NOT (a.attname = '_meridian' AND a.atttypid = 'meridian.row_state'::regtype)),
    'key', (
      SELECT jsonb_agg(a.attname ORDER BY k.position)
        FROM pg_constraint c
        CROSS JOIN LATERAL unnest(c.conkey) WITH ORDINALITY k(attnum, position)
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum
       WHERE c.conrelid = $1 AND c.contype = 'p'))
$$;
COMMENT ON FUNCTION meridian.table_shape(regclass) IS 'What must be equal on every node: columns by name with type, nullability, generation and collation, and the primary key.';
REVOKE ALL ON FUNCTION meridian.table_shape(regclass) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.table_shape(regclass) TO meridian_admin;

CREATE FUNCTION meridian.compare_shapes(here jsonb, there jsonb) RETURNS TABLE (code text, difference text)
  LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE WHEN l.shape IS NULL OR r.shape IS NULL THEN '42P16' ELSE '42804' END,
         CASE WHEN r.shape IS NULL THEN format('column "%s" does not exist there', name)
              WHEN l.shape IS NULL THEN format('column "%s" exists only there', name)
              ELSE (SELECT format('column "%s" is %s here, %s there', name, string_agg(p.value, ', '), string_agg(q.value, ', '))
                      FROM jsonb_each_text(l.shape) p JOIN jsonb_each_text(r.shape) q USING (key) WHERE p.value <> q.value) END
    FROM jsonb_each($1 -> 'columns') l(name, shape) FULL JOIN jsonb_each($2 -> 'columns') r(name, shape) USING (name)
   WHERE l.shape IS DISTINCT FROM r.shape
   UNION ALL
  SELECT '42P16', format('the primary key is %s here, %s there', $1 -> 'key', $2 -> 'key')
   WHERE $1 -> 'key' IS DISTINCT FROM $2 -> 'key'
   ORDER BY 1, 2
$$;
COMMENT ON FUNCTION meridian.compare_shapes(jsonb, jsonb) IS 'What differs between two table shapes, with the SQLSTATE to report it by; no row if nothing does.';
REVOKE ALL ON FUNCTION meridian.compare_shapes(jsonb, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.compare_shapes(jsonb, jsonb) TO meridian_admin;

CREATE FUNCTION meridian.refuse_partitions(rel regclass) RETURNS void
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  p record;
BEGIN
  FOR p IN SELECT c.* FROM pg_partition_tree(rel) t JOIN pg_class c ON c.oid = t.relid WHERE t.isleaf ORDER BY t.relid::regclass::text LOOP
    IF p.relkind <> 'r' THEN
      RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = format('partition %s of %s is a foreign table', p.oid::regclass, rel),
        HINT = 'Only tables of this server can be replicated.';
    ELSIF p.relpersistence = 'u' THEN
      RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = format('partition %s of %s is unlogged', p.oid::regclass, rel),
        HINT = format('Its changes are not in the WAL: ALTER TABLE %s SET LOGGED', p.oid::regclass);
    ELSIF p.relforcerowsecurity THEN
      RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = format('partition %s of %s forces row-level security', p.oid::regclass, rel),
        HINT = format('Changes of peers are written as the table''s owner, and policies would hide rows from the merge: ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', p.oid::regclass);
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION meridian.refuse_partitions(regclass) IS 'Raises the reason for which the partitions of a table cannot be replicated, if there is one.';
REVOKE ALL ON FUNCTION meridian.refuse_partitions(regclass) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.refuse_partitions(regclass) TO meridian_admin;

CREATE FUNCTION meridian.refuse_table(rel regclass) RETURNS void
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c pg_class;
  kind text;
  can_defer boolean;
  reference record;
BEGIN
  SELECT * INTO c FROM pg_class WHERE oid = rel;
  kind := CASE c.relkind WHEN 'r' THEN NULL WHEN 'p' THEN NULL WHEN 'f' THEN 'a foreign table'
                         WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view' ELSE 'not a table' END;
  IF kind IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = format('%s is %s', rel, kind),
      HINT = 'Only tables, also partitioned ones, can be replicated.';
  ELSIF c.relispartition THEN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = format('%s is a partition', rel),
      HINT = format('Replicate the table that it is part of: %s', pg_partition_root(rel));
  ELSIF c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits i WHERE rel IN (i.inhrelid, i.inhparent)) THEN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = format('%s takes part in inheritance', rel),
      HINT = 'Only tables without parents and children can be replicated.';
  ELSIF c.relpersistence = 't' THEN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = format('%s is a temporary table', rel),
      HINT = 'Its rows exist for one session only; create an ordinary table.';
  ELSIF c.relpersistence = 'u' THEN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = format('%s is unlogged', rel),
      HINT = format('Its changes are not in the WAL: ALTER TABLE %s SET LOGGED', rel);
  ELSIF c.relnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'meridian'::regnamespace) THEN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = format('%s is a system table', rel),
      HINT = 'Only tables of your own can be replicated.';
  ELSIF c.relforcerowsecurity THEN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = format('%s forces row-level security', rel),
      HINT = format('Changes of peers are written as the table''s owner, and policies would hide rows from the merge: ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', rel);
  END IF;
  -- Columns travel in the binary form of their types; that of these is an oid, which each server gives out itself.
  FOR reference IN
    WITH RECURSIVE part(attname, type) AS (
      SELECT a.attname, a.atttypid FROM pg_attribute a WHERE a.attrelid = rel AND a.attnum > 0 AND NOT a.attisdropped
      UNION
      SELECT p.attname, inner_type.oid
        FROM part p
        JOIN pg_type t ON t.oid = p.type
        CROSS JOIN LATERAL (SELECT t.typbasetype UNION ALL SELECT t.typelem
                            UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)
                            UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) inner_type(oid)
       WHERE inner_type.oid <> 0)
    SELECT p.attname, format_type(p.type, NULL) AS type FROM part p
     WHERE p.type IN ('regclass'::regtype, 'regproc'::regtype, 'regprocedure'::regtype, 'regoper'::regtype, 'regoperator'::regtype, 'regtype'::regtype,
                      'regconfig'::regtype, 'regdictionary'::regtype, 'regrole'::regtype, 'regnamespace'::regtype, 'regcollation'::regtype)
     LIMIT 1
  LOOP
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = format('column "%s" of %s holds %s', reference.attname, rel, reference.type),
      DETAIL = 'Such a value is the number of an object of this server, which means another one, or none, elsewhere.',
      HINT = format('ALTER TABLE %s ALTER COLUMN %I TYPE text, on every node', rel, reference.attname);
  END LOOP;
  IF c.relkind = 'p' THEN
    PERFORM meridian.refuse_partitions(rel);
  END IF;
  SELECT p.condeferrable INTO can_defer FROM pg_constraint p WHERE p.conrelid = rel AND p.contype = 'p';
  IF can_defer IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_table_definition', MESSAGE = format('%s has no primary key', rel),
      HINT = format('Rows of different nodes are matched by it: ALTER TABLE %s ADD PRIMARY KEY (...), on every node', rel);
  ELSIF can_defer THEN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', MESSAGE = format('the primary key of %s is deferrable', rel),
      HINT = 'Create it NOT DEFERRABLE, on every node.';
  END IF;
  IF EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = rel AND a.attname = '_meridian' AND NOT a.attisdropped
                AND a.atttypid <> 'meridian.row_state'::regtype) THEN
    RAISE EXCEPTION USING ERRCODE = 'duplicate_column', MESSAGE = format('%s has a column "_meridian" of its own', rel),
      HINT = 'Replication needs this name for the state of the row; rename the column.';
  END IF;
END
$$;
COMMENT ON FUNCTION meridian.refuse_table(regclass) IS 'Raises the reason for which a table cannot be replicated, if there is one.';
REVOKE ALL ON FUNCTION meridian.refuse_table(regclass) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.refuse_table(regclass) TO meridian_admin;

CREATE FUNCTION meridian.key_columns(rel regclass)
  RETURNS TABLE (name name, type regtype, identity "char", sequence regclass, expression text)
  LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$
  SELECT a.attname, a.atttypid::regtype, a.attidentity,
         COALESCE((SELECT d.objid::regclass FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1
                      AND d.refobjsubid = a.attnum AND d.deptype = 'i' AND a.attidentity <> ''),
                  (SELECT d.refobjid::regclass FROM pg_depend d JOIN pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
                    WHERE d.classid = 'pg_attrdef'::regclass AND d.objid = e.oid AND d.refclassid = 'pg_class'::regclass LIMIT 1)),
         pg_get_expr(e.adbin, e.adrelid)
    FROM pg_constraint c
    JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
    LEFT JOIN pg_attrdef e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
   WHERE c.conrelid = $1 AND c.contype = 'p'
   ORDER BY a.attnum
$$;
COMMENT ON FUNCTION meridian.key_columns(regclass) IS 'Primary key columns with the identity, sequence or default that fills them.';
REVOKE ALL ON FUNCTION meridian.key_columns(regclass) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.key_columns(regclass) TO meridian_admin;

CREATE FUNCTION meridian.choose_ids(rel regclass, wanted text, OUT ids text, OUT keys name[])
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  misfit record;
BEGIN
  SELECT COALESCE(array_agg(k.name ORDER BY k.name), '{}') INTO keys FROM meridian.key_columns(rel) k
   WHERE k.sequence IS NOT NULL OR k.expression ~ '\mnextval\(';
  ids := COALESCE(wanted, CASE WHEN keys = '{}' THEN 'keep' ELSE 'global' END);
  IF ids = 'keep' THEN
    keys := '{}';
  ELSIF ids = 'stepped' THEN
    IF NOT EXISTS (SELECT FROM meridian.key_columns(rel) k WHERE k.sequence IS NOT NULL)
       OR EXISTS (SELECT FROM meridian.key_columns(rel) k WHERE k.name = ANY (keys) AND k.sequence IS NULL) THEN
      RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('%s has no key column that a sequence of its own fills', rel),
        HINT = 'ids=stepped needs a serial or identity column in the primary key.';
    END IF;
  ELSE
    IF keys = '{}' AND NOT EXISTS (SELECT FROM meridian.key_columns(rel) k WHERE k.expression = 'meridian.next_id()') THEN
      SELECT COALESCE(array_agg(k.name), '{}') INTO keys FROM meridian.key_columns(rel) k
       WHERE k.expression IS NULL AND k.type = 'bigint'::regtype AND (SELECT count(*) FROM meridian.key_columns(rel)) = 1;
      IF keys = '{}' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('%s has no key column for meridian.next_id()', rel),
          HINT = 'ids=global needs a bigint key column that a sequence fills, or a bigint key without default; leave the rule out for other keys.';
      END IF;
    END IF;
    SELECT k.name, k.type INTO misfit FROM meridian.key_columns(rel) k WHERE k.name = ANY (keys) AND k.type <> 'bigint'::regtype LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION USING ERRCODE = 'datatype_mismatch',
        MESSAGE = format('key column "%s" of %s is %s and cannot hold meridian.next_id()', misfit.name, rel, misfit.type),
        DETAIL = 'A sequence gives the same number to different rows on different nodes, and they would be merged.',
        HINT = format('ALTER TABLE %s ALTER COLUMN %I TYPE bigint on every node, or add the rule ids=stepped (each node counts in steps of 64) or ids=keep (numbers never clash for a reason of your own).', rel, misfit.name);
    END IF;
  END IF;
END
$$;
COMMENT ON FUNCTION meridian.choose_ids(regclass, text) IS 'How key columns are to be filled, and which: what the rule says, else global if a sequence fills one.';
REVOKE ALL ON FUNCTION meridian.choose_ids(regclass, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.choose_ids(regclass, text) TO meridian_admin;

CREATE FUNCTION meridian.check_table(rel regclass, rules text[], caller name, decided_ids text,
    OUT canonical text[], OUT ids text, OUT keys name[], OUT shape jsonb, OUT attached integer)
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  row_there meridian.replicated_table;
  wanted text;
BEGIN
  IF caller IS NOT NULL AND NOT pg_has_role(caller, (SELECT relowner FROM pg_class WHERE oid = rel), 'USAGE') THEN
    RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = format('must be owner of table %s', rel),
      HINT = 'Only the owner of a table, with the rights of meridian_admin, may have it replicated.';
  END IF;
  PERFORM meridian.refuse_table(rel);
  canonical := meridian.canonical_rules(rel, rules);
  -- The canonical form leaves ids out: it is no business of the triggers.
  wanted := COALESCE(decided_ids, (SELECT substr(r, 5) FROM unnest(rules) r WHERE r IN ('ids=global', 'ids=stepped', 'ids=keep')));
  shape := meridian.table_shape(rel);
  SELECT * INTO row_there FROM meridian.replicated_table t WHERE t.rel = check_table.rel;
  IF FOUND THEN
    IF row_there.rules <> canonical OR row_there.ids <> COALESCE(wanted, row_there.ids) THEN
      RAISE EXCEPTION USING ERRCODE = 'duplicate_object', MESSAGE = format('%s is already replicated with other rules', rel),
        DETAIL = format('They are %s, ids=%s.', row_there.rules, row_there.ids),
        HINT = format('Call meridian.unreplicate(%L) first, or repeat the call with the same rules to complete it.', rel);
    END IF;
    attached := row_there.id;
    ids := row_there.ids;
    keys := row_there.keys;
  ELSIF decided_ids IS NULL THEN
    SELECT c.ids, c.keys INTO ids, keys FROM meridian.choose_ids(rel, wanted) c;
  END IF;
END
$$;
COMMENT ON FUNCTION meridian.check_table(regclass, text[], name, text) IS 'Step of replicate(): raises what speaks against replicating the table with these rules (on the calling node for the caller, on others with what was decided there about ids), else returns the rules in canonical form, how keys are filled, the shape, and the number under which it is replicated already.';
REVOKE ALL ON FUNCTION meridian.check_table(regclass, text[], name, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.check_table(regclass, text[], name, text) TO meridian_admin;

CREATE FUNCTION meridian.key_floor(rel regclass, keys name[]) RETURNS bigint
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  k record;
  largest bigint := 0;
  found bigint;
BEGIN
  FOR k IN SELECT c.name, c.sequence FROM meridian.key_columns(rel) c WHERE c.name = ANY (keys) LOOP
    EXECUTE format('SELECT max(%I)::bigint FROM %s', k.name, rel) INTO found;
    largest := GREATEST(largest, found);
    IF k.sequence IS NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'invalid_table_definition', MESSAGE = format('key column "%s" of %s has no sequence', k.name, rel),
        HINT = 'ids=stepped needs the serial or identity column on every node.';
    END IF;
    EXECUTE format('SELECT last_value FROM %s', k.sequence) INTO found;
    largest := GREATEST(largest, found);
  END LOOP;
  RETURN largest;
END
$$;
COMMENT ON FUNCTION meridian.key_floor(regclass, name[]) IS 'Step: largest number used on this node by rows or sequences of the key columns.';
REVOKE ALL ON FUNCTION meridian.key_floor(regclass, name[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.key_floor(regclass, name[]) TO meridian_admin;
