-- Where requests for keys come from, and which keys should move there.

CREATE FUNCTION meridian.read_key_counts(OUT key text, OUT written bigint, OUT away bigint, OUT since timestamptz)
  RETURNS SETOF record
  LANGUAGE c VOLATILE PARALLEL SAFE ROWS 100 AS 'MODULE_PATHNAME', 'meridian_read_key_counts';
COMMENT ON FUNCTION meridian.read_key_counts() IS 'What this server has counted of keys; read view meridian.key_counts.';
REVOKE ALL ON FUNCTION meridian.read_key_counts() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.read_key_counts() TO meridian_admin;

CREATE VIEW meridian.key_counts AS SELECT k.key, k.written, k.away, k.since FROM meridian.read_key_counts() k;
COMMENT ON VIEW meridian.key_counts IS 'Of the keys that were requested most on this server: rows that were written here, and that belong elsewhere. Empty unless meridian.counted_keys is set.';
COMMENT ON COLUMN meridian.key_counts.key IS 'The key; longer ones than 60 bytes are not counted; in databases that are not UTF-8, only ASCII ones are shown.';
COMMENT ON COLUMN meridian.key_counts.written IS 'Rows that were written here, since this is the home; not those that other regions sent. What was rolled back counts as well.';
COMMENT ON COLUMN meridian.key_counts.away IS 'Rows that were refused, let through with a warning or sent to their home.';
COMMENT ON COLUMN meridian.key_counts.since IS 'When counting began: the start of the server, or meridian.reset_key_counts(). A key that was displaced meanwhile has fewer counts than it should.';
GRANT SELECT ON meridian.key_counts TO meridian_admin;

CREATE FUNCTION meridian.reset_key_counts() RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'meridian_reset_key_counts';
COMMENT ON FUNCTION meridian.reset_key_counts() IS 'Begins anew to count on this server where requests for keys come from.';
REVOKE ALL ON FUNCTION meridian.reset_key_counts() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.reset_key_counts() TO meridian_admin;

CREATE FUNCTION meridian.rehome_suggestions(least_requests bigint DEFAULT 100, least_share float8 DEFAULT 0.6)
  RETURNS TABLE (key text, home text, region text, requests bigint, share float8)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH counted AS (
    SELECT k ->> 0 AS key, m.region, sum((k ->> 1)::bigint)::bigint AS requests
      FROM jsonb_array_elements(meridian.known_reports()) e
      CROSS JOIN LATERAL jsonb_array_elements(e -> 'report' -> 'keys') k
      JOIN meridian.member m ON m.id = (e -> 'report' ->> 'member')::integer
     GROUP BY 1, 2),
  ranked AS (
    SELECT c.*, sum(c.requests) OVER (PARTITION BY c.key) AS total, row_number() OVER (PARTITION BY c.key ORDER BY c.requests DESC, c.region) AS rank
      FROM counted c)
  SELECT r.key, meridian.home_region(r.key), r.region, r.requests, r.requests / r.total::float8
    FROM ranked r
   WHERE r.rank = 1 AND r.total >= least_requests AND r.requests >= least_share * r.total
     AND r.region <> meridian.home_region(r.key) AND EXISTS (SELECT FROM meridian.home_map h WHERE r.region = ANY (h.regions))
   ORDER BY r.requests DESC, r.key;
END
$$;
COMMENT ON FUNCTION meridian.rehome_suggestions(bigint, float8) IS 'Keys of which a region that is not their home makes at least this share of the requests, of at least so many: from the 100 keys that each primary counted most (meridian.key_counts). Moves nothing; SELECT meridian.rehome(key, region) does.';
REVOKE ALL ON FUNCTION meridian.rehome_suggestions(bigint, float8) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.rehome_suggestions(bigint, float8) TO meridian_admin;
