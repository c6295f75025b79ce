-- The type meridian.row_state: its text, its bytes, and what it refuses.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include

-- the text is lossless and canonical
CREATE TEMP TABLE good (n serial, state meridian.row_state);
COPY good (state) FROM stdin;
{}
{entries:[0@0.1 last 0.0],groups:[0:0@0.1 last 0.0]}
{entries:[1/1@1795385305754.0 last 1795385305754.0],groups:[0:1/1@1795385305754.0 last 1795385305754.0]}
{entries:[1@1718000000000.0 last 1718000000000.0 +2=100.00,2@1718000000000.0 last 1718000005250.0 +2=-30.00],groups:[0:1@1718000000000.0 last 1718000000000.0]}
{entries:[65535/65535@281474976710655.65535 last 281474976710655.65535 +1=-9223372036854775808 +65535=0.0000001]}
{entries:[1/1@5.0 last 6.0,1/1@7.0 last 9.1],groups:[0:1/1@7.0 last 9.1,3:1/1@5.0 last 6.0],lattices:[1@5.0,4@7.0]}
{lattices:[2@5.0]}
\.
SELECT n, state FROM good ORDER BY n;
SELECT count(*) AS same FROM good WHERE state::text::meridian.row_state OPERATOR(meridian.=) state;
SELECT count(*) AS pairs FROM good a, good b WHERE a.state OPERATOR(meridian.=) b.state;
SELECT pg_column_size(state) <= 24 AS small FROM good WHERE n = 3;

-- and so are the bytes
\getenv build PG_ABS_BUILDDIR
\set file :build '/results/row_state.bin'
COPY (SELECT state FROM good ORDER BY n) TO :'file' (FORMAT binary);
CREATE TEMP TABLE again (n serial, state meridian.row_state);
COPY again (state) FROM :'file' (FORMAT binary);
SELECT count(*) AS same FROM good g JOIN again a USING (n) WHERE g.state OPERATOR(meridian.=) a.state AND g.state::text = a.state::text;

-- through a composite, an array, a dump of the column
SELECT (ROW(1, state)::text) FROM good WHERE n = 4;
SELECT array_agg(state ORDER BY n)::text::meridian.row_state[] IS NOT NULL AS array_reads FROM good;
SELECT NULL::meridian.row_state IS NULL AS nothing;

-- text that is not the canonical form of a state
SELECT text, pg_temp.error_of(format('SELECT %L::meridian.row_state', text)) FROM (VALUES
  (''), ('{'), ('{} '), (' {}'), ('null'), ('{entries:[]}'), ('{groups:[]}'), ('{entries:[1@5.0 last 6.0]'),
  ('{entries:[1@5.0 last 6.0],}'), ('{entries:[1@5.0  last 6.0]}'), ('{entries:[1/0@5.0 last 6.0]}'), ('{entries:[01@5.0 last 6.0]}'),
  ('{entries:[+1@5.0 last 6.0]}'), ('{entries:[-1@5.0 last 6.0]}'), ('{entries:[65536@5.0 last 6.0]}'),
  ('{entries:[1@281474976710656.0 last 6.0]}'), ('{entries:[1@5.65536 last 6.0]}'), ('{entries:[1@5 last 6.0]}'),
  ('{entries:[2@5.0 last 6.0,1@5.0 last 6.0]}'), ('{entries:[1@5.0 last 6.0,1@5.0 last 7.0]}'),
  ('{entries:[1@5.0 last 6.0 +1=]}'), ('{entries:[1@5.0 last 6.0 +1=01]}'), ('{entries:[1@5.0 last 6.0 +1=1e3]}'),
  ('{entries:[1@5.0 last 6.0 +1=NaN]}'), ('{entries:[1@5.0 last 6.0 +1=-0]}'), ('{entries:[1@5.0 last 6.0 +1=.5]}'),
  ('{entries:[1@5.0 last 6.0 +2=1 +1=1]}'), ('{entries:[1@5.0 last 6.0 +1=1 +1=1]}'),
  ('{groups:[0:1@5.0 last 6.0,0:1@5.0 last 6.0]}'), ('{groups:[1@5.0 last 6.0]}'),
  ('{groups:[0:1@5.0 last 6.0],entries:[1@5.0 last 6.0]}'), ('{lattices:[1@5.0,1@6.0]}'), ('{lattices:[1@5.0],lattices:[2@5.0]}'),
  (E'{entries:[1@5.0 last 6.0]}\n'), ('{entries:[1@99999999999999999999999.0 last 6.0]}'), ('{entries:[é@5.0 last 6.0]}')
) AS bad(text);

-- huge input is refused, not swallowed
SELECT pg_temp.error_of(format('SELECT %L::meridian.row_state', repeat('{', 20000000)));
SELECT pg_temp.error_of(format('SELECT %L::meridian.row_state', '{entries:[' || repeat('1@5.0 last 6.0,', 1000000) || '1@5.0 last 6.0]}'));
SELECT pg_temp.error_of(format('SELECT %L::meridian.row_state',
  '{entries:[' || (SELECT string_agg(n || '@5.0 last 6.0', ',' ORDER BY n) FROM generate_series(1, 4097) n) || ']}'));
