-- Digests of rows, and rows by key: what compare() and repair() ask a node for.
--
-- These functions read tables past privileges and row-level security, so only superusers, as whom members connect to each
-- other, may call them.

CREATE FUNCTION meridian.bucket_digests(rel regclass, bits integer) RETURNS bytea
  LANGUAGE c STABLE STRICT PARALLEL SAFE
  SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET intervalstyle = postgres SET extra_float_digits = 3
  SET bytea_output = hex SET timezone = 'UTC' SET lc_monetary = 'C'
  AS 'MODULE_PATHNAME', 'meridian_bucket_digests';
COMMENT ON FUNCTION meridian.bucket_digests(regclass, integer) IS 'Digests of a replicated table''s rows, added up in 2^bits buckets by a hash of the key: 16 bytes per bucket, equal on two nodes where the rows and their states are. Whatever the order of columns, settings and encoding.';
REVOKE ALL ON FUNCTION meridian.bucket_digests(regclass, integer) FROM PUBLIC;

CREATE FUNCTION meridian.row_digests(rel regclass, bits integer, buckets integer[])
  RETURNS TABLE (hash bigint, key text[], digest bytea)
  LANGUAGE c STABLE STRICT PARALLEL SAFE ROWS 10000
  SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET intervalstyle = postgres SET extra_float_digits = 3
  SET bytea_output = hex SET timezone = 'UTC' SET lc_monetary = 'C'
  AS 'MODULE_PATHNAME', 'meridian_row_digests';
COMMENT ON FUNCTION meridian.row_digests(regclass, integer, integer[]) IS 'The rows of some buckets of bucket_digests(): hash of the key, the key, digest of the row.';
REVOKE ALL ON FUNCTION meridian.row_digests(regclass, integer, integer[]) FROM PUBLIC;

CREATE FUNCTION meridian.key_digests(rel regclass, keys text[])
  RETURNS TABLE (n integer, key text[], digest bytea, deleted boolean)
  LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 1000
  SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET intervalstyle = postgres SET extra_float_digits = 3
  SET bytea_output = hex SET timezone = 'UTC' SET lc_monetary = 'C'
  AS 'MODULE_PATHNAME', 'meridian_key_digests';
COMMENT ON FUNCTION meridian.key_digests(regclass, text[]) IS 'For the nth of these keys (an array of two dimensions), as of now: key and digest of the row, NULL if it is not there, and whether a delete of the key is remembered.';
REVOKE ALL ON FUNCTION meridian.key_digests(regclass, text[]) FROM PUBLIC;

CREATE FUNCTION meridian.rows_of_keys(row_type anyelement, keys text[]) RETURNS SETOF anyelement
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 1000
  SET search_path = pg_catalog, pg_temp SET intervalstyle = postgres SET timezone = 'UTC'
  AS 'MODULE_PATHNAME', 'meridian_rows_of_keys';
COMMENT ON FUNCTION meridian.rows_of_keys(anyelement, text[]) IS 'The rows with these keys, of the table whose row type the first argument, a NULL, has.';
REVOKE ALL ON FUNCTION meridian.rows_of_keys(anyelement, text[]) FROM PUBLIC;

CREATE FUNCTION meridian.key_hashes(rel regclass, keys text[]) RETURNS bigint[]
  LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
  SET search_path = pg_catalog, pg_temp SET intervalstyle = postgres SET timezone = 'UTC'
  AS 'MODULE_PATHNAME', 'meridian_key_hashes';
COMMENT ON FUNCTION meridian.key_hashes(regclass, text[]) IS 'The hashes under which meridian.tombstone of this node knows these keys.';
REVOKE ALL ON FUNCTION meridian.key_hashes(regclass, text[]) FROM PUBLIC;

CREATE FUNCTION meridian.parked_images(row_type anyelement) RETURNS SETOF anyelement
  LANGUAGE c STABLE PARALLEL UNSAFE ROWS 100
  SET search_path = pg_catalog, pg_temp SET intervalstyle = postgres SET timezone = 'UTC'
  AS 'MODULE_PATHNAME', 'meridian_parked_images';
COMMENT ON FUNCTION meridian.parked_images(anyelement) IS 'What is parked on this node for the table whose row type the argument, a NULL, has, as rows. They are part of the state: whoever copies the table copies them too.';
REVOKE ALL ON FUNCTION meridian.parked_images(anyelement) FROM PUBLIC;

CREATE FUNCTION meridian.knows_since(state meridian.row_state, stamp bigint) RETURNS boolean
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_knows_since';
COMMENT ON FUNCTION meridian.knows_since(meridian.row_state, bigint) IS 'True if the state holds a write stamped at or after this stamp.';
