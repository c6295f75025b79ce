-- Images of peers meet rows: every decision, with stamps given by hand, in every order of arrival.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include
\set include :source '/sql/include/member.psql'
\i :include
\set include :source '/sql/include/deliver.psql'
\i :include

-- only an administrator marks a session as applying
CREATE ROLE regress_meridian_user;
SET ROLE regress_meridian_user;
SELECT pg_temp.error_of('SELECT meridian.begin_apply()');
RESET ROLE;
DROP ROLE regress_meridian_user;
SET session_replication_role = replica;
SELECT meridian.begin_apply();

--
-- The row as a whole: last writer wins
--
CREATE TABLE person (id bigint PRIMARY KEY, name text, city text);
SELECT pg_temp.attach('person');
-- a row, and the same again
SELECT * FROM pg_temp.outcomes('person', '($,a,x,"{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0]}")',
  '($,a,x,"{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0]}")');
-- one that had seen the other
SELECT * FROM pg_temp.outcomes('person', '($,a,x,"{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0]}")',
  '($,b,x,"{entries:[1/1@0.1 last 10.0,2/1@0.1 last 20.0],groups:[0:2/1@0.1 last 20.0]}")',
  '($,c,x,"{entries:[1/1@0.1 last 30.0,2/1@0.1 last 20.0],groups:[0:1/1@0.1 last 30.0]}")');
SELECT count(*) AS conflicts FROM meridian.conflict_history;
-- concurrent: the later stamp takes the whole row
SELECT * FROM pg_temp.outcomes('person', '($,a,x,"{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0]}")',
  '($,b,x,"{entries:[1/1@0.1 last 20.0],groups:[0:1/1@0.1 last 20.0]}")',
  '($,a,y,"{entries:[1/1@0.1 last 10.0,2/1@0.1 last 30.0],groups:[0:2/1@0.1 last 30.0]}")');
-- equal stamps: the larger actor; a larger epoch counts more than a larger member
SELECT * FROM pg_temp.outcomes('person', '($,a,x,"{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0]}")',
  '($,b,y,"{entries:[2/1@0.1 last 10.0],groups:[0:2/1@0.1 last 10.0]}")');
SELECT * FROM pg_temp.outcomes('person', '($,a,x,"{entries:[1/2@0.1 last 10.0],groups:[0:1/2@0.1 last 10.0]}")',
  '($,b,y,"{entries:[2/1@0.1 last 10.0],groups:[0:2/1@0.1 last 10.0]}")');
-- three at once
SELECT * FROM pg_temp.outcomes('person', '($,a,x,"{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0]}")',
  '($,b,y,"{entries:[2/1@0.1 last 11.0],groups:[0:2/1@0.1 last 11.0]}")',
  '($,c,z,"{entries:[3/1@0.1 last 12.0],groups:[0:3/1@0.1 last 12.0]}")');
-- rows from before replication: the same row, or the larger values; any write beats them
SELECT * FROM pg_temp.outcomes('person', '($,a,x,)', '($,a,x,)');
SELECT * FROM pg_temp.outcomes('person', '($,a,x,)', '($,b,,)');
SELECT * FROM pg_temp.outcomes('person', '($,a,x,)', '($,a,,)', '($,,z,)');
SELECT * FROM pg_temp.outcomes('person', '($,a,x,)', '($,b,y,"{entries:[0@0.1 last 0.0,1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0]}")');
-- one write with two values, which only a duplicated identity makes: the larger bytes, on every node
SELECT * FROM pg_temp.outcomes('person', '($,a,x,"{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0]}")',
  '($,b,y,"{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0]}")',
  '($,a,,"{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0]}")');
SELECT * FROM pg_temp.outcomes('person', '($,a,y,"{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0]}")',
  '($,b,x,"{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0]}")');
