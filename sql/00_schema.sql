-- The schema meridian and the role that administers it.
--
-- The script makes the schema, so that DROP EXTENSION takes it away, and so that one which was there before is refused: its
-- owner could replace what is in it.
CREATE SCHEMA meridian;

DO $$
BEGIN
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
