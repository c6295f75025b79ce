-- meridian.resolve() stamps local writes. What it does with images of peers: apply.sql.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include
\set include :source '/sql/include/member.psql'
\i :include

CREATE DOMAIN amount AS numeric(12,2);
CREATE TABLE account (
  id integer PRIMARY KEY, name text, email text, street text, city text,
  n2 smallint, n4 integer, n8 bigint, n numeric, money amount, doubled integer GENERATED ALWAYS AS (n4 * 2) STORED);
SELECT pg_temp.attach('account', 'email=lww', 'street=group:home', 'city=group:home', 'n2=counter', 'n4=counter', 'n8=counter', 'n=counter', 'money=counter');
-- what a state says of a row, without its stamps
CREATE FUNCTION pg_temp.shape(state meridian.row_state) RETURNS text LANGUAGE sql AS $$
  SELECT regexp_replace(state::text, '\d{13}\.\d+', '#', 'g') $$;
-- which groups a write moved
CREATE FUNCTION pg_temp.moved(before meridian.row_state, after meridian.row_state) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(split_part(a.g, ':', 1), ',' ORDER BY a.g), '-')
  FROM unnest(string_to_array(substring(after::text FROM 'groups:\[([^]]*)'), ',')) a(g)
  WHERE a.g <> ALL (string_to_array(substring(before::text FROM 'groups:\[([^]]*)'), ',')) $$;

INSERT INTO account (id, name, email, street, city, n2, n4, n8, n, money) VALUES (1, 'a', 'e', 's', 'c', 1, 2, 3, 4.50, 5);
SELECT id, pg_temp.shape(_meridian) FROM account;
INSERT INTO account (id) VALUES (2);
SELECT id, n2, money, pg_temp.shape(_meridian) FROM account WHERE id = 2;
-- a forged state is ignored
INSERT INTO account (id, name, _meridian) VALUES (3, 'forged', '{entries:[7/7@9000000000000.0 last 9000000000000.0]}');
SELECT id, pg_temp.shape(_meridian) FROM account WHERE id = 3;
UPDATE account SET name = 'again', _meridian = NULL WHERE id = 3;
UPDATE account SET _meridian = '{}' WHERE id = 3;
SELECT id, name, pg_temp.shape(_meridian) FROM account WHERE id = 3;

-- an update moves the groups that it changes, and the clock; one that changes nothing is no write
CREATE TEMP TABLE seen AS SELECT id, _meridian FROM account;
CREATE FUNCTION pg_temp.look() RETURNS TABLE (id integer, state text, groups text) LANGUAGE sql AS $$
  WITH new AS (SELECT a.id, a._meridian FROM account a),
       old AS (UPDATE seen s SET _meridian = n._meridian FROM new n, seen o WHERE o.id = s.id AND n.id = s.id RETURNING s.id, o._meridian AS before, n._meridian AS after)
  SELECT id, meridian.compare_states(before, after), pg_temp.moved(before, after) FROM old WHERE meridian.compare_states(before, after) <> 'equal' OR before::text <> after::text ORDER BY id $$;
UPDATE account SET name = 'b' WHERE id = 1;
SELECT * FROM pg_temp.look();
UPDATE account SET email = 'f' WHERE id = 1;
SELECT * FROM pg_temp.look();
UPDATE account SET city = 'd' WHERE id = 1;
SELECT * FROM pg_temp.look();
UPDATE account SET name = 'c', street = 't', email = 'g' WHERE id = 1;
SELECT * FROM pg_temp.look();
UPDATE account SET n4 = n4 + 10 WHERE id = 1;
SELECT * FROM pg_temp.look();
UPDATE account SET name = name, n4 = n4, n = n WHERE id = 1;
UPDATE account SET name = 'c', street = 't', email = 'g' WHERE id = 1;
SELECT * FROM pg_temp.look();
SELECT n4, doubled FROM account WHERE id = 1;