-- several images of one key in one command
INSERT INTO person VALUES (1, 'a', 'x', '{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0]}'),
  (1, 'c', 'x', '{entries:[1/1@0.1 last 30.0],groups:[0:1/1@0.1 last 30.0]}'),
  (1, 'b', 'x', '{entries:[1/1@0.1 last 20.0],groups:[0:1/1@0.1 last 20.0]}'),
  (1, 'd', 'x', '{entries:[1/1@0.1 last 40.0],groups:[0:1/1@0.1 last 40.0]}');
COPY person FROM stdin;
1	e	x	{entries:[1/1@0.1 last 50.0],groups:[0:1/1@0.1 last 50.0]}
2	e	x	{entries:[1/1@0.1 last 50.0],groups:[0:1/1@0.1 last 50.0]}
1	f	x	{entries:[1/1@0.1 last 60.0],groups:[0:1/1@0.1 last 60.0]}
2	d	x	{entries:[1/1@0.1 last 40.0],groups:[0:1/1@0.1 last 40.0]}
\.
SELECT id, name FROM person WHERE id < 10 ORDER BY id;
-- rolled back with its savepoint, and again after it
BEGIN;
SAVEPOINT s;
INSERT INTO person VALUES (1, 'g', 'x', '{entries:[1/1@0.1 last 70.0],groups:[0:1/1@0.1 last 70.0]}');
INSERT INTO person VALUES (3, 'g', 'x', '{entries:[1/1@0.1 last 70.0],groups:[0:1/1@0.1 last 70.0]}');
ROLLBACK TO s;
INSERT INTO person VALUES (3, 'h', 'x', '{entries:[1/1@0.1 last 80.0],groups:[0:1/1@0.1 last 80.0]}');
COMMIT;
SELECT id, name FROM person WHERE id < 10 ORDER BY id;
-- a key that is NULL, a broken state
SELECT pg_temp.error_of($$INSERT INTO person VALUES (NULL, 'x')$$);
SELECT key, reason, sqlstate, detail FROM meridian.parked;
SELECT pg_temp.error_of($$INSERT INTO person VALUES (4, 'x', 'x', '{entries}')$$);

--
-- Rules per column
--
CREATE TABLE account (id bigint PRIMARY KEY, name text, email text, street text, city text, n integer, amount numeric(4,2), small smallint, tiny numeric(2,4));
SELECT pg_temp.attach('account', 'email=lww', 'street=group:home', 'city=group:home', 'n=counter', 'amount=counter', 'small=counter', 'tiny=counter');
-- two actors change different groups of one row, and add to its counters
\set base '"{entries:[1/1@10.0 last 10.0 +4=100 +5=1.50],groups:[0:1/1@10.0 last 10.0,1:1/1@10.0 last 10.0,2:1/1@10.0 last 10.0]}"'
SELECT * FROM pg_temp.outcomes('account', '($,a,e,s,c,100,1.50,,,' || :'base' || ')',
  '($,A,e,s,c,50,1.50,,,"{entries:[1/1@10.0 last 20.0 +4=50 +5=1.50],groups:[0:1/1@10.0 last 20.0,1:1/1@10.0 last 10.0,2:1/1@10.0 last 10.0]}")',
  '($,a,E,S,c,70,2.75,,,"{entries:[1/1@10.0 last 10.0 +4=100 +5=1.50,2/1@10.0 last 15.0 +4=-30 +5=1.25],groups:[0:1/1@10.0 last 10.0,1:2/1@10.0 last 15.0,2:2/1@10.0 last 15.0]}")');
-- a group wins or loses together
SELECT * FROM pg_temp.outcomes('account',
  '($,a,e,s1,c1,,,,,"{entries:[1/1@10.0 last 20.0],groups:[0:1/1@10.0 last 10.0,1:1/1@10.0 last 10.0,2:1/1@10.0 last 20.0]}")',
  '($,a,e,s,c2,,,,,"{entries:[1/1@10.0 last 10.0,2/1@10.0 last 21.0],groups:[0:1/1@10.0 last 10.0,1:1/1@10.0 last 10.0,2:2/1@10.0 last 21.0]}")');
