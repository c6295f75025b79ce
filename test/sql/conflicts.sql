-- The conflict history: who lost to whom, with both rows.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include
\set include :source '/sql/include/member.psql'
\i :include
\set include :source '/sql/include/deliver.psql'
\i :include
CREATE TABLE person (id bigint PRIMARY KEY, name text, tags jsonb, at timestamptz);
SELECT pg_temp.attach('person');
CREATE TABLE account (id bigint, part text, email text, n integer, gone text, PRIMARY KEY (id, part));
ALTER TABLE account DROP COLUMN gone;
SELECT pg_temp.attach('account', 'email=lww', 'n=counter');
SET session_replication_role = replica;
SELECT meridian.begin_apply();
CREATE VIEW pg_temp.seen AS SELECT rel::text, key, kind, winner, rule, local_row, remote_row, local_node, remote_node,
  local_time AT TIME ZONE 'UTC' AS local_time, remote_time AT TIME ZONE 'UTC' AS remote_time FROM meridian.conflicts ORDER BY id;

-- one write after another is none
INSERT INTO person VALUES (1, 'a', NULL, NULL, '{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0]}');
INSERT INTO person VALUES (1, 'b', NULL, NULL, '{entries:[1/1@0.1 last 10.0,2/1@0.1 last 20.0],groups:[0:2/1@0.1 last 20.0]}');
INSERT INTO person VALUES (1, 'a', NULL, NULL, '{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0]}');
TABLE pg_temp.seen;
-- update against update: the incoming wins, the local wins
INSERT INTO person VALUES (1, 'c', '{"x": [1, null]}', '2020-01-01 00:00:00+00', '{entries:[1/1@0.1 last 30.0],groups:[0:1/1@0.1 last 30.0]}');
INSERT INTO person VALUES (1, 'd', NULL, NULL, '{entries:[1/1@0.1 last 10.0,3/1@0.1 last 25.0],groups:[0:3/1@0.1 last 25.0]}');
-- insert against insert
INSERT INTO account VALUES (1, 'p', 'a', 10, '{entries:[1/1@10.0 last 10.0 +2=10],groups:[1:1/1@10.0 last 10.0]}');
INSERT INTO account VALUES (1, 'p', 'b', 5, '{entries:[2/1@20.0 last 20.0 +2=5],groups:[1:2/1@20.0 last 20.0]}');
-- counters that add up, groups that go both ways: nobody lost
INSERT INTO account VALUES (2, 'p', 'a', 10, '{entries:[1/1@10.0 last 20.0 +2=10],groups:[1:1/1@10.0 last 10.0]}');
INSERT INTO account VALUES (2, 'p', 'b', 5, '{entries:[1/1@10.0 last 10.0 +2=3,2/1@10.0 last 15.0 +2=2],groups:[1:2/1@10.0 last 15.0]}');
-- delete against update, both ways, and one that had seen the row
SELECT id AS account_id FROM meridian.replicated_table WHERE rel = 'account'::regclass \gset
SELECT id AS person_id FROM meridian.replicated_table WHERE rel = 'person'::regclass \gset
INSERT INTO meridian.tombstone (table_id, key_hash, key, floor, stamp, actor, seen) VALUES
  (:account_id, 0, '{2,p}', pg_temp.hlc(10), pg_temp.hlc(30), pg_temp.actor(2), '{entries:[1/1@0.1 last 20.0]}');
INSERT INTO account VALUES (2, 'p', 'late', 5, '{entries:[1/1@10.0 last 40.0 +2=3],groups:[1:1/1@10.0 last 40.0]}');
INSERT INTO meridian.tombstone (table_id, key_hash, key, floor, stamp, actor, seen) VALUES
  (:account_id, 0, '{1,p}', pg_temp.hlc(20), pg_temp.hlc(50), pg_temp.actor(2), '{entries:[1/1@0.1 last 10.0,2/1@0.1 last 20.0]}');
INSERT INTO meridian.tombstone (table_id, key_hash, key, floor, stamp, actor, seen) VALUES
  (:person_id, 0, '{1}', 0, pg_temp.hlc(26), pg_temp.actor(3), '{entries:[1/1@0.1 last 10.0,3/1@0.1 last 25.0]}'),
  (:person_id, 0, '{2}', 0, pg_temp.hlc(26), pg_temp.actor(3), '{}');
-- the row lives, and nothing of it had been seen by the deleter
INSERT INTO person VALUES (3, 'own', NULL, NULL, '{entries:[1/1@0.1 last 30.0],groups:[0:1/1@0.1 last 30.0]}');
INSERT INTO meridian.tombstone (table_id, key_hash, key, floor, stamp, actor, seen) VALUES
  (:person_id, 0, '{3}', 0, pg_temp.hlc(26), pg_temp.actor(3), '{entries:[1/1@0.1 last 10.0]}');
INSERT INTO person VALUES (2, 'later', NULL, NULL, '{entries:[1/1@0.1 last 30.0],groups:[0:1/1@0.1 last 30.0]}');
\x
TABLE pg_temp.seen;
\x
SELECT id, name FROM person ORDER BY id;
-- rows from before replication, an actor of an unknown member
INSERT INTO person VALUES (9, 'x', NULL, NULL, '{entries:[9/1@0.1 last 10.0],groups:[0:9/1@0.1 last 10.0]}'), (9, 'y', NULL, NULL, NULL);
SELECT key, kind, winner, local_node, remote_node, remote_time FROM pg_temp.seen WHERE key @> '{"id": 9}';

-- who may see what
CREATE ROLE regress_meridian_reader;
GRANT SELECT ON person TO regress_meridian_reader;
SET ROLE regress_meridian_reader;
SELECT rel::text, count(*) AS conflicts, count(DISTINCT local_node) > 0 AS named FROM meridian.conflicts GROUP BY rel ORDER BY 1;
SELECT pg_temp.error_of('SELECT * FROM meridian.parked');
SELECT count(*) > 0 AS counters FROM meridian.stat_tables;
RESET ROLE;
-- row security: its rows are for the owner
ALTER TABLE person ENABLE ROW LEVEL SECURITY;
CREATE POLICY nothing ON person USING (false);
SET ROLE regress_meridian_reader;
SELECT count(*) FROM meridian.conflicts;
RESET ROLE;
SELECT count(*) > 0 AS for_us FROM meridian.conflicts WHERE rel = 'person'::regclass;
DROP OWNED BY regress_meridian_reader;
DROP ROLE regress_meridian_reader;

\c -
DROP TABLE person, account;
SELECT count(*) AS of_dropped_tables FROM meridian.conflicts;
\set include :source '/sql/include/leave.psql'
\i :include
