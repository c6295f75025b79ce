-- The type meridian.orset: operators, casts, text, bytes, order.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include
SET search_path = public, meridian;
SELECT pg_temp.error_of('SELECT ''[]''::orset + ''a''');
SELECT '["a","b"]'::orset - 'a' AS removing_needs_no_member;
\set include :source '/sql/include/member.psql'
\i :include

SELECT '{b,a,b}'::text[]::orset AS literal, '[]'::orset + 'x' AS added, '["x"]'::orset + 'x' AS again, '[]'::orset + 'x' + 'a' - 'x' - 'absent' AS removed;
SELECT ('["a","b"]'::orset + 'c' - 'a')::text[] AS elements, '["a"]'::orset @> 'a' AS has, contains('["a"]'::orset - 'a', 'a') AS has_not, elements('[]'::orset) AS empty;
SELECT state('[]'::orset + 'a' + 'b' - 'a'), NULL::orset + 'a' IS NULL AND '[]'::orset - NULL IS NULL AS strict;
-- an add wins over a remove that had not seen it, and over no other
SELECT merge('{seen:[1/1:1,2/1:1],elements:["a"@1/1:1@2/1:1]}'::orset, '{seen:[1/1:1],elements:[]}')::text[] AS unseen,
       merge('{seen:[1/1:1],elements:["a"@1/1:1]}'::orset, '{seen:[1/1:1,2/1:1],elements:[]}')::text[] AS seen;
SELECT pg_temp.error_of('SELECT ARRAY[''a'', NULL]::meridian.orset');
SELECT pg_temp.error_of(format('SELECT %L::meridian.orset + %L', '[]', repeat('x', 1100000)));

SELECT text, pg_temp.error_of(format('SELECT %L::orset', text)) FROM (VALUES (''), ('{a,b}'), ('["b","a"]'), ('{seen:[],elements:[]}'), ('{seen:[1/1:1],elements:["a"]}'),
  ('{seen:[1/1:1],elements:["a"@1/1:2]}'), ('{seen:[1/1:1],elements:["a"@2/1:1]}'), ('{seen:[1/1:0],elements:[]}')) AS bad(text);

-- merging, and how values travel
CREATE TEMP TABLE sample (n serial, v meridian.orset);
INSERT INTO sample (v) VALUES
  ('[]'), ('["a"]'), ('["b","c"]'), ('{seen:[1/1:1],elements:["a"@1/1:1]}'), ('{seen:[1/1:2,2/1:1],elements:["a"@1/1:2,"b"@2/1:1]}'), ('{seen:[1/1:2],elements:[]}');
SELECT count(*) FILTER (WHERE meridian.merge(a.v, b.v)::text <> meridian.merge(b.v, a.v)::text) AS not_commutative,
       count(*) FILTER (WHERE meridian.merge(meridian.merge(a.v, b.v), c.v)::text <> meridian.merge(a.v, meridian.merge(b.v, c.v))::text) AS not_associative,
       count(*) FILTER (WHERE meridian.merge(meridian.merge(a.v, b.v), b.v)::text <> meridian.merge(a.v, b.v)::text) AS not_idempotent, count(*)
FROM sample a, sample b, sample c;
\getenv build PG_ABS_BUILDDIR
\set file :build '/results/orset.bin'
COPY (SELECT v FROM sample ORDER BY n) TO :'file' (FORMAT binary);
CREATE TEMP TABLE again (n serial, v meridian.orset);
COPY again (v) FROM :'file' (FORMAT binary);
SELECT count(*) FILTER (WHERE s.v::text = a.v::text AND meridian.orset_in(s.v::text::cstring)::text = s.v::text) AS same, count(*) FROM sample s JOIN again a USING (n);
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
SELECT bytes, pg_temp.receive(bytes, :'file') FROM (VALUES ('\x13'::bytea), ('\x130000'), ('\x1301010103010161010002'), ('\x1301010103010161010004'), ('\x1301010103010161010102'), ('\x13010101030101610002'),
  ('\x13010101000000'), ('\x13ffffff0f'), ('\x13010101030101ff010002')) AS t(bytes);

SELECT v, v::text[] FROM sample ORDER BY sample.v, sample.v::text;
SELECT '["a"]'::orset = '[]'::orset + 'a' AS eq, '["a"]'::orset < '["a","b"]' AS lt, count(DISTINCT v) FROM sample;
CREATE TABLE article (id integer PRIMARY KEY, tags orset);
CREATE INDEX article_tags ON article USING gin ((tags::text[]));
CREATE INDEX article_order ON article (tags);
INSERT INTO article SELECT n, ARRAY['t' || n % 5, 'all'] FROM generate_series(1, 100) n;
UPDATE article SET tags = tags - 't3' WHERE id < 50;
SET enable_seqscan = off;
SELECT count(*) FROM article WHERE tags::text[] @> '{t3}';
SELECT count(*) FROM article WHERE tags = '{all,t3}'::text[]::orset;
RESET enable_seqscan;
DROP TABLE article;
RESET search_path;
\set include :source '/sql/include/leave.psql'
\i :include
