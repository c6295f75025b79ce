-- The type meridian.flag: a boolean with enable-wins or disable-wins (src/core/flag.hpp).
-- A value cast to it is a literal, contributed by nobody. Operations of this node carry its actor, so they need a member of
-- a mesh, and are STABLE; the others are IMMUTABLE.

CREATE TYPE meridian.flag;

CREATE FUNCTION meridian.flag_in(cstring) RETURNS meridian.flag
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_flag_in';
COMMENT ON FUNCTION meridian.flag_in(cstring) IS 'Text input of flag; refuses every text that is not the canonical form of a state.';
CREATE FUNCTION meridian.flag_out(meridian.flag) RETURNS cstring
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_flag_out';
COMMENT ON FUNCTION meridian.flag_out(meridian.flag) IS 'Text output of flag: the whole state, lossless, for COPY, pg_dump and replication. Cast it for the value.';
CREATE FUNCTION meridian.flag_recv(internal) RETURNS meridian.flag
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_flag_recv';
COMMENT ON FUNCTION meridian.flag_recv(internal) IS 'Binary input of flag; refuses every byte string that is not canonical.';
CREATE FUNCTION meridian.flag_send(meridian.flag) RETURNS bytea
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_flag_send';
COMMENT ON FUNCTION meridian.flag_send(meridian.flag) IS 'Binary output of flag: its canonical bytes.';

CREATE TYPE meridian.flag (
  INPUT = meridian.flag_in,
  OUTPUT = meridian.flag_out,
  RECEIVE = meridian.flag_recv,
  SEND = meridian.flag_send,
  INTERNALLENGTH = VARIABLE,
  STORAGE = main,
  ALIGNMENT = int4
);
COMMENT ON TYPE meridian.flag IS 'A boolean in which, of concurrent changes, enabling wins (flag_ew) or disabling wins (flag_dw).';

CREATE FUNCTION meridian.state(value meridian.flag) RETURNS jsonb
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_flag_state';
COMMENT ON FUNCTION meridian.state(meridian.flag) IS 'The whole state of a flag, for people: who wrote what.';
CREATE FUNCTION meridian.merge(left_value meridian.flag, right_value meridian.flag) RETURNS meridian.flag
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_flag_merge';
COMMENT ON FUNCTION meridian.merge(meridian.flag, meridian.flag) IS 'Merges two states, as replication does: commutative, associative, idempotent.';

CREATE FUNCTION meridian.flag_ew(value boolean DEFAULT false) RETURNS meridian.flag
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_flag_ew';
COMMENT ON FUNCTION meridian.flag_ew(boolean) IS 'A flag in which enabling wins, which nobody in particular has set.';
CREATE FUNCTION meridian.flag_dw(value boolean DEFAULT false) RETURNS meridian.flag
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_flag_dw';
COMMENT ON FUNCTION meridian.flag_dw(boolean) IS 'A flag in which disabling wins, which nobody in particular has set.';
CREATE CAST (boolean AS meridian.flag) WITH FUNCTION meridian.flag_ew(boolean) AS ASSIGNMENT;
COMMENT ON CAST (boolean AS meridian.flag) IS 'A literal: assigned to a replicated column, it enables or disables the flag, whose policy stays.';
CREATE FUNCTION meridian.is_on(value meridian.flag) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_flag_is_on';
COMMENT ON FUNCTION meridian.is_on(meridian.flag) IS 'Whether the flag is on.';
CREATE CAST (meridian.flag AS boolean) WITH FUNCTION meridian.is_on(meridian.flag) AS ASSIGNMENT;
COMMENT ON CAST (meridian.flag AS boolean) IS 'Whether the flag is on.';

CREATE FUNCTION meridian.enable(value meridian.flag) RETURNS meridian.flag
  LANGUAGE C STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_flag_enable';
COMMENT ON FUNCTION meridian.enable(meridian.flag) IS 'Enables the flag in the name of this node.';
CREATE FUNCTION meridian.disable(value meridian.flag) RETURNS meridian.flag
  LANGUAGE C STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_flag_disable';
COMMENT ON FUNCTION meridian.disable(meridian.flag) IS 'Disables the flag in the name of this node.';
CREATE FUNCTION meridian.set(value meridian.flag, target boolean) RETURNS meridian.flag
  LANGUAGE C STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_flag_set';
COMMENT ON FUNCTION meridian.set(meridian.flag, boolean) IS 'Enables or disables the flag in the name of this node.';

