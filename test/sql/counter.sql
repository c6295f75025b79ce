-- The type meridian.counter: operators, casts, text, bytes, order.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include
SET search_path = public, meridian;
SELECT pg_temp.error_of('SELECT ''5''::counter + 1');
SELECT pg_temp.error_of('SELECT meridian.set(''5'', 1::bigint)');
\set include :source '/sql/include/member.psql'
\i :include

-- values and operations
SELECT 5::counter AS literal, '-5'::counter AS text, 5000000000::counter AS big, '0'::counter + 1 AS one, '0'::counter - 3 AS minus, '7'::counter + 2 - 4 + 0 AS both;
SELECT ('7'::counter + 2 - 4)::bigint AS value, ('7'::counter + 2 - 4)::numeric AS number, value('-3') AS negative, numeric_value('-3');
SELECT reset('7'::counter + 2 - 4) AS reset, reset('7'::counter + 2)::bigint AS zero, set('7'::counter + 2, 5) AS set, set('7', 5)::bigint AS five, reset(reset('7')) = reset('7') AS twice;
SELECT state('7'::counter + 2 - 4), state('0'::counter);
SELECT NULL::counter + 1 IS NULL AND '1'::counter + NULL IS NULL AND reset(NULL::counter) IS NULL AS strict;
-- an increment counts unless the reset saw it
SELECT merge(reset('{1/1:+5}'), '{1/1:+5,2/1:+2}')::bigint AS unseen, merge(reset('{1/1:+5}'), '{1/1:+8}')::bigint AS later, merge(reset('{1/1:+5}'), reset('{1/1:+5}'))::bigint AS once;

-- range: refused where it is written, never where it is merged
SELECT pg_temp.error_of('SELECT ''9223372036854775807''::counter + 1'), pg_temp.error_of('SELECT ''-9223372036854775808''::counter - 1');
SELECT ('9223372036854775807'::counter - 1)::bigint, '-9223372036854775808'::counter::bigint, pg_temp.error_of('SELECT ''0''::counter - (-9223372036854775808)') AS no_overflow_inside;
SELECT merge('{1/1:+9223372036854775807}'::counter, '{2/1:+9223372036854775807}')::numeric AS more_than_bigint;
SELECT pg_temp.error_of('SELECT meridian.merge(''{1/1:+9223372036854775807}''::counter, ''{2/1:+1}'')::bigint');
SELECT sum(v), count(*) FROM (VALUES ('5'::counter), ('{1/1:+18446744073709551615}'), (NULL), ('-7')) t(v);
SELECT sum(v) FROM (VALUES (NULL::counter)) t(v);

-- text that is not a counter
SELECT text, pg_temp.error_of(format('SELECT %L::counter', text)) FROM (VALUES (''), (' 5'), ('+5'), ('05'), ('-0'), ('1.5'), ('NaN'), ('{}'), ('{0:+5}'), ('{1/1:+5'),
  ('{1/1:+5(+6)}'), ('{2:+1,1:+1}'), ('{1/1:+99999999999999999999}')) AS bad(text);

-- merging, and how values travel
CREATE TEMP TABLE sample (n serial, v meridian.counter);
INSERT INTO sample (v) VALUES
  ('0'), ('5'), ('-7'), ('{1/1:+3}'), ('{1/1:+5-2(+3-1)}'), ('{1/1:+4(+4),2/1:+1}'), ('{0:+5(+5),2/1:-9(-2),3/7:+1}');
SELECT count(*) FILTER (WHERE meridian.merge(a.v, b.v)::text <> meridian.merge(b.v, a.v)::text) AS not_commutative,
       count(*) FILTER (WHERE meridian.merge(meridian.merge(a.v, b.v), c.v)::text <> meridian.merge(a.v, meridian.merge(b.v, c.v))::text) AS not_associative,
       count(*) FILTER (WHERE meridian.merge(meridian.merge(a.v, b.v), b.v)::text <> meridian.merge(a.v, b.v)::text) AS not_idempotent, count(*)
FROM sample a, sample b, sample c;
\getenv build PG_ABS_BUILDDIR
\set file :build '/results/counter.bin'
COPY (SELECT v FROM sample ORDER BY n) TO :'file' (FORMAT binary);
CREATE TEMP TABLE again (n serial, v meridian.counter);
COPY again (v) FROM :'file' (FORMAT binary);
SELECT count(*) FILTER (WHERE s.v::text = a.v::text AND meridian.counter_in(s.v::text::cstring)::text = s.v::text) AS same, count(*) FROM sample s JOIN again a USING (n);
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
SELECT bytes, pg_temp.receive(bytes, :'file') FROM (VALUES ('\x'::bytea), ('\x11'), ('\x1100'), ('\x110101040507'), ('\x1101010405'), ('\x12010104'), ('\x11010106050000'),
  ('\x110101060506ff01'), ('\x1101018080808000'), ('\x11ffffffff0f')) AS t(bytes);

-- order and equality are those of the values
SELECT v, v::bigint FROM sample ORDER BY sample.v, sample.v::text;
SELECT count(DISTINCT v) AS distinct_values, count(*) FROM sample;
SELECT '{1/1:+5}'::counter = 5::counter AS eq, '{1/1:+5}'::counter <> '6' AS ne, '4'::counter < '5' AS lt, '5'::counter <= '5' AS le, '5'::counter > '-5' AS gt, '5'::counter >= '6' AS ge;
CREATE TABLE page (id integer PRIMARY KEY, hits counter NOT NULL DEFAULT 0);
CREATE INDEX page_hits ON page (hits);
CREATE INDEX page_hash ON page USING hash (hits);
INSERT INTO page SELECT n, n % 7 FROM generate_series(1, 200) n;
UPDATE page SET hits = hits + 10 WHERE id % 2 = 0;
SET enable_seqscan = off;
SELECT count(*) FROM page WHERE hits = 12::counter;
SELECT count(*) FROM page WHERE hits > 12::counter;
EXPLAIN (COSTS OFF) SELECT id FROM page ORDER BY hits LIMIT 1;
SELECT count(*) FROM page a JOIN page b ON a.hits = b.hits AND a.id = b.id;
SELECT sum(hits) FROM page;
RESET enable_seqscan;
DROP TABLE page;
RESET search_path;
\set include :source '/sql/include/leave.psql'
\i :include
