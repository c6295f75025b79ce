-- The hybrid logical clock and the identity of this server.

CREATE TABLE meridian.clock (
  bound bigint NOT NULL
);
COMMENT ON TABLE meridian.clock IS 'The clock''s durable bound, one row: no stamp at or above it was ever issued. Written in place by the server, never by SQL.';
COMMENT ON COLUMN meridian.clock.bound IS 'Stamp of the clock (see meridian.hlc_time) that no stamp has reached.';
REVOKE ALL ON meridian.clock FROM PUBLIC;
-- A new clock starts at physical time. A dump does not carry the bound: what it restores is a new server.
INSERT INTO meridian.clock (bound) VALUES (0);

CREATE TABLE meridian.local_member (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  mesh uuid NOT NULL,
  member integer NOT NULL CHECK (member BETWEEN 1 AND 65535),
  epoch integer NOT NULL CHECK (epoch BETWEEN 1 AND 65535),
  server text NOT NULL,
  system_id text NOT NULL,
  timeline integer NOT NULL
);
COMMENT ON TABLE meridian.local_member IS 'The member of the mesh that this database is, and the server that was last confirmed to write for it. Empty if it is none.';
COMMENT ON COLUMN meridian.local_member.only_row IS 'Always true: there is at most one row.';
COMMENT ON COLUMN meridian.local_member.mesh IS 'The mesh.';
COMMENT ON COLUMN meridian.local_member.member IS 'Number of the member, unique in the mesh.';
COMMENT ON COLUMN meridian.local_member.epoch IS 'Grows with every promotion, restore and copy, so that no two servers ever write under one name.';
COMMENT ON COLUMN meridian.local_member.server IS 'meridian.node of the confirmed server.';
COMMENT ON COLUMN meridian.local_member.system_id IS 'System identifier of the confirmed server.';
COMMENT ON COLUMN meridian.local_member.timeline IS 'Timeline of the confirmed server.';
REVOKE ALL ON meridian.local_member FROM PUBLIC;

CREATE FUNCTION meridian.forget_identity() RETURNS trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'meridian_forget_identity';
COMMENT ON FUNCTION meridian.forget_identity() IS 'Trigger of meridian.local_member: makes every session read it again after commit.';

CREATE TRIGGER forget_identity AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON meridian.local_member
  FOR EACH STATEMENT EXECUTE FUNCTION meridian.forget_identity();
ALTER TABLE meridian.local_member ENABLE ALWAYS TRIGGER forget_identity;
COMMENT ON TRIGGER forget_identity ON meridian.local_member IS 'Drops the cached identity.';
-- Fires the trigger: a server that had the extension before DROP EXTENSION may still remember who it was.
DELETE FROM meridian.local_member;

CREATE FUNCTION meridian.hlc_now() RETURNS bigint
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'meridian_hlc_now';
COMMENT ON FUNCTION meridian.hlc_now() IS 'Ticks the clock: a new stamp, larger than all stamps that this server has issued or seen, and not behind physical time.';
REVOKE ALL ON FUNCTION meridian.hlc_now() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.hlc_now() TO meridian_admin;

CREATE FUNCTION meridian.advance_clock(stamp bigint) RETURNS bigint
  LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'meridian_advance_clock';
COMMENT ON FUNCTION meridian.advance_clock(bigint) IS 'Moves the clock to at least this stamp and returns where it stands. For a server restored from an old copy. Refuses a stamp further in the future than meridian.max_clock_skew.';
REVOKE ALL ON FUNCTION meridian.advance_clock(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.advance_clock(bigint) TO meridian_admin;

CREATE FUNCTION meridian.hlc_time(hlc bigint) RETURNS timestamptz
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_hlc_time';
COMMENT ON FUNCTION meridian.hlc_time(bigint) IS 'The time in a stamp of the clock, to the millisecond.';

CREATE FUNCTION meridian.clock_status(OUT now bigint, OUT bound bigint, OUT ahead_ms bigint)
  LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_clock_status';
COMMENT ON FUNCTION meridian.clock_status() IS 'Where the clock stands, its durable bound, and by how many milliseconds it is ahead of physical time. NULLs while it does not run: not loaded at server start, a standby, or nothing has used it yet.';

CREATE FUNCTION meridian.next_id() RETURNS bigint
  LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'meridian_next_id';
COMMENT ON FUNCTION meridian.next_id() IS 'A new key: positive, growing with time, unique in the whole mesh. The default of replicated key columns.';

CREATE FUNCTION meridian.confirm_identity() RETURNS integer
  LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS 'MODULE_PATHNAME', 'meridian_confirm_identity';
COMMENT ON FUNCTION meridian.confirm_identity() IS 'Confirms that this server, and no other, writes for its member from now on, under a new epoch, which it returns. For a renamed server, or a copy that replaces the original.';
REVOKE ALL ON FUNCTION meridian.confirm_identity() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.confirm_identity() TO meridian_admin;

CREATE FUNCTION meridian.read_identity(OUT mesh uuid, OUT member integer, OUT epoch integer, OUT server text,
                                       OUT confirmed boolean, OUT reason text)
  LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_read_identity';
COMMENT ON FUNCTION meridian.read_identity() IS 'The row of the view meridian.identity.';

CREATE VIEW meridian.identity AS
  SELECT mesh, member, epoch, server, confirmed, reason FROM meridian.read_identity();
COMMENT ON VIEW meridian.identity IS 'Who this server is in the mesh, and whether it may write: a server that is not confirmed stamps and merges nothing.';
COMMENT ON COLUMN meridian.identity.server IS 'meridian.node of this server.';
COMMENT ON COLUMN meridian.identity.confirmed IS 'True if this is the server that writes for the member.';
COMMENT ON COLUMN meridian.identity.reason IS 'Why it is, or is not.';
GRANT SELECT ON meridian.identity TO PUBLIC;

CREATE FUNCTION meridian.keeper_status(OUT task text, OUT pid integer, OUT runs bigint, OUT failures bigint,
                                       OUT last_run timestamptz, OUT sqlstate text)
  RETURNS SETOF record
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'meridian_keeper_status';
COMMENT ON FUNCTION meridian.keeper_status() IS 'The maintenance tasks of this server''s keeper since server start: how often each ran and failed, when last, and the SQLSTATE of the last run if it failed. pid is NULL while the keeper does not run.';
