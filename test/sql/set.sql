-- Rule set: arrays and jsonb objects as add-wins sets. How sets of several servers meet: test/t/061_sets_bounded.pl.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include
\set include :source '/sql/include/member.psql'
\i :include
\set include :source '/sql/include/deliver.psql'
\i :include
CREATE FUNCTION pg_temp.shape(state meridian.row_state) RETURNS text LANGUAGE sql AS $$
  SELECT regexp_replace(regexp_replace(state::text, '\d{13}\.\d+', '#', 'g'), '^.*,sets:', 'sets:') $$;

-- which columns can be sets
CREATE DOMAIN few AS text[] CHECK (cardinality(VALUE) < 3);
CREATE DOMAIN labels AS text[];
CREATE TABLE subject (id integer PRIMARY KEY, t text[], v varchar(5)[], n2 smallint[], n4 integer[], n8 bigint[], u uuid[], j jsonb,
  l labels, few few, d date[], plain text, json json);
SELECT meridian.canonical_rules('subject', '{t=set,v=set,n2=set,n4=set,n8=set,u=set,j=set,l=set}');
SELECT pg_temp.error_of(format('SELECT meridian.canonical_rules(%L, %L)', 'subject', ARRAY[rule || '=set']))
  FROM unnest('{few,d,plain,json,id}'::text[]) rule;
DROP TABLE subject;

CREATE TABLE item (id integer PRIMARY KEY, name text, tags text[], short varchar(5)[], n2 smallint[], n4 integer[], n8 bigint[], owners uuid[], attributes jsonb);
SELECT pg_temp.attach('item', 'tags=set', 'short=set', 'n2=set', 'n4=set', 'n8=set', 'owners=set', 'attributes=set');

-- one form: no repetitions, in order
INSERT INTO item (id, name, tags, short, n2, n4, n8, owners) VALUES (1, 'a', '{red,blue,red,"",Ärger,zebra}', '{b,a}', '{3,-1,0}',
  '[5:8]={300,7,-2147483648,2147483647}', '{9223372036854775807,-9223372036854775808,10,9,-10,-9}',
  '{ffffffff-0000-0000-0000-000000000000,00000000-0000-0000-0000-000000000001}');
SELECT tags, short, n2, n4, n8, owners, attributes FROM item;
SELECT unnest(string_to_array(pg_temp.shape(_meridian), ',')) AS part FROM item;

-- adding and removing, by function, operator, or writing the whole array
UPDATE item SET tags = array_append(tags, 'green') WHERE id = 1;
UPDATE item SET tags = tags || '{red,amber}', n4 = array_remove(n4, 7) WHERE id = 1;
UPDATE item SET tags = '{zebra,red}' WHERE id = 1;
SELECT tags, n4 FROM item;
-- a removed element leaves nothing behind, and no write is needed to add it again
SELECT count(*) FROM regexp_matches((SELECT _meridian::text FROM item), '2:"', 'g');
-- the same set in another order is no write
SELECT _meridian::text AS before FROM item \gset
UPDATE item SET tags = '{red,zebra,red}', short = '{b,a,b}' WHERE id = 1;
SELECT tags, short, _meridian::text = :'before' AS unchanged FROM item;
-- NULL: never written; once written, a set is empty instead
UPDATE item SET tags = NULL WHERE id = 1;
SELECT tags, attributes FROM item;
UPDATE item SET tags = NULL WHERE id = 1;
SELECT tags, pg_temp.shape(_meridian) ~ '1@' AS written FROM item;
INSERT INTO item (id) VALUES (2);
SELECT tags, attributes, _meridian::text ~ 'sets' AS written FROM item WHERE id = 2;
-- what is no set
SELECT pg_temp.error_of(format('UPDATE item SET %s WHERE id = 1', change)) FROM unnest(ARRAY['tags = ''{a,NULL}''', 'n4 = ''{{1},{2}}''',
  'attributes = ''[1]''', 'attributes = ''7''', 'tags = ARRAY[repeat(''x'', 300000)]']) change;
SELECT tags, attributes FROM item WHERE id = 1;

-- keys of an object; a key whose value changes is written, the others are not
UPDATE item SET attributes = '{"size": 1, "color": "red", "nested": {"b": [1, null, 2.50], "a": true}, "": null}' WHERE id = 1;
SELECT attributes FROM item WHERE id = 1;
SELECT regexp_replace(pg_temp.shape(_meridian), '^.*,7:""', '7:""') AS keys FROM item WHERE id = 1;
SELECT _meridian::text AS before FROM item WHERE id = 1 \gset
UPDATE item SET attributes = attributes || '{"size": 2}' WHERE id = 1;
UPDATE item SET attributes = attributes - 'color' WHERE id = 1;
SELECT attributes FROM item WHERE id = 1;
SELECT count(*) AS kept FROM regexp_matches((SELECT _meridian::text FROM item WHERE id = 1), '7:"[^"]*"="(?:[^"]*)" \S+ last [0-9.]+', 'g') n(dot)
  WHERE strpos(:'before', n.dot[1]) > 0;