-- counters: every type, NULL, and what cannot be counted
UPDATE account SET n2 = n2 - 1, n4 = n4 - 1, n8 = n8 - 1, n = n - 0.25, money = money - 10 WHERE id = 1;
SELECT n2, n4, n8, n, money, pg_temp.shape(_meridian) FROM account WHERE id = 1;
UPDATE account SET n2 = 7, n = 1 WHERE id = 2;
UPDATE account SET n2 = n2 + 1 WHERE id = 2;
SELECT n2, n, n4, pg_temp.shape(_meridian) FROM account WHERE id = 2;
SELECT pg_temp.error_of('UPDATE account SET n2 = NULL WHERE id = 2');
SELECT pg_temp.error_of($$UPDATE account SET n = 'NaN' WHERE id = 1$$);
SELECT pg_temp.error_of($$UPDATE account SET n = 'Infinity' WHERE id = 1$$);
SELECT pg_temp.error_of($$INSERT INTO account (id, n) VALUES (9, 'NaN')$$);
SELECT pg_temp.error_of('UPDATE account SET n2 = n2 + 32767 WHERE id = 2');
UPDATE account SET n2 = 32767 WHERE id = 3;
UPDATE account SET n2 = -32768 WHERE id = 3;
UPDATE account SET n8 = 9223372036854775807 WHERE id = 3;
UPDATE account SET n8 = -9223372036854775808 WHERE id = 3;
SELECT n2, n8 FROM account WHERE id = 3;
-- the number stays, only its scale is written otherwise: no change of the sum
UPDATE account SET n = n::numeric(20,5) WHERE id = 1;
SELECT n FROM account WHERE id = 1;

-- subtransactions
SELECT * FROM pg_temp.look();
BEGIN;
SAVEPOINT s;
UPDATE account SET name = 'rolled back', n4 = n4 + 100 WHERE id = 1;
ROLLBACK TO s;
UPDATE account SET name = 'kept', n4 = n4 + 1 WHERE id = 1;
COMMIT;
SELECT name, n4 FROM account WHERE id = 1;
SELECT * FROM pg_temp.look();
BEGIN;
DELETE FROM account WHERE id = 1;
ROLLBACK;
SELECT count(*) AS tombstones FROM meridian.tombstone;

-- COPY, ON CONFLICT, MERGE of PostgreSQL
COPY account (id, name, n4) FROM stdin;
10	ten	10
11	eleven	11
\.
INSERT INTO account (id, name, n4) VALUES (10, 'conflict', 5), (12, 'twelve', 12)
  ON CONFLICT (id) DO UPDATE SET n4 = account.n4 + EXCLUDED.n4;
INSERT INTO account (id, name) VALUES (10, 'ignored') ON CONFLICT DO NOTHING;
MERGE INTO account a USING (VALUES (11, 1), (13, 13)) AS v(id, n) ON a.id = v.id
  WHEN MATCHED THEN UPDATE SET n4 = a.n4 + v.n WHEN NOT MATCHED THEN INSERT (id, n4) VALUES (v.id, v.n);
SELECT id, name, n4, doubled, pg_temp.shape(_meridian) FROM account WHERE id >= 10 ORDER BY id;

-- every write of one actor is newer than the one before, and than what the row held
UPDATE account SET name = 'x' WHERE id IN (10, 11, 12);
UPDATE account SET name = 'y' WHERE id IN (10, 11, 12);
SELECT bool_and(substring(_meridian::text FROM 'last (\d+)\.')::bigint * 65536 + substring(_meridian::text FROM 'last \d+\.(\d+)')::bigint
                > substring(_meridian::text FROM '@(\d+)\.')::bigint * 65536 + substring(_meridian::text FROM '@\d+\.(\d+)')::bigint) AS grows
  FROM account WHERE id IN (10, 11, 12);

-- a changed key is a delete and an insert; swapped keys are two of them
DELETE FROM account;
INSERT INTO account (id, name, n4) VALUES (1, 'one', 10), (2, 'two', 20);
DELETE FROM meridian.tombstone;
UPDATE account SET id = 3 WHERE id = 1;
SELECT key, floor > 0 AS floor, pg_temp.shape(seen) FROM meridian.tombstone;
SELECT id, name, n4, pg_temp.shape(_meridian) FROM account ORDER BY id;
BEGIN;
UPDATE account SET id = 99 WHERE id = 2;
UPDATE account SET id = 2, n4 = n4 + 1 WHERE id = 3;
UPDATE account SET id = 3 WHERE id = 99;
COMMIT;
SELECT id, name, n4 FROM account ORDER BY id;
SELECT key, count(*) FROM meridian.tombstone GROUP BY key ORDER BY key;
-- the new life is above every floor of its key
SELECT bool_and(split_part(substring(a._meridian::text FROM '@(\d+\.\d+)'), '.', 1)::bigint * 65536 + split_part(substring(a._meridian::text FROM '@(\d+\.\d+)'), '.', 2)::bigint > t.floor) AS above
  FROM account a JOIN meridian.tombstone t ON t.key = ARRAY[a.id::text];
