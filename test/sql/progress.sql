-- What members publish of their progress, and which tombstones go by it.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include
\set include :source '/sql/include/member.psql'
\i :include
\set ECHO none
-- keeper_passes(task): returns when the keeper has begun and ended this task once more.
CREATE PROCEDURE pg_temp.keeper_passes(wanted text) LANGUAGE plpgsql AS $$
DECLARE
  before bigint := (SELECT k.runs FROM meridian.keeper_status() k WHERE k.task = wanted);
BEGIN
  WHILE (SELECT k.runs < before + 2 FROM meridian.keeper_status() k WHERE k.task = wanted) LOOP
    IF clock_timestamp() > now() + interval '3 min' THEN RAISE 'the keeper does not run'; END IF;
    PERFORM pg_sleep(0.01);
    COMMIT;
  END LOOP;
END
$$;
-- wait_for(condition): returns when it holds.
CREATE PROCEDURE pg_temp.wait_for(condition text) LANGUAGE plpgsql AS $$
DECLARE
  holds boolean := false;
BEGIN
  WHILE NOT holds LOOP
    IF clock_timestamp() > now() + interval '3 min' THEN RAISE 'timed out waiting for %', condition; END IF;
    PERFORM pg_sleep(0.01);
    COMMIT;
    EXECUTE 'SELECT ' || condition INTO STRICT holds;
  END LOOP;
END
$$;
\set ECHO all

-- the tables are the replication's own
CREATE ROLE regress_meridian_user;
SET ROLE regress_meridian_user;
SELECT pg_temp.error_of('SELECT * FROM meridian.progress');
SELECT pg_temp.error_of('SELECT * FROM meridian.generation');
SELECT pg_temp.error_of('SELECT * FROM meridian.local_alarms');
SELECT pg_temp.error_of('SELECT * FROM meridian.member_cuts()');
SELECT pg_temp.error_of('SELECT meridian.begin_generation(7)');
SELECT count(*) FROM meridian.tombstone_progress;
RESET ROLE;
SELECT pg_temp.error_of('SELECT meridian.fold_progress()');
DROP ROLE regress_meridian_user;

-- who wrote last
SELECT meridian.last_write('{entries:[1/1@10.0 last 20.0,2/1@10.0 last 15.0,1/2@10.0 last 30.0],groups:[0:1/2@10.0 last 30.0]}', m) >> 16 AS ms
  FROM generate_series(1, 3) m;
SELECT meridian.last_write(NULL, 1);

-- what arrives of a member replaces what was there; of ourselves nothing arrives. The generation is held, so the keeper does nothing yet.
INSERT INTO meridian.generation (number, epoch, held) VALUES (3, 1, 'a test');
SET session_replication_role = replica;
SELECT meridian.begin_apply();
CREATE FUNCTION pg_temp.arrives(member integer, generation integer, healed boolean, safe bigint, origins integer[], applied bigint[], laid_down bigint) RETURNS void
  LANGUAGE sql AS $$
  INSERT INTO meridian.progress (member, generation, epoch, healed, safe, origins, applied, laid_down, parked, published_at)
    VALUES ($1, $2, 1, $3, $4, $5, $6, $7, 0, '2026-01-01 12:00+00') $$;
SELECT * FROM meridian.member_cuts();
SELECT pg_temp.arrives(2, 3, true, 100, '{1,3}', '{90,80}', 0);
SELECT pg_temp.arrives(2, 3, true, 200, '{1,3}', '{190,180}', 50);
SELECT pg_temp.arrives(3, 2, true, 200, '{1,2}', '{190,180}', 0);
SELECT pg_temp.arrives(1, 3, true, 200, '{2,3}', '{190,180}', 0);
SELECT member, generation, safe, applied, laid_down, received_at IS NOT NULL AS received FROM meridian.progress ORDER BY member;
SELECT * FROM meridian.member_cuts();
SELECT pg_temp.arrives(3, 3, false, 210, '{1,2}', '{190,180}', 0);
SELECT * FROM meridian.member_cuts() WHERE member = 3;
-- it knows nothing of member 2
SELECT pg_temp.arrives(3, 3, true, 210, '{1}', '{190}', 0);
SELECT * FROM meridian.member_cuts() WHERE member = 3;
SELECT pg_temp.arrives(3, 3, true, 170, '{1,2}', '{210,200}', 40);
SELECT * FROM meridian.member_cuts();
UPDATE meridian.member SET state = 'joining' WHERE id = 3;
SELECT * FROM meridian.member_cuts() WHERE member = 3;
UPDATE meridian.member SET state = 'active';
SELECT node, state, generation, epoch, safe, applied, parked, cut, tombstones_held FROM meridian.tombstone_progress;

