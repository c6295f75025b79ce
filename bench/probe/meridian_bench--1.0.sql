CREATE FUNCTION empty_trigger() RETURNS trigger LANGUAGE C AS 'MODULE_PATHNAME', 'meridian_bench_empty_trigger';
COMMENT ON FUNCTION empty_trigger() IS 'BEFORE row trigger that lets every row through: what a trigger in C++ costs at least.';

CREATE FUNCTION mark() RETURNS void LANGUAGE C AS 'MODULE_PATHNAME', 'meridian_bench_mark';
COMMENT ON FUNCTION mark() IS 'Does nothing. callgrind --dump-before=''meridian_bench_mark*'' ends a measurement here and begins the next.';

CREATE FUNCTION mark_trigger() RETURNS trigger LANGUAGE C AS 'MODULE_PATHNAME', 'meridian_bench_mark_trigger';
COMMENT ON FUNCTION mark_trigger() IS 'BEFORE INSERT trigger that is such a mark: a row that arrives ends a measurement of the apply worker.';

CREATE FUNCTION empty_text(text) RETURNS text LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_bench_empty_text';
COMMENT ON FUNCTION empty_text(text) IS 'Returns its argument: what a C function from text to text costs at least.';

CREATE FUNCTION empty_row(text, OUT node text, OUT dsn text, OUT region text, OUT reason text) LANGUAGE C STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_bench_empty_row';
COMMENT ON FUNCTION empty_row(text) IS 'Returns NULL: what a C function from text to a row costs at least.';

CREATE FUNCTION empty_route(session text DEFAULT NULL, token text DEFAULT NULL, max_lag interval DEFAULT NULL, region text DEFAULT NULL,
                            OUT node text, OUT dsn text, OUT role text, OUT reason text)
  LANGUAGE C VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_bench_empty_route';
COMMENT ON FUNCTION empty_route(text, text, interval, text) IS 'Returns a row of four texts: what a C function with the signature of route_read() costs at least.';
