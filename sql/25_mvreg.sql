-- The type meridian.mvreg: a text that keeps concurrent values (src/core/mvreg.hpp).
-- A value cast to it is a literal, contributed by nobody. Operations of this node carry its actor, so they need a member of
-- a mesh, and are STABLE; the others are IMMUTABLE.

CREATE TYPE meridian.mvreg;

CREATE FUNCTION meridian.mvreg_in(cstring) RETURNS meridian.mvreg
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_mvreg_in';
COMMENT ON FUNCTION meridian.mvreg_in(cstring) IS 'Text input of mvreg; refuses every text that is not the canonical form of a state.';
CREATE FUNCTION meridian.mvreg_out(meridian.mvreg) RETURNS cstring
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_mvreg_out';
COMMENT ON FUNCTION meridian.mvreg_out(meridian.mvreg) IS 'Text output of mvreg: the whole state, lossless, for COPY, pg_dump and replication. Cast it for the value.';
CREATE FUNCTION meridian.mvreg_recv(internal) RETURNS meridian.mvreg
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_mvreg_recv';
COMMENT ON FUNCTION meridian.mvreg_recv(internal) IS 'Binary input of mvreg; refuses every byte string that is not canonical.';
CREATE FUNCTION meridian.mvreg_send(meridian.mvreg) RETURNS bytea
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_mvreg_send';
COMMENT ON FUNCTION meridian.mvreg_send(meridian.mvreg) IS 'Binary output of mvreg: its canonical bytes.';

CREATE TYPE meridian.mvreg (
  INPUT = meridian.mvreg_in,
  OUTPUT = meridian.mvreg_out,
  RECEIVE = meridian.mvreg_recv,
  SEND = meridian.mvreg_send,
  INTERNALLENGTH = VARIABLE,
  STORAGE = main,
  ALIGNMENT = int4
);
COMMENT ON TYPE meridian.mvreg IS 'A text that keeps every value of concurrent writes, until a write that has seen them.';

CREATE FUNCTION meridian.state(value meridian.mvreg) RETURNS jsonb
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_mvreg_state';
COMMENT ON FUNCTION meridian.state(meridian.mvreg) IS 'The whole state of a mvreg, for people: who wrote what.';
CREATE FUNCTION meridian.merge(left_value meridian.mvreg, right_value meridian.mvreg) RETURNS meridian.mvreg
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_mvreg_merge';
COMMENT ON FUNCTION meridian.merge(meridian.mvreg, meridian.mvreg) IS 'Merges two states, as replication does: commutative, associative, idempotent.';

CREATE FUNCTION meridian.mvreg(value text) RETURNS meridian.mvreg
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_mvreg_literal';
COMMENT ON FUNCTION meridian.mvreg(text) IS 'A register with this value, which nobody in particular wrote.';
CREATE CAST (text AS meridian.mvreg) WITH FUNCTION meridian.mvreg(text) AS ASSIGNMENT;
COMMENT ON CAST (text AS meridian.mvreg) IS 'A literal: assigned to a replicated column, it is a write.';
CREATE FUNCTION meridian.contents(value meridian.mvreg) RETURNS text[]
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_mvreg_contents';
COMMENT ON FUNCTION meridian.contents(meridian.mvreg) IS 'The values that no write has replaced, sorted by their bytes: more than one after concurrent writes.';
CREATE CAST (meridian.mvreg AS text[]) WITH FUNCTION meridian.contents(meridian.mvreg) AS ASSIGNMENT;
COMMENT ON CAST (meridian.mvreg AS text[]) IS 'The values, sorted by their bytes; immutable, so that GIN can index it.';

CREATE FUNCTION meridian.set(value meridian.mvreg, target text) RETURNS meridian.mvreg
  LANGUAGE C STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_mvreg_set';
COMMENT ON FUNCTION meridian.set(meridian.mvreg, text) IS 'Writes a value in the name of this node, in place of all that this state holds.';

