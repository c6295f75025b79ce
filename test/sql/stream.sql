-- Streams: their names, and what leaves through which.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include
\set include :source '/sql/include/member.psql'
\i :include

-- names
SELECT n, (meridian.stream_of(n)).*
  FROM unnest('{meridian_7,meridian_7_1of3,meridian_7_3of3,meridian_7_4of3,meridian_7_1of1,meridian_0,mine}'::name[]) n;
SELECT meridian.stream_names(12, 1), meridian.stream_names(12, 3);
SELECT pg_temp.error_of('SELECT meridian.stream_names(12, 17)');
SELECT pg_temp.error_of($$SELECT meridian.create_node('a', 'b', 'c', streams => 0)$$);
SELECT pg_temp.error_of($$SELECT meridian.join('a', 'b', 'c', via => 'd', streams => 17)$$);

-- keys that are equal may look different; one type cannot be hashed; one table has two columns in its key, not in their order
CREATE COLLATION split_look (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE split_numeric (id numeric PRIMARY KEY, v text);
CREATE TABLE split_nocase (id text COLLATE split_look PRIMARY KEY, v text);
CREATE TABLE split_money (id money PRIMARY KEY, v text);
CREATE TABLE split_two (v text, b integer, a text, PRIMARY KEY (a, b));
CREATE TABLE split_root (id integer, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE split_leaf (v text, id integer NOT NULL);
ALTER TABLE split_root ATTACH PARTITION split_leaf DEFAULT;
CREATE TABLE split_stamped (id integer PRIMARY KEY, v text, at timestamptz);
CREATE TABLE split_plain (id integer PRIMARY KEY, v text);
SELECT pg_temp.attach('split_numeric'), pg_temp.attach('split_nocase'), pg_temp.attach('split_money'), pg_temp.attach('split_two'),
       pg_temp.attach('split_root'), pg_temp.attach('split_stamped', 'row=lww(at)');
CREATE PUBLICATION stream_test
  FOR TABLE meridian.tombstone, meridian.progress, split_numeric, split_nocase, split_money, split_two, split_root, split_stamped, split_plain
  WITH (publish = 'insert', publish_via_partition_root = true);
SELECT count(pg_create_logical_replication_slot(n, 'meridian_mesh')) FROM unnest(meridian.stream_names(9, 3) || 'meridian_all'::name) n;

-- each key is written, deleted, and written again in another way
INSERT INTO split_numeric SELECT (10000 + i)::numeric(9, 1), '+' FROM generate_series(1, 30) i;
INSERT INTO split_nocase SELECT format('Key-%s.', 10000 + i), '+' FROM generate_series(1, 30) i;
INSERT INTO split_money SELECT (10000 + i)::money, '+' FROM generate_series(1, 30) i;
INSERT INTO split_two SELECT '+', 10000 + i, 'a' FROM generate_series(1, 30) i;
INSERT INTO split_root SELECT 10000 + i, '+' FROM generate_series(1, 30) i;
INSERT INTO split_stamped SELECT 10000 + i, '+', '2026-01-01' FROM generate_series(1, 30) i;
INSERT INTO split_plain SELECT 10000 + i, '+' FROM generate_series(1, 30) i;
UPDATE split_numeric SET v = '+ +';
UPDATE split_numeric SET id = id::numeric(9, 2) WHERE id <= 10015;
DELETE FROM split_numeric;
DELETE FROM split_nocase;
DELETE FROM split_money;
DELETE FROM split_two;
DELETE FROM split_root;
DELETE FROM split_stamped;
INSERT INTO split_numeric SELECT (10000 + i)::numeric(9, 3), '+' FROM generate_series(1, 30) i;
INSERT INTO split_nocase SELECT format('KEY-%s.', 10000 + i), '+' FROM generate_series(1, 30) i;
INSERT INTO split_two SELECT '+', 10000 + i, 'a' FROM generate_series(1, 30) i;
INSERT INTO meridian.progress (member, generation, epoch, healed, safe, origins, applied, laid_down, parked, published_at)
  VALUES (1, 1, 1, true, 1, '{}', '{}', 0, 0, now());
UPDATE meridian.progress SET safe = 2;

-- the rows and tombstones of each stream, by table and key
\set ECHO none
-- columns_of(message): the values of an INSERT in the protocol of pgoutput.
CREATE FUNCTION pg_temp.columns_of(message bytea) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  result text[] := '{}';
  at integer := 9;
  size integer;
BEGIN
  WHILE at <= length(message) LOOP
    IF chr(get_byte(message, at - 1)) = 't' THEN
      size := ('x' || encode(substr(message, at + 1, 4), 'hex'))::bit(32)::integer;
      result := result || convert_from(substr(message, at + 5, size), 'UTF8');
      at := at + 5 + size;
    ELSE
      result := result || NULL::text;
      at := at + 1;
    END IF;
  END LOOP;
  RETURN result;
END
$$;
-- changes(slot): what waits in a slot, each row with the table that it is about and its key.
CREATE FUNCTION pg_temp.changes(slot name) RETURNS TABLE (rel regclass, about regclass, key text, columns text[]) LANGUAGE sql AS $$
  SELECT m.rel, CASE WHEN m.rel = 'meridian.tombstone'::regclass THEN (SELECT t.rel FROM meridian.replicated_table t WHERE t.id = m.columns[1]::integer) ELSE m.rel END,
         substring(translate(CASE WHEN m.rel = 'meridian.tombstone'::regclass THEN m.columns[3] ELSE m.columns[1] || ' ' || m.columns[2] END, ',', '') FROM '100[0-3][0-9]'),
         m.columns
    FROM (SELECT ('x' || encode(substr(c.data, 2, 4), 'hex'))::bit(32)::bigint::oid::regclass AS rel, pg_temp.columns_of(c.data) AS columns
            FROM pg_logical_slot_peek_binary_changes(slot, NULL, NULL, 'proto_version', '1', 'publication_names', 'stream_test') c
           WHERE get_byte(c.data, 0) = ascii('I')) m
$$;
\set ECHO all
CREATE TEMP TABLE sent AS
  SELECT (meridian.stream_of(n.slot)).stream, c.*
    FROM unnest(meridian.stream_names(9, 3) || 'meridian_all'::name) n(slot), pg_temp.changes(n.slot) c;
-- what leaves through the three is what leaves through one, and once; only progress is in each
SELECT rel, count(*) FILTER (WHERE stream IS NULL) AS whole, count(*) FILTER (WHERE stream IS NOT NULL) AS split,
       count(DISTINCT stream) AS streams
  FROM sent GROUP BY rel ORDER BY rel::text COLLATE "C";
SELECT count(*) FROM (SELECT rel, columns FROM sent WHERE stream IS NULL EXCEPT ALL SELECT rel, columns FROM sent WHERE stream IS NOT NULL) missing;
-- all of one key is in one stream, its tombstones, too
SELECT k.about, count(*) AS keys, sum(k.rows) AS rows, sum(k.tombstones) AS tombstones, max(k.streams) AS streams_of_a_key
  FROM (SELECT s.about, s.key, count(DISTINCT s.stream) AS streams, count(*) FILTER (WHERE s.rel = s.about) AS rows,
               count(*) FILTER (WHERE s.rel <> s.about) AS tombstones
          FROM sent s WHERE s.stream IS NOT NULL AND s.rel <> 'meridian.progress'::regclass GROUP BY s.about, s.key) k
 GROUP BY k.about ORDER BY k.about::text COLLATE "C";
-- what has no hash is in the first
SELECT about, min(stream), max(stream) FROM sent WHERE about IN ('split_money'::regclass, 'split_plain'::regclass) GROUP BY about ORDER BY about::text;

SELECT count(pg_drop_replication_slot(slot_name)) FROM pg_replication_slots WHERE plugin = 'meridian_mesh';
DROP PUBLICATION stream_test;
DROP TABLE split_numeric, split_nocase, split_money, split_two, split_root, split_stamped, split_plain;
DROP COLLATION split_look;
\set include :source '/sql/include/leave.psql'
\i :include