-- two first inserts of one key: counters add, the later birth has the groups, even against a later update of the earlier
SELECT * FROM pg_temp.outcomes('account',
  '($,a,a,a,a,10,,,,"{entries:[1/1@10.0 last 10.0 +4=10],groups:[0:1/1@10.0 last 10.0,1:1/1@10.0 last 10.0,2:1/1@10.0 last 10.0]}")',
  '($,A,a,a,a,11,,,,"{entries:[1/1@10.0 last 90.0 +4=11],groups:[0:1/1@10.0 last 90.0,1:1/1@10.0 last 10.0,2:1/1@10.0 last 10.0]}")',
  '($,b,b,b,b,5,,,,"{entries:[2/1@20.0 last 20.0 +4=5],groups:[0:2/1@20.0 last 20.0,1:2/1@20.0 last 20.0,2:2/1@20.0 last 20.0]}")');
-- rows from before replication do not double
SELECT * FROM pg_temp.outcomes('account', '($,a,e,s,c,100,1.5,,,)', '($,a,e,s,c,100,1.5,,,)',
  '($,a,e,s,c,90,1.5,,,"{entries:[0@0.1 last 0.0 +4=100 +5=1.50,2/1@0.1 last 10.0 +4=-10],groups:[0:0@0.1 last 0.0,1:0@0.1 last 0.0,2:0@0.1 last 0.0]}")',
  '($,a,e,s,c,95,1.5,,,"{entries:[0@0.1 last 0.0 +4=100 +5=1.50,3/1@0.1 last 11.0 +4=-5],groups:[0:0@0.1 last 0.0,1:0@0.1 last 0.0,2:0@0.1 last 0.0]}")');
-- a sum that the column cannot hold stops at the column's limit; the contributions stay exact
SELECT * FROM pg_temp.outcomes('account',
  '($,a,e,s,c,2000000000,90.00,30000,0.0090,"{entries:[1/1@10.0 last 10.0 +4=2000000000 +5=90.00 +6=30000 +7=0.0090],groups:[0:1/1@10.0 last 10.0,1:1/1@10.0 last 10.0,2:1/1@10.0 last 10.0]}")',
  '($,a,e,s,c,2000000000,10.00,30000,0.0050,"{entries:[2/1@10.0 last 10.0 +4=2000000000 +5=10.00 +6=30000 +7=0.0050],groups:[0:1/1@10.0 last 10.0,1:1/1@10.0 last 10.0,2:1/1@10.0 last 10.0]}")');
SELECT * FROM pg_temp.outcomes('account',
  '($,a,e,s,c,-2000000000,-90.00,-30000,-0.0090,"{entries:[1/1@10.0 last 10.0 +4=-2000000000 +5=-90.00 +6=-30000 +7=-0.0090],groups:[0:1/1@10.0 last 10.0,1:1/1@10.0 last 10.0,2:1/1@10.0 last 10.0]}")',
  '($,a,e,s,c,-2000000000,-99.99,-30000,-0.0050,"{entries:[2/1@10.0 last 10.0 +4=-2000000000 +5=-99.99 +6=-30000 +7=-0.0050],groups:[0:1/1@10.0 last 10.0,1:1/1@10.0 last 10.0,2:1/1@10.0 last 10.0]}")');
SELECT * FROM pg_temp.outcomes('account',
  '($,a,e,s,c,,,,,"{entries:[1/1@10.0 last 10.0 +4=99999999999999999999999 +5=0.00],groups:[0:1/1@10.0 last 10.0,1:1/1@10.0 last 10.0,2:1/1@10.0 last 10.0]}")',
  '($,a,e,s,c,,,,,"{entries:[2/1@10.0 last 10.0 +4=-99999999999999999999990 +5=-0.01],groups:[0:1/1@10.0 last 10.0,1:1/1@10.0 last 10.0,2:1/1@10.0 last 10.0]}")');

