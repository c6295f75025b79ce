-- A key that is inserted again before its delete has left a tombstone: in one statement, or in a trigger of the delete.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/member.psql'
\i :include
CREATE TABLE latest (id integer PRIMARY KEY, v text);
CREATE TABLE stamped (id integer PRIMARY KEY, v text, at timestamptz);
CREATE TABLE birth (id integer PRIMARY KEY, v text, n integer);
CREATE TABLE part (id integer PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (2);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (2) TO (10);
SELECT pg_temp.attach('latest'), pg_temp.attach('stamped', 'row=lww(at)'), pg_temp.attach('birth', 'n=counter'), pg_temp.attach('part');
-- dead(): rows that a tombstone of their key kills, or would at the next merge.
CREATE FUNCTION pg_temp.dead() RETURNS TABLE (rel text, id text) LANGUAGE sql AS $$
  SELECT r.rel, r.id FROM (
    SELECT 1 AS table_id, 'latest' AS rel, id::text, substring(_meridian::text FROM 'last ([0-9.]+)') AS last FROM latest
    UNION ALL SELECT 4, tableoid::regclass::text, id::text, substring(_meridian::text FROM 'last ([0-9.]+)') FROM part) r
   WHERE EXISTS (SELECT FROM meridian.tombstone t WHERE t.table_id = r.table_id AND t.key = ARRAY[r.id]
                  AND t.stamp >= (split_part(r.last, '.', 1)::bigint << 16) + split_part(r.last, '.', 2)::bigint)
  UNION ALL
  SELECT 'stamped', id::text FROM stamped s WHERE EXISTS (SELECT FROM meridian.tombstone t WHERE t.table_id = 2 AND t.key = ARRAY[s.id::text]
                  AND t.stamp >= extract(epoch FROM s.at - '2000-01-01 UTC') * 1000000)
$$;

-- one statement
INSERT INTO latest VALUES (1, 'one'), (2, 'two');
INSERT INTO stamped VALUES (1, 'one', '2001-01-01'), (2, 'two', '2001-01-01');
INSERT INTO birth VALUES (1, 'one', 10), (2, 'two', 20);
WITH gone AS (DELETE FROM latest RETURNING *), all_gone AS MATERIALIZED (SELECT * FROM gone ORDER BY id)
  INSERT INTO latest SELECT 3 - id, v FROM all_gone;
WITH gone AS (DELETE FROM stamped RETURNING *), all_gone AS MATERIALIZED (SELECT * FROM gone ORDER BY id)
  INSERT INTO stamped SELECT 3 - id, v, at FROM all_gone;
WITH gone AS (DELETE FROM birth RETURNING *), all_gone AS MATERIALIZED (SELECT * FROM gone ORDER BY id)
  INSERT INTO birth SELECT 3 - id, v, n FROM all_gone;
SELECT id, v FROM latest ORDER BY id;
SELECT id, v FROM stamped ORDER BY id;
SELECT id, v, n FROM birth ORDER BY id;
SELECT * FROM pg_temp.dead();

-- a row that moves to another partition, and another that takes its key
INSERT INTO part VALUES (2, 'two'), (1, 'one');
UPDATE part SET id = CASE id WHEN 1 THEN 5 ELSE 1 END;
SELECT tableoid::regclass, id, v FROM part ORDER BY id;
SELECT * FROM pg_temp.dead();

-- a trigger of the delete, and a function that the delete returns
CREATE FUNCTION pg_temp.again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('INSERT INTO %I VALUES ($1.*)', TG_TABLE_NAME) USING OLD;
  RETURN NULL;
END $$;
CREATE TRIGGER again AFTER DELETE ON latest FOR EACH ROW EXECUTE FUNCTION pg_temp.again();
CREATE TRIGGER again AFTER DELETE ON stamped FOR EACH ROW EXECUTE FUNCTION pg_temp.again();
DELETE FROM latest;
DELETE FROM stamped;
DROP TRIGGER again ON latest;
DROP TRIGGER again ON stamped;
CREATE FUNCTION pg_temp.insert_latest(id integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO latest VALUES (id, 'returned');
  RETURN id;
END $$;
DELETE FROM latest WHERE id = 1 RETURNING pg_temp.insert_latest(id);
SELECT id, v FROM latest ORDER BY id;
SELECT id, v FROM stamped ORDER BY id;
SELECT * FROM pg_temp.dead();

-- The second stamp is an UPDATE to the triggers of users, and only where it was needed.
CREATE FUNCTION pg_temp.tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '% % %', TG_WHEN, TG_OP, NEW.v; RETURN NEW; END $$;
CREATE TRIGGER tell_before BEFORE INSERT OR UPDATE ON latest FOR EACH ROW EXECUTE FUNCTION pg_temp.tell();
CREATE TRIGGER tell_after AFTER INSERT OR UPDATE ON latest FOR EACH ROW EXECUTE FUNCTION pg_temp.tell();
BEGIN;
DELETE FROM latest WHERE id = 1;
INSERT INTO latest VALUES (1, 'in the next statement');
COMMIT;
WITH gone AS (DELETE FROM latest WHERE id = 1 RETURNING *) INSERT INTO latest SELECT id, 'in the same statement' FROM gone;
SELECT id, v FROM latest ORDER BY id;
SELECT * FROM pg_temp.dead();

DROP TABLE latest, stamped, birth, part;
\set include :source '/sql/include/leave.psql'
\i :include
