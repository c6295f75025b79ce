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
-- in plain words, with both sides' times
SET timezone = 'UTC';
SELECT meridian.explain_conflict(id) FROM meridian.conflicts ORDER BY id;
SELECT meridian.explain_conflict(0) IS NULL AS unknown, meridian.explain_conflict(NULL) IS NULL AS strict;
RESET timezone;

-- counted by kind
SELECT rel::text, conflicts, insert_insert, update_update, update_delete, delete_update, unique_key, other_conflicts, history_dropped, merge_time > 0 AS timed
  FROM meridian.stat_tables WHERE rel IN ('person'::regclass, 'account'::regclass) ORDER BY 1;

-- who may see what
CREATE ROLE regress_meridian_reader;
GRANT SELECT ON person TO regress_meridian_reader;
SET ROLE regress_meridian_reader;
SELECT rel::text, count(*) AS conflicts, count(DISTINCT local_node) > 0 AS named FROM meridian.conflicts GROUP BY rel ORDER BY 1;
SELECT pg_temp.error_of('SELECT * FROM meridian.parked');
SELECT count(*) > 0 AS counters FROM meridian.stat_tables;
SELECT count(meridian.explain_conflict(id)) AS explained FROM generate_series(1, (SELECT max(id) FROM meridian.conflicts)) id;
SELECT pg_temp.error_of('SELECT * FROM meridian.conflict_history_default');
SELECT pg_temp.error_of($$SELECT meridian.expire_conflicts('infinity')$$);
SELECT pg_temp.error_of('SELECT meridian.reset_stat_tables()');
RESET ROLE;
-- some columns are not enough
REVOKE SELECT ON person FROM regress_meridian_reader;
GRANT SELECT (id, name) ON person TO regress_meridian_reader;
SET ROLE regress_meridian_reader;
SELECT count(*) FROM meridian.conflicts;
SELECT meridian.explain_conflict(id) FROM generate_series(1, 100) id WHERE meridian.explain_conflict(id) IS NOT NULL;
RESET ROLE;
GRANT SELECT ON person TO regress_meridian_reader;
-- row security: its rows are for the owner
ALTER TABLE person ENABLE ROW LEVEL SECURITY;
CREATE POLICY nothing ON person USING (false);
SET ROLE regress_meridian_reader;
SELECT count(*) FROM meridian.conflicts;
RESET ROLE;
SELECT count(*) > 0 AS for_us FROM meridian.conflicts WHERE rel = 'person'::regclass;
DROP OWNED BY regress_meridian_reader;
DROP ROLE regress_meridian_reader;

-- the cap: what is above it is counted, not kept, and merged all the same
SET meridian.conflict_rate_limit = 1;
SELECT meridian.reset_stat_tables();
CREATE TEMP TABLE before AS SELECT count(*) AS entries FROM meridian.conflicts WHERE rel = 'person'::regclass;
INSERT INTO person SELECT 1000 + n, 'a', NULL, NULL, '{entries:[1/1@0.1 last 30.0],groups:[0:1/1@0.1 last 30.0]}' FROM generate_series(1, 50) n;
INSERT INTO person SELECT 1000 + n, 'b', NULL, NULL, '{entries:[2/1@0.1 last 40.0],groups:[0:2/1@0.1 last 40.0]}' FROM generate_series(1, 50) n;
SELECT conflicts, insert_insert, history_dropped > 0 AS dropped,
       history_dropped + (SELECT count(*) - b.entries FROM meridian.conflicts, before b WHERE rel = 'person'::regclass GROUP BY b.entries) AS all_of_them
  FROM meridian.stat_tables WHERE rel = 'person'::regclass;