-- lattice columns of one life combine, a later life replaces
CREATE TABLE lattice (id bigint PRIMARY KEY, high integer, low date, anyone boolean, everyone boolean);
SELECT pg_temp.attach('lattice', 'high=max', 'low=min', 'anyone=or', 'everyone=and');
SELECT * FROM pg_temp.outcomes('lattice',
  '($,5,2020-01-02,f,t,"{entries:[1/1@10.0 last 10.0],lattices:[1@10.0,2@10.0,3@10.0,4@10.0]}")',
  '($,7,2020-01-02,t,t,"{entries:[1/1@10.0 last 20.0],lattices:[1@10.0,2@10.0,3@10.0,4@10.0]}")',
  '($,6,2020-01-01,f,f,"{entries:[1/1@10.0 last 10.0,2/1@10.0 last 15.0],lattices:[1@10.0,2@10.0,3@10.0,4@10.0]}")');
SELECT * FROM pg_temp.outcomes('lattice',
  '($,5,2020-01-02,t,f,"{entries:[1/1@10.0 last 10.0],lattices:[1@10.0,2@10.0,3@10.0,4@10.0]}")',
  '($,1,2020-01-09,f,t,"{entries:[2/1@20.0 last 20.0],lattices:[1@20.0,2@20.0,3@20.0,4@20.0]}")',
  '($,,,,,"{entries:[3/1@20.0 last 30.0],lattices:[1@20.0,2@20.0,3@20.0,4@20.0]}")');

--
-- Keys
--
CREATE COLLATION regress_blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE keyed (a numeric, b text COLLATE regress_blind, day date, v text, PRIMARY KEY (a, b, day));
SELECT pg_temp.attach('keyed');
INSERT INTO keyed VALUES (1.0, 'Key', '2020-02-01', 'first', '{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0]}');
INSERT INTO keyed VALUES (1.00, 'KEY', '2020-02-01', 'second', '{entries:[1/1@0.1 last 20.0],groups:[0:1/1@0.1 last 20.0]}');
INSERT INTO keyed VALUES (1.000, 'key', '2020-02-01', 'late', '{entries:[1/1@0.1 last 15.0],groups:[0:1/1@0.1 last 15.0]}');
INSERT INTO keyed VALUES (1.0, 'Key', '2020-01-02', 'other', '{entries:[1/1@0.1 last 15.0],groups:[0:1/1@0.1 last 15.0]}');
SELECT a, b, day, v FROM keyed ORDER BY day;
-- which way to write an equal key is decided like any value: by the later write, or by the larger bytes
CREATE TABLE spelled (k numeric PRIMARY KEY, n integer);
SELECT pg_temp.attach('spelled', 'n=counter');
INSERT INTO spelled VALUES (1.0, NULL, NULL), (1.00, NULL, NULL), (2.00, NULL, NULL), (2.0, NULL, NULL);
INSERT INTO spelled VALUES
  (3.00, 1, '{entries:[1/1@10.0 last 10.0 +1=1],groups:[0:1/1@10.0 last 10.0]}'), (3.0, 1, '{entries:[2/1@20.0 last 20.0 +1=1],groups:[0:2/1@20.0 last 20.0]}'),
  (4.0, 1, '{entries:[2/1@20.0 last 20.0 +1=1],groups:[0:2/1@20.0 last 20.0]}'), (4.00, 1, '{entries:[1/1@10.0 last 10.0 +1=1],groups:[0:1/1@10.0 last 10.0]}');
SELECT k, n FROM spelled ORDER BY k;
-- a tombstone finds them, too, whatever DateStyle says here
SET datestyle = 'SQL, DMY';
INSERT INTO meridian.tombstone (table_id, key_hash, key, floor, stamp, actor, seen)
  SELECT id, 0, '{1.00000,kEY,2020-02-01}', 0, pg_temp.hlc(30), pg_temp.actor(1), '{entries:[1/1@0.1 last 20.0]}' FROM meridian.replicated_table WHERE rel = 'keyed'::regclass;
