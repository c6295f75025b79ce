-- The type meridian.orset: a set of texts in which an add wins over a concurrent remove (src/core/orset.hpp).
-- A value cast to it is a literal, contributed by nobody. Operations of this node carry its actor, so they need a member of
-- a mesh, and are STABLE; the others are IMMUTABLE.

CREATE TYPE meridian.orset;

CREATE FUNCTION meridian.orset_in(cstring) RETURNS meridian.orset
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_orset_in';
COMMENT ON FUNCTION meridian.orset_in(cstring) IS 'Text input of orset; refuses every text that is not the canonical form of a state.';
CREATE FUNCTION meridian.orset_out(meridian.orset) RETURNS cstring
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_orset_out';
COMMENT ON FUNCTION meridian.orset_out(meridian.orset) IS 'Text output of orset: the whole state, lossless, for COPY, pg_dump and replication. Cast it for the value.';
CREATE FUNCTION meridian.orset_recv(internal) RETURNS meridian.orset
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_orset_recv';
COMMENT ON FUNCTION meridian.orset_recv(internal) IS 'Binary input of orset; refuses every byte string that is not canonical.';
CREATE FUNCTION meridian.orset_send(meridian.orset) RETURNS bytea
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_orset_send';
COMMENT ON FUNCTION meridian.orset_send(meridian.orset) IS 'Binary output of orset: its canonical bytes.';

CREATE TYPE meridian.orset (
  INPUT = meridian.orset_in,
  OUTPUT = meridian.orset_out,
  RECEIVE = meridian.orset_recv,
  SEND = meridian.orset_send,
  INTERNALLENGTH = VARIABLE,
  STORAGE = main,
  ALIGNMENT = int4
);
COMMENT ON TYPE meridian.orset IS 'A set of texts in which an add wins over a concurrent remove.';

CREATE FUNCTION meridian.state(value meridian.orset) RETURNS jsonb
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_orset_state';
COMMENT ON FUNCTION meridian.state(meridian.orset) IS 'The whole state of a orset, for people: who wrote what.';
CREATE FUNCTION meridian.merge(left_value meridian.orset, right_value meridian.orset) RETURNS meridian.orset
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_orset_merge';
COMMENT ON FUNCTION meridian.merge(meridian.orset, meridian.orset) IS 'Merges two states, as replication does: commutative, associative, idempotent.';

CREATE FUNCTION meridian.orset(elements text[]) RETURNS meridian.orset
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_orset_literal';
COMMENT ON FUNCTION meridian.orset(text[]) IS 'The set of these elements, which nobody in particular added.';
CREATE CAST (text[] AS meridian.orset) WITH FUNCTION meridian.orset(text[]) AS ASSIGNMENT;
COMMENT ON CAST (text[] AS meridian.orset) IS 'A literal: assigned to a replicated column, it becomes adds and removes of the difference.';
CREATE FUNCTION meridian.elements(value meridian.orset) RETURNS text[]
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_orset_elements';
COMMENT ON FUNCTION meridian.elements(meridian.orset) IS 'The elements, sorted by their bytes.';
CREATE CAST (meridian.orset AS text[]) WITH FUNCTION meridian.elements(meridian.orset) AS ASSIGNMENT;
COMMENT ON CAST (meridian.orset AS text[]) IS 'The elements, sorted by their bytes; immutable, so that GIN can index it.';

CREATE FUNCTION meridian.orset_add(meridian.orset, text) RETURNS meridian.orset
  LANGUAGE C STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_orset_add';
COMMENT ON FUNCTION meridian.orset_add(meridian.orset, text) IS 'Adds an element in the name of this node, also one that is there: the add outlives a concurrent remove.';
CREATE FUNCTION meridian.orset_remove(meridian.orset, text) RETURNS meridian.orset
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_orset_remove';
COMMENT ON FUNCTION meridian.orset_remove(meridian.orset, text) IS 'Removes an element: takes back every add of it that this state has seen.';
CREATE OPERATOR meridian.+ (LEFTARG = meridian.orset, RIGHTARG = text, FUNCTION = meridian.orset_add);
COMMENT ON OPERATOR meridian.+(meridian.orset, text) IS 'Adds an element in the name of this node.';
CREATE OPERATOR meridian.- (LEFTARG = meridian.orset, RIGHTARG = text, FUNCTION = meridian.orset_remove);
COMMENT ON OPERATOR meridian.-(meridian.orset, text) IS 'Removes an element.';
CREATE FUNCTION meridian.contains(value meridian.orset, element text) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_orset_contains';
COMMENT ON FUNCTION meridian.contains(meridian.orset, text) IS 'Whether the element is in the set.';
CREATE OPERATOR meridian.@> (LEFTARG = meridian.orset, RIGHTARG = text, FUNCTION = meridian.contains);
COMMENT ON OPERATOR meridian.@>(meridian.orset, text) IS 'Whether the element is in the set.';