-- tombstones up to 170 are stable; they go where nothing holds them
CREATE TABLE latest (id bigint PRIMARY KEY, v text);
SELECT pg_temp.attach('latest');
CREATE TABLE unfilled (id bigint PRIMARY KEY, v text);
SELECT pg_temp.attach('unfilled');
CREATE TABLE waits (id bigint PRIMARY KEY, v text);
SELECT pg_temp.attach('waits');
CREATE TABLE note (id bigint PRIMARY KEY, at timestamptz);
SELECT pg_temp.attach('note', 'row=lww(at)');
UPDATE meridian.replicated_table SET filled = rel <> 'unfilled'::regclass;
CREATE VIEW pg_temp.graves AS
  SELECT t.rel, d.key[1] AS key, d.written, d.laid_down FROM meridian.tombstone d JOIN meridian.replicated_table t ON t.id = d.table_id ORDER BY 1, 2;
INSERT INTO meridian.tombstone (table_id, key_hash, key, floor, stamp, actor, seen, written)
  SELECT t.id, 0, ARRAY[k.stamp::text], 0, k.stamp, 65538, '{}', k.stamp
    FROM meridian.replicated_table t, (VALUES (30), (45), (160), (171)) k(stamp);
-- held: nothing goes
CALL pg_temp.wait_for('count(*) = 0 FROM meridian.tombstone WHERE NOT settled');
CALL pg_temp.keeper_passes('removal');
SELECT count(*) FROM pg_temp.graves;
-- an image that came late is parked
INSERT INTO meridian.parked_image (rel, key_hash, image, reason, sqlstate, detail, retry_at)
  SELECT 'waits', d.key_hash, '{"id": "45"}', 'a test', '00000', '', 'infinity'
    FROM meridian.tombstone d JOIN meridian.replicated_table t ON t.id = d.table_id WHERE t.rel = 'waits'::regclass AND d.key = '{45}';
-- rows are being copied: nothing goes
SELECT pg_advisory_lock_shared(x'4D45524945'::bigint);
UPDATE meridian.generation SET held = NULL;
CALL pg_temp.keeper_passes('removal');
SELECT count(*) FROM pg_temp.graves;
SELECT pg_advisory_unlock_shared(x'4D45524945'::bigint);
CALL pg_temp.wait_for('count(*) = 10 FROM pg_temp.graves');
CALL pg_temp.keeper_passes('removal');
SELECT * FROM pg_temp.graves;
-- all three have laid down what was written up to 40
SELECT count(*) FROM pg_temp.graves WHERE rel = 'note'::regclass AND written <= 40;
-- the alarms say who
SELECT alarm, severity, subject FROM meridian.local_alarms ORDER BY 1, 3;
-- nobody waits: the rest goes
DELETE FROM meridian.parked_image;
UPDATE meridian.replicated_table SET filled = true;
SELECT pg_temp.arrives(2, 3, true, 500, '{1,3}', '{500,500}', 500), pg_temp.arrives(3, 3, true, 500, '{1,2}', '{500,500}', 500);
CALL pg_temp.wait_for('count(*) = 0 FROM pg_temp.graves');

-- what this node publishes: the marks of the others, and none while a tombstone is parked
CALL pg_temp.wait_for($$applied = '{500,500}' AND laid_down >= 500 FROM meridian.progress WHERE member = 1$$);
SELECT generation, epoch, healed, origins, applied, parked FROM meridian.progress WHERE member = 1;
INSERT INTO meridian.parked_image (rel, key_hash, image, reason, sqlstate, detail, retry_at)
  VALUES ('meridian.tombstone', 0, '{}', 'a test', '00000', '', 'infinity');
SELECT pg_temp.arrives(2, 3, true, 600, '{1,3}', '{600,600}', 600);
CALL pg_temp.keeper_passes('progress');
CALL pg_temp.wait_for('parked = 1 FROM meridian.progress WHERE member = 1');
SELECT applied, parked FROM meridian.progress WHERE member = 1;
DELETE FROM meridian.parked_image;
CALL pg_temp.wait_for('parked = 0 AND applied[1] = 600 FROM meridian.progress WHERE member = 1');
SELECT applied, parked FROM meridian.progress WHERE member = 1;
-- in a later epoch it says that it may have lost something
UPDATE meridian.local_member SET epoch = 2;
CALL pg_temp.wait_for('epoch = 2 FROM meridian.progress WHERE member = 1');
SELECT epoch, healed FROM meridian.progress WHERE member = 1;
SELECT alarm, subject FROM meridian.local_alarms;
-- until all begin anew
SELECT meridian.begin_generation(4);
SELECT number, epoch, held FROM meridian.generation;
CALL pg_temp.wait_for('count(*) = 1 FROM meridian.progress');
SELECT member, generation, epoch, healed, origins, applied FROM meridian.progress;

DROP TABLE latest, unfilled, waits, note;
\set include :source '/sql/include/leave.psql'
\i :include