-- Comparison is by value, whatever the state: so DISTINCT, ORDER BY, GROUP BY and indexes see what people see.
CREATE FUNCTION meridian.flag_eq(meridian.flag, meridian.flag) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_flag_eq';
COMMENT ON FUNCTION meridian.flag_eq(meridian.flag, meridian.flag) IS 'Compares whether it is on.';
CREATE FUNCTION meridian.flag_ne(meridian.flag, meridian.flag) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_flag_ne';
COMMENT ON FUNCTION meridian.flag_ne(meridian.flag, meridian.flag) IS 'Compares whether it is on.';
CREATE FUNCTION meridian.flag_lt(meridian.flag, meridian.flag) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_flag_lt';
COMMENT ON FUNCTION meridian.flag_lt(meridian.flag, meridian.flag) IS 'Compares whether it is on.';
CREATE FUNCTION meridian.flag_le(meridian.flag, meridian.flag) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_flag_le';
COMMENT ON FUNCTION meridian.flag_le(meridian.flag, meridian.flag) IS 'Compares whether it is on.';
CREATE FUNCTION meridian.flag_gt(meridian.flag, meridian.flag) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_flag_gt';
COMMENT ON FUNCTION meridian.flag_gt(meridian.flag, meridian.flag) IS 'Compares whether it is on.';
CREATE FUNCTION meridian.flag_ge(meridian.flag, meridian.flag) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_flag_ge';
COMMENT ON FUNCTION meridian.flag_ge(meridian.flag, meridian.flag) IS 'Compares whether it is on.';
CREATE FUNCTION meridian.flag_cmp(meridian.flag, meridian.flag) RETURNS integer
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_flag_cmp';
COMMENT ON FUNCTION meridian.flag_cmp(meridian.flag, meridian.flag) IS 'Orders by whether it is on: -1, 0 or 1.';
CREATE FUNCTION meridian.flag_hash(meridian.flag) RETURNS integer
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_flag_hash';
COMMENT ON FUNCTION meridian.flag_hash(meridian.flag) IS 'Hash of whether it is on.';
CREATE FUNCTION meridian.flag_hash_extended(meridian.flag, bigint) RETURNS bigint
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_flag_hash_extended';
COMMENT ON FUNCTION meridian.flag_hash_extended(meridian.flag, bigint) IS 'Hash of whether it is on, with a seed.';
CREATE OPERATOR meridian.= (
  LEFTARG = meridian.flag, RIGHTARG = meridian.flag, FUNCTION = meridian.flag_eq,
  COMMUTATOR = OPERATOR(meridian.=), NEGATOR = OPERATOR(meridian.<>), RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
COMMENT ON OPERATOR meridian.=(meridian.flag, meridian.flag) IS 'Same value.';
CREATE OPERATOR meridian.<> (
  LEFTARG = meridian.flag, RIGHTARG = meridian.flag, FUNCTION = meridian.flag_ne,
  COMMUTATOR = OPERATOR(meridian.<>), NEGATOR = OPERATOR(meridian.=), RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR meridian.<>(meridian.flag, meridian.flag) IS 'Different values.';
CREATE OPERATOR meridian.< (
  LEFTARG = meridian.flag, RIGHTARG = meridian.flag, FUNCTION = meridian.flag_lt,
  COMMUTATOR = OPERATOR(meridian.>), NEGATOR = OPERATOR(meridian.>=), RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR meridian.<(meridian.flag, meridian.flag) IS 'Smaller value.';
CREATE OPERATOR meridian.<= (
  LEFTARG = meridian.flag, RIGHTARG = meridian.flag, FUNCTION = meridian.flag_le,
  COMMUTATOR = OPERATOR(meridian.>=), NEGATOR = OPERATOR(meridian.>), RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR meridian.<=(meridian.flag, meridian.flag) IS 'Smaller or same value.';
CREATE OPERATOR meridian.> (
  LEFTARG = meridian.flag, RIGHTARG = meridian.flag, FUNCTION = meridian.flag_gt,
  COMMUTATOR = OPERATOR(meridian.<), NEGATOR = OPERATOR(meridian.<=), RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR meridian.>(meridian.flag, meridian.flag) IS 'Larger value.';
CREATE OPERATOR meridian.>= (
  LEFTARG = meridian.flag, RIGHTARG = meridian.flag, FUNCTION = meridian.flag_ge,
  COMMUTATOR = OPERATOR(meridian.<=), NEGATOR = OPERATOR(meridian.<), RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR meridian.>=(meridian.flag, meridian.flag) IS 'Larger or same value.';
CREATE OPERATOR CLASS meridian.flag_ops DEFAULT FOR TYPE meridian.flag USING btree AS
  OPERATOR 1 meridian.<, OPERATOR 2 meridian.<=, OPERATOR 3 meridian.=, OPERATOR 4 meridian.>=, OPERATOR 5 meridian.>,
  FUNCTION 1 meridian.flag_cmp(meridian.flag, meridian.flag);
COMMENT ON OPERATOR CLASS meridian.flag_ops USING btree IS 'Order of whether it is on.';
CREATE OPERATOR CLASS meridian.flag_ops DEFAULT FOR TYPE meridian.flag USING hash AS
  OPERATOR 1 meridian.=,
  FUNCTION 1 meridian.flag_hash(meridian.flag), FUNCTION 2 meridian.flag_hash_extended(meridian.flag, bigint);
COMMENT ON OPERATOR CLASS meridian.flag_ops USING hash IS 'Equality of whether it is on.';