RESET datestyle;
SELECT a, b, day, v FROM keyed ORDER BY day;
INSERT INTO keyed VALUES (1.0, 'keY', '2020-02-01', 'dead', '{entries:[1/1@0.1 last 25.0],groups:[0:1/1@0.1 last 25.0]}');
SELECT count(*) FROM keyed;

--
-- Tables as they are: generated and dropped columns, another order of columns, values out of line
--
CREATE TABLE aged (gone integer, doc text, n integer, id bigint PRIMARY KEY, twice integer GENERATED ALWAYS AS (n * 2) STORED NOT NULL, gone_too text);
ALTER TABLE aged ALTER doc SET STORAGE EXTERNAL;
INSERT INTO aged (gone, doc, n, id) VALUES (1, 'there before', 1, 1);
ALTER TABLE aged DROP COLUMN gone, DROP COLUMN gone_too;
SELECT pg_temp.attach('aged', 'n=counter');
ALTER TABLE aged ADD COLUMN late text DEFAULT 'default';
INSERT INTO aged (id, n, doc, _meridian) VALUES (1, 4, 'newer', '{entries:[0@0.1 last 0.0 +1=1,2/1@0.1 last 10.0 +1=3],groups:[0:2/1@0.1 last 10.0]}');
INSERT INTO aged (id, n, doc, late, _meridian) VALUES (2, 3, repeat('long', 2000), 'l', '{entries:[2/1@10.0 last 10.0 +1=3],groups:[0:2/1@10.0 last 10.0]}');
SELECT id, n, twice, length(doc) AS length, late FROM aged ORDER BY id;
-- the merge keeps the local value out of line, and takes the incoming one
INSERT INTO aged (id, n, doc, _meridian) VALUES (2, 5, 'old', '{entries:[2/1@10.0 last 9.0 +1=2,3/1@10.0 last 9.0 +1=2],groups:[0:3/1@10.0 last 9.0]}');
SELECT id, n, twice, length(doc) AS length FROM aged WHERE id = 2;
INSERT INTO aged (id, n, doc, _meridian) VALUES (2, 5, repeat('longer', 3000), '{entries:[2/1@10.0 last 10.0 +1=3,3/1@10.0 last 11.0 +1=3],groups:[0:3/1@10.0 last 11.0]}');
SELECT id, n, twice, length(doc) AS length FROM aged WHERE id = 2;

--
-- Triggers of others: those that a subscription would fire see the merge, and run as the table's owner
--
CREATE ROLE regress_meridian_owner;
CREATE SCHEMA regress_owned AUTHORIZATION regress_meridian_owner;
SET ROLE regress_meridian_owner;
CREATE TABLE regress_owned.watched (id bigint PRIMARY KEY, v text, n integer);
CREATE TABLE regress_owned.journal (step serial, said text);
CREATE FUNCTION regress_owned.note() RETURNS trigger LANGUAGE plpgsql SET search_path = regress_owned AS $$
BEGIN
  INSERT INTO journal (said) VALUES (concat_ws(' ', TG_NAME, TG_WHEN, TG_OP, current_user, OLD.v, OLD.n, '->', NEW.v, NEW.n));
  RETURN COALESCE(NEW, OLD);
