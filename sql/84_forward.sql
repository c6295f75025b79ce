-- Statements that run in another region.

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'meridian_forward') THEN
    CREATE ROLE meridian_forward NOLOGIN;
    COMMENT ON ROLE meridian_forward IS 'May run statements in other regions, by meridian.execute_at() and triggers with mode=forward, under the user mappings of its own.';
  END IF;
END
$$;

CREATE FUNCTION meridian.check_forward_options(options text[], catalog oid) RETURNS void
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'meridian_check_forward_options';
COMMENT ON FUNCTION meridian.check_forward_options(text[], oid) IS 'Validator of the foreign-data wrapper meridian_forward: a server may have host, port, dbname, sslmode, sslrootcert and connect_timeout, a user mapping user and password.';

CREATE FOREIGN DATA WRAPPER meridian_forward NO HANDLER VALIDATOR meridian.check_forward_options;
COMMENT ON FOREIGN DATA WRAPPER meridian_forward IS 'Logins for meridian.execute_at() and forwarded rows: a server per region, named like it, and a user mapping per role. It has no tables.';

CREATE FUNCTION meridian.execute_at(region text, sql text, VARIADIC params text[] DEFAULT '{}', OUT rows jsonb, OUT command text, OUT token text)
  LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'meridian_execute_at';
COMMENT ON FUNCTION meridian.execute_at(text, text, text[]) IS 'Runs one statement on the primary of a region, in a transaction of its own, under the caller''s user mapping for the server of that name (foreign-data wrapper meridian_forward). Parameters are texts, $1 and so on. Returns the rows as JSON, the command''s status, and the token of its commit, which is also merged into meridian.last_write.';
REVOKE ALL ON FUNCTION meridian.execute_at(text, text, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.execute_at(text, text, text[]) TO meridian_forward;
