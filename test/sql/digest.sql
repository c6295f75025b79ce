-- Digests of rows are the same wherever the rows and their states are the same.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include
\set include :source '/sql/include/member.psql'
\i :include
CREATE TYPE mood AS ENUM ('low', 'high');
CREATE DOMAIN short AS text CHECK (length(value) < 10);
CREATE TABLE one (id integer, part numeric, t text, v varchar(20), c char(5), n numeric(10, 2), f real, g double precision, ok boolean,
  day date, at timestamptz, loc timestamp, clock time, zone timetz, span interval, raw bytea, u uuid, doc jsonb, j json, m mood, s short,
  list text[], during tstzrange, price money, ats timestamptz[], one_byte "char", PRIMARY KEY (id, part));
-- other order, a dropped column, a generated one
CREATE TABLE two (gone text, ats timestamptz[], price money, during tstzrange, list text[], s short, m mood, j json, doc jsonb, u uuid, raw bytea,
  span interval, zone timetz, clock time, loc timestamp, at timestamptz, day date, ok boolean, g double precision, f real, n numeric(10, 2),
  c char(5), v varchar(20), t text, one_byte "char", part numeric, id integer, twice integer GENERATED ALWAYS AS (id * 2) STORED, PRIMARY KEY (id, part));
ALTER TABLE two DROP COLUMN gone;
SELECT pg_temp.attach('one', 't=lww'), pg_temp.attach('two', 't=lww');
SET session_replication_role = replica;
SELECT meridian.begin_apply();
INSERT INTO one SELECT i, i / 4.0, 't' || i, 'v', 'c', i, i / 3.0, -i / 7.0, i % 2 = 0, '2026-01-01'::date + i, '2026-01-01 00:00+00'::timestamptz + i * interval '1 h',
    '2026-01-01', '12:34:56.789', '12:34:56+02', i * interval '1 month -2 days 3 s', decode(lpad(to_hex(i), 8, '0'), 'hex'), md5(i::text)::uuid,
    jsonb_build_object('i', i), '{"a" : 1}', CASE i % 3 WHEN 0 THEN 'low' WHEN 1 THEN 'high' END::mood, 'short', ARRAY['a', NULL, 'b' || i],
    tstzrange('2026-01-01 00:00+00', NULL), 12.5::numeric::money, ARRAY['2026-07-01 00:00+00'::timestamptz], 'x', format('{entries:[2/1@%s.0 last %s.0]}', i, i + 5)::meridian.row_state
  FROM generate_series(1, 1000) i;
INSERT INTO one (id, part, f, g, _meridian) VALUES (0, 0, 'NaN', '-0', NULL);
SET datestyle = 'SQL, DMY';
SET intervalstyle = sql_standard;
SET bytea_output = escape;
SET extra_float_digits = 0;
SET timezone = 'Asia/Kolkata';
INSERT INTO two (id, part, t, v, c, n, f, g, ok, day, at, loc, clock, zone, span, raw, u, doc, j, m, s, list, during, price, ats, one_byte, _meridian)
  SELECT id, part, t, v, c, n, f, g, ok, day, at, loc, clock, zone, span, raw, u, doc, j, m, s, list, during, price, ats, one_byte, _meridian FROM one ORDER BY id DESC;
