\echo Use "CREATE EXTENSION meridian_guard_test" to load this file. \quit

CREATE FUNCTION guard_throw(kind text) RETURNS void
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'meridian_guard_throw';
COMMENT ON FUNCTION guard_throw IS 'throws the C++ exception of this name, with live objects on the stack';

CREATE FUNCTION guard_allocate(bytes bigint) RETURNS void
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'meridian_guard_allocate';
COMMENT ON FUNCTION guard_allocate IS 'builds a std::vector of so many bytes';

CREATE FUNCTION guard_raise() RETURNS void
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'meridian_guard_raise';
COMMENT ON FUNCTION guard_raise IS 'raises a PostgreSQL error with every field directly in a guarded function';

CREATE FUNCTION guard_call(callee regprocedure) RETURNS void
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'meridian_guard_call';
COMMENT ON FUNCTION guard_call IS 'calls a function without arguments from C++ frames that hold live objects';

CREATE FUNCTION guard_call_locked_by_object(callee regprocedure) RETURNS void
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'meridian_guard_call_locked_by_object';
COMMENT ON FUNCTION guard_call_locked_by_object IS 'the same while an RAII object below the guard holds an LWLock';

CREATE FUNCTION guard_call_locked_by_glue(callee regprocedure) RETURNS void
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'meridian_guard_call_locked_by_glue';
COMMENT ON FUNCTION guard_call_locked_by_glue IS 'the same while the caller of the guard holds an LWLock';

CREATE FUNCTION guard_drop_locked() RETURNS bigint
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'meridian_guard_drop_locked';
COMMENT ON FUNCTION guard_drop_locked IS 'the interrupt holdoff count after C++ has dropped an error that released an LWLock';

CREATE FUNCTION guard_cross(times integer) RETURNS void
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'meridian_guard_cross';
COMMENT ON FUNCTION guard_cross IS 'crosses the border so many times in each direction, with an error each time';

CREATE FUNCTION guard_state(OUT live_objects integer, OUT destroyed_objects bigint, OUT exception_pending boolean,
                            OUT interrupt_holdoff bigint, OUT cancel_holdoff bigint,
                            OUT context_bytes bigint, OUT heap_bytes bigint)
  LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'meridian_guard_state';
COMMENT ON FUNCTION guard_state IS 'what this backend holds: C++ objects, holdoff counters, memory';
