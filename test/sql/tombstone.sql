-- Tombstones meet rows and late images; the keeper settles them.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include
\set include :source '/sql/include/member.psql'
\i :include
\set include :source '/sql/include/deliver.psql'
\i :include
CREATE TABLE latest (id bigint PRIMARY KEY, v text);
SELECT pg_temp.attach('latest');
CREATE TABLE birth (id bigint PRIMARY KEY, v text, n integer);
SELECT pg_temp.attach('birth', 'n=counter');

-- the table is the replication's own
CREATE ROLE regress_meridian_user;
SET ROLE regress_meridian_user;
SELECT pg_temp.error_of('SELECT * FROM meridian.tombstone');
SELECT pg_temp.error_of('SELECT * FROM meridian.parked');
SELECT pg_temp.error_of('SELECT * FROM meridian.conflict_history');
SELECT pg_temp.error_of($$INSERT INTO meridian.tombstone VALUES (1, 0, '{1}', 0, 0, 0, '{}')$$);
RESET ROLE;
SELECT pg_temp.error_of($$INSERT INTO meridian.tombstone VALUES (1, 0, '{1}', 0, 0, 0, '{}')$$);
SELECT pg_temp.error_of('SELECT meridian.apply_tombstone()');
DROP ROLE regress_meridian_user;

SET session_replication_role = replica;
SELECT meridian.begin_apply();

--
-- delete=latest: a delete is one more write of the whole row
--
\set seen1 '''{entries:[1/1@0.1 last 10.0]}'''
-- the deleter had seen the row; an older image comes late
SELECT * FROM pg_temp.outcomes('latest', '($,a,"{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0]}")',
  'delete 0, pg_temp.hlc(20), pg_temp.actor(2), ' || :'seen1');
SELECT count(*) AS conflicts FROM meridian.conflict_history;
-- a concurrent update, older than the delete; and a later one
SELECT * FROM pg_temp.outcomes('latest', '($,a,"{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0]}")',
  'delete 0, pg_temp.hlc(20), pg_temp.actor(2), ' || :'seen1', '($,b,"{entries:[1/1@0.1 last 15.0],groups:[0:1/1@0.1 last 15.0]}")');
SELECT * FROM pg_temp.outcomes('latest', '($,a,"{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0]}")',
  'delete 0, pg_temp.hlc(20), pg_temp.actor(2), ' || :'seen1', '($,b,"{entries:[1/1@0.1 last 25.0],groups:[0:1/1@0.1 last 25.0]}")');
-- equal stamps: the larger actor
SELECT * FROM pg_temp.outcomes('latest', 'delete 0, pg_temp.hlc(20), pg_temp.actor(2), ''{}''', '($,b,"{entries:[1/1@0.1 last 20.0],groups:[0:1/1@0.1 last 20.0]}")');
SELECT * FROM pg_temp.outcomes('latest', 'delete 0, pg_temp.hlc(20), pg_temp.actor(2), ''{}''', '($,b,"{entries:[3/1@0.1 last 20.0],groups:[0:3/1@0.1 last 20.0]}")');
-- two deletes; a row from before replication
SELECT * FROM pg_temp.outcomes('latest', 'delete 0, pg_temp.hlc(20), pg_temp.actor(2), ''{}''', 'delete 0, pg_temp.hlc(30), pg_temp.actor(1), ''{}''',
  '($,b,"{entries:[3/1@0.1 last 25.0],groups:[0:3/1@0.1 last 25.0]}")');
SELECT * FROM pg_temp.outcomes('latest', '($,old,)', 'delete 0, pg_temp.hlc(20), pg_temp.actor(2), ''{entries:[0@0.1 last 0.0]}''');
-- an update of a dead row by an actor that the row knew, merged with a later one
SELECT * FROM pg_temp.outcomes('latest', 'delete 0, pg_temp.hlc(20), pg_temp.actor(2), ' || :'seen1',
  '($,b,"{entries:[1/1@0.1 last 10.0,3/1@0.1 last 15.0],groups:[0:3/1@0.1 last 15.0]}")',
  '($,c,"{entries:[1/1@0.1 last 30.0],groups:[0:1/1@0.1 last 30.0]}")');