SELECT meridian.bucket_digests('one', 6) = meridian.bucket_digests('two', 6) AS equal;
CREATE TEMP TABLE before AS SELECT meridian.bucket_digests('one', 0) AS d;
RESET datestyle; RESET intervalstyle; RESET bytea_output; RESET extra_float_digits; RESET timezone;
SELECT meridian.bucket_digests('one', 0) = d AS "whatever the settings" FROM before;
SELECT length(meridian.bucket_digests('one', 0)), length(meridian.bucket_digests('one', 16)), meridian.bucket_digests('one', 0) <> ('\x' || repeat('00', 16))::bytea AS something;
-- rows of some buckets
SELECT count(*), count(DISTINCT hash), count(DISTINCT digest), bool_and(key[1]::integer / 4.0 = key[2]::numeric) FROM meridian.row_digests('one', 4, ARRAY(SELECT generate_series(0, 15)));
SELECT count(*) BETWEEN 20 AND 120 AS "about a sixteenth", bool_and(((hash >> 60) & 15) = 3) AS bucket FROM meridian.row_digests('one', 4, '{3, 99, -1, NULL}');
SELECT count(*) FROM meridian.row_digests('one', 4, '{}');
SELECT count(*) AS differing FROM (SELECT * FROM meridian.row_digests('one', 0, '{0}') EXCEPT SELECT * FROM meridian.row_digests('two', 0, '{0}')) d;
-- everything counts: values, NULLs, -0, the state, the length of what stands beside
-- the triggers are off only in part: without any the table would not be a replicated one
CREATE FUNCTION pg_temp.differ(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE keys text;
BEGIN
  ALTER TABLE two DISABLE TRIGGER "00_meridian_apply";
  EXECUTE change;
  SELECT string_agg(key::text, ' ' ORDER BY key) INTO keys FROM (SELECT * FROM meridian.row_digests('two', 0, '{0}') EXCEPT SELECT * FROM meridian.row_digests('one', 0, '{0}')) d;
  RAISE SQLSTATE 'UNDO0' USING MESSAGE = coalesce(keys, 'none');
EXCEPTION WHEN SQLSTATE 'UNDO0' THEN RETURN SQLERRM;
END
$$;
SELECT pg_temp.differ(c) AS keys, c AS change FROM unnest(ARRAY[
  'UPDATE two SET t = t WHERE id = 5', 'UPDATE two SET t = NULL WHERE id = 5', 'UPDATE two SET t = '''' WHERE id = 5', 'UPDATE two SET g = 0 WHERE id = 0',
  'UPDATE two SET v = ''c'', c = ''v'' WHERE id = 5', 'UPDATE two SET m = ''low'' WHERE id = 4', 'UPDATE two SET part = 1.250 WHERE id = 5', 'UPDATE two SET one_byte = NULL WHERE id = 7',
  'UPDATE two SET _meridian = ''{entries:[2/1@5.0 last 10.1]}'' WHERE id = 5', 'UPDATE two SET _meridian = NULL WHERE id = 5', 'UPDATE two SET ats = NULL WHERE id IN (8, 9)',
  'UPDATE two SET list = ARRAY[''a,b'', NULL] WHERE id = 5']) c;
-- rows by key, by the key's own operators
SELECT n, key, digest IS NOT NULL AS found, deleted FROM meridian.key_digests('one', '{{5,1.250},{5,1},{7,1.75}}');
SELECT k.key, k.digest = r.digest AS same FROM meridian.key_digests('one', '{{5,1.250}}') k JOIN meridian.row_digests('one', 0, '{0}') r USING (key);
SELECT id, part, t FROM meridian.rows_of_keys(NULL::two, '{{5,1.250},{5,1},{7,1.75}}') ORDER BY id;
SELECT count(*) FROM meridian.rows_of_keys(NULL::two, '{}');
SELECT meridian.key_hashes('one', '{{5,1.250},{5,1.25}}') = meridian.key_hashes('two', '{{5,1.25},{5,1.250}}') AS equal, cardinality(meridian.key_hashes('one', '{}')) AS none;
INSERT INTO meridian.tombstone (table_id, key_hash, key, floor, stamp, actor, seen) SELECT id, 0, '{5,1}', 5, 9, 65538, '{entries:[2/1@0.1 last 0.5]}' FROM meridian.replicated_table WHERE rel = 'one'::regclass;
SELECT n, key, deleted FROM meridian.key_digests('one', '{{5,1.0},{5,1.25}}');
SELECT t.key FROM meridian.tombstone t WHERE t.key_hash = ANY (meridian.key_hashes('one', '{{5,1.0}}'));
-- what is wrong is said
CREATE TABLE plain (id integer PRIMARY KEY);
CREATE ROLE digest_reader IN ROLE meridian_admin;
SELECT pg_temp.error_of(q) FROM unnest(ARRAY['SELECT meridian.bucket_digests(''one'', 17)', 'SELECT meridian.bucket_digests(''one'', -1)', 'SELECT meridian.bucket_digests(''plain'', 1)',
  'SELECT * FROM meridian.key_digests(''one'', ''{5}'')', 'SELECT * FROM meridian.key_digests(''one'', ''{{5,NULL}}'')', 'SELECT * FROM meridian.key_digests(''one'', ''{{5,x}}'')',
  'SELECT * FROM meridian.rows_of_keys(NULL::text, ''{}'')', 'SELECT * FROM meridian.rows_of_keys(NULL::plain, ''{{1}}'')']) q;
SET ROLE digest_reader;
SELECT pg_temp.error_of(q) FROM unnest(ARRAY['SELECT meridian.bucket_digests(''one'', 1)', 'SELECT meridian.row_digests(''one'', 0, ''{0}'')', 'SELECT meridian.key_digests(''one'', ''{{5,1}}'')',
  'SELECT meridian.rows_of_keys(NULL::one, ''{{5,1}}'')', 'SELECT meridian.parked_images(NULL::one)']) q;
RESET ROLE;
DROP ROLE digest_reader;
-- what is parked, as rows; what does not fit any more is left out
CREATE TABLE lot (gone text, id integer PRIMARY KEY, v short, late text);
ALTER TABLE lot DROP COLUMN gone;
SELECT pg_temp.attach('lot');
ALTER TABLE lot ALTER COLUMN late SET DEFAULT 'by default';
INSERT INTO meridian.parked_image (id, rel, key_hash, image, reason, sqlstate, detail, retry_at) OVERRIDING SYSTEM VALUE
  SELECT 1000000 + n, 'lot', 0, i, 'test', '00000', '', 'infinity'
    FROM unnest(ARRAY['{"id": "7", "v": "seven", "late": null, "_meridian": "{entries:[2/1@5.0 last 6.0]}"}', '{"id": "x"}', '{"id": "8", "v": null, "other": "1"}',
                      '{"id": "9", "v": "longer than ten"}']::jsonb[]) WITH ORDINALITY u(i, n);
SELECT * FROM meridian.parked_images(NULL::lot) ORDER BY id;
INSERT INTO meridian.parked_image (id, rel, key_hash, image, reason, sqlstate, detail, retry_at) OVERRIDING SYSTEM VALUE
  VALUES (1000010, 'meridian.tombstone', 0, '{"table_id": "5", "key": "{1}", "floor": "2", "stamp": "3", "actor": "4", "seen": "{}", "key_hash": "0"}', 'test', '00000', '', 'infinity');
SELECT table_id, key, floor, stamp, actor, seen FROM meridian.parked_images(NULL::meridian.tombstone);
SELECT count(*) FROM meridian.parked_images(NULL::one);
-- states since a stamp
SELECT meridian.knows_since(s, stamp), stamp FROM (VALUES ('{entries:[2/1@5.0 last 10.1]}'::meridian.row_state)) v(s), unnest(ARRAY[-5, 0, 10 << 16, (10 << 16) + 1, (10 << 16) + 2]::bigint[]) stamp;
DROP TABLE one, two, plain, lot;
DROP TYPE mood;
DROP DOMAIN short;
\set include :source '/sql/include/leave.psql'
\i :include
