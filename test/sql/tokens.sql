-- Tokens on one server: when there is one, what it says, and what is refused.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include

CREATE TABLE note (id integer PRIMARY KEY, t text);
CREATE SEQUENCE numbers CACHE 32;
-- written(): whether there is a new token since it was last called in this session
CREATE FUNCTION written() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  now text := current_setting('meridian.last_write');
  before text := coalesce(current_setting('test.seen', true), '');
BEGIN
  PERFORM set_config('test.seen', now, false);
  RETURN now <> before;
END
$$;
\c -
SELECT meridian.last_write_token() IS NULL AS nothing_yet, current_setting('meridian.last_write') = '' AS empty;

-- what writes gives a token, and it can be read at once
INSERT INTO note VALUES (1, 'a');
SELECT written(), meridian.last_write_token() = current_setting('meridian.last_write') AS same,
       meridian.last_write_token() ~ '^m1\.[0-9a-f]{1,16}-[0-9a-f]{1,8}-[0-9a-f]{1,16}$' AS canonical,
       meridian.check_token(meridian.last_write_token());
UPDATE note SET t = 'b';
SELECT written();
BEGIN;
INSERT INTO note VALUES (2, 'a');
SELECT written() AS inside;
COMMIT;
SELECT written();
BEGIN;
SAVEPOINT s;
INSERT INTO note VALUES (3, 'a');
ROLLBACK TO s;
COMMIT;
SELECT written() AS it_had_an_xid;
BEGIN;
SAVEPOINT s;
INSERT INTO note VALUES (3, 'a');
RELEASE s;
COMMIT;
SELECT written();
CREATE TABLE other ();
SELECT written() AS ddl;
SET synchronous_commit = off;
INSERT INTO note VALUES (4, 'a');
SELECT written() AS asynchronous, meridian.check_token(meridian.last_write_token());
RESET synchronous_commit;
INSERT INTO note VALUES (5, 'a')\; INSERT INTO note VALUES (6, 'a');
SELECT written() AS two_at_once;
COPY note (id) FROM STDIN;
7
\.
SELECT written() AS copied;
DO $$ BEGIN INSERT INTO note VALUES (8); COMMIT; PERFORM 1; END $$;
SELECT written() AS inner_commit;
-- the inner COMMIT has one of its own
DO $$
DECLARE before text := current_setting('meridian.last_write');
BEGIN
  INSERT INTO note VALUES (9);
  COMMIT;
  RAISE NOTICE 'in between: %', current_setting('meridian.last_write') <> before;
END $$;
SELECT written();

-- what does not write gives none
SELECT count(*) FROM note;
SELECT written();
BEGIN; INSERT INTO note VALUES (10); ROLLBACK;
SELECT written();
INSERT INTO note VALUES (1, 'twice');
SELECT written();
SELECT nextval('numbers') > 0 AS fetched \gset
SELECT written() AS first_of_32 \gset
SELECT nextval('numbers') > 0 AS fetched \gset
SELECT written() AS cached_value;
SET work_mem = '5MB';
SELECT written();

-- a prepared transaction has its token when it is committed, wherever that is
BEGIN;
INSERT INTO note VALUES (11);
PREPARE TRANSACTION 'regress_token';
SELECT written() AS prepared;
\c -
SELECT meridian.last_write_token() IS NULL AS nothing_yet;
COMMIT PREPARED 'regress_token';
SELECT written() AS committed, meridian.check_token(meridian.last_write_token());
BEGIN;
INSERT INTO note VALUES (12);
PREPARE TRANSACTION 'regress_token';
ROLLBACK PREPARED 'regress_token';
SELECT written() AS rolled_back;
COMMIT PREPARED 'regress_no_such';
SELECT written() AS failed;
SELECT count(*) FROM note;
SELECT written();

-- nobody can set it, and it stays
\i :include
SELECT pg_temp.error_of($$SET meridian.last_write = 'm1.1-1-1'$$);
SELECT pg_temp.error_of($$SELECT set_config('meridian.last_write', 'm1.1-1-1', false)$$);
RESET ALL;
DISCARD ALL;
SELECT meridian.last_write_token() IS NOT NULL AS still_there;
\i :include

-- the verdicts
SELECT meridian.last_write_token() AS token \gset
SELECT split_part(split_part(:'token', '.', 2), '-', 1) AS system, split_part(:'token', '-', 2) AS timeline \gset
SELECT meridian.check_token('m1.' || :'system' || '-' || :'timeline' || '-ffffffffffffff') AS ahead,
       meridian.check_token('m1.' || :'system' || '-ff-1') AS later_timeline,
       meridian.check_token('m1.1-1-1') AS stranger,
       meridian.check_token('') AS nothing,
       meridian.check_token(NULL) AS unknown;
SELECT text, meridian.check_token(text)
  FROM unnest(ARRAY['m1', 'garbage', 'm2.1-1-1', 'm1.1-1', 'm1.01-1-1', 'm1.1-1-1 ', 'm1.1-1-1_00', 'm1.1-1-1.1-1-2', repeat('m', 20)]) text;