SELECT length((('{entries:[' || (SELECT string_agg(n || '@5.0 last 6.0', ',' ORDER BY n) FROM generate_series(1, 4096) n) || ']}')::meridian.row_state)::text) AS most_entries;
SELECT pg_temp.error_of(format('SELECT %L::meridian.row_state', '{entries:[1@5.0 last 6.0 +1=' || repeat('9', 131073) || ']}'));
SELECT length((('{entries:[1@5.0 last 6.0 +1=' || repeat('9', 131072) || ']}')::meridian.row_state)::text) AS longest_number;

-- bytes that are not the canonical form of a state: bytea and row_state have the same place in a binary COPY
CREATE TEMP TABLE raw (bytes bytea);
CREATE FUNCTION pg_temp.receive(bytes bytea, file text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  answer text;
BEGIN
  TRUNCATE raw, again;
  INSERT INTO raw VALUES (bytes);
  EXECUTE format('COPY raw TO %L (FORMAT binary)', file);
  answer := pg_temp.error_of(format('COPY again (state) FROM %L (FORMAT binary)', file));
  RETURN CASE WHEN answer = 'no error' THEN (SELECT state::text FROM again) ELSE answer END;
END
$$;
SELECT bytes, pg_temp.receive(bytes, :'file') FROM (VALUES
  ('\x'::bytea), ('\x00'), ('\x01'), ('\x0100'), ('\x010000'), ('\x01000000'), ('\x02'), ('\xff'), ('\x0110'), ('\x011000'),
  ('\x01ffffffffffffffffffff'), ('\x0180'), ('\x018000'), (decode(repeat('01', 20), 'hex')), ('\x01f0ffffff0f')
) AS bad(bytes);
-- every cut and every changed byte of a good one: refused or canonical, never a crash
\set bin :build '/results/row_state.cut'
CREATE TEMP TABLE cuts (bytes bytea);
DO $$
DECLARE
  good bytea; answer text; answers text[] := '{}';
BEGIN
  SELECT bytes INTO good FROM (SELECT meridian.row_state_send(state) AS bytes FROM good WHERE n = 4) s;
  INSERT INTO cuts SELECT substr(good, 1, n) FROM generate_series(0, length(good) - 1) n;
  INSERT INTO cuts SELECT good || '\x00'::bytea;
END
$$;
SELECT DISTINCT split_part(pg_temp.receive(bytes, :'bin'), ':', 1) AS sqlstate FROM cuts;
TRUNCATE cuts;
INSERT INTO cuts SELECT set_byte(g.bytes, n, (get_byte(g.bytes, n) + step) % 256)
  FROM (SELECT meridian.row_state_send(state) AS bytes FROM good WHERE n = 4) g, generate_series(0, length(g.bytes) - 1) n, (VALUES (1), (127), (255)) s(step);
SELECT bool_and(answer ~ '^(\{|22P03: |54000: )') AS refused_or_read FROM (SELECT pg_temp.receive(bytes, :'bin') AS answer FROM cuts) s;

-- merging and comparing states alone
SELECT meridian.compare_states(a, b), meridian.compare_states(b, a) AS back FROM (VALUES
  ('{entries:[1@5.0 last 6.0]}'::meridian.row_state, '{entries:[1@5.0 last 6.0]}'::meridian.row_state),
  ('{entries:[1@5.0 last 6.0]}', '{entries:[1@5.0 last 7.0]}'),
  ('{entries:[1@5.0 last 6.0]}', '{entries:[1@5.0 last 6.0,2@5.0 last 7.0]}'),
  ('{entries:[1@5.0 last 7.0]}', '{entries:[1@5.0 last 6.0,2@5.0 last 7.0]}'),
  ('{entries:[0@0.1 last 0.0]}', '{entries:[0@0.1 last 0.0,1@0.1 last 9.0]}'),
  ('{}', '{}'), ('{}', '{entries:[1@5.0 last 6.0]}')) AS t(a, b);
SELECT merged, merged OPERATOR(meridian.=) meridian.merge_states(b, a) AS commutes,
       merged OPERATOR(meridian.=) meridian.merge_states(merged, b) AS absorbs
FROM (VALUES
  ('{entries:[1@5.0 last 8.0 +2=3],groups:[0:1@5.0 last 8.0]}'::meridian.row_state,
   '{entries:[1@5.0 last 6.0 +2=1,2@5.0 last 9.0 +2=7],groups:[0:2@5.0 last 9.0]}'::meridian.row_state),
  ('{entries:[1@5.0 last 6.0],groups:[0:1@5.0 last 6.0]}', '{entries:[2@7.0 last 7.0],groups:[0:2@7.0 last 7.0]}'),
  ('{}', '{entries:[1@5.0 last 6.0]}')) AS t(a, b), LATERAL (SELECT meridian.merge_states(a, b) AS merged) m;
SELECT meridian.merge_states(NULL, '{}') IS NULL AS strict, meridian.compare_states('{}', NULL) IS NULL AS strict_too;
