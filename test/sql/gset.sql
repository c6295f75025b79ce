-- The type meridian.gset: operators, casts, text, bytes, order. It needs no member.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include
SET search_path = public, meridian;

SELECT '{b,a,b}'::text[]::gset AS literal, '[]'::gset + 'x' + 'a' + 'x' AS added, ('["a","b"]'::gset + 'c')::text[] AS elements;
SELECT '["a","b"]'::gset @> 'a' AS has, contains('["a","b"]'::gset, 'c') AS has_not, elements('[]'::gset) AS empty;
SELECT state('["a\"b","c"]'::gset), NULL::gset + 'a' IS NULL AND '[]'::gset + NULL IS NULL AS strict;
SELECT ARRAY['say "hi"', 'back\slash', '', 'größe', E'two\nlines']::gset AS quoted;
SELECT pg_temp.error_of('SELECT ARRAY[''a'', NULL]::meridian.gset'), pg_temp.error_of('SELECT ARRAY[ARRAY[''a'']]::meridian.gset');
SELECT pg_temp.error_of(format('SELECT %L::meridian.gset + %L', '[]', repeat('x', 1100000)));

SELECT text, pg_temp.error_of(format('SELECT %L::gset', text)) FROM (VALUES (''), ('{a,b}'), ('["a"'), ('[a]'), ('["b","a"]'), ('["a","a"]'), ('["a"] '), ('["\x"]')) AS bad(text);

-- merging, and how values travel
CREATE TEMP TABLE sample (n serial, v meridian.gset);
INSERT INTO sample (v) VALUES
  ('[]'), ('["a"]'), ('["a","b"]'), ('["b","c"]'), ('[""]');
SELECT count(*) FILTER (WHERE meridian.merge(a.v, b.v)::text <> meridian.merge(b.v, a.v)::text) AS not_commutative,
       count(*) FILTER (WHERE meridian.merge(meridian.merge(a.v, b.v), c.v)::text <> meridian.merge(a.v, meridian.merge(b.v, c.v))::text) AS not_associative,
       count(*) FILTER (WHERE meridian.merge(meridian.merge(a.v, b.v), b.v)::text <> meridian.merge(a.v, b.v)::text) AS not_idempotent, count(*)
FROM sample a, sample b, sample c;
\getenv build PG_ABS_BUILDDIR
\set file :build '/results/gset.bin'
COPY (SELECT v FROM sample ORDER BY n) TO :'file' (FORMAT binary);
CREATE TEMP TABLE again (n serial, v meridian.gset);
COPY again (v) FROM :'file' (FORMAT binary);
SELECT count(*) FILTER (WHERE s.v::text = a.v::text AND meridian.gset_in(s.v::text::cstring)::text = s.v::text) AS same, count(*) FROM sample s JOIN again a USING (n);
CREATE TEMP TABLE raw (bytes bytea);
CREATE FUNCTION pg_temp.receive(bytes bytea, file text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  answer text;
BEGIN
  TRUNCATE raw, again;
  INSERT INTO raw VALUES (bytes);
  EXECUTE format('COPY raw TO %L (FORMAT binary)', file);
  answer := pg_temp.error_of(format('COPY again (v) FROM %L (FORMAT binary)', file));
  RETURN CASE WHEN answer = 'no error' THEN (SELECT v::text FROM again) ELSE answer END;
END
$$;
SELECT bytes, pg_temp.receive(bytes, :'file') FROM (VALUES ('\x12'::bytea), ('\x1200'), ('\x12010161'), ('\x1202016101'), ('\x120201620161'), ('\x12010100'), ('\x120101ff'), ('\x12ffffff0f')) AS t(bytes);

SELECT v FROM sample ORDER BY v;
SELECT '["a"]'::gset = '{a}'::text[]::gset AS eq, '["a"]'::gset < '["a","b"]' AS lt, '["b"]'::gset > '["a","c"]' AS gt, count(DISTINCT v) FROM sample;
CREATE TABLE article (id integer PRIMARY KEY, tags gset);
CREATE INDEX article_tags ON article USING gin ((tags::text[]));
INSERT INTO article SELECT n, ARRAY['t' || n % 5, 'all'] FROM generate_series(1, 100) n;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM article WHERE tags::text[] @> '{t3}';
SELECT count(*) FROM article WHERE tags::text[] @> '{t3}';
RESET enable_seqscan;
DROP TABLE article;
RESET search_path;
