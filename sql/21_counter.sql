-- The type meridian.counter: sums per node, and how much of them a reset has seen (src/core/counter.hpp).
-- A value cast to it is a literal, contributed by nobody. Operations of this node carry its actor, so they need a member of
-- a mesh, and are STABLE; the others are IMMUTABLE.

CREATE TYPE meridian.counter;

CREATE FUNCTION meridian.counter_in(cstring) RETURNS meridian.counter
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_counter_in';
COMMENT ON FUNCTION meridian.counter_in(cstring) IS 'Text input of counter; refuses every text that is not the canonical form of a state.';
CREATE FUNCTION meridian.counter_out(meridian.counter) RETURNS cstring
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_counter_out';
COMMENT ON FUNCTION meridian.counter_out(meridian.counter) IS 'Text output of counter: the whole state, lossless, for COPY, pg_dump and replication. Cast it for the value.';
CREATE FUNCTION meridian.counter_recv(internal) RETURNS meridian.counter
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_counter_recv';
COMMENT ON FUNCTION meridian.counter_recv(internal) IS 'Binary input of counter; refuses every byte string that is not canonical.';
CREATE FUNCTION meridian.counter_send(meridian.counter) RETURNS bytea
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_counter_send';
COMMENT ON FUNCTION meridian.counter_send(meridian.counter) IS 'Binary output of counter: its canonical bytes.';

CREATE TYPE meridian.counter (
  INPUT = meridian.counter_in,
  OUTPUT = meridian.counter_out,
  RECEIVE = meridian.counter_recv,
  SEND = meridian.counter_send,
  INTERNALLENGTH = VARIABLE,
  STORAGE = main,
  ALIGNMENT = int4
);
COMMENT ON TYPE meridian.counter IS 'A number that every node adds to: what is added concurrently adds up, and reset() takes back what it has seen.';

CREATE FUNCTION meridian.state(value meridian.counter) RETURNS jsonb
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_counter_state';
COMMENT ON FUNCTION meridian.state(meridian.counter) IS 'The whole state of a counter, for people: who wrote what.';
CREATE FUNCTION meridian.merge(left_value meridian.counter, right_value meridian.counter) RETURNS meridian.counter
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_counter_merge';
COMMENT ON FUNCTION meridian.merge(meridian.counter, meridian.counter) IS 'Merges two states, as replication does: commutative, associative, idempotent.';

CREATE FUNCTION meridian.counter(value bigint) RETURNS meridian.counter
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_counter_literal';
COMMENT ON FUNCTION meridian.counter(bigint) IS 'A counter with this value, which nobody in particular contributed.';
CREATE FUNCTION meridian.counter(value integer) RETURNS meridian.counter
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_counter_literal_integer';
COMMENT ON FUNCTION meridian.counter(integer) IS 'A counter with this value, which nobody in particular contributed.';
CREATE CAST (bigint AS meridian.counter) WITH FUNCTION meridian.counter(bigint) AS ASSIGNMENT;
COMMENT ON CAST (bigint AS meridian.counter) IS 'A literal: assigned to a replicated column, it resets the counter to this value.';
CREATE CAST (integer AS meridian.counter) WITH FUNCTION meridian.counter(integer) AS ASSIGNMENT;
COMMENT ON CAST (integer AS meridian.counter) IS 'A literal: assigned to a replicated column, it resets the counter to this value.';
CREATE FUNCTION meridian.value(value meridian.counter) RETURNS bigint
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_counter_value';
COMMENT ON FUNCTION meridian.value(meridian.counter) IS 'The value of a counter. Raises 22003 if concurrent additions made it larger than a bigint.';
CREATE FUNCTION meridian.numeric_value(value meridian.counter) RETURNS numeric
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_counter_numeric';
COMMENT ON FUNCTION meridian.numeric_value(meridian.counter) IS 'The value of a counter, however large.';
CREATE CAST (meridian.counter AS bigint) WITH FUNCTION meridian.value(meridian.counter) AS ASSIGNMENT;
COMMENT ON CAST (meridian.counter AS bigint) IS 'The value.';
CREATE CAST (meridian.counter AS numeric) WITH FUNCTION meridian.numeric_value(meridian.counter) AS ASSIGNMENT;
COMMENT ON CAST (meridian.counter AS numeric) IS 'The value, however large.';

