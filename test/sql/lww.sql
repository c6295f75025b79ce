-- meridian.lww('updated_at'): last writer wins by an ordinary timestamp column.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include

--
-- Triggers by hand, on a server that is in no mesh
--
CREATE TABLE note (id integer PRIMARY KEY, v text, updated_at timestamptz);
CREATE TRIGGER zz BEFORE INSERT OR UPDATE ON note FOR EACH ROW EXECUTE FUNCTION meridian.lww('updated_at');
CREATE TRIGGER zzd AFTER DELETE ON note FOR EACH ROW EXECUTE FUNCTION meridian.lww('updated_at');
-- a missing timestamp is now, a given one stays
BEGIN;
INSERT INTO note VALUES (1, 'a', NULL), (2, 'a', '2020-01-01'), (3, 'a', now());
SELECT id, updated_at BETWEEN now() AND clock_timestamp() AS current, updated_at = '2020-01-01' AS as_given, updated_at = now() AS of_transaction FROM note ORDER BY id;
-- two updates in one transaction, code that forgets the column, an older and an equal timestamp: one microsecond after
UPDATE note SET v = 'b', updated_at = now() WHERE id = 3;
SELECT updated_at - now() FROM note WHERE id = 3;
UPDATE note SET v = 'c', updated_at = now() WHERE id = 3;
SELECT updated_at - now() FROM note WHERE id = 3;
COMMIT;
UPDATE note SET v = 'd' WHERE id = 2;
SELECT updated_at - '2020-01-01' FROM note WHERE id = 2;
UPDATE note SET updated_at = '2019-01-01' WHERE id = 2;
SELECT updated_at - '2020-01-01' FROM note WHERE id = 2;
UPDATE note SET updated_at = NULL WHERE id = 2;
SELECT updated_at - '2020-01-01' FROM note WHERE id = 2;
UPDATE note SET updated_at = '2021-01-01' WHERE id = 2;
SELECT updated_at - '2021-01-01' FROM note WHERE id = 2;
-- a row that has no timestamp yet
ALTER TABLE note DISABLE TRIGGER zz;
INSERT INTO note VALUES (4, 'before', NULL), (5, 'before', 'infinity'), (6, 'before', '-infinity');
ALTER TABLE note ENABLE TRIGGER zz;
UPDATE note SET v = 'after' WHERE id IN (4, 6);
SELECT id, updated_at BETWEEN now() - interval '1 min' AND clock_timestamp() AS current FROM note WHERE id IN (4, 6) ORDER BY id;
-- infinity would never lose
SELECT pg_temp.error_of($$INSERT INTO note VALUES (7, 'x', 'infinity')$$);
SELECT pg_temp.error_of($$UPDATE note SET updated_at = 'infinity' WHERE id = 1$$);
SELECT pg_temp.error_of($$UPDATE note SET v = 'x' WHERE id = 5$$);
INSERT INTO note VALUES (8, 'x', '-infinity');
SELECT updated_at BETWEEN now() - interval '1 min' AND clock_timestamp() AS current FROM note WHERE id = 8;
-- the last timestamp there is
INSERT INTO note VALUES (9, 'x', '294276-12-31 23:59:59.999999+00');
SELECT pg_temp.error_of($$UPDATE note SET v = 'y' WHERE id = 9$$);
DELETE FROM note;
SELECT count(*) AS tombstones FROM meridian.tombstone;
-- wrong triggers
SELECT pg_temp.error_of($$CREATE TRIGGER w BEFORE INSERT ON note FOR EACH ROW EXECUTE FUNCTION meridian.lww()$$), pg_temp.error_of($$INSERT INTO note VALUES (1)$$);
DROP TRIGGER w ON note;
CREATE OR REPLACE TRIGGER zz BEFORE INSERT OR UPDATE ON note FOR EACH ROW EXECUTE FUNCTION meridian.lww('v');
SELECT pg_temp.error_of($$INSERT INTO note VALUES (1)$$);
CREATE OR REPLACE TRIGGER zz BEFORE INSERT OR UPDATE ON note FOR EACH ROW EXECUTE FUNCTION meridian.lww('absent');
SELECT pg_temp.error_of($$INSERT INTO note VALUES (1)$$);
CREATE OR REPLACE TRIGGER zz BEFORE INSERT OR UPDATE ON note FOR EACH ROW EXECUTE FUNCTION meridian.lww('updated_at', 'v');
SELECT pg_temp.error_of($$INSERT INTO note VALUES (1)$$);
CREATE OR REPLACE TRIGGER zz BEFORE INSERT OR UPDATE ON note FOR EACH ROW EXECUTE FUNCTION meridian.lww('updated_at');
-- images on a plain subscription, without a mesh
SET session_replication_role = replica;
ALTER TABLE note ENABLE ALWAYS TRIGGER zz;
SELECT meridian.begin_apply();
INSERT INTO note VALUES (1, 'first', '2020-01-01'), (1, 'newer', '2020-01-02'), (1, 'older', '2020-01-01');
UPDATE note SET v = 'late', updated_at = '2020-01-01' WHERE id = 1;
SELECT * FROM note;
UPDATE note SET v = 'newest', updated_at = '2020-01-03' WHERE id = 1;
SELECT * FROM note;
\c -
DROP TABLE note;

