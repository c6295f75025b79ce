-- The type meridian.flag: operations, casts, text, bytes, order.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include
SET search_path = public, meridian;
SELECT pg_temp.error_of('SELECT enable(''false'')');
\set include :source '/sql/include/member.psql'
\i :include

SELECT true::flag AS literal, flag_ew() AS ew, flag_ew(true) AS ew_on, flag_dw() AS dw, flag_dw(true) AS dw_on;
SELECT enable('false') AS enabled, disable('true') AS disabled, disable(enable(flag_dw())) AS dw, set('false', true) AS set;
SELECT enable('false')::boolean AS enabled, is_on(disable('true')) AS disabled, flag_dw(true)::boolean AS dw;
SELECT state(disable(enable(flag_dw(true)))), state('false'::flag), enable(NULL) IS NULL AS strict;
-- concurrent: who wins
SELECT merge('{1/1:1+}'::flag, '{2/1:1-}')::boolean AS enable_wins, merge('{disable_wins,1/1:1+}'::flag, '{disable_wins,2/1:1-}')::boolean AS disable_wins,
       merge('{1/1:1,2/1:1-}'::flag, '{1/1:1+}')::boolean AS seen, merge('{1/1:1+}'::flag, '{disable_wins,2/1:1-}') AS policy_stays;

SELECT text, pg_temp.error_of(format('SELECT %L::flag', text)) FROM (VALUES (''), ('on'), ('{}'), ('{1/1:0+}'), ('{1/1:1*}'), ('{2/1:1,1/1:1}'), ('{0:1+}'), ('{disable_wins,}')) AS bad(text);

-- merging, and how values travel
CREATE TEMP TABLE sample (n serial, v meridian.flag);
INSERT INTO sample (v) VALUES
  ('false'), ('true'), ('{disable_wins}'), ('{1/1:1+}'), ('{1/1:1,2/1:1-}'), ('{1/1:2-}'), ('{disable_wins,1/1:1+,2/1:3-}');
SELECT count(*) FILTER (WHERE meridian.merge(a.v, b.v)::text <> meridian.merge(b.v, a.v)::text) AS not_commutative,
       count(*) FILTER (WHERE meridian.merge(meridian.merge(a.v, b.v), c.v)::text <> meridian.merge(a.v, meridian.merge(b.v, c.v))::text) AS not_associative,
       count(*) FILTER (WHERE meridian.merge(meridian.merge(a.v, b.v), b.v)::text <> meridian.merge(a.v, b.v)::text) AS not_idempotent, count(*)
FROM sample a, sample b, sample c;
\getenv build PG_ABS_BUILDDIR
\set file :build '/results/flag.bin'
COPY (SELECT v FROM sample ORDER BY n) TO :'file' (FORMAT binary);
CREATE TEMP TABLE again (n serial, v meridian.flag);
COPY again (v) FROM :'file' (FORMAT binary);
SELECT count(*) FILTER (WHERE s.v::text = a.v::text AND meridian.flag_in(s.v::text::cstring)::text = s.v::text) AS same, count(*) FROM sample s JOIN again a USING (n);
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
SELECT bytes, pg_temp.receive(bytes, :'file') FROM (VALUES ('\x14'::bytea), ('\x1400'), ('\x1401'), ('\x1402010104'), ('\x1402010107'), ('\x1402010100'), ('\x14ffffff0f')) AS t(bytes);

SELECT v, v::boolean FROM sample ORDER BY sample.v, sample.v::text;
SELECT '{1/1:1+}'::flag = true::flag AS eq, false::flag < true::flag AS lt, count(DISTINCT v) FROM sample;
CREATE TABLE job (id integer PRIMARY KEY, stopped flag NOT NULL DEFAULT flag_dw());
INSERT INTO job SELECT generate_series(1, 10);
UPDATE job SET stopped = enable(stopped) WHERE id < 4;
SELECT count(*) FROM job WHERE stopped;
SELECT count(*) FROM job WHERE NOT stopped;
DROP TABLE job;
RESET search_path;
\set include :source '/sql/include/leave.psql'
\i :include
