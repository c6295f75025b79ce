-- The border between C++ exceptions and PostgreSQL errors (src/pg/support/guard.hpp).
CREATE EXTENSION meridian_guard_test;

-- Runs a statement that must fail and tells everything that a client can see of the error.
CREATE FUNCTION fields_of(statement text, OUT state text, OUT message text, OUT detail text, OUT hint text,
                          OUT constraint_name text, OUT context text)
LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE statement;
  message := 'no error';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
    hint = PG_EXCEPTION_HINT, constraint_name = CONSTRAINT_NAME, context = PG_EXCEPTION_CONTEXT;
END $$;

-- 1. C++ exceptions become errors: the core's own kinds with SQLSTATE and hint, others with a general one.
SELECT kind, state, message, hint
FROM unnest(ARRAY['malformed_text', 'malformed_binary', 'invalid_rule', 'limit_exceeded', 'not_additive', 'bad_alloc',
                  'length_error', 'percent', 'int']) WITH ORDINALITY AS k(kind, n),
     fields_of(format('SELECT guard_throw(%L)', kind))
ORDER BY n;

-- Memory that really cannot be had.
SELECT state, message FROM fields_of('SELECT guard_allocate(1::bigint << 50)');
SELECT state FROM fields_of('SELECT guard_allocate(-1)');
SELECT message FROM fields_of('SELECT guard_allocate(1000)');

-- A message longer than the buffer is cut between characters, not inside one.
SELECT state, octet_length(message), right(message, 1), octet_length(hint), right(hint, 1)
FROM fields_of('SELECT guard_throw(''long'')');

-- 2. A PostgreSQL error raised in a guarded function passes through unchanged.
SELECT state, message, detail, hint, constraint_name FROM fields_of('SELECT guard_raise()');

-- 3. A PostgreSQL error that crosses C++ frames keeps every field, and the frames are unwound.
CREATE FUNCTION raise_it() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'from %', 'plpgsql' USING ERRCODE = 'MD042', DETAIL = 'the detail', HINT = 'the hint',
    CONSTRAINT = 'the constraint';
END $$;

SELECT destroyed_objects AS destroyed FROM guard_state() \gset
SELECT state, message, detail, hint, constraint_name, context LIKE '%raise_it() line 3 at RAISE%' AS has_context
FROM fields_of('SELECT guard_call(''raise_it()'')');
SELECT live_objects, destroyed_objects - :destroyed AS newly_destroyed, exception_pending FROM guard_state();

-- Twice over the border: guard_call -> plpgsql -> guard_call -> plpgsql.
CREATE FUNCTION raise_through_cpp() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM guard_call('raise_it()');
END $$;
SELECT state, message, detail, hint, constraint_name FROM fields_of('SELECT guard_call(''raise_through_cpp()'')');

-- An exception from C++ below plpgsql below C++.
CREATE FUNCTION throw_through_cpp() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM guard_throw('invalid_rule');
END $$;
SELECT state, message, hint FROM fields_of('SELECT guard_call(''throw_through_cpp()'')');
SELECT live_objects, exception_pending FROM guard_state();

-- The error ends the transaction as any other does.
BEGIN;
SELECT guard_call('raise_it()');
SELECT 1;
ROLLBACK;

-- 4. Holdoff counters. An LWLock released during unwinding leaves them balanced, and one released by the end of the
-- transaction too; so cancelling still works.
CREATE FUNCTION do_nothing() RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
SELECT state FROM fields_of('SELECT guard_call_locked_by_object(''raise_it()'')');
SELECT interrupt_holdoff, cancel_holdoff FROM guard_state();
SELECT guard_call_locked_by_object('raise_it()');
SELECT interrupt_holdoff, cancel_holdoff, live_objects FROM guard_state();
SELECT state FROM fields_of('SELECT guard_call_locked_by_glue(''raise_it()'')');
SELECT interrupt_holdoff, cancel_holdoff FROM guard_state();
SELECT guard_call_locked_by_glue('raise_it()');
SELECT interrupt_holdoff, cancel_holdoff, live_objects FROM guard_state();
SELECT guard_drop_locked();
SET statement_timeout = '100ms';
SELECT pg_sleep(30);
RESET statement_timeout;
-- The lock is free again.
SELECT guard_call_locked_by_object('do_nothing()');
SELECT guard_call_locked_by_glue('do_nothing()');

-- 5. 100,000 crossings in each direction leak neither objects nor memory.
SELECT guard_cross(1000);
SELECT context_bytes, heap_bytes FROM guard_state() \gset before_
SELECT guard_cross(100000);
SELECT live_objects, exception_pending, context_bytes - :before_context_bytes < 65536 AS contexts_stable,
       heap_bytes - :before_heap_bytes < 65536 AS heap_stable
FROM guard_state();

-- The same through SQL, each error ending a subtransaction.
CREATE FUNCTION cross_in_sql(times integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. times LOOP
    BEGIN
      PERFORM guard_call('raise_it()');
    EXCEPTION WHEN SQLSTATE 'MD042' THEN
      NULL;
    END;
  END LOOP;
END $$;
SELECT cross_in_sql(1000);
SELECT context_bytes, heap_bytes FROM guard_state() \gset before_
SELECT cross_in_sql(20000);
SELECT live_objects, exception_pending, context_bytes - :before_context_bytes < 65536 AS contexts_stable,
       heap_bytes - :before_heap_bytes < 65536 AS heap_stable
FROM guard_state();

DROP FUNCTION cross_in_sql, do_nothing, throw_through_cpp, raise_through_cpp, raise_it, fields_of;
DROP EXTENSION meridian_guard_test;