SELECT count(*) AS merged FROM person WHERE name = 'b' AND id > 1000;
SET meridian.conflict_rate_limit = 0;
SELECT meridian.reset_stat_tables();
SELECT conflicts, applied, merge_time, reset_at > now() - interval '1 hour' AS now FROM meridian.stat_tables WHERE rel = 'person'::regclass;
INSERT INTO person SELECT 2000 + n, 'a', NULL, NULL, '{entries:[1/1@0.1 last 30.0],groups:[0:1/1@0.1 last 30.0]}' FROM generate_series(1, 2000) n;
INSERT INTO person SELECT 2000 + n, 'b', NULL, NULL, '{entries:[2/1@0.1 last 40.0],groups:[0:2/1@0.1 last 40.0]}' FROM generate_series(1, 2000) n;
SELECT conflicts, history_dropped FROM meridian.stat_tables WHERE rel = 'person'::regclass;
RESET meridian.conflict_rate_limit;

-- partitions: made ahead, an entry goes into that of its time
SELECT count(*) >= 2 AS ahead, bool_and(until > since) AS ordered, count(*) FILTER (WHERE since <= now() AND now() < until) AS now FROM meridian.conflict_partitions();
SELECT count(DISTINCT h.tableoid) AS partitions, bool_and(h.tableoid <> 'meridian.conflict_history_default'::regclass) AS none_by_default,
       count(*) = count(DISTINCT id) AS unique, bool_and(h.occurred_at >= p.since AND h.occurred_at < p.until) AS in_its_own
  FROM meridian.conflict_history h JOIN meridian.conflict_partitions() p ON p.partition = h.tableoid;
-- the keeper, at times of our choice
CREATE VIEW pg_temp.partitions AS SELECT partition::text, since AT TIME ZONE 'UTC' AS since, until AT TIME ZONE 'UTC' AS until,
    (SELECT count(*) FROM meridian.conflict_history h WHERE h.tableoid = p.partition) AS entries FROM meridian.conflict_partitions() p ORDER BY since;
BEGIN;
SELECT meridian.expire_conflicts('infinity') >= 2 AS all_dropped;
SELECT count(*) FROM meridian.conflict_history;
-- no partition for now: the default one takes over
INSERT INTO person VALUES (9001, 'a', NULL, NULL, '{entries:[1/1@0.1 last 30.0],groups:[0:1/1@0.1 last 30.0]}');
INSERT INTO person VALUES (9001, 'b', NULL, NULL, '{entries:[2/1@0.1 last 40.0],groups:[0:2/1@0.1 last 40.0]}');
SELECT tableoid::regclass, key FROM meridian.conflict_history;
UPDATE meridian.conflict_history_default SET occurred_at = '2020-05-01 10:30:00+00';
SELECT meridian.prepare_conflicts('2020-05-01 12:00+00', '1 day'), meridian.prepare_conflicts('2020-05-01 13:00+00', '1 day') AS again;
TABLE pg_temp.partitions;
SELECT meridian.keep_conflicts('2020-05-02 12:00+00');
INSERT INTO meridian.conflict_history OVERRIDING SYSTEM VALUE
  SELECT n, timestamptz '2020-05-01 11:00+00' + n * interval '1 day', 'person', '{}', 'update_update', 'local', 'row=lww', NULL, NULL, 1, 1, 1, 1 FROM generate_series(0, 2) n;
TABLE pg_temp.partitions;
SELECT meridian.expire_conflicts('2020-05-03 23:59+00') AS dropped;
TABLE pg_temp.partitions;
SELECT count(*) AS in_default FROM ONLY meridian.conflict_history_default;
-- thirty days by default
SHOW meridian.conflict_retention;
SELECT meridian.keep_conflicts('2020-06-02 23:59+00');
TABLE pg_temp.partitions;
SELECT meridian.keep_conflicts('2020-06-03 00:00+00');
TABLE pg_temp.partitions;
SELECT meridian.prepare_conflicts('2020-06-10', '7 days');
TABLE pg_temp.partitions;
-- members of the extension: they are not dumped, and go with it
SELECT count(*) AS members FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'meridian'
  WHERE d.deptype = 'e' AND d.objid IN (SELECT partition FROM meridian.conflict_partitions());
ROLLBACK;
SELECT meridian.keep_conflicts(now());
SELECT task, failures FROM meridian.keeper_status() WHERE task = 'history';

\c -
DROP TABLE person, account;
SELECT count(*) AS of_dropped_tables FROM meridian.conflicts;
\set include :source '/sql/include/leave.psql'
\i :include
