-- The type meridian.gset: a set of texts that only grows (src/core/gset.hpp).

CREATE TYPE meridian.gset;

CREATE FUNCTION meridian.gset_in(cstring) RETURNS meridian.gset
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_gset_in';
COMMENT ON FUNCTION meridian.gset_in(cstring) IS 'Text input of gset; refuses every text that is not the canonical form of a state.';
CREATE FUNCTION meridian.gset_out(meridian.gset) RETURNS cstring
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_gset_out';
COMMENT ON FUNCTION meridian.gset_out(meridian.gset) IS 'Text output of gset: the whole state, lossless, for COPY, pg_dump and replication. Cast it for the value.';
CREATE FUNCTION meridian.gset_recv(internal) RETURNS meridian.gset
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_gset_recv';
COMMENT ON FUNCTION meridian.gset_recv(internal) IS 'Binary input of gset; refuses every byte string that is not canonical.';
CREATE FUNCTION meridian.gset_send(meridian.gset) RETURNS bytea
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_gset_send';
COMMENT ON FUNCTION meridian.gset_send(meridian.gset) IS 'Binary output of gset: its canonical bytes.';

CREATE TYPE meridian.gset (
  INPUT = meridian.gset_in,
  OUTPUT = meridian.gset_out,
  RECEIVE = meridian.gset_recv,
  SEND = meridian.gset_send,
  INTERNALLENGTH = VARIABLE,
  STORAGE = main,
  ALIGNMENT = int4
);
COMMENT ON TYPE meridian.gset IS 'A set of texts that only grows. Merging unites.';

CREATE FUNCTION meridian.state(value meridian.gset) RETURNS jsonb
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_gset_state';
COMMENT ON FUNCTION meridian.state(meridian.gset) IS 'The whole state of a gset, for people: who wrote what.';
CREATE FUNCTION meridian.merge(left_value meridian.gset, right_value meridian.gset) RETURNS meridian.gset
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_gset_merge';
COMMENT ON FUNCTION meridian.merge(meridian.gset, meridian.gset) IS 'Merges two states, as replication does: commutative, associative, idempotent.';

CREATE FUNCTION meridian.gset(elements text[]) RETURNS meridian.gset
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_gset_literal';
COMMENT ON FUNCTION meridian.gset(text[]) IS 'The set of these elements.';
CREATE CAST (text[] AS meridian.gset) WITH FUNCTION meridian.gset(text[]) AS ASSIGNMENT;
COMMENT ON CAST (text[] AS meridian.gset) IS 'The set of these elements; assigned to a replicated column, it must hold what is there.';
CREATE FUNCTION meridian.elements(value meridian.gset) RETURNS text[]
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_gset_elements';
COMMENT ON FUNCTION meridian.elements(meridian.gset) IS 'The elements, sorted by their bytes.';
CREATE CAST (meridian.gset AS text[]) WITH FUNCTION meridian.elements(meridian.gset) AS ASSIGNMENT;
COMMENT ON CAST (meridian.gset AS text[]) IS 'The elements, sorted by their bytes; immutable, so that GIN can index it.';

CREATE FUNCTION meridian.gset_add(meridian.gset, text) RETURNS meridian.gset
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_gset_add';
COMMENT ON FUNCTION meridian.gset_add(meridian.gset, text) IS 'Adds an element.';
CREATE OPERATOR meridian.+ (LEFTARG = meridian.gset, RIGHTARG = text, FUNCTION = meridian.gset_add);
COMMENT ON OPERATOR meridian.+(meridian.gset, text) IS 'Adds an element.';
CREATE FUNCTION meridian.contains(value meridian.gset, element text) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_gset_contains';
COMMENT ON FUNCTION meridian.contains(meridian.gset, text) IS 'Whether the element is in the set.';
CREATE OPERATOR meridian.@> (LEFTARG = meridian.gset, RIGHTARG = text, FUNCTION = meridian.contains);
COMMENT ON OPERATOR meridian.@>(meridian.gset, text) IS 'Whether the element is in the set.';