-- Comparison is by value, whatever the state: so DISTINCT, ORDER BY, GROUP BY and indexes see what people see.
CREATE FUNCTION meridian.orset_eq(meridian.orset, meridian.orset) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_orset_eq';
COMMENT ON FUNCTION meridian.orset_eq(meridian.orset, meridian.orset) IS 'Compares its elements.';
CREATE FUNCTION meridian.orset_ne(meridian.orset, meridian.orset) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_orset_ne';
COMMENT ON FUNCTION meridian.orset_ne(meridian.orset, meridian.orset) IS 'Compares its elements.';
CREATE FUNCTION meridian.orset_lt(meridian.orset, meridian.orset) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_orset_lt';
COMMENT ON FUNCTION meridian.orset_lt(meridian.orset, meridian.orset) IS 'Compares its elements.';
CREATE FUNCTION meridian.orset_le(meridian.orset, meridian.orset) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_orset_le';
COMMENT ON FUNCTION meridian.orset_le(meridian.orset, meridian.orset) IS 'Compares its elements.';
CREATE FUNCTION meridian.orset_gt(meridian.orset, meridian.orset) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_orset_gt';
COMMENT ON FUNCTION meridian.orset_gt(meridian.orset, meridian.orset) IS 'Compares its elements.';
CREATE FUNCTION meridian.orset_ge(meridian.orset, meridian.orset) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_orset_ge';
COMMENT ON FUNCTION meridian.orset_ge(meridian.orset, meridian.orset) IS 'Compares its elements.';
CREATE FUNCTION meridian.orset_cmp(meridian.orset, meridian.orset) RETURNS integer
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_orset_cmp';
COMMENT ON FUNCTION meridian.orset_cmp(meridian.orset, meridian.orset) IS 'Orders by its elements: -1, 0 or 1.';
CREATE FUNCTION meridian.orset_hash(meridian.orset) RETURNS integer
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_orset_hash';
COMMENT ON FUNCTION meridian.orset_hash(meridian.orset) IS 'Hash of its elements.';
CREATE FUNCTION meridian.orset_hash_extended(meridian.orset, bigint) RETURNS bigint
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_orset_hash_extended';
COMMENT ON FUNCTION meridian.orset_hash_extended(meridian.orset, bigint) IS 'Hash of its elements, with a seed.';
CREATE OPERATOR meridian.= (
  LEFTARG = meridian.orset, RIGHTARG = meridian.orset, FUNCTION = meridian.orset_eq,
  COMMUTATOR = OPERATOR(meridian.=), NEGATOR = OPERATOR(meridian.<>), RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
COMMENT ON OPERATOR meridian.=(meridian.orset, meridian.orset) IS 'Same value.';
CREATE OPERATOR meridian.<> (
  LEFTARG = meridian.orset, RIGHTARG = meridian.orset, FUNCTION = meridian.orset_ne,
  COMMUTATOR = OPERATOR(meridian.<>), NEGATOR = OPERATOR(meridian.=), RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR meridian.<>(meridian.orset, meridian.orset) IS 'Different values.';
CREATE OPERATOR meridian.< (
  LEFTARG = meridian.orset, RIGHTARG = meridian.orset, FUNCTION = meridian.orset_lt,
  COMMUTATOR = OPERATOR(meridian.>), NEGATOR = OPERATOR(meridian.>=), RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR meridian.<(meridian.orset, meridian.orset) IS 'Smaller value.';
CREATE OPERATOR meridian.<= (
  LEFTARG = meridian.orset, RIGHTARG = meridian.orset, FUNCTION = meridian.orset_le,
  COMMUTATOR = OPERATOR(meridian.>=), NEGATOR = OPERATOR(meridian.>), RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR meridian.<=(meridian.orset, meridian.orset) IS 'Smaller or same value.';
CREATE OPERATOR meridian.> (
  LEFTARG = meridian.orset, RIGHTARG = meridian.orset, FUNCTION = meridian.orset_gt,
  COMMUTATOR = OPERATOR(meridian.<), NEGATOR = OPERATOR(meridian.<=), RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR meridian.>(meridian.orset, meridian.orset) IS 'Larger value.';
CREATE OPERATOR meridian.>= (
  LEFTARG = meridian.orset, RIGHTARG = meridian.orset, FUNCTION = meridian.orset_ge,
  COMMUTATOR = OPERATOR(meridian.<=), NEGATOR = OPERATOR(meridian.<), RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR meridian.>=(meridian.orset, meridian.orset) IS 'Larger or same value.';
CREATE OPERATOR CLASS meridian.orset_ops DEFAULT FOR TYPE meridian.orset USING btree AS
  OPERATOR 1 meridian.<, OPERATOR 2 meridian.<=, OPERATOR 3 meridian.=, OPERATOR 4 meridian.>=, OPERATOR 5 meridian.>,
  FUNCTION 1 meridian.orset_cmp(meridian.orset, meridian.orset);
COMMENT ON OPERATOR CLASS meridian.orset_ops USING btree IS 'Order of its elements.';
CREATE OPERATOR CLASS meridian.orset_ops DEFAULT FOR TYPE meridian.orset USING hash AS
  OPERATOR 1 meridian.=,
  FUNCTION 1 meridian.orset_hash(meridian.orset), FUNCTION 2 meridian.orset_hash_extended(meridian.orset, bigint);
COMMENT ON OPERATOR CLASS meridian.orset_ops USING hash IS 'Equality of its elements.';
