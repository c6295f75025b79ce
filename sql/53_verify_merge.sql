-- Does a merge function keep the laws without which nodes differ?
--
-- The sample is the caller's own query, so it runs with the caller's rights and search_path. STABLE: it may not write.

CREATE FUNCTION meridian.verify_merge(function regprocedure, sample text) RETURNS TABLE (law text, holds boolean, counterexample text)
  LANGUAGE plpgsql STABLE STRICT
AS $$
DECLARE
  -- Values tried: triples of them are many. Rows read to find them.
  most_values constant integer := 16;
  most_rows constant integer := 1000;
  f record;
  type regtype;
  items text[];
  -- f(a, b) with the stamps of both.
  call text;
  values_of text;
  check_sql text;
BEGIN
  SELECT format('%I.%I', n.nspname, p.proname) AS name, p.pronargs = 4 AS stamps, p.pronargs IN (2, 4) AND p.prokind = 'f' AND NOT p.proretset AS fits
    INTO f FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.oid = function;
  IF f.fits IS NOT TRUE THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_function_definition', MESSAGE = format('%s is not a merge function', function),
      HINT = 'A merge function takes two values, or two values and their two stamps (bigint), and returns one.';
  END IF;
  EXECUTE format('SELECT min(t)::regtype, array_agg(v ORDER BY md5(v)) FROM (
      SELECT v, min(t) AS t FROM (SELECT s.v::text AS v, pg_typeof(s.v)::oid AS t FROM (SELECT * FROM (%s
) q LIMIT %s) s(v) WHERE s.v IS NOT NULL) r
       GROUP BY v ORDER BY md5(v) LIMIT %s) chosen', sample, most_rows, most_values) INTO type, items;
  IF items IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'no_data_found', MESSAGE = 'the sample has no value', HINT = 'Give a query that returns one column of values, for example: SELECT tags FROM post.';
  END IF;
  -- Two values share a stamp: nodes may write in the same tick.
  values_of := format('(SELECT u.n, u.n / 2 AS stamp, u.v::%s AS v FROM unnest($1) WITH ORDINALITY u(v, n))', type);
  call := replace(f.name, '%', '%%') || CASE WHEN f.stamps THEN '(%s, %s, %s, %s)' ELSE '(%1$s, %2$s)' END;
  FOR law, check_sql IN
    SELECT l.law, l.check_sql FROM (VALUES
      (1, 'idempotent', format('SELECT format(''f(%%1$L, %%1$L) = %%2$L'', a.v, %1$s) FROM %2$s a WHERE (%1$s)::text IS DISTINCT FROM a.v::text ORDER BY a.n LIMIT 1',
         format(call, 'a.v', 'a.v', 'a.stamp', 'a.stamp'), values_of)),
      (2, 'commutative', format('SELECT format(''f(%%1$L, %%2$L) = %%3$L, but f(%%2$L, %%1$L) = %%4$L'', a.v, b.v, %1$s, %2$s) FROM %3$s a, %3$s b
          WHERE (%1$s)::text IS DISTINCT FROM (%2$s)::text OR (%1$s) IS NULL ORDER BY a.n + b.n, a.n LIMIT 1',
         format(call, 'a.v', 'b.v', 'a.stamp', 'b.stamp'), format(call, 'b.v', 'a.v', 'b.stamp', 'a.stamp'), values_of)),
      (3, 'associative', format('SELECT format(''f(f(%%1$L, %%2$L), %%3$L) = %%4$L, but f(%%1$L, f(%%2$L, %%3$L)) = %%5$L'', a.v, b.v, c.v, %1$s, %2$s) FROM %3$s a, %3$s b, %3$s c
          WHERE (%1$s)::text IS DISTINCT FROM (%2$s)::text ORDER BY a.n + b.n + c.n, a.n, b.n LIMIT 1',
         format(call, format(call, 'a.v', 'b.v', 'a.stamp', 'b.stamp'), 'c.v', 'GREATEST(a.stamp, b.stamp)', 'c.stamp'),
         format(call, 'a.v', format(call, 'b.v', 'c.v', 'b.stamp', 'c.stamp'), 'a.stamp', 'GREATEST(b.stamp, c.stamp)'), values_of))
    ) l(n, law, check_sql) ORDER BY l.n
  LOOP
    BEGIN
      EXECUTE check_sql INTO counterexample USING items;
    EXCEPTION WHEN OTHERS THEN
      counterexample := format('raises %s: %s', SQLSTATE, SQLERRM);
    END;
    holds := counterexample IS NULL;
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION meridian.verify_merge(regprocedure, text) IS 'Tests a function for the rule merge:<function> on up to 16 different values that a query returns (one column, the first 1000 rows), with the caller''s rights and reading only: every value with itself, every pair, every triple. Values are compared as text, which is what nodes send each other. A row per law, with a counterexample if it does not hold.';
REVOKE ALL ON FUNCTION meridian.verify_merge(regprocedure, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.verify_merge(regprocedure, text) TO meridian_admin;