-- delete, insert again, delete: floors grow
INSERT INTO account (id) VALUES (50);
DELETE FROM account WHERE id = 50;
INSERT INTO account (id) VALUES (50);
DELETE FROM account WHERE id = 50;
SELECT count(*), count(DISTINCT floor) FROM meridian.tombstone WHERE key = '{50}';

-- keys of other kinds: NULL, composite, equal by operator
SELECT pg_temp.error_of('INSERT INTO account (id) VALUES (NULL)');
SELECT pg_temp.error_of('UPDATE account SET id = NULL WHERE id = 2');
CREATE TABLE pair (a numeric, b text, v text, PRIMARY KEY (a, b));
SELECT pg_temp.attach('pair');
INSERT INTO pair VALUES (1.0, 'x', 'v');
DELETE FROM meridian.tombstone;
UPDATE pair SET a = 1.00;
SELECT a, b, v, (SELECT count(*) FROM meridian.tombstone) AS tombstones FROM pair;
UPDATE pair SET b = 'y';
SELECT a, b, v, (SELECT key FROM meridian.tombstone) AS tombstone FROM pair;
DELETE FROM pair;
SELECT key FROM meridian.tombstone ORDER BY key;

-- TRUNCATE would not reach the others
SELECT pg_temp.error_of('TRUNCATE account');
SELECT pg_temp.error_of('TRUNCATE pair, account CASCADE');

