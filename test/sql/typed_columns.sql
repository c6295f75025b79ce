-- Columns of the explicit types in a replicated table: rules, local writes, images of peers.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include
\set include :source '/sql/include/member.psql'
\i :include
\set include :source '/sql/include/deliver.psql'
\i :include
CREATE TABLE page (
  id integer PRIMARY KEY, title text, hits meridian.counter, tags meridian.orset, seen_by meridian.gset,
  hidden meridian.flag DEFAULT meridian.flag_dw(), note meridian.mvreg);

-- the rule comes by itself; it can be replaced, and fits no other type
SELECT meridian.canonical_rules('page', '{}');
SELECT meridian.canonical_rules('page', '{hits=lww,title=lww,tags=type}');
SELECT rules, pg_temp.error_of(format('SELECT meridian.canonical_rules(%L, %L)', 'page', rules)) FROM (VALUES
  ('{title=type}'::text[]), ('{id=type}'), ('{hits=counter}'), ('{hits=max}'), ('{delete=latest}'), ('{row=lww(title)}')) AS t(rules);
CREATE TABLE checked (id integer PRIMARY KEY, hits meridian.counter CHECK (hits::bigint >= 0));
SELECT pg_temp.error_of($$SELECT meridian.canonical_rules('checked', '{}')$$);
SELECT meridian.canonical_rules('checked', '{hits=lww}');
DROP TABLE checked;
SELECT pg_temp.attach('page');

-- literals become this node's operations, also a literal from another row
INSERT INTO page VALUES (1, 'a', 5, '{a,b}'::text[], '{x}'::text[], true, 'first'::text);
SELECT id, hits, tags, seen_by, hidden, note FROM page;
UPDATE page SET hits = hits OPERATOR(meridian.+) 2, tags = tags OPERATOR(meridian.+) 'c' OPERATOR(meridian.-) 'a', seen_by = seen_by OPERATOR(meridian.+) 'y',
  hidden = meridian.disable(hidden), note = meridian.set(note, 'second');
SELECT hits, tags, seen_by, hidden, note FROM page;
UPDATE page SET hits = 3, tags = '{b,z}'::text[], seen_by = '{x,y,z}'::text[], hidden = true, note = 'third'::text;
SELECT hits, tags, seen_by, hidden, note FROM page;
CREATE TEMP TABLE before AS SELECT * FROM page;
UPDATE page SET hits = 3, tags = '{z,b}'::text[], hidden = true, note = 'third'::text;
SELECT b::text = p::text AS what_is_so_already_is_no_write FROM before b, page p;
INSERT INTO page (id, hits, tags) VALUES (2, '{2/1:+5,3/1:-1}', '{seen:[2/1:4],elements:["q"@2/1:3]}');
SELECT hits, tags, hidden FROM page WHERE id = 2;
UPDATE page SET hits = '{2/1:+9}' WHERE id = 2;
UPDATE page p SET tags = o.tags FROM page o WHERE p.id = 2 AND o.id = 1;
SELECT hits, tags FROM page WHERE id = 2;
-- NULL is the bottom: it can be left, not reached
INSERT INTO page (id) VALUES (3);
UPDATE page SET hits = 4 WHERE id = 3;
SELECT hits, tags FROM page WHERE id = 3;
SELECT pg_temp.error_of('UPDATE page SET hits = NULL WHERE id = 3');
SELECT pg_temp.error_of('UPDATE page SET seen_by = ''{other}''::text[] WHERE id = 1');
UPDATE page SET hits = meridian.reset(hits) WHERE id = 3;
SELECT hits, hits::bigint FROM page WHERE id = 3;
-- a new key is a new row
UPDATE page SET id = 4 WHERE id = 3;
SELECT hits FROM page WHERE id = 4;

--
-- Images of peers
--
SET session_replication_role = replica;
SELECT meridian.begin_apply();
CREATE TABLE hit (id bigint PRIMARY KEY, n meridian.counter, tags meridian.gset);
SELECT pg_temp.attach('hit');
-- concurrent: both count, and the value is neither side's
SELECT * FROM pg_temp.outcomes('hit',
  '($,"{1/1:+5}","[""a""]","{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0],lattices:[1@0.1,2@0.1]}")',
  '($,"{1/1:+5,2/1:+3}","[""a"",""b""]","{entries:[1/1@0.1 last 10.0,2/1@0.1 last 20.0],groups:[0:1/1@0.1 last 10.0],lattices:[1@0.1,2@0.1]}")',
  '($,"{1/1:+9}","[""a"",""c""]","{entries:[1/1@0.1 last 30.0],groups:[0:1/1@0.1 last 10.0],lattices:[1@0.1,2@0.1]}")');
-- a reset and an addition that had not seen it
SELECT * FROM pg_temp.outcomes('hit',
  '($,"{1/1:+5(+5)}",,"{entries:[1/1@0.1 last 10.0,2/1@0.1 last 20.0],groups:[0:1/1@0.1 last 10.0],lattices:[1@0.1,2@0.1]}")',
  '($,"{1/1:+8}",,"{entries:[1/1@0.1 last 30.0],groups:[0:1/1@0.1 last 10.0],lattices:[1@0.1,2@0.1]}")');
-- of two lives the later one, whole
SELECT * FROM pg_temp.outcomes('hit',
  '($,"{1/1:+5}",,"{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0],lattices:[1@0.1,2@0.1]}")',
  '($,"{2/1:+2}",,"{entries:[2/1@7.0 last 20.0],groups:[0:2/1@7.0 last 20.0],lattices:[1@7.0,2@7.0]}")');
-- NULL is the bottom; a sum beyond bigint is no error
SELECT * FROM pg_temp.outcomes('hit',
  '($,,,"{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0],lattices:[1@0.1,2@0.1]}")',
  '($,"{2/1:+9223372036854775807,3/1:+9223372036854775807}",,"{entries:[1/1@0.1 last 10.0,2/1@0.1 last 20.0],groups:[0:1/1@0.1 last 10.0],lattices:[1@0.1,2@0.1]}")');
-- rows from before replication merge, too
SELECT * FROM pg_temp.outcomes('hit', '($,5,"[""a""]",)', '($,7,"[""b""]",)', '($,5,,)');
-- values that are equal and look different end the same on every node, also under max
CREATE TABLE bid (id bigint PRIMARY KEY, price numeric);
SELECT pg_temp.attach('bid', 'price=max');
SELECT * FROM pg_temp.outcomes('bid',
  '($,1.0,"{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 10.0],lattices:[1@0.1]}")',
  '($,1.00,"{entries:[1/1@0.1 last 10.0,2/1@0.1 last 20.0],groups:[0:1/1@0.1 last 10.0],lattices:[1@0.1]}")',
  '($,1,"{entries:[1/1@0.1 last 30.0],groups:[0:1/1@0.1 last 10.0],lattices:[1@0.1]}")');
SELECT count(*) AS conflicts, count(DISTINCT rule) AS rules FROM meridian.conflict_history;
DROP TABLE page, hit, bid;
RESET session_replication_role;
\set include :source '/sql/include/leave.psql'
\i :include
