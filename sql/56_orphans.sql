-- Rows that a merge left without the row that their foreign key refers to.
--
-- A foreign key is checked where a row is written, not where it is merged: a parent that one region deletes and a child that
-- another inserts at the same time both arrive everywhere.

CREATE FUNCTION meridian.find_orphans(rel regclass DEFAULT NULL)
  RETURNS TABLE (constraint_name name, child regclass, child_key jsonb, parent regclass, parent_key jsonb)
  -- With policies in force rows that the caller may not see would look as if they were missing: then it is an error.
  LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET row_security = off
AS $$
DECLARE
  f record;
BEGIN
  FOR f IN
    SELECT c.conname, c.conrelid::regclass AS child, c.confrelid::regclass AS parent,
           (SELECT format('jsonb_build_object(%s)', string_agg(format('%L, c.%I', a.attname, a.attname), ', ' ORDER BY k.position))
              FROM pg_constraint p CROSS JOIN LATERAL unnest(p.conkey) WITH ORDINALITY k(attnum, position)
              JOIN pg_attribute a ON a.attrelid = p.conrelid AND a.attnum = k.attnum
             WHERE p.conrelid = c.conrelid AND p.contype = 'p') AS child_key,
           format('jsonb_build_object(%s)', string_agg(format('%L, c.%I', r.attname, l.attname), ', ' ORDER BY k.position)) AS parent_key,
           string_agg(format('c.%I IS NOT NULL', l.attname), ' AND ' ORDER BY k.position) AS complete,
           string_agg(format('p.%I OPERATOR(%I.%s) c.%I%s', r.attname, n.nspname, o.oprname, l.attname,
                             CASE WHEN l.attcollation <> r.attcollation AND r.attcollation <> 0
                                  THEN (SELECT format(' COLLATE %I.%I', cn.nspname, co.collname)
                                          FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = r.attcollation) END),
                      ' AND ' ORDER BY k.position) AS matches
      FROM pg_constraint c
      CROSS JOIN LATERAL unnest(c.conkey, c.confkey, c.conpfeqop) WITH ORDINALITY k(here, there, equals, position)
      JOIN pg_attribute l ON l.attrelid = c.conrelid AND l.attnum = k.here
      JOIN pg_attribute r ON r.attrelid = c.confrelid AND r.attnum = k.there
      JOIN pg_operator o ON o.oid = k.equals
      JOIN pg_namespace n ON n.oid = o.oprnamespace
     -- A constraint of a partition is one of its root. Temporal keys (PERIOD) refer to several rows.
     WHERE c.contype = 'f' AND c.conparentid = 0 AND (to_jsonb(c) ->> 'conperiod') IS DISTINCT FROM 'true'
       AND CASE WHEN find_orphans.rel IS NOT NULL THEN c.conrelid = find_orphans.rel
                ELSE EXISTS (SELECT FROM meridian.tables t WHERE t.rel IN (c.conrelid, c.confrelid)) END
     GROUP BY c.oid, c.conname, c.conrelid, c.confrelid
     ORDER BY c.conrelid::regclass::text, c.conname
  LOOP
    RETURN QUERY EXECUTE format(
      'SELECT %L::name, %L::regclass, %s, %L::regclass, %s FROM %s c WHERE %s AND NOT EXISTS (SELECT FROM %s p WHERE %s) ORDER BY 3',
      f.conname, f.child, f.child_key, f.parent, f.parent_key, f.child, f.complete, f.parent, f.matches);
  END LOOP;
END
$$;
COMMENT ON FUNCTION meridian.find_orphans(regclass) IS 'Rows whose foreign key lost its parent in a merge: of one table, or of every foreign key from or to a replicated table. Reads the tables whole, with the caller''s own rights.';