--
-- In a mesh
--
\set include :source '/sql/include/error_of.psql'
\i :include
\set include :source '/sql/include/member.psql'
\i :include
\set include :source '/sql/include/deliver.psql'
\i :include
CREATE TABLE note (id bigint PRIMARY KEY, v text, w text, at timestamp);
SELECT pg_temp.attach('note', 'row=lww(at)');
CREATE TABLE named (id text PRIMARY KEY, v text, "At" timestamptz);
SELECT pg_temp.attach('named', 'row=lww(At)');
-- NULL keys are the table's business
SELECT pg_temp.error_of($$INSERT INTO named VALUES (NULL, 'x')$$);
INSERT INTO named VALUES ('k', 'x');
SELECT pg_temp.error_of($$UPDATE named SET id = NULL$$);
-- deletes are stamped after the row, and the key comes back only above them
INSERT INTO note VALUES (1, 'a', 'x', '2020-01-01'), (2, 'a', 'x', '2100-01-01');
DELETE FROM note;
SELECT key, floor, actor, seen, CASE key[1] WHEN '2' THEN stamp END AS stamp, key[1] = '2' OR stamp BETWEEN extract(epoch FROM localtimestamp - interval '1 min' - timestamp '2000-01-01') * 1000000 AND extract(epoch FROM localtimestamp + interval '1 min' - timestamp '2000-01-01') * 1000000 AS current
  FROM meridian.tombstone ORDER BY key;
INSERT INTO note VALUES (2, 'back', 'x', '2050-01-01'), (1, 'back', 'x', NULL);
SELECT id, v, CASE id WHEN 2 THEN at END AS at FROM note ORDER BY id;
-- a changed key
UPDATE note SET id = 3, at = '2101-01-01' WHERE id = 2;
SELECT * FROM note WHERE id = 3;
UPDATE note SET id = 2 WHERE id = 3;
SELECT * FROM note WHERE id = 2;
-- before 2000
INSERT INTO note VALUES (10, 'old', 'x', '1990-01-01');
UPDATE note SET id = 11, at = '1991-01-01' WHERE id = 10;
INSERT INTO note VALUES (10, 'again', 'x', '1995-01-01');
SELECT id, v, at FROM note WHERE id IN (10, 11) ORDER BY id;
DELETE FROM note WHERE id = 10;
SELECT count(*) FROM meridian.tombstone WHERE key = '{10}';
SELECT pg_temp.error_of('TRUNCATE note');

--
-- Images
--
\c -
\set include :source '/sql/include/error_of.psql'
\i :include
\set include :source '/sql/include/deliver.psql'
\i :include
SET session_replication_role = replica;
SELECT meridian.begin_apply();
SELECT * FROM pg_temp.outcomes('note', '($,a,x,2020-01-01)', '($,b,y,2020-01-02)', '($,c,z,2020-01-03)');
-- equal timestamps: one of the rows whole, on every node the same
SELECT * FROM pg_temp.outcomes('note', '($,a,y,2020-01-01)', '($,b,x,2020-01-01)');
SELECT * FROM pg_temp.outcomes('note', '($,a,y,2020-01-01)', '($,a,x,2020-01-01)', '($,,z,2020-01-01)');
SELECT * FROM pg_temp.outcomes('note', '($,same,same,2020-01-01)', '($,same,same,2020-01-01)');
-- without a timestamp: before everything
SELECT * FROM pg_temp.outcomes('note', '($,a,x,)', '($,b,y,1900-01-01)', '($,c,z,)');
-- tombstones: at and before their stamp the row is dead. 631152000000000 is 2020-01-01.
SELECT * FROM pg_temp.outcomes('note', '($,a,x,2020-01-01)', 'delete 0, 631152000000000, 0, ''{}''');
SELECT * FROM pg_temp.outcomes('note', '($,a,x,2020-01-02)', 'delete 0, 631152000000000, 0, ''{}''');
SELECT * FROM pg_temp.outcomes('note', '($,a,x,2019-12-31)', 'delete 0, 631152000000000, 0, ''{}''', '($,b,y,2020-01-01 00:00:00.000001)', 'delete 0, 631151000000000, 0, ''{}''');
SELECT * FROM pg_temp.outcomes('note', '($,a,x,)', 'delete 0, 0, 0, ''{}''');
SELECT count(*) AS conflicts FROM meridian.conflict_history;

-- of one column with another order on each node, the tie is broken alike: by name, not by place
CREATE TABLE turned (w text, v text, at timestamp, id bigint PRIMARY KEY);
INSERT INTO meridian.replicated_table (id, rel, rules, ids, keys) VALUES (77, 'turned', '{row=lww(at)}', 'keep', '{}');
SELECT meridian.attach_triggers('turned', '{row=lww(at)}');
SELECT * FROM pg_temp.outcomes('turned', '(y,a,2020-01-01,$)', '(x,b,2020-01-01,$)');

\c -
DROP TABLE note, named, turned;
\set include :source '/sql/include/leave.psql'
\i :include
