-- The type meridian.mvreg: operations, casts, text, bytes, order.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include
SET search_path = public, meridian;
SELECT pg_temp.error_of('SELECT meridian.set(''"a"''::mvreg, ''b''::text)');
\set include :source '/sql/include/member.psql'
\i :include

SELECT 'hello'::text::mvreg AS literal, '"say \"hi\""'::mvreg AS quoted, set('"a"'::mvreg, 'b') AS set, set('"a"'::mvreg, 'b')::text[] AS contents;
SELECT contents('"a"'), contents('{seen:[],values:[]}') AS never_written, NULL::text::mvreg IS NULL AND set(NULL::mvreg, 'a'::text) IS NULL AS strict;
-- concurrent writes are all kept, until a write that has seen them
SELECT merge('{seen:[1/1:1],values:["a"@1/1:1]}'::mvreg, '{seen:[2/1:1],values:["b"@2/1:1]}')::text[] AS both,
       merge('{seen:[1/1:1,2/1:1],values:["c"@2/1:1]}'::mvreg, '{seen:[1/1:1],values:["a"@1/1:1]}')::text[] AS seen,
       set(merge('{seen:[1/1:1],values:["a"@1/1:1]}'::mvreg, '{seen:[2/1:1],values:["b"@2/1:1]}'), 'c') AS resolved;
SELECT state(merge('{seen:[1/1:1],values:["a"@1/1:1]}'::mvreg, '{seen:[2/1:1],values:["b"@2/1:1]}'));
SELECT pg_temp.error_of(format('SELECT %L::text::meridian.mvreg', repeat('x', 1100000)));

SELECT text, pg_temp.error_of(format('SELECT %L::mvreg', text)) FROM (VALUES (''), ('hello'), ('"hello'), ('{seen:[1/1:1],values:["a"@1/1:2]}'), ('{seen:[1/1:1],values:["a"]}'), ('{}')) AS bad(text);

-- merging, and how values travel
CREATE TEMP TABLE sample (n serial, v meridian.mvreg);
INSERT INTO sample (v) VALUES
  ('{seen:[],values:[]}'), ('"a"'), ('"b"'), ('{seen:[1/1:1],values:["a"@1/1:1]}'), ('{seen:[2/1:2],values:["b"@2/1:2]}'), ('{seen:[1/1:2,2/1:2],values:["c"@1/1:2]}');
SELECT count(*) FILTER (WHERE meridian.merge(a.v, b.v)::text <> meridian.merge(b.v, a.v)::text) AS not_commutative,
       count(*) FILTER (WHERE meridian.merge(meridian.merge(a.v, b.v), c.v)::text <> meridian.merge(a.v, meridian.merge(b.v, c.v))::text) AS not_associative,
       count(*) FILTER (WHERE meridian.merge(meridian.merge(a.v, b.v), b.v)::text <> meridian.merge(a.v, b.v)::text) AS not_idempotent, count(*)
FROM sample a, sample b, sample c;
\getenv build PG_ABS_BUILDDIR
\set file :build '/results/mvreg.bin'
COPY (SELECT v FROM sample ORDER BY n) TO :'file' (FORMAT binary);
CREATE TEMP TABLE again (n serial, v meridian.mvreg);
COPY again (v) FROM :'file' (FORMAT binary);
SELECT count(*) FILTER (WHERE s.v::text = a.v::text AND meridian.mvreg_in(s.v::text::cstring)::text = s.v::text) AS same, count(*) FROM sample s JOIN again a USING (n);
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
SELECT bytes, pg_temp.receive(bytes, :'file') FROM (VALUES ('\x15'::bytea), ('\x150000'), ('\x15010101030100020161'), ('\x15010101030100040161'), ('\x150101010301000201ff'), ('\x15ffffff0f')) AS t(bytes);

SELECT v, v::text[] FROM sample ORDER BY sample.v, sample.v::text;
SELECT '"a"'::mvreg = '{seen:[1/1:1],values:["a"@1/1:1]}'::mvreg AS eq, '"a"'::mvreg < '"b"' AS lt, count(DISTINCT v) FROM sample;
RESET search_path;
\set include :source '/sql/include/leave.psql'
\i :include