-- a changed key carries its elements along
UPDATE item SET tags = '{x}', id = 3 WHERE id = 1;
SELECT id, tags, attributes FROM item ORDER BY id;

-- images of peers
SET session_replication_role = replica;
SELECT meridian.begin_apply();
CREATE TABLE thing (id bigint PRIMARY KEY, tags text[], attributes jsonb);
SELECT pg_temp.attach('thing', 'tags=set', 'attributes=set');
-- concurrent adds unite; a removal that had seen an element removes it, beside any other write
SELECT * FROM pg_temp.outcomes('thing',
  $$($,"{x,y}","{""k"": 0}","{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 0.1],sets:[1@0.1,2@0.1],elements:[1:""x"" 1/1@0.1 last 0.1,1:""y"" 1/1@0.1 last 10.0,2:""k""=""0"" 1/1@0.1 last 0.1]}")$$,
  $$($,{z},"{""k"": 0}","{entries:[1/1@0.1 last 0.1,2/1@0.1 last 20.0],groups:[0:1/1@0.1 last 0.1],sets:[1@0.1,2@0.1],elements:[1:""z"" 2/1@0.1 last 20.0,2:""k""=""0"" 1/1@0.1 last 0.1]}")$$,
  $$($,{x},"{""k"": 3}","{entries:[1/1@0.1 last 0.1,3/1@0.1 last 30.0],groups:[0:1/1@0.1 last 0.1],sets:[1@0.1,2@0.1],elements:[1:""x"" 1/1@0.1 last 0.1,2:""k""=""3"" 3/1@0.1 last 30.0]}")$$);
-- an add that the remover had not seen wins; of two values of a key the newer shows, and the older when the newer is removed alone
SELECT * FROM pg_temp.outcomes('thing',
  $$($,{x},"{""k"": 1}","{entries:[1/1@0.1 last 10.0],groups:[0:1/1@0.1 last 0.1],sets:[1@0.1,2@0.1],elements:[1:""x"" 1/1@0.1 last 10.0,2:""k""=""1"" 1/1@0.1 last 10.0]}")$$,
  $$($,{},"{""k"": 2}","{entries:[1/1@0.1 last 0.1,2/1@0.1 last 20.0],groups:[0:1/1@0.1 last 0.1],sets:[1@0.1,2@0.1],elements:[2:""k""=""2"" 2/1@0.1 last 20.0]}")$$,
  $$($,{},{},"{entries:[1/1@0.1 last 0.1,2/1@0.1 last 20.0,3/1@0.1 last 30.0],groups:[0:1/1@0.1 last 0.1],sets:[1@0.1,2@0.1]}")$$);
-- lives unite, and die one by one
SELECT * FROM pg_temp.outcomes('thing',
  $$($,{a},"{""k"": 1}","{entries:[1/1@10.0 last 10.0],groups:[0:1/1@10.0 last 10.0],sets:[1@10.0,2@10.0],elements:[1:""a"" 1/1@10.0 last 10.0,2:""k""=""1"" 1/1@10.0 last 10.0]}")$$,
  $$($,{b},,"{entries:[2/1@20.0 last 20.0],groups:[0:2/1@20.0 last 20.0],sets:[1@20.0],elements:[1:""b"" 2/1@20.0 last 20.0]}")$$);
SELECT * FROM pg_temp.outcomes('thing',
  $$($,{a},"{""k"": 1}","{entries:[1/1@10.0 last 10.0],groups:[0:1/1@10.0 last 10.0],sets:[1@10.0,2@10.0],elements:[1:""a"" 1/1@10.0 last 10.0,2:""k""=""1"" 1/1@10.0 last 10.0]}")$$,
  $$($,{b},,"{entries:[2/1@20.0 last 20.0],groups:[0:2/1@20.0 last 20.0],sets:[1@20.0],elements:[1:""b"" 2/1@20.0 last 20.0]}")$$,
  'delete ' || concat_ws(',', pg_temp.hlc(10), pg_temp.hlc(15), pg_temp.actor(1), quote_literal('{entries:[1/1@0.1 last 10.0]}')));
-- rows from before replication: one form at the first meeting, and what all of them hold
SELECT * FROM pg_temp.outcomes('thing', $$($,"{b,a,b,NULL}","{""k"": 1}",)$$, $$($,"{a,b}","{""k"": 1}",)$$);
SELECT * FROM pg_temp.outcomes('thing', $$($,"{b,a}","{""k"": 1, ""l"": 1}",)$$, $$($,"{c,b}","{""k"": 2}",)$$);
SELECT * FROM pg_temp.outcomes('thing', $$($,"{b,a}",,)$$,
  $$($,{b},,"{entries:[0@0.1 last 0.0,2/1@0.1 last 20.0],groups:[0:0@0.1 last 0.0],sets:[1@0.1],elements:[1:""b"" 0@0.1 last 0.0]}")$$);

DROP TABLE item, thing;
DROP DOMAIN few, labels;
\set include :source '/sql/include/leave.psql'
\i :include
