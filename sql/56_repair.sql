-- Finding and repairing rows in which nodes differ.

CREATE FUNCTION meridian.compare(rel regclass, peer text)
  RETURNS TABLE (key text[], kind text, tombstone text)
  LANGUAGE c VOLATILE STRICT ROWS 100 AS 'MODULE_PATHNAME', 'meridian_compare';
COMMENT ON FUNCTION meridian.compare(regclass, text) IS 'The rows of a replicated table in which this node and another member, given by name, differ: kind is only here, only there or different; tombstone says where a delete of the key is remembered (here, there, both). Sends digests, not rows; what is still on its way is waited for and not reported.';
REVOKE ALL ON FUNCTION meridian.compare(regclass, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.compare(regclass, text) TO meridian_admin;

CREATE FUNCTION meridian.repair(rel regclass, peer text) RETURNS bigint
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'meridian_repair';
COMMENT ON FUNCTION meridian.repair(regclass, text) IS 'Sends the rows that compare() finds, and the tombstones of their keys, both ways between this node and another member; both merge them. Returns how many keys differed. What it brings does not travel on: repair with every other member, until all return 0.';
REVOKE ALL ON FUNCTION meridian.repair(regclass, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.repair(regclass, text) TO meridian_admin;

CREATE FUNCTION meridian.resend(peer text, since timestamptz) RETURNS bigint
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'meridian_resend';
COMMENT ON FUNCTION meridian.resend(text, timestamptz) IS 'Sends another member every row and tombstone that holds a write stamped since then, and what is parked here: for a lost slot or a restored peer. -infinity: everything. Tables with row=lww(column) are sent as a whole. Returns how many states that were; sending too much does no harm.';
REVOKE ALL ON FUNCTION meridian.resend(text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.resend(text, timestamptz) TO meridian_admin;

CREATE FUNCTION meridian.heal(peer text) RETURNS bigint
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'meridian_heal';
COMMENT ON FUNCTION meridian.heal(text) IS 'Sends everything that this node and another member know to each other: rows, tombstones, what is parked. After it both know what either knew. Returns how many states were sent.';
REVOKE ALL ON FUNCTION meridian.heal(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.heal(text) TO meridian_admin;