CREATE FUNCTION meridian.counter_add(meridian.counter, bigint) RETURNS meridian.counter
  LANGUAGE C STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_counter_add';
COMMENT ON FUNCTION meridian.counter_add(meridian.counter, bigint) IS 'Adds in the name of this node. Raises 22003 rather than overflow.';
CREATE FUNCTION meridian.counter_subtract(meridian.counter, bigint) RETURNS meridian.counter
  LANGUAGE C STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_counter_subtract';
COMMENT ON FUNCTION meridian.counter_subtract(meridian.counter, bigint) IS 'Subtracts in the name of this node. Raises 22003 rather than overflow.';
CREATE OPERATOR meridian.+ (LEFTARG = meridian.counter, RIGHTARG = bigint, FUNCTION = meridian.counter_add);
COMMENT ON OPERATOR meridian.+(meridian.counter, bigint) IS 'Adds in the name of this node.';
CREATE OPERATOR meridian.- (LEFTARG = meridian.counter, RIGHTARG = bigint, FUNCTION = meridian.counter_subtract);
COMMENT ON OPERATOR meridian.-(meridian.counter, bigint) IS 'Subtracts in the name of this node.';
CREATE FUNCTION meridian.reset(value meridian.counter) RETURNS meridian.counter
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_counter_reset';
COMMENT ON FUNCTION meridian.reset(meridian.counter) IS 'Takes back every addition that this state has seen; a concurrent one still counts.';
CREATE FUNCTION meridian.set(value meridian.counter, target bigint) RETURNS meridian.counter
  LANGUAGE C STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_counter_set';
COMMENT ON FUNCTION meridian.set(meridian.counter, bigint) IS 'A reset and an addition in the name of this node. Of two concurrent ones both count.';

CREATE FUNCTION meridian.counter_sum_step(numeric, meridian.counter) RETURNS numeric
  LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_counter_sum_step';
COMMENT ON FUNCTION meridian.counter_sum_step(numeric, meridian.counter) IS 'Step of the aggregate sum(counter).';
CREATE AGGREGATE meridian.sum(meridian.counter) (
  SFUNC = meridian.counter_sum_step, STYPE = numeric, COMBINEFUNC = numeric_add, PARALLEL = SAFE
);
COMMENT ON AGGREGATE meridian.sum(meridian.counter) IS 'Sum of the values; NULL if there is none.';