END $$;
CREATE TRIGGER before_row BEFORE INSERT OR UPDATE OR DELETE ON regress_owned.watched FOR EACH ROW EXECUTE FUNCTION regress_owned.note();
CREATE TRIGGER of_column BEFORE UPDATE OF n ON regress_owned.watched FOR EACH ROW EXECUTE FUNCTION regress_owned.note();
CREATE TRIGGER after_row AFTER INSERT OR UPDATE OR DELETE ON regress_owned.watched FOR EACH ROW EXECUTE FUNCTION regress_owned.note();
CREATE TRIGGER origin_only BEFORE INSERT OR UPDATE ON regress_owned.watched FOR EACH ROW EXECUTE FUNCTION regress_owned.note();
ALTER TABLE regress_owned.watched ENABLE ALWAYS TRIGGER before_row, ENABLE ALWAYS TRIGGER of_column, ENABLE REPLICA TRIGGER after_row;
RESET ROLE;
SELECT pg_temp.attach('regress_owned.watched', 'n=counter');
INSERT INTO regress_owned.watched VALUES (1, 'a', 1, '{entries:[1/1@10.0 last 10.0 +1=1],groups:[0:1/1@10.0 last 10.0]}');
INSERT INTO regress_owned.watched VALUES (1, 'b', 3, '{entries:[1/1@10.0 last 10.0 +1=1,2/1@10.0 last 20.0 +1=2],groups:[0:2/1@10.0 last 20.0]}');
INSERT INTO regress_owned.watched VALUES (1, 'c', 6, '{entries:[1/1@10.0 last 10.0 +1=1,3/1@10.0 last 15.0 +1=5],groups:[0:3/1@10.0 last 15.0]}');
INSERT INTO regress_owned.watched VALUES (1, 'a', 1, '{entries:[1/1@10.0 last 10.0 +1=1],groups:[0:1/1@10.0 last 10.0]}');
INSERT INTO meridian.tombstone (table_id, key_hash, key, floor, stamp, actor, seen)
  SELECT id, 0, '{1}', pg_temp.hlc(10), pg_temp.hlc(30), pg_temp.actor(1), '{entries:[1/1@0.1 last 10.0,2/1@0.1 last 20.0,3/1@0.1 last 15.0]}' FROM meridian.replicated_table WHERE rel = 'regress_owned.watched'::regclass;
SELECT said FROM regress_owned.journal ORDER BY step;
SELECT count(*) AS rows FROM regress_owned.watched;
-- one that changes or refuses the row has its way, as under stock apply
CREATE FUNCTION pg_temp.change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.v = 'no' THEN RETURN NULL; END IF;
  NEW.v := NEW.v || '!';
  RETURN NEW;