--
-- By birth: a delete ends the lives that it knew, whatever else was written to them
--
SELECT * FROM pg_temp.outcomes('birth', '($,a,5,"{entries:[1/1@10.0 last 10.0 +1=5],groups:[0:1/1@10.0 last 10.0]}")',
  'delete pg_temp.hlc(10), pg_temp.hlc(20), pg_temp.actor(2), ''{entries:[1/1@0.1 last 10.0]}''');
-- an update that the deleter had not seen dies, too, however late
SELECT * FROM pg_temp.outcomes('birth', '($,a,5,"{entries:[1/1@10.0 last 10.0 +1=5],groups:[0:1/1@10.0 last 10.0]}")',
  'delete pg_temp.hlc(10), pg_temp.hlc(20), pg_temp.actor(2), ''{entries:[1/1@0.1 last 10.0]}''',
  '($,b,7,"{entries:[1/1@10.0 last 10.0 +1=5,3/1@10.0 last 99.0 +1=2],groups:[0:3/1@10.0 last 99.0]}")');
-- a later life stays, without what the dead one added
SELECT * FROM pg_temp.outcomes('birth', '($,a,5,"{entries:[1/1@10.0 last 10.0 +1=5],groups:[0:1/1@10.0 last 10.0]}")',
  'delete pg_temp.hlc(10), pg_temp.hlc(20), pg_temp.actor(2), ''{entries:[1/1@0.1 last 10.0]}''',
  '($,c,7,"{entries:[2/1@30.0 last 30.0 +1=7],groups:[0:2/1@30.0 last 30.0]}")');
-- two lives in one image, one of them dead
SELECT * FROM pg_temp.outcomes('birth', '($,c,12,"{entries:[1/1@10.0 last 90.0 +1=5,2/1@30.0 last 30.0 +1=7],groups:[0:2/1@30.0 last 30.0]}")',
  'delete pg_temp.hlc(10), pg_temp.hlc(20), pg_temp.actor(2), ''{entries:[1/1@0.1 last 10.0]}''');
-- two deletes of two lives, in any order
SELECT * FROM pg_temp.outcomes('birth', '($,c,12,"{entries:[1/1@10.0 last 90.0 +1=5,2/1@30.0 last 30.0 +1=7],groups:[0:2/1@30.0 last 30.0]}")',
  'delete pg_temp.hlc(10), pg_temp.hlc(50), pg_temp.actor(2), ''{entries:[1/1@0.1 last 10.0]}''',
  'delete pg_temp.hlc(30), pg_temp.hlc(40), pg_temp.actor(1), ''{entries:[2/1@0.1 last 30.0]}''');
-- a row from before replication
SELECT * FROM pg_temp.outcomes('birth', '($,old,5,)', 'delete 1, pg_temp.hlc(20), pg_temp.actor(2), ''{entries:[0@0.1 last 0.0]}''',
  '($,old,8,"{entries:[0@0.1 last 0.0 +1=5,1/1@0.1 last 15.0 +1=3],groups:[0:0@0.1 last 0.0]}")');

