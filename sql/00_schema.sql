-- The schema meridian and the role that administers it.
--
-- CREATE EXTENSION has made the schema. One that was there before and belongs to an ordinary user is refused: its owner
-- could replace what is in it.
DO $$
BEGIN
  IF NOT (SELECT r.rolsuper FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner
          WHERE n.nspname = 'meridian') THEN
    RAISE EXCEPTION USING ERRCODE = 'duplicate_schema',
      MESSAGE = 'schema "meridian" exists and belongs to an ordinary user',
      HINT = 'Rename that schema before CREATE EXTENSION meridian.';
  END IF;
  -- Roles are shared by all databases, and DROP EXTENSION leaves this one.
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'meridian_admin') THEN
    CREATE ROLE meridian_admin NOLOGIN;
    COMMENT ON ROLE meridian_admin IS 'May run the administrative functions of the extension meridian.';
  END IF;
END
$$;

COMMENT ON SCHEMA meridian IS 'Geo-replicated PostgreSQL: regions that all accept writes and converge.';
REVOKE ALL ON SCHEMA meridian FROM PUBLIC;
GRANT USAGE ON SCHEMA meridian TO PUBLIC;