-- cascades leave tombstones too
CREATE TABLE parent (id integer PRIMARY KEY);
CREATE TABLE child (id integer PRIMARY KEY, parent integer REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
SELECT pg_temp.attach('parent'), pg_temp.attach('child');
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (10, 1), (11, 1);
DELETE FROM meridian.tombstone;
UPDATE parent SET id = 2;
DELETE FROM parent;
SELECT r.rel::text, t.key FROM meridian.tombstone t JOIN meridian.replicated_table r ON r.id = t.table_id ORDER BY 1, 2;
DROP TABLE child, parent;

-- user triggers run between ours: what they change is stamped
CREATE FUNCTION pg_temp.shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := upper(NEW.v); RETURN NEW; END $$;
CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON pair FOR EACH ROW EXECUTE FUNCTION pg_temp.shout();
INSERT INTO pair VALUES (1, 'x', 'quiet');
SELECT a, b, v, pg_temp.shape(_meridian) FROM pair;
-- one that returns NULL leaves no trace
CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE OR DELETE ON pair FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse();
DELETE FROM meridian.tombstone;
INSERT INTO pair VALUES (2, 'x', 'no');
UPDATE pair SET v = 'no';
DELETE FROM pair;
SELECT a, b, v, (SELECT count(*) FROM meridian.tombstone) AS tombstones FROM pair;
DROP TABLE pair;

-- values out of line are written again with every update, so that they travel
CREATE TABLE big (id integer PRIMARY KEY, n integer, doc text, other text);
ALTER TABLE big ALTER doc SET STORAGE EXTERNAL, ALTER other SET STORAGE EXTERNAL;
SELECT pg_temp.attach('big', 'n=counter');
INSERT INTO big VALUES (1, 0, repeat('d', 5000), repeat('o', 5000));
CREATE FUNCTION pg_temp.chunks() RETURNS SETOF oid LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY EXECUTE format('SELECT DISTINCT chunk_id FROM %s', (SELECT reltoastrelid::regclass FROM pg_class WHERE oid = 'big'::regclass));
END $$;
CREATE TEMP TABLE old_chunks AS SELECT * FROM pg_temp.chunks() c(id);
UPDATE big SET n = n + 1;
SELECT count(*) AS chunks, count(o.id) AS of_before, (SELECT length(doc) + length(other) FROM big) AS length FROM pg_temp.chunks() c(id) LEFT JOIN old_chunks o USING (id);
DROP TABLE big;

-- triggers by hand
CREATE TABLE by_hand (id integer PRIMARY KEY, v text);
CREATE TRIGGER alone BEFORE INSERT OR UPDATE ON by_hand FOR EACH ROW EXECUTE FUNCTION meridian.resolve();
CREATE TRIGGER gone AFTER DELETE ON by_hand FOR EACH ROW EXECUTE FUNCTION meridian.resolve();
SELECT pg_temp.error_of('INSERT INTO by_hand VALUES (1)');
ALTER TABLE by_hand ADD COLUMN _meridian meridian.row_state;
INSERT INTO by_hand VALUES (1, 'stamped');
UPDATE by_hand SET v = 'again';
SELECT v, pg_temp.shape(_meridian) FROM by_hand;
DELETE FROM by_hand;
SELECT count(*) AS tombstones FROM meridian.tombstone WHERE table_id = 0;
CREATE TRIGGER wrong BEFORE DELETE ON by_hand FOR EACH ROW EXECUTE FUNCTION meridian.resolve();
INSERT INTO by_hand VALUES (2);
SELECT pg_temp.error_of('DELETE FROM by_hand');
DROP TRIGGER wrong ON by_hand;
DELETE FROM by_hand;
CREATE TRIGGER wrong BEFORE INSERT ON by_hand FOR EACH STATEMENT EXECUTE FUNCTION meridian.resolve();
SELECT pg_temp.error_of('INSERT INTO by_hand VALUES (2)');
DROP TRIGGER wrong ON by_hand;
CREATE OR REPLACE TRIGGER alone BEFORE INSERT OR UPDATE ON by_hand FOR EACH ROW EXECUTE FUNCTION meridian.resolve('v=nonsense');
SELECT pg_temp.error_of('INSERT INTO by_hand VALUES (2)');
CREATE OR REPLACE TRIGGER alone BEFORE INSERT OR UPDATE ON by_hand FOR EACH ROW EXECUTE FUNCTION meridian.resolve('gone=lww');
SELECT pg_temp.error_of('INSERT INTO by_hand VALUES (2)');
ALTER TABLE by_hand DROP CONSTRAINT by_hand_pkey;
SELECT pg_temp.error_of('INSERT INTO by_hand VALUES (3)');
ALTER TABLE by_hand ADD PRIMARY KEY (id) DEFERRABLE;
SELECT pg_temp.error_of('INSERT INTO by_hand VALUES (3)');
SELECT pg_temp.error_of('SELECT meridian.resolve()');
DROP TABLE by_hand;

-- who is not a member, or not the server it was, writes nothing
DELETE FROM meridian.local_member;
SELECT pg_temp.error_of('INSERT INTO account (id) VALUES (1)');
INSERT INTO meridian.local_member (mesh, member, epoch, server, system_id, timeline)
  SELECT '00000000-0000-0000-0000-000000000001', 1, 1, 'somebody else', system_identifier, timeline_id FROM pg_control_system(), pg_control_checkpoint();
SELECT pg_temp.error_of('INSERT INTO account (id) VALUES (1)');
SELECT pg_temp.error_of('DELETE FROM account');
UPDATE meridian.local_member SET server = current_setting('meridian.node');

-- an ordinary user needs no right on our tables
CREATE ROLE regress_meridian_writer;
GRANT ALL ON account TO regress_meridian_writer;
SET ROLE regress_meridian_writer;
INSERT INTO account (id, name, n4) VALUES (77, 'user', 1);
UPDATE account SET n4 = n4 + 1 WHERE id = 77;
DELETE FROM account WHERE id = 77;
RESET ROLE;
SELECT count(*) AS tombstones FROM meridian.tombstone WHERE key = '{77}';
DROP OWNED BY regress_meridian_writer;
DROP ROLE regress_meridian_writer;

DROP TABLE account;
DROP DOMAIN amount;
\set include :source '/sql/include/leave.psql'
\i :include
