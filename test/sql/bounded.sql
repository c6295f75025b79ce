-- Rule bounded: numbers that stay within bounds. How several servers share them: test/t/068_bounded.pl.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include
\set include :source '/sql/include/member.psql'
\i :include
CREATE FUNCTION pg_temp.rights_of(state meridian.row_state) RETURNS text LANGUAGE sql AS $$
  SELECT regexp_replace(substring(state::text from 'rights:.*'), '\d{13}\.\d+', '#', 'g') $$;

-- which columns can be bounded, and how bounds are written
CREATE DOMAIN few AS integer CHECK (VALUE < 9);
CREATE DOMAIN amount AS numeric(5,2);
CREATE TABLE subject (id integer PRIMARY KEY, n2 smallint, n4 integer CHECK (n4 < 50), n8 bigint, n numeric, f real, few few, a amount, t text,
  g integer GENERATED ALWAYS AS (n4 + 1) STORED);
SELECT meridian.canonical_rules('subject', '{n2=bounded(-5),"n4=bounded(0, 1e2)","n8=bounded( 1 ,2;3/4)","n=bounded(0.5,1.50)","a=bounded(0,999.99)"}');
SELECT rule, pg_temp.error_of(format('SELECT meridian.canonical_rules(%L, %L)', 'subject', ARRAY[rule]))
  FROM unnest('{f=bounded(0),few=bounded(0),t=bounded(0),id=bounded(0),g=bounded(0),n2=bounded(0;x),n2=bounded,"n2=bounded(0,40000)","n4=bounded(0.5)",
    "n=bounded(2,1)","n=bounded(NaN)",n4=counter}'::text[]) rule;
INSERT INTO subject (id, n4, n) VALUES (1, 5, NULL);
SELECT rule, pg_temp.error_of(format('SELECT meridian.canonical_rules(%L, %L)', 'subject', ARRAY[rule]))
  FROM unnest('{n4=bounded(0),n4=bounded(6),"n4=bounded(0,4)",n=bounded(0)}'::text[]) rule;
DROP TABLE subject;

-- rows from before replication belong to the member that asked
CREATE TABLE stock (id integer PRIMARY KEY, name text, n integer, price numeric(6,2));
INSERT INTO stock VALUES (1, 'old', 5, 1);
SELECT pg_temp.attach('stock', 'n=bounded(0)', 'price=bounded(0.5,100)');
SELECT * FROM meridian.rights('stock', '{1}', 'n'), meridian.rights('stock', '{1}', 'price') p;
UPDATE stock SET n = n - 2, name = 'sold' WHERE id = 1;
SELECT n, pg_temp.rights_of(_meridian) FROM stock;

-- local writes
INSERT INTO stock VALUES (2, 'new', 10, 50);
UPDATE stock SET n = n - 3, price = price + 49.5 WHERE id = 2;
UPDATE stock SET n = 0 WHERE id = 2;
UPDATE stock SET n = 4 WHERE id = 2;
SELECT id, n, price, pg_temp.rights_of(_meridian) FROM stock ORDER BY id;
SELECT change, pg_temp.error_of(format('UPDATE stock SET %s WHERE id = 2', change)) FROM unnest(ARRAY['n = -1', 'n = n - 5', 'price = price + 1',
  'price = 0', 'n = NULL', 'name = ''x'', n = n - 9']) change;
SELECT pg_temp.error_of(format('INSERT INTO stock VALUES (3, ''x'', %s)', v)) FROM unnest(ARRAY['-1, 1', '1, 0.49', '1, 100.01', 'NULL, 1', '1, NULL']) v;
INSERT INTO stock VALUES (2, 'up', 1, 1) ON CONFLICT (id) DO UPDATE SET n = stock.n - 1;
SELECT pg_temp.error_of($$INSERT INTO stock VALUES (2, 'up', 1, 1) ON CONFLICT (id) DO UPDATE SET n = stock.n - 4$$);
UPDATE stock SET id = 3 WHERE id = 2;
SELECT id, n, price FROM stock ORDER BY id;
SELECT node, may_subtract, may_add FROM meridian.rights('stock', '{3}', 'price');

-- what peers wrote
\c -
\set include :source '/sql/include/error_of.psql'
\i :include
SET session_replication_role = replica;
SELECT meridian.begin_apply();
INSERT INTO stock VALUES (10, 'theirs', 8, 2, '{entries:[2/1@1000.0 last 1000.0],groups:[0:2/1@1000.0 last 1000.0],rights:[1:2/1@1000.0 of 2/1 change=8,2:2/1@1000.0 of 2/1 change=2]}');
-- another INSERT with that birth: its life is another, and the larger maker's counts
INSERT INTO stock VALUES (10, 'third', 3, 1, '{entries:[3/1@1000.0 last 1000.0],groups:[0:3/1@1000.0 last 1000.0],rights:[1:3/1@1000.0 of 3/1 change=3,2:3/1@1000.0 of 3/1 change=1]}');
INSERT INTO stock VALUES (10, 'theirs', 1, 2, '{entries:[2/1@1000.0 last 1005.0],groups:[0:2/1@1000.0 last 1000.0],rights:[1:2/1@1000.0 of 2/1 change=1,2:2/1@1000.0 of 2/1 change=2]}');
SELECT name, n, price FROM stock WHERE id = 10;
-- the peer gave this node some
INSERT INTO stock VALUES (10, 'third', 3, 1, '{entries:[3/1@1000.0 last 1001.0],groups:[0:3/1@1000.0 last 1000.0],rights:[1:3/1@1000.0 of 3/1 change=3,1:3/1@1000.0 of 3/1 gave lower 1/1=2,2:3/1@1000.0 of 3/1 change=1]}');
\c -
\set include :source '/sql/include/error_of.psql'
\i :include
SELECT * FROM meridian.rights('stock', '{10}', 'n');
SELECT pg_temp.error_of('UPDATE stock SET n = n - 3 WHERE id = 10');
UPDATE stock SET n = n - 2 WHERE id = 10 RETURNING n;
SELECT pg_temp.error_of('UPDATE stock SET n = n - 1 WHERE id = 10');