-- Comparison is by value, whatever the state: so DISTINCT, ORDER BY, GROUP BY and indexes see what people see.
CREATE FUNCTION meridian.counter_eq(meridian.counter, meridian.counter) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_counter_eq';
COMMENT ON FUNCTION meridian.counter_eq(meridian.counter, meridian.counter) IS 'Compares the value as a number.';
CREATE FUNCTION meridian.counter_ne(meridian.counter, meridian.counter) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_counter_ne';
COMMENT ON FUNCTION meridian.counter_ne(meridian.counter, meridian.counter) IS 'Compares the value as a number.';
CREATE FUNCTION meridian.counter_lt(meridian.counter, meridian.counter) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_counter_lt';
COMMENT ON FUNCTION meridian.counter_lt(meridian.counter, meridian.counter) IS 'Compares the value as a number.';
CREATE FUNCTION meridian.counter_le(meridian.counter, meridian.counter) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_counter_le';
COMMENT ON FUNCTION meridian.counter_le(meridian.counter, meridian.counter) IS 'Compares the value as a number.';
CREATE FUNCTION meridian.counter_gt(meridian.counter, meridian.counter) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_counter_gt';
COMMENT ON FUNCTION meridian.counter_gt(meridian.counter, meridian.counter) IS 'Compares the value as a number.';
CREATE FUNCTION meridian.counter_ge(meridian.counter, meridian.counter) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_counter_ge';
COMMENT ON FUNCTION meridian.counter_ge(meridian.counter, meridian.counter) IS 'Compares the value as a number.';
CREATE FUNCTION meridian.counter_cmp(meridian.counter, meridian.counter) RETURNS integer
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_counter_cmp';
COMMENT ON FUNCTION meridian.counter_cmp(meridian.counter, meridian.counter) IS 'Orders by the value as a number: -1, 0 or 1.';
CREATE FUNCTION meridian.counter_hash(meridian.counter) RETURNS integer
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_counter_hash';
COMMENT ON FUNCTION meridian.counter_hash(meridian.counter) IS 'Hash of the value as a number.';
CREATE FUNCTION meridian.counter_hash_extended(meridian.counter, bigint) RETURNS bigint
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_counter_hash_extended';
COMMENT ON FUNCTION meridian.counter_hash_extended(meridian.counter, bigint) IS 'Hash of the value as a number, with a seed.';
CREATE OPERATOR meridian.= (
  LEFTARG = meridian.counter, RIGHTARG = meridian.counter, FUNCTION = meridian.counter_eq,
  COMMUTATOR = OPERATOR(meridian.=), NEGATOR = OPERATOR(meridian.<>), RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
COMMENT ON OPERATOR meridian.=(meridian.counter, meridian.counter) IS 'Same value.';
CREATE OPERATOR meridian.<> (
  LEFTARG = meridian.counter, RIGHTARG = meridian.counter, FUNCTION = meridian.counter_ne,
  COMMUTATOR = OPERATOR(meridian.<>), NEGATOR = OPERATOR(meridian.=), RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR meridian.<>(meridian.counter, meridian.counter) IS 'Different values.';
CREATE OPERATOR meridian.< (
  LEFTARG = meridian.counter, RIGHTARG = meridian.counter, FUNCTION = meridian.counter_lt,
  COMMUTATOR = OPERATOR(meridian.>), NEGATOR = OPERATOR(meridian.>=), RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR meridian.<(meridian.counter, meridian.counter) IS 'Smaller value.';
CREATE OPERATOR meridian.<= (
  LEFTARG = meridian.counter, RIGHTARG = meridian.counter, FUNCTION = meridian.counter_le,
  COMMUTATOR = OPERATOR(meridian.>=), NEGATOR = OPERATOR(meridian.>), RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR meridian.<=(meridian.counter, meridian.counter) IS 'Smaller or same value.';
CREATE OPERATOR meridian.> (
  LEFTARG = meridian.counter, RIGHTARG = meridian.counter, FUNCTION = meridian.counter_gt,
  COMMUTATOR = OPERATOR(meridian.<), NEGATOR = OPERATOR(meridian.<=), RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR meridian.>(meridian.counter, meridian.counter) IS 'Larger value.';
CREATE OPERATOR meridian.>= (
  LEFTARG = meridian.counter, RIGHTARG = meridian.counter, FUNCTION = meridian.counter_ge,
  COMMUTATOR = OPERATOR(meridian.<=), NEGATOR = OPERATOR(meridian.<), RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR meridian.>=(meridian.counter, meridian.counter) IS 'Larger or same value.';
CREATE OPERATOR CLASS meridian.counter_ops DEFAULT FOR TYPE meridian.counter USING btree AS
  OPERATOR 1 meridian.<, OPERATOR 2 meridian.<=, OPERATOR 3 meridian.=, OPERATOR 4 meridian.>=, OPERATOR 5 meridian.>,
  FUNCTION 1 meridian.counter_cmp(meridian.counter, meridian.counter);
COMMENT ON OPERATOR CLASS meridian.counter_ops USING btree IS 'Order of the value as a number.';
CREATE OPERATOR CLASS meridian.counter_ops DEFAULT FOR TYPE meridian.counter USING hash AS
  OPERATOR 1 meridian.=,
  FUNCTION 1 meridian.counter_hash(meridian.counter), FUNCTION 2 meridian.counter_hash_extended(meridian.counter, bigint);
COMMENT ON OPERATOR CLASS meridian.counter_ops USING hash IS 'Equality of the value as a number.';
