-- The type of column `_meridian`: what this node knows about the writes of one row (docs/architecture.md, "The row model").

CREATE TYPE meridian.row_state;

CREATE FUNCTION meridian.row_state_in(cstring) RETURNS meridian.row_state
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_row_state_in';
COMMENT ON FUNCTION meridian.row_state_in(cstring) IS 'Text input of row_state; refuses every text that is not the canonical form of a state.';
CREATE FUNCTION meridian.row_state_out(meridian.row_state) RETURNS cstring
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_row_state_out';
COMMENT ON FUNCTION meridian.row_state_out(meridian.row_state) IS 'Text output of row_state, lossless: COPY, pg_dump and logical replication carry states as this text.';
CREATE FUNCTION meridian.row_state_recv(internal) RETURNS meridian.row_state
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_row_state_recv';
COMMENT ON FUNCTION meridian.row_state_recv(internal) IS 'Binary input of row_state; refuses every byte string that is not canonical.';
CREATE FUNCTION meridian.row_state_send(meridian.row_state) RETURNS bytea
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_row_state_send';
COMMENT ON FUNCTION meridian.row_state_send(meridian.row_state) IS 'Binary output of row_state: its canonical bytes.';

CREATE TYPE meridian.row_state (
  INPUT = meridian.row_state_in,
  OUTPUT = meridian.row_state_out,
  RECEIVE = meridian.row_state_recv,
  SEND = meridian.row_state_send,
  INTERNALLENGTH = VARIABLE,
  STORAGE = main,
  ALIGNMENT = int4
);
COMMENT ON TYPE meridian.row_state IS 'State of one replicated row: who wrote it last, in which life, and what each node added to its counters. Equal states have equal bytes.';

CREATE FUNCTION meridian.row_state_eq(meridian.row_state, meridian.row_state) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_row_state_eq';
COMMENT ON FUNCTION meridian.row_state_eq(meridian.row_state, meridian.row_state) IS 'True if two states are the same (compares bytes, which are canonical).';
CREATE OPERATOR meridian.= (
  LEFTARG = meridian.row_state, RIGHTARG = meridian.row_state, FUNCTION = meridian.row_state_eq,
  COMMUTATOR = OPERATOR(meridian.=), RESTRICT = eqsel, JOIN = eqjoinsel
);
COMMENT ON OPERATOR meridian.=(meridian.row_state, meridian.row_state) IS 'Same state.';

CREATE FUNCTION meridian.merge_states(left_state meridian.row_state, right_state meridian.row_state) RETURNS meridian.row_state
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_merge_states';
COMMENT ON FUNCTION meridian.merge_states(meridian.row_state, meridian.row_state) IS 'Merges two states of one row, without column values; for inspection and tests.';

CREATE FUNCTION meridian.compare_states(left_state meridian.row_state, right_state meridian.row_state) RETURNS text
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_compare_states';
COMMENT ON FUNCTION meridian.compare_states(meridian.row_state, meridian.row_state) IS 'How the knowledge in two states relates: equal, older, newer (left against right) or concurrent.';