-- moving rights
SELECT pg_temp.error_of($$SELECT meridian.transfer_rights('stock', '{3}', 'n', 'peer', 1)$$);
INSERT INTO meridian.progress (member, generation, epoch, healed, safe, origins, applied, laid_down, parked, published_at) VALUES (2, 1, 4, true, 0, '{}', '{}', 0, 0, now());
SELECT meridian.transfer_rights('stock', '{3}', 'n', 'peer', 1), meridian.transfer_rights('stock', '{3}', 'price', 'peer', 0.50, to_add => true);
SELECT * FROM meridian.rights('stock', '{3}', 'n');
SELECT * FROM meridian.rights('stock', '{3}', 'price');
SELECT call, pg_temp.error_of('SELECT meridian.' || call) FROM unnest(ARRAY[$$transfer_rights('stock', '{3}', 'n', 'peer', 3)$$,
  $$transfer_rights('stock', '{3}', 'n', 'peer', -1)$$, $$transfer_rights('stock', '{3}', 'n', 'peer', 0.0)$$, $$transfer_rights('stock', '{3}', 'n', 'peer', 'NaN')$$,
  $$transfer_rights('stock', '{3}', 'n', 'local', 1)$$, $$transfer_rights('stock', '{3}', 'name', 'peer', 1)$$, $$transfer_rights('stock', '{77}', 'n', 'peer', 1)$$,
  $$transfer_rights('stock', '{3,4}', 'n', 'peer', 1)$$, $$rights('stock', '{NULL}', 'n')$$, $$rights('stock', '{x}', 'n')$$, $$rights('meridian.member', '{1}', 'id')$$,
  $$seize_rights('stock', '{10}', 'n', 3)$$]) call;
-- member 9 was dropped
INSERT INTO stock VALUES (11, 'left', 7, 1);
SELECT meridian.give_rights('stock', '{11}', 'n', 9, 1, 5, false);
SELECT meridian.seize_rights('stock', '{11}', 'n', 9), meridian.seize_rights('stock', '{11}', 'n', 9) AS again;
SELECT * FROM meridian.rights('stock', '{11}', 'n');
-- rows of partitions are named by the table
CREATE TABLE seat (area text, id integer, n integer NOT NULL, PRIMARY KEY (area, id)) PARTITION BY LIST (area);
CREATE TABLE seat_a PARTITION OF seat FOR VALUES IN ('a');
CREATE TABLE seat_b (n integer NOT NULL, id integer NOT NULL, area text NOT NULL);
ALTER TABLE seat ATTACH PARTITION seat_b FOR VALUES IN ('b');
SELECT pg_temp.error_of($$SELECT meridian.rights('seat', '{a,1}', 'n')$$);
INSERT INTO meridian.replicated_table (id, rel, rules, ids, keys) VALUES (77, 'seat', '{n=bounded(0)}', 'keep', '{}');
SELECT meridian.attach_triggers('seat', '{n=bounded(0)}');
INSERT INTO seat VALUES ('a', 1, 4), ('b', 1, 8);
SELECT meridian.transfer_rights('seat', '{b,1}', 'n', 'peer', 5);
SELECT member, may_subtract FROM meridian.rights('seat', '{b,1}', 'n') UNION ALL SELECT member, may_subtract FROM meridian.rights('seat', '{a,1}', 'n');
SELECT pg_temp.error_of($$UPDATE seat SET n = n - 4 WHERE area = 'b'$$);
SELECT pg_temp.error_of($$SELECT meridian.rights('seat', '{c,1}', 'n')$$);
DROP TABLE seat;
-- who may
CREATE ROLE regress_reader;
SET ROLE regress_reader;
SELECT pg_temp.error_of($$SELECT * FROM meridian.rights('stock', '{11}', 'n')$$);
RESET ROLE;
GRANT SELECT ON stock TO regress_reader;
SET ROLE regress_reader;
SELECT node, may_subtract FROM meridian.rights('stock', '{11}', 'n') WHERE may_subtract > 0;
SELECT pg_temp.error_of($$SELECT meridian.transfer_rights('stock', '{11}', 'n', 'peer', 1)$$);
RESET ROLE;
DROP TABLE stock;
DROP ROLE regress_reader;
DROP DOMAIN few, amount;
\set include :source '/sql/include/leave.psql'
\i :include