END $$;
CREATE TRIGGER changes BEFORE INSERT OR UPDATE ON regress_owned.watched FOR EACH ROW EXECUTE FUNCTION pg_temp.change();
ALTER TABLE regress_owned.watched ENABLE ALWAYS TRIGGER changes;
INSERT INTO regress_owned.watched VALUES (2, 'a', 1, '{entries:[1/1@10.0 last 10.0 +1=1],groups:[0:1/1@10.0 last 10.0]}');
INSERT INTO regress_owned.watched VALUES (2, 'b', 1, '{entries:[1/1@10.0 last 20.0 +1=1],groups:[0:1/1@10.0 last 20.0]}');
INSERT INTO regress_owned.watched VALUES (2, 'no', 1, '{entries:[1/1@10.0 last 30.0 +1=1],groups:[0:1/1@10.0 last 30.0]}');
INSERT INTO regress_owned.watched VALUES (3, 'no', 1, '{entries:[1/1@10.0 last 30.0 +1=1],groups:[0:1/1@10.0 last 30.0]}');
SELECT id, v, n FROM regress_owned.watched ORDER BY id;
DROP TRIGGER changes ON regress_owned.watched;
-- the owner's code cannot leave anything behind in our session
CREATE FUNCTION regress_owned.escape() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN CREATE TEMP TABLE trap (); RETURN NEW; END $$;
ALTER FUNCTION regress_owned.escape() OWNER TO regress_meridian_owner;
CREATE TRIGGER escapes BEFORE INSERT OR UPDATE ON regress_owned.watched FOR EACH ROW EXECUTE FUNCTION regress_owned.escape();
ALTER TABLE regress_owned.watched ENABLE ALWAYS TRIGGER escapes;
SELECT pg_temp.error_of($$INSERT INTO regress_owned.watched VALUES (4, 'a', 1, '{entries:[1/1@10.0 last 10.0 +1=1],groups:[0:1/1@10.0 last 10.0]}')$$);
SELECT current_user = session_user AS still_ourselves;
DROP TRIGGER escapes ON regress_owned.watched;
-- nor does it run as somebody else when a key is read
CREATE FUNCTION regress_owned.whoami(v text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF current_user <> 'regress_meridian_owner' THEN RAISE EXCEPTION 'ran as %', current_user; END IF;
  RETURN true;
END $$;
CREATE DOMAIN regress_owned.label AS text CHECK (regress_owned.whoami(VALUE));
SET ROLE regress_meridian_owner;
CREATE TABLE regress_owned.labelled (id regress_owned.label PRIMARY KEY, v text);
RESET ROLE;
SELECT pg_temp.attach('regress_owned.labelled');
INSERT INTO meridian.tombstone (table_id, key_hash, key, floor, stamp, actor, seen)
  SELECT id, 0, '{x}', 0, pg_temp.hlc(30), pg_temp.actor(1), '{entries:[1/1@0.1 last 10.0]}' FROM meridian.replicated_table WHERE rel = 'regress_owned.labelled'::regclass;
SELECT count(*) AS tombstones FROM meridian.tombstone WHERE key = '{x}';

-- what the table refuses waits
ALTER TABLE person ADD CONSTRAINT no_q CHECK (name <> 'q'), ALTER city SET NOT NULL;
SELECT pg_temp.error_of($$INSERT INTO person VALUES (1, 'q', 'x', '{entries:[1/1@0.1 last 90.0],groups:[0:1/1@0.1 last 90.0]}')$$);
SELECT pg_temp.error_of($$INSERT INTO person VALUES (5, 'x', NULL, '{entries:[1/1@0.1 last 90.0],groups:[0:1/1@0.1 last 90.0]}')$$);
CREATE UNIQUE INDEX ON person (name) WHERE id < 10;
SELECT pg_temp.error_of($$INSERT INTO person VALUES (6, 'f', 'x', '{entries:[1/1@0.1 last 90.0],groups:[0:1/1@0.1 last 90.0]}')$$);
SELECT rel, key, reason, sqlstate, detail FROM meridian.parked ORDER BY id;
SELECT kind, winner, rule, local_row, remote_row FROM meridian.conflicts WHERE kind = 'unique';

-- an UPDATE that arrives as one, from a plain pgoutput subscription
UPDATE person SET name = 'plain', _meridian = '{entries:[1/1@0.1 last 99.0],groups:[0:1/1@0.1 last 99.0]}' WHERE id = 1;
UPDATE person SET name = 'late', _meridian = '{entries:[1/1@0.1 last 98.0],groups:[0:1/1@0.1 last 98.0]}' WHERE id = 1;
SELECT id, name FROM person WHERE id = 1;

-- what was counted, since the tables are new
SELECT rel::text, applied > 0 AS applied, merged > 0 AS merged, stale > 0 AS stale, conflicts > 0 AS conflicts, stamped FROM meridian.stat_tables
 WHERE rel IN ('person'::regclass, 'account'::regclass, 'regress_owned.watched'::regclass) ORDER BY 1;

-- a server whose identity is not confirmed merges nothing
UPDATE meridian.local_member SET server = 'somebody else';
SELECT pg_temp.error_of($$INSERT INTO person VALUES (7, 'g', 'x', '{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0]}')$$);
UPDATE meridian.local_member SET server = current_setting('meridian.node');

RESET session_replication_role;
\c -
SET client_min_messages = warning;
DROP TABLE person, account, lattice, keyed, spelled, aged;
DROP COLLATION regress_blind;
DROP SCHEMA regress_owned CASCADE;
DROP ROLE regress_meridian_owner;
\set include :source '/sql/include/leave.psql'
\i :include