-- what is new is kept, what is known is not kept twice
COPY meridian.tombstone (table_id, key_hash, key, floor, stamp, actor, seen) FROM stdin;
1	0	{1}	0	100	65537	{}
1	0	{1}	0	100	65537	{}
1	0	{1}	0	90	65537	{}
1	0	{1}	0	200	65537	{}
1	0	{1}	0	150	65538	{entries:[3@0.1 last 1.0]}
1	0	{1}	0	150	65538	{entries:[3@0.1 last 1.0]}
\.
SELECT stamp, seen, key_hash <> 0 AS hashed FROM meridian.tombstone WHERE key = '{1}' ORDER BY stamp;
-- of a table that is not here (yet), of a key that does not fit, of nothing
INSERT INTO meridian.tombstone (table_id, key_hash, key, floor, stamp, actor, seen) VALUES (4711, 0, '{1}', 0, 100, 65537, '{}');
SELECT pg_temp.error_of($$INSERT INTO meridian.tombstone (table_id, key_hash, key, floor, stamp, actor, seen) VALUES (1, 0, '{1,2}', 0, 100, 65537, '{}')$$);
SELECT pg_temp.error_of($$INSERT INTO meridian.tombstone (table_id, key_hash, key, floor, stamp, actor, seen) VALUES (1, 0, '{NULL}', 0, 100, 65537, '{}')$$);
SELECT pg_temp.error_of($$INSERT INTO meridian.tombstone (table_id, key_hash, key, floor, stamp, actor, seen) VALUES (1, 0, '{}', 0, 100, 65537, '{}')$$);
SELECT pg_temp.error_of($$INSERT INTO meridian.tombstone (table_id, key_hash, key, floor, stamp, actor, seen) VALUES (1, 0, '{x}', 0, 100, 65537, '{}')$$);
SELECT pg_temp.error_of($$INSERT INTO meridian.tombstone (table_id, key_hash, key, floor, stamp, actor) VALUES (1, 0, '{1}', 0, 100, 65537)$$);
SELECT count(*) FROM meridian.tombstone WHERE table_id = 4711;

-- a local key that was deleted comes back above the delete
\c -
\set include :source '/sql/include/error_of.psql'
\i :include
INSERT INTO birth VALUES (1000, 'a', 1);
DELETE FROM birth WHERE id = 1000;
INSERT INTO birth VALUES (1000, 'b', 2);
SELECT id, v, n, length(_meridian::text) - length(replace(_meridian::text, '@', '')) AS writes FROM birth WHERE id = 1000;

-- the key in a tombstone does not depend on the settings of who deletes
CREATE TABLE dated (day date, span interval, number double precision, bytes bytea, at timestamptz, PRIMARY KEY (day, span, number, bytes, at));
INSERT INTO meridian.replicated_table (id, rel, rules, ids, keys) VALUES (3, 'dated', '{}', 'keep', '{}');
SELECT meridian.attach_triggers('dated', '{}');
INSERT INTO dated VALUES ('2020-02-01', '-1 year +2 days -03:04:05', 0.1::float8 + 0.2, '\x00ff', '2020-02-01 00:00+00');
BEGIN;
SET LOCAL datestyle = 'SQL, DMY';
SET LOCAL intervalstyle = sql_standard;
SET LOCAL extra_float_digits = 0;
SET LOCAL bytea_output = escape;
SET LOCAL timezone = 'UTC';
DELETE FROM dated;
SHOW datestyle;
SELECT key FROM meridian.tombstone WHERE table_id = 3;
INSERT INTO dated VALUES ('2020-02-01', '-1 year +2 days -03:04:05', 0.1::float8 + 0.2, '\x00ff', '2020-02-01 00:00+00');
DELETE FROM dated;
SELECT count(*), count(DISTINCT key) AS keys, count(DISTINCT key_hash) AS hashes FROM meridian.tombstone WHERE table_id = 3;
COMMIT;
-- a user type's own idea of equality is not needed: a type that has no hash
CREATE TABLE bits (b bit varying(8) PRIMARY KEY, v integer);
INSERT INTO meridian.replicated_table (id, rel, rules, ids, keys) VALUES (4, 'bits', '{}', 'keep', '{}');
SELECT meridian.attach_triggers('bits', '{}');
INSERT INTO bits VALUES (B'01', 1), (B'010', 2);
DELETE FROM bits;
SELECT key, key_hash FROM meridian.tombstone WHERE table_id = 4 ORDER BY key;

-- the keeper settles what arrived while others wrote
DO $$
BEGIN
  WHILE EXISTS (SELECT FROM meridian.tombstone WHERE NOT settled) LOOP
    IF clock_timestamp() > now() + interval '3 min' THEN RAISE 'the keeper settles nothing'; END IF;
    PERFORM pg_sleep(0.01);
    COMMIT;
  END LOOP;
END
$$;
SELECT bool_and(settled) FROM meridian.tombstone;

DROP TABLE latest, birth, dated, bits;
\set include :source '/sql/include/leave.psql'
\i :include
