-- The rule merge:<function>: a column that a function of the user's merges.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include
\set include :source '/sql/include/member.psql'
\i :include
\set include :source '/sql/include/deliver.psql'
\i :include
CREATE SCHEMA app;
CREATE FUNCTION app.union_tags(a text[], b text[]) RETURNS text[] LANGUAGE sql IMMUTABLE AS
  $$ SELECT ARRAY(SELECT DISTINCT x FROM unnest(a || b) x ORDER BY x) $$;
-- the value of the later image; of the same tick the larger
CREATE FUNCTION app.later(a text, b text, a_stamp bigint, b_stamp bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
  $$ SELECT CASE WHEN (a_stamp, a) >= (b_stamp, b) THEN a ELSE b END $$;
CREATE FUNCTION app.larger(a anyelement, b anyelement) RETURNS anyelement LANGUAGE plpgsql IMMUTABLE AS
  $$ BEGIN RETURN greatest(a, b); END $$;

--
-- Which function fits which column
--
CREATE DOMAIN short AS text CHECK (length(value) < 5);
CREATE DOMAIN tag_list AS text[];
CREATE TABLE subject (id integer PRIMARY KEY, tags text[], more tag_list, title text, name varchar, code varchar(3), bits bit(4), amount numeric, word short);
CREATE FUNCTION app.volatile(a text, b text) RETURNS text LANGUAGE sql AS 'SELECT a';
CREATE FUNCTION app.length(a text, b text) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION app.rows(a text, b text) RETURNS SETOF text LANGUAGE sql IMMUTABLE AS 'SELECT a';
CREATE PROCEDURE app.proc(a text, b text) LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION app.three(a text, b text, c bigint) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT a';
CREATE FUNCTION app."Odd.Name"(a text, b text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT greatest(a, b)';
CREATE FUNCTION app.hidden(a text, b text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT greatest(a, b)';
REVOKE ALL ON FUNCTION app.hidden(text, text) FROM PUBLIC;
SELECT rules, meridian.canonical_rules('subject', rules) FROM (VALUES
  ('{tags=merge:app.union_tags}'::text[]), ('{more=merge:app.union_tags}'), ('{title=merge:app.later}'), ('{name=merge:app.later}'),
  ('{amount=merge:app.larger,title=merge:app.larger}'), ('{tags=merge:app.larger,title=lww}'), ('{"title=merge:\"app\".\"Odd.Name\""}')) AS t(rules);
SELECT rules, pg_temp.error_of(format('SELECT meridian.canonical_rules(%L, %L)', 'subject', rules)) AS error FROM (VALUES
  ('{tags=merge:union_tags}'::text[]), ('{tags=merge:app.absent}'), ('{tags=merge:absent.union_tags}'), ('{title=merge:app.union_tags}'),
  ('{title=merge:app.volatile}'), ('{title=merge:app.length}'), ('{title=merge:app.rows}'), ('{title=merge:app.proc}'), ('{title=merge:app.three}'),
  ('{code=merge:app.later}'), ('{bits=merge:app.larger}'), ('{word=merge:app.later}'), ('{id=merge:app.larger}'), ('{tags=merge:app.union_tags,delete=latest}')) AS t(rules);
CREATE ROLE regress_meridian_owner;
ALTER TABLE subject OWNER TO regress_meridian_owner;
SELECT pg_temp.error_of($$SELECT meridian.canonical_rules('subject', '{title=merge:app.hidden}')$$);
DROP TABLE subject;
DROP DOMAIN short, tag_list;

--
-- Local writes never take anything back
--
CREATE TABLE post (id bigint PRIMARY KEY, title text, tags text[], note text);
SELECT pg_temp.attach('post', 'tags=merge:app.union_tags', 'note=merge:app.later');
CREATE FUNCTION pg_temp.shape(state meridian.row_state) RETURNS text LANGUAGE sql AS $$
  SELECT regexp_replace(state::text, '\d{13}\.\d+', '#', 'g') $$;
INSERT INTO post VALUES (1, 'one', '{b}', 'first');
SELECT id, title, tags, note, pg_temp.shape(_meridian) FROM post;
UPDATE post SET tags = '{a}';
SELECT tags FROM post;
UPDATE post SET tags = '{c}', note = 'second', title = 'two';
SELECT title, tags, note FROM post;
-- a write that adds nothing is none; NULL adds nothing
CREATE TEMP TABLE before AS SELECT _meridian AS state FROM post;
UPDATE post SET tags = '{a,b}';
UPDATE post SET tags = NULL, note = NULL;
SELECT p.title, p.tags, p.note, p._meridian::text = b.state::text AS same_state FROM post p, before b;
-- values out of line
UPDATE post SET note = repeat('x', 10000);
ALTER TABLE post ALTER note SET STORAGE EXTERNAL;
UPDATE post SET note = repeat('y', 10000);
UPDATE post SET note = NULL, title = 'three';
SELECT title, left(note, 3), length(note) FROM post;
INSERT INTO post VALUES (2, NULL, NULL, NULL);
UPDATE post SET tags = '{z,a}', note = 'n' WHERE id = 2;
SELECT tags, note FROM post WHERE id = 2;
-- the function runs as the owner of the table, in a restricted context
CREATE FUNCTION app.who(a text, b text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT current_user::text';
CREATE TABLE owned (id integer PRIMARY KEY, who text);
SELECT pg_temp.attach('owned', 'who=merge:app.who');
INSERT INTO owned VALUES (1, 'nobody');
GRANT USAGE ON SCHEMA app TO regress_meridian_owner;
ALTER TABLE owned OWNER TO regress_meridian_owner;
UPDATE owned SET who = 'somebody';
SELECT who, current_user = who AS as_writer FROM owned;
DROP TABLE owned;
-- who writes needs no right on the function or its schema
CREATE ROLE regress_meridian_writer;
GRANT SELECT, UPDATE ON post TO regress_meridian_writer;
SET ROLE regress_meridian_writer;
UPDATE post SET tags = '{w}' WHERE id = 2;
RESET ROLE;
SELECT tags FROM post WHERE id = 2;
DROP OWNED BY regress_meridian_writer, regress_meridian_owner;
DROP ROLE regress_meridian_writer, regress_meridian_owner;

--
-- Images in every order
--
SET session_replication_role = replica;
SELECT meridian.begin_apply();
-- three writers of one life
SELECT * FROM pg_temp.outcomes('post',
  '($,t,"{a}",x,"{entries:[1/1@10.0 last 10.0],groups:[0:1/1@10.0 last 10.0],lattices:[1@10.0,2@10.0]}")',
  '($,t,"{a,b}",y,"{entries:[1/1@10.0 last 10.0,2/1@10.0 last 20.0],groups:[0:1/1@10.0 last 10.0],lattices:[1@10.0,2@10.0]}")',
  '($,u,"{a,c}",x,"{entries:[1/1@10.0 last 30.0],groups:[0:1/1@10.0 last 30.0],lattices:[1@10.0,2@10.0]}")',
  '($,t,"{a,d}",x,"{entries:[1/1@10.0 last 10.0,3/1@10.0 last 15.0],groups:[0:1/1@10.0 last 10.0],lattices:[1@10.0,2@10.0]}")');
-- the later life replaces the value; NULL is below every value
SELECT * FROM pg_temp.outcomes('post',
  '($,t,"{a}",x,"{entries:[1/1@10.0 last 10.0],groups:[0:1/1@10.0 last 10.0],lattices:[1@10.0,2@10.0]}")',
  '($,u,,,"{entries:[2/1@20.0 last 20.0],groups:[0:2/1@20.0 last 20.0],lattices:[1@20.0,2@20.0]}")',
  '($,u,"{b}",,"{entries:[2/1@20.0 last 20.0,3/1@20.0 last 25.0],groups:[0:2/1@20.0 last 20.0],lattices:[1@20.0,2@20.0]}")',
  '($,u,,y,"{entries:[2/1@20.0 last 30.0],groups:[0:2/1@20.0 last 20.0],lattices:[1@20.0,2@20.0]}")');
-- rows from before replication, of which the nodes had different values; also where one node knows more than the other
SELECT * FROM pg_temp.outcomes('post', '($,t,"{a}",x,)', '($,t,"{b}",y,)',
  '($,u,"{c}",z,"{entries:[2/1@0.1 last 20.0],groups:[0:2/1@0.1 last 20.0],lattices:[1@0.1,2@0.1]}")');
SELECT * FROM pg_temp.outcomes('post', '($,t,"{a}",x,)', '($,t,"{b}",y,)');
CREATE TABLE seen (id bigint PRIMARY KEY, n integer);
SELECT pg_temp.attach('seen', 'n=max');
SELECT * FROM pg_temp.outcomes('seen', '($,5,)', '($,3,)', '($,4,"{entries:[0@0.1 last 0.0,2/1@0.1 last 20.0],groups:[0:2/1@0.1 last 20.0],lattices:[1@0.1]}")');
-- an old image again is stale
INSERT INTO seen VALUES (1, 2, '{entries:[1/1@10.0 last 10.0],groups:[0:1/1@10.0 last 10.0],lattices:[1@10.0]}'), (1, 3, '{entries:[1/1@10.0 last 20.0],groups:[0:1/1@10.0 last 10.0],lattices:[1@10.0]}');
SELECT meridian.reset_stat_tables();
INSERT INTO seen VALUES (1, 2, '{entries:[1/1@10.0 last 10.0],groups:[0:1/1@10.0 last 10.0],lattices:[1@10.0]}');
SELECT n, applied, merged, stale FROM seen, meridian.stat_tables WHERE rel = 'seen'::regclass AND id = 1;
DROP TABLE seen;
-- equal but written differently: max takes the same everywhere
CREATE TABLE scale (id bigint PRIMARY KEY, n numeric, m numeric);
SELECT pg_temp.attach('scale', 'n=max', 'm=min');
SELECT * FROM pg_temp.outcomes('scale', '($,1.0,1.0,"{entries:[1/1@10.0 last 10.0],groups:[0:1/1@10.0 last 10.0],lattices:[1@10.0,2@10.0]}")',
  '($,1.00,1.00,"{entries:[1/1@10.0 last 10.0,2/1@10.0 last 20.0],groups:[0:1/1@10.0 last 10.0],lattices:[1@10.0,2@10.0]}")',
  '($,1.000,1.000,"{entries:[1/1@10.0 last 10.0,3/1@10.0 last 20.0],groups:[0:1/1@10.0 last 10.0],lattices:[1@10.0,2@10.0]}")');
DROP TABLE scale;

--
-- Functions that misbehave
--
CREATE FUNCTION app.fragile(a text, b text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
  $$ BEGIN IF b = 'null' THEN RETURN NULL; ELSIF b = 'bad' THEN RAISE EXCEPTION 'bad value'; END IF; RETURN greatest(a, b); END $$;
CREATE TABLE delicate (id bigint PRIMARY KEY, v text);
SELECT pg_temp.attach('delicate', 'v=merge:app.fragile');
INSERT INTO delicate VALUES (1, 'a', '{entries:[1/1@10.0 last 10.0],groups:[0:1/1@10.0 last 10.0],lattices:[1@10.0]}');
-- what it refuses waits, and the next one finds everything in order; one transaction, so that the keeper does not retry it meanwhile
BEGIN;
INSERT INTO delicate VALUES (1, 'null', '{entries:[2/1@10.0 last 20.0],groups:[0:1/1@10.0 last 10.0],lattices:[1@10.0]}');
INSERT INTO delicate VALUES (1, 'bad', '{entries:[2/1@10.0 last 25.0],groups:[0:1/1@10.0 last 10.0],lattices:[1@10.0]}');
INSERT INTO delicate VALUES (1, 'b', '{entries:[3/1@10.0 last 20.0],groups:[0:1/1@10.0 last 10.0],lattices:[1@10.0]}');
SELECT * FROM delicate;
CREATE VIEW pg_temp.waiting AS SELECT rel, key, reason, sqlstate, detail FROM meridian.parked ORDER BY id;
TABLE pg_temp.waiting;
SELECT meridian.retry_parked(min(id)) FROM meridian.parked;
-- a better function, and they go in
CREATE OR REPLACE FUNCTION app.fragile(a text, b text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT greatest(a, b) $$;
SELECT meridian.retry_parked(min(id)) FROM meridian.parked;
TABLE pg_temp.waiting;
SELECT * FROM delicate;
SELECT meridian.begin_apply();
-- replaced, dropped, and there again: noticed at once
CREATE OR REPLACE FUNCTION app.fragile(a text, b text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT least(a, b) $$;
INSERT INTO delicate VALUES (1, 'aa', '{entries:[2/1@10.0 last 30.0],groups:[0:1/1@10.0 last 10.0],lattices:[1@10.0]}');
SELECT v FROM delicate;
DROP FUNCTION app.fragile(text, text);
INSERT INTO delicate VALUES (1, 'c', '{entries:[2/1@10.0 last 40.0],groups:[0:1/1@10.0 last 10.0],lattices:[1@10.0]}');
TABLE pg_temp.waiting;
SELECT v FROM delicate;
CREATE FUNCTION app.fragile(a text, b text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT a || b $$;
SELECT meridian.retry_parked(min(id)) FROM meridian.parked;
SELECT v FROM delicate;
COMMIT;
DROP TABLE delicate;
\c -

--
-- verify_merge()
--
\set include :source '/sql/include/error_of.psql'
\i :include
CREATE TABLE sample (n integer, tags text[], word text);
INSERT INTO sample SELECT n, ARRAY[chr(97 + n % 7), chr(97 + n % 5)], 'w' || n FROM generate_series(1, 100) n;
INSERT INTO sample VALUES (NULL, NULL, NULL);
-- those that were used above; the tags of a stored row are a union already
SELECT * FROM meridian.verify_merge('app.union_tags(text[], text[])', 'SELECT app.union_tags(tags, tags) FROM sample');
SELECT * FROM meridian.verify_merge('app.later(text, text, bigint, bigint)', 'SELECT word FROM sample');
SELECT * FROM meridian.verify_merge('app.larger(anyelement, anyelement)', 'SELECT n FROM sample');
-- of a set that is not written in its canonical form
SELECT law, holds FROM meridian.verify_merge('app.union_tags(text[], text[])', 'SELECT tags FROM sample');
-- laws that do not hold
SELECT * FROM meridian.verify_merge('app.fragile(text, text)', $$VALUES ('a'), ('b'), ('c')$$);
CREATE FUNCTION app.mean(a numeric, b numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT round((a + b) / 2, 2)';
SELECT * FROM meridian.verify_merge('app.mean(numeric, numeric)', 'VALUES (1.00), (2.00), (4.00)');
CREATE FUNCTION app.first(a integer, b integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT a';
SELECT * FROM meridian.verify_merge('app.first(integer, integer)', 'SELECT n FROM sample LIMIT 3 -- and a comment');
CREATE FUNCTION app.divide(a integer, b integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT CASE WHEN a = b THEN a ELSE a / (a - b - 1) END';
SELECT * FROM meridian.verify_merge('app.divide(integer, integer)', 'VALUES (1), (2)');
CREATE FUNCTION app.nothing(a integer, b integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT CASE WHEN a = b THEN a END';
SELECT * FROM meridian.verify_merge('app.nothing(integer, integer)', 'VALUES (1), (2)');
-- same stamp, no tie-break
CREATE FUNCTION app.careless(a text, b text, x bigint, y bigint) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT CASE WHEN x >= y THEN a ELSE b END';
SELECT law, holds FROM meridian.verify_merge('app.careless(text, text, bigint, bigint)', 'SELECT word FROM sample');
-- the sample only reads, with the caller's rights; what it may be
SELECT pg_temp.error_of($$SELECT meridian.verify_merge('app.larger(anyelement, anyelement)', 'INSERT INTO sample VALUES (1) RETURNING n')$$);
SELECT pg_temp.error_of($$SELECT meridian.verify_merge('app.larger(anyelement, anyelement)', 'WITH x AS (DELETE FROM sample RETURNING n) SELECT n FROM x')$$);
SELECT pg_temp.error_of($$SELECT meridian.verify_merge('app.larger(anyelement, anyelement)', 'SELECT n FROM sample WHERE n < 0')$$);
SELECT pg_temp.error_of($$SELECT meridian.verify_merge('app.three(text, text, bigint)', 'SELECT word FROM sample')$$);
SELECT count(*) AS unchanged FROM sample;
CREATE ROLE regress_meridian_checker;
GRANT meridian_admin TO regress_meridian_checker;
SET ROLE regress_meridian_checker;
SELECT pg_temp.error_of($$SELECT meridian.verify_merge('pg_catalog.range_merge(anyrange, anyrange)', 'SELECT n FROM sample')$$);
SELECT law, holds FROM meridian.verify_merge('pg_catalog.range_merge(anyrange, anyrange)', 'SELECT int4range(n, n + 3) FROM generate_series(1, 9, 2) n');
RESET ROLE;
DROP OWNED BY regress_meridian_checker;
DROP ROLE regress_meridian_checker;

DROP TABLE post, sample;
SET client_min_messages = warning;
DROP SCHEMA app CASCADE;
\set include :source '/sql/include/leave.psql'
\i :include
