-- Names of streams between members; see src/core/stream.hpp.

CREATE FUNCTION meridian.stream_of(name name, OUT member integer, OUT stream integer, OUT streams integer) RETURNS record
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_stream_of';
COMMENT ON FUNCTION meridian.stream_of(name) IS 'Which member''s stream a slot or subscription of this name is, and which of how many; NULL if it is none of the mesh.';

CREATE FUNCTION meridian.stream_names(member integer, streams integer) RETURNS name[]
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_stream_names';
COMMENT ON FUNCTION meridian.stream_names(integer, integer) IS 'Names of the slots of a member that reads through so many streams; those of the subscriptions to a member, through so many streams.';
