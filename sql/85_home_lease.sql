-- Leases of home regions (src/core/home_lease.hpp).

CREATE FUNCTION meridian.acknowledge_home_lease(member integer, electorate bigint) RETURNS integer
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'meridian_acknowledge_home_lease';
COMMENT ON FUNCTION meridian.acknowledge_home_lease(integer, bigint) IS 'Another member asks for its lease: milliseconds that it gets from this one, which will not take its keys before they are over; 0 if none, -1 if the member was given up and must ask about homes.';
REVOKE ALL ON FUNCTION meridian.acknowledge_home_lease(integer, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.acknowledge_home_lease(integer, bigint) TO meridian_admin;

CREATE FUNCTION meridian.home_lease_wait(lost integer[]) RETURNS bigint
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'meridian_home_lease_wait';
COMMENT ON FUNCTION meridian.home_lease_wait(integer[]) IS 'Step: milliseconds until all is over that this server has promised these members; NULL without leases. Raises 55000 if they could go on by themselves.';
REVOKE ALL ON FUNCTION meridian.home_lease_wait(integer[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.home_lease_wait(integer[]) TO meridian_admin;

CREATE FUNCTION meridian.read_home_lease(OUT lease interval, OUT held boolean, OUT ends_in interval, OUT votes boolean, OUT voters integer,
                                         OUT needed integer, OUT answers integer)
  LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_read_home_lease';
COMMENT ON FUNCTION meridian.read_home_lease() IS 'The lease of this server; NULL without leases, or on a standby. Read view meridian.home_lease_status.';

CREATE VIEW meridian.home_lease_status AS
  SELECT l.lease, l.held, l.ends_in, l.votes, l.voters, l.needed, l.answers FROM meridian.read_home_lease() l WHERE l.held IS NOT NULL;
COMMENT ON VIEW meridian.home_lease_status IS 'Whether this region may write the keys that it is home of; no row if meridian.home_lease is 0, or on a standby.';
COMMENT ON COLUMN meridian.home_lease_status.lease IS 'Setting meridian.home_lease.';
COMMENT ON COLUMN meridian.home_lease_status.held IS 'Whether the lease runs.';
COMMENT ON COLUMN meridian.home_lease_status.ends_in IS 'When it ends if nobody answers from now on; NULL if there was none yet, or if this member needs nobody.';
COMMENT ON COLUMN meridian.home_lease_status.votes IS 'Whether this member votes; not if the last change of homes was made without it.';
COMMENT ON COLUMN meridian.home_lease_status.voters IS 'How many members vote.';
COMMENT ON COLUMN meridian.home_lease_status.needed IS 'How many others must have answered.';
COMMENT ON COLUMN meridian.home_lease_status.answers IS 'How many have, and still count.';
GRANT SELECT ON meridian.home_lease_status TO PUBLIC;