-- Comparison is by value, whatever the state: so DISTINCT, ORDER BY, GROUP BY and indexes see what people see.
CREATE FUNCTION meridian.mvreg_eq(meridian.mvreg, meridian.mvreg) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_mvreg_eq';
COMMENT ON FUNCTION meridian.mvreg_eq(meridian.mvreg, meridian.mvreg) IS 'Compares its values.';
CREATE FUNCTION meridian.mvreg_ne(meridian.mvreg, meridian.mvreg) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_mvreg_ne';
COMMENT ON FUNCTION meridian.mvreg_ne(meridian.mvreg, meridian.mvreg) IS 'Compares its values.';
CREATE FUNCTION meridian.mvreg_lt(meridian.mvreg, meridian.mvreg) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_mvreg_lt';
COMMENT ON FUNCTION meridian.mvreg_lt(meridian.mvreg, meridian.mvreg) IS 'Compares its values.';
CREATE FUNCTION meridian.mvreg_le(meridian.mvreg, meridian.mvreg) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_mvreg_le';
COMMENT ON FUNCTION meridian.mvreg_le(meridian.mvreg, meridian.mvreg) IS 'Compares its values.';
CREATE FUNCTION meridian.mvreg_gt(meridian.mvreg, meridian.mvreg) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_mvreg_gt';
COMMENT ON FUNCTION meridian.mvreg_gt(meridian.mvreg, meridian.mvreg) IS 'Compares its values.';
CREATE FUNCTION meridian.mvreg_ge(meridian.mvreg, meridian.mvreg) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_mvreg_ge';
COMMENT ON FUNCTION meridian.mvreg_ge(meridian.mvreg, meridian.mvreg) IS 'Compares its values.';
CREATE FUNCTION meridian.mvreg_cmp(meridian.mvreg, meridian.mvreg) RETURNS integer
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_mvreg_cmp';
COMMENT ON FUNCTION meridian.mvreg_cmp(meridian.mvreg, meridian.mvreg) IS 'Orders by its values: -1, 0 or 1.';
CREATE FUNCTION meridian.mvreg_hash(meridian.mvreg) RETURNS integer
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_mvreg_hash';
COMMENT ON FUNCTION meridian.mvreg_hash(meridian.mvreg) IS 'Hash of its values.';
CREATE FUNCTION meridian.mvreg_hash_extended(meridian.mvreg, bigint) RETURNS bigint
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_mvreg_hash_extended';
COMMENT ON FUNCTION meridian.mvreg_hash_extended(meridian.mvreg, bigint) IS 'Hash of its values, with a seed.';
CREATE OPERATOR meridian.= (
  LEFTARG = meridian.mvreg, RIGHTARG = meridian.mvreg, FUNCTION = meridian.mvreg_eq,
  COMMUTATOR = OPERATOR(meridian.=), NEGATOR = OPERATOR(meridian.<>), RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
COMMENT ON OPERATOR meridian.=(meridian.mvreg, meridian.mvreg) IS 'Same value.';
CREATE OPERATOR meridian.<> (
  LEFTARG = meridian.mvreg, RIGHTARG = meridian.mvreg, FUNCTION = meridian.mvreg_ne,
  COMMUTATOR = OPERATOR(meridian.<>), NEGATOR = OPERATOR(meridian.=), RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR meridian.<>(meridian.mvreg, meridian.mvreg) IS 'Different values.';
CREATE OPERATOR meridian.< (
  LEFTARG = meridian.mvreg, RIGHTARG = meridian.mvreg, FUNCTION = meridian.mvreg_lt,
  COMMUTATOR = OPERATOR(meridian.>), NEGATOR = OPERATOR(meridian.>=), RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR meridian.<(meridian.mvreg, meridian.mvreg) IS 'Smaller value.';
CREATE OPERATOR meridian.<= (
  LEFTARG = meridian.mvreg, RIGHTARG = meridian.mvreg, FUNCTION = meridian.mvreg_le,
  COMMUTATOR = OPERATOR(meridian.>=), NEGATOR = OPERATOR(meridian.>), RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR meridian.<=(meridian.mvreg, meridian.mvreg) IS 'Smaller or same value.';
CREATE OPERATOR meridian.> (
  LEFTARG = meridian.mvreg, RIGHTARG = meridian.mvreg, FUNCTION = meridian.mvreg_gt,
  COMMUTATOR = OPERATOR(meridian.<), NEGATOR = OPERATOR(meridian.<=), RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR meridian.>(meridian.mvreg, meridian.mvreg) IS 'Larger value.';
CREATE OPERATOR meridian.>= (
  LEFTARG = meridian.mvreg, RIGHTARG = meridian.mvreg, FUNCTION = meridian.mvreg_ge,
  COMMUTATOR = OPERATOR(meridian.<=), NEGATOR = OPERATOR(meridian.<), RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR meridian.>=(meridian.mvreg, meridian.mvreg) IS 'Larger or same value.';
CREATE OPERATOR CLASS meridian.mvreg_ops DEFAULT FOR TYPE meridian.mvreg USING btree AS
  OPERATOR 1 meridian.<, OPERATOR 2 meridian.<=, OPERATOR 3 meridian.=, OPERATOR 4 meridian.>=, OPERATOR 5 meridian.>,
  FUNCTION 1 meridian.mvreg_cmp(meridian.mvreg, meridian.mvreg);
COMMENT ON OPERATOR CLASS meridian.mvreg_ops USING btree IS 'Order of its values.';
CREATE OPERATOR CLASS meridian.mvreg_ops DEFAULT FOR TYPE meridian.mvreg USING hash AS
  OPERATOR 1 meridian.=,
  FUNCTION 1 meridian.mvreg_hash(meridian.mvreg), FUNCTION 2 meridian.mvreg_hash_extended(meridian.mvreg, bigint);
COMMENT ON OPERATOR CLASS meridian.mvreg_ops USING hash IS 'Equality of its values.';