SELECT meridian.check_token(repeat('m1.1-1-1', 100000));

-- merging
SELECT meridian.merge_tokens('m1.2-1-5', 'm1.1-1-9') AS both,
       meridian.merge_tokens('m1.1-1-5', 'm1.1-1-9.1-2-1') AS later,
       meridian.merge_tokens('', 'm1.1-1-9') AS one,
       meridian.merge_tokens('', '') AS none,
       meridian.merge_tokens(NULL, 'm1.1-1-9') AS unknown;
SELECT pg_temp.error_of($$SELECT meridian.merge_tokens('m1.1-1-9', 'garbage')$$);
SELECT pg_temp.error_of($$SELECT meridian.merge_tokens((SELECT 'm1.' || string_agg(to_hex(i) || '-1-1', '.' ORDER BY i) FROM generate_series(1, 16) i), 'm1.20-1-1')$$);

-- waiting: on the server that writes, everything is decided at once
SELECT meridian.wait_for(:'token') AS reached, meridian.wait_for('m1.1-1-1') AS stranger, meridian.wait_for('x') AS garbage,
       meridian.wait_for('m1.' || :'system' || '-' || :'timeline' || '-ffffffffffffff') AS ahead, meridian.wait_for('') AS nothing;
SELECT pg_temp.error_of(format('SELECT meridian.wait_for(%L, %L)', 'm1.1-1-1', t)) FROM unnest('{-1 s,2 h,1 day}'::text[]) t;
SET meridian.read_after = :'token';
SHOW meridian.read_after_timeout;
SET meridian.read_after = 'm1.1-1-1';
\echo :LAST_ERROR_SQLSTATE
SHOW meridian.read_after_action;
SELECT current_setting('meridian.read_after') = :'token' AS the_old_one;
SET meridian.read_after = 'garbage';
SELECT set_config('meridian.read_after', 'm1.1-1-1', false) AS stranger;
SELECT 'a statement waits for it';
BEGIN;
SHOW meridian.read_after;
SET meridian.read_after = '';
SELECT 'nothing to wait for';
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) > 0 AS has_its_snapshot FROM note;
SET meridian.read_after = :'token';
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SET LOCAL meridian.read_after = :'token';
SELECT count(*) > 0 AS in_time FROM note;
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT set_config('meridian.read_after', :'token', true) = :'token' AS has_its_snapshot;
SELECT count(*) > 0 AS in_time FROM note;
ROLLBACK;
-- every kind of statement that reads
\set VERBOSITY terse
SELECT set_config('meridian.read_after', 'm1.1-1-1', false) AS stranger;
PREPARE q AS SELECT 1;
EXECUTE q;
EXPLAIN (COSTS OFF) SELECT 1;
COPY note TO STDOUT;
CREATE TABLE copied AS SELECT 1;
DO $$ BEGIN END $$;
INSERT INTO note VALUES (13);
DELETE FROM note RETURNING id;
BEGIN;
SHOW work_mem;
SET meridian.read_after_action = proceed;
EXECUTE q;
EXPLAIN (COSTS OFF) SELECT 1;
SET meridian.read_after = 'garbage';
SELECT 1 AS proceeds;
SELECT set_config('meridian.read_after', 'm1.1-1-1', false) AS stranger;
BEGIN;
SELECT 1 AS proceeds;
COMMIT;
-- the new snapshot is one that works
RESET meridian.read_after_action;
SELECT set_config('meridian.read_after', :'token', false) = :'token' AS set;
DELETE FROM note WHERE id > 1 RETURNING 'x' AS deleted;
SELECT set_config('meridian.read_after', :'token', false) = :'token' AS set;
EXECUTE q;
SELECT set_config('meridian.read_after', :'token', false) = :'token' AS set;
\o /dev/null
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM note;
\o
SELECT set_config('meridian.read_after', :'token', false) = :'token' AS set;
COPY (SELECT * FROM note) TO STDOUT;
SELECT set_config('meridian.read_after', :'token', false) = :'token' AS set;
DO $$ BEGIN PERFORM 1; COMMIT; PERFORM 2; END $$;
RESET meridian.read_after;

-- everybody may ask
CREATE ROLE regress_meridian_user;
SET ROLE regress_meridian_user;
SELECT meridian.check_token('m1.1-1-1'), meridian.merge_tokens('', ''), meridian.wait_for('');
SELECT places, waiting, dispatcher_pid IS NOT NULL AS dispatcher, polled, timeouts FROM meridian.wait_status;
SELECT left(pg_temp.error_of('SHOW meridian.token_secret_file'), 5) AS refused;
SELECT * FROM meridian.heartbeat;
RESET ROLE;
DROP ROLE regress_meridian_user;
DROP TABLE note, other;
DROP SEQUENCE numbers;
DROP FUNCTION written();
