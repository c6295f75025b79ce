-- Sessions on one server: what moves their last write, and what is refused. Standbys: t/085.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include

CREATE TABLE note (id integer);
-- moved(session): whether its last write is that of this connection's last commit
CREATE FUNCTION moved(session text) RETURNS boolean LANGUAGE sql AS
  $$ SELECT meridian.session_token(session) = meridian.last_write_token() $$;
-- lsn_of(token): that of its one position
CREATE FUNCTION lsn_of(token text) RETURNS text LANGUAGE sql AS $$ SELECT lpad(substring(token FROM '-([0-9a-f]+)$'), 16, '0') $$;
SELECT places >= 10000 AS room, worker_pid IS NOT NULL AS worker FROM meridian.session_status;

-- the name
SELECT pg_temp.error_of(format('SET meridian.session = %L', s)) FROM unnest(ARRAY['a' || chr(10), 'größe', repeat('x', 65), 'fine']) s;
SELECT pg_temp.error_of(format('SELECT meridian.session_token(%L)', s)) FROM unnest(ARRAY['', 'a' || chr(9), 'größe', repeat('x', 65)]) s;
ALTER SYSTEM SET meridian.session = 'all';
SET meridian.session = '';
INSERT INTO note VALUES (0);
SELECT count(*) FROM meridian.sessions WHERE session = '';

-- every commit that writes moves it
SET meridian.session = 'user-1';
SELECT count(*) FROM meridian.sessions WHERE session = 'user-1';
INSERT INTO note VALUES (1);
SELECT moved('user-1'), meridian.check_session('user-1'), meridian.wait_for_session('user-1');
SELECT last_write > '0/0' AS somewhere, written_at BETWEEN now() - interval '1 min' AND clock_timestamp() AS now, passed_by_all
  FROM meridian.sessions WHERE session = 'user-1';
SELECT meridian.session_token('user-1') AS before \gset
BEGIN; INSERT INTO note VALUES (2); ROLLBACK;
INSERT INTO nowhere VALUES (1);
SELECT count(*) FROM note;
SELECT meridian.session_token('user-1') = :'before' AS unmoved;
BEGIN; SAVEPOINT s; INSERT INTO note VALUES (3); RELEASE s; COMMIT;
SELECT moved('user-1');
SET synchronous_commit = off;
INSERT INTO note VALUES (4);
SELECT moved('user-1'), meridian.check_token(meridian.session_token('user-1'));
RESET synchronous_commit;
CREATE TABLE other ();
SELECT moved('user-1') AS ddl;

-- it is that of the name which is set at COMMIT
BEGIN;
SET LOCAL meridian.session = 'user-2';
INSERT INTO note VALUES (5);
COMMIT;
SHOW meridian.session;
SELECT moved('user-1') AS one, moved('user-2') AS two;
BEGIN;
SET meridian.session = 'user-3';
INSERT INTO note VALUES (6);
ROLLBACK;
SHOW meridian.session;
DO $$ BEGIN
  INSERT INTO note VALUES (7); COMMIT;
  PERFORM set_config('meridian.session', 'user-4', true); INSERT INTO note VALUES (8); COMMIT;
END $$;
SELECT moved('user-1') AS one, moved('user-4') AS four, count(*) FROM meridian.sessions WHERE session IN ('user-1', 'user-4');
BEGIN; INSERT INTO note VALUES (9);
PREPARE TRANSACTION 'regress_session';
SELECT moved('user-1') AS prepared;
SET meridian.session = 'user-5';
COMMIT PREPARED 'regress_session';
SELECT moved('user-1') AS one, moved('user-5') AS five;

-- another connection of the same session, and one without
\c -
CREATE TABLE another ();
SELECT moved('user-5') AS without;
SET meridian.session = 'user-5';
DROP TABLE another;
SELECT moved('user-5') AS of_it;
RESET meridian.session;
\i :include

-- one that is not known may have written where the table began
SELECT meridian.check_token(meridian.session_token('nobody')) AS can_be_read, meridian.check_session('nobody');
SELECT meridian.session_token('user-5') AS last \gset
SELECT meridian.forget_session('user-5') AS was_there, meridian.forget_session('user-5') AS again;
SELECT lsn_of(meridian.session_token('user-5')) >= lsn_of(:'last') AS not_earlier, count(*) FROM meridian.sessions WHERE session = 'user-5';

-- what standbys ask
SELECT place, token = meridian.session_token('user-' || place) AS same, written_us > 0 AS dated FROM meridian.session_positions(ARRAY['user-1', 'user-2']);
SELECT count(*), min(place), max(place) FROM meridian.session_positions((SELECT array_agg('user-' || i) FROM generate_series(1, 100) i));
SELECT count(*) FROM meridian.session_positions('{}');
SELECT pg_temp.error_of($$SELECT meridian.session_positions(ARRAY['a', NULL])$$);
SELECT pg_temp.error_of($$SELECT meridian.session_positions(ARRAY['a', ''])$$);
SELECT pg_temp.error_of($$SELECT meridian.session_positions((SELECT array_agg('user-' || i) FROM generate_series(1, 1001) i))$$);

-- no replica: nothing to wait for
SELECT meridian.sticky_until('user-1') IS NULL AS free, meridian.sticky_until('nobody') IS NULL AS unknown;
SELECT pg_temp.error_of($$SELECT meridian.wait_for_session('user-1', '2 h')$$);

-- a role without rights
CREATE ROLE regress_meridian_user;
SET ROLE regress_meridian_user;
SELECT meridian.check_session('user-1'), meridian.session_token('user-1') IS NOT NULL AS token, meridian.wait_for_session('user-1'), meridian.sticky_until('user-1');
SET meridian.session = 'mine';
RESET meridian.session;
SELECT left(pg_temp.error_of(s), 5) FROM unnest(ARRAY['TABLE meridian.sessions', 'TABLE meridian.session_status', $$SELECT meridian.forget_session('user-1')$$,
                                                      'SELECT meridian.read_sessions()', 'SHOW meridian.primary_dsn']) s;
RESET ROLE;
GRANT pg_monitor TO regress_meridian_user;
SET ROLE regress_meridian_user;
SELECT count(*) > 0 AS monitored FROM meridian.sessions;
SELECT failures, failing_since, last_failure FROM meridian.session_status;
RESET ROLE;
DROP ROLE regress_meridian_user;
DROP TABLE note, other;
DROP FUNCTION moved(text), lsn_of(text);