-- Comparison is by value, whatever the state: so DISTINCT, ORDER BY, GROUP BY and indexes see what people see.
CREATE FUNCTION meridian.gset_eq(meridian.gset, meridian.gset) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_gset_eq';
COMMENT ON FUNCTION meridian.gset_eq(meridian.gset, meridian.gset) IS 'Compares its elements.';
CREATE FUNCTION meridian.gset_ne(meridian.gset, meridian.gset) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_gset_ne';
COMMENT ON FUNCTION meridian.gset_ne(meridian.gset, meridian.gset) IS 'Compares its elements.';
CREATE FUNCTION meridian.gset_lt(meridian.gset, meridian.gset) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_gset_lt';
COMMENT ON FUNCTION meridian.gset_lt(meridian.gset, meridian.gset) IS 'Compares its elements.';
CREATE FUNCTION meridian.gset_le(meridian.gset, meridian.gset) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_gset_le';
COMMENT ON FUNCTION meridian.gset_le(meridian.gset, meridian.gset) IS 'Compares its elements.';
CREATE FUNCTION meridian.gset_gt(meridian.gset, meridian.gset) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_gset_gt';
COMMENT ON FUNCTION meridian.gset_gt(meridian.gset, meridian.gset) IS 'Compares its elements.';
CREATE FUNCTION meridian.gset_ge(meridian.gset, meridian.gset) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_gset_ge';
COMMENT ON FUNCTION meridian.gset_ge(meridian.gset, meridian.gset) IS 'Compares its elements.';
CREATE FUNCTION meridian.gset_cmp(meridian.gset, meridian.gset) RETURNS integer
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_gset_cmp';
COMMENT ON FUNCTION meridian.gset_cmp(meridian.gset, meridian.gset) IS 'Orders by its elements: -1, 0 or 1.';
CREATE FUNCTION meridian.gset_hash(meridian.gset) RETURNS integer
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_gset_hash';
COMMENT ON FUNCTION meridian.gset_hash(meridian.gset) IS 'Hash of its elements.';
CREATE FUNCTION meridian.gset_hash_extended(meridian.gset, bigint) RETURNS bigint
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_gset_hash_extended';
COMMENT ON FUNCTION meridian.gset_hash_extended(meridian.gset, bigint) IS 'Hash of its elements, with a seed.';
CREATE OPERATOR meridian.= (
  LEFTARG = meridian.gset, RIGHTARG = meridian.gset, FUNCTION = meridian.gset_eq,
  COMMUTATOR = OPERATOR(meridian.=), NEGATOR = OPERATOR(meridian.<>), RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
COMMENT ON OPERATOR meridian.=(meridian.gset, meridian.gset) IS 'Same value.';
CREATE OPERATOR meridian.<> (
  LEFTARG = meridian.gset, RIGHTARG = meridian.gset, FUNCTION = meridian.gset_ne,
  COMMUTATOR = OPERATOR(meridian.<>), NEGATOR = OPERATOR(meridian.=), RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR meridian.<>(meridian.gset, meridian.gset) IS 'Different values.';
CREATE OPERATOR meridian.< (
  LEFTARG = meridian.gset, RIGHTARG = meridian.gset, FUNCTION = meridian.gset_lt,
  COMMUTATOR = OPERATOR(meridian.>), NEGATOR = OPERATOR(meridian.>=), RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR meridian.<(meridian.gset, meridian.gset) IS 'Smaller value.';
CREATE OPERATOR meridian.<= (
  LEFTARG = meridian.gset, RIGHTARG = meridian.gset, FUNCTION = meridian.gset_le,
  COMMUTATOR = OPERATOR(meridian.>=), NEGATOR = OPERATOR(meridian.>), RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR meridian.<=(meridian.gset, meridian.gset) IS 'Smaller or same value.';
CREATE OPERATOR meridian.> (
  LEFTARG = meridian.gset, RIGHTARG = meridian.gset, FUNCTION = meridian.gset_gt,
  COMMUTATOR = OPERATOR(meridian.<), NEGATOR = OPERATOR(meridian.<=), RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR meridian.>(meridian.gset, meridian.gset) IS 'Larger value.';
CREATE OPERATOR meridian.>= (
  LEFTARG = meridian.gset, RIGHTARG = meridian.gset, FUNCTION = meridian.gset_ge,
  COMMUTATOR = OPERATOR(meridian.<=), NEGATOR = OPERATOR(meridian.<), RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR meridian.>=(meridian.gset, meridian.gset) IS 'Larger or same value.';
CREATE OPERATOR CLASS meridian.gset_ops DEFAULT FOR TYPE meridian.gset USING btree AS
  OPERATOR 1 meridian.<, OPERATOR 2 meridian.<=, OPERATOR 3 meridian.=, OPERATOR 4 meridian.>=, OPERATOR 5 meridian.>,
  FUNCTION 1 meridian.gset_cmp(meridian.gset, meridian.gset);
COMMENT ON OPERATOR CLASS meridian.gset_ops USING btree IS 'Order of its elements.';
CREATE OPERATOR CLASS meridian.gset_ops DEFAULT FOR TYPE meridian.gset USING hash AS
  OPERATOR 1 meridian.=,
  FUNCTION 1 meridian.gset_hash(meridian.gset), FUNCTION 2 meridian.gset_hash_extended(meridian.gset, bigint);
COMMENT ON OPERATOR CLASS meridian.gset_ops USING hash IS 'Equality of its elements.';
