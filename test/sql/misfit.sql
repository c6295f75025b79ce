-- Rows that do not fit their table wait as they were sent, and are read by the table's definition once it takes them. (How they come to
-- wait: test/t/055_misfit.pl.)
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include
\set include :source '/sql/include/member.psql'
\i :include
CREATE TABLE fitting (id bigint PRIMARY KEY, v text, n integer, twice integer GENERATED ALWAYS AS (n * 2) STORED);
SELECT pg_temp.attach('fitting');
CREATE TABLE unattached (id bigint PRIMARY KEY);
CREATE FUNCTION pg_temp.park(id bigint, image jsonb, name name DEFAULT 'fitting') RETURNS void LANGUAGE sql AS $$
  INSERT INTO meridian.parked_image (id, rel, key_hash, image, reason, sqlstate, detail, retry_at, sent_schema, sent_table) OVERRIDING SYSTEM VALUE
    VALUES ($1, 0, 0, $2 || '{"_meridian": "{entries:[2/1@0.1 last 10.0],groups:[0:2/1@0.1 last 10.0]}"}', 'misfit', '00000', '', 'infinity', current_schema, $3)
$$;
CREATE FUNCTION pg_temp.raw(type text, hex text, schema text DEFAULT 'pg_catalog') RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('schema', schema, 'type', type, 'binary', hex) $$;

-- what fits: texts, the binary form of the column's type, and of another that it can be made of
SELECT pg_temp.park(1, '{"id": "1", "v": "text", "n": null}');
SELECT pg_temp.park(2, jsonb_build_object('id', pg_temp.raw('int8', '0000000000000002'), 'v', pg_temp.raw('text', '62696e'), 'n', pg_temp.raw('int2', '0007')));
SELECT id, meridian.retry_parked(id) FROM meridian.parked ORDER BY id;
SELECT id, v, n, twice FROM fitting ORDER BY id;

-- what does not
SELECT pg_temp.park(11, '{"id": "11", "v": "", "extra": "x", "more": null}');
SELECT pg_temp.park(12, '{"id": "12", "twice": "4"}');
SELECT pg_temp.park(13, '{"id": "13", "n": "many"}');
SELECT pg_temp.park(14, jsonb_build_object('id', '14', 'n', pg_temp.raw('int4', '0000')));
SELECT pg_temp.park(15, jsonb_build_object('id', '15', 'n', pg_temp.raw('int4', '0000000000')));
SELECT pg_temp.park(16, jsonb_build_object('id', '16', 'n', pg_temp.raw('nothing', '00', 'nowhere')));
SELECT pg_temp.park(17, jsonb_build_object('id', '17', 'n', pg_temp.raw('int4', '0')));
SELECT pg_temp.park(18, '{"id": "18", "n": {"binary": "00000001"}}');
SELECT pg_temp.park(19, '{"id": "19"}', 'missing');
SELECT pg_temp.park(20, '{"id": "20"}', 'unattached');
SELECT pg_temp.park(21, jsonb_build_object('id', pg_temp.raw('int8', '00'), 'v', ''));
SELECT pg_temp.park(22, '{"ident": "22", "v": ""}');
SELECT id, meridian.retry_parked(id) FROM meridian.parked ORDER BY id;
-- what is known of them now
SELECT id, rel, key, reason, sqlstate, attempts, sent_as FROM meridian.parked ORDER BY id;
SELECT alarm, severity, subject FROM meridian.local_alarms ORDER BY subject;

-- a row that was deleted meanwhile does not wait on
SELECT meridian.begin_apply();
INSERT INTO meridian.tombstone (table_id, key_hash, key, floor, stamp, actor, seen, settled)
  SELECT r.id, p.key_hash, '{11}', 0, 20 << 16, 65538, '{entries:[2/1@0.1 last 10.0]}', true
    FROM meridian.replicated_table r, meridian.parked_image p WHERE r.rel = 'fitting'::regclass AND p.id = 11;
SELECT meridian.retry_parked(11);
SELECT count(*) FROM meridian.parked WHERE id = 11;

-- images of one row, of which one contains the other, become one
SELECT pg_temp.park(31, '{"id": "30", "v": "older", "extra": "older"}');
SELECT pg_temp.park(32, '{"id": "30", "v": "newer", "extra": "newer"}');
UPDATE meridian.parked_image SET image = image || '{"_meridian": "{entries:[2/1@0.1 last 11.0],groups:[0:2/1@0.1 last 11.0]}"}' WHERE id = 32;
SELECT meridian.retry_parked(32);
SELECT meridian.retry_parked(31);
SELECT id, key, images, image ->> 'v' AS v FROM meridian.parked_image WHERE id > 30;
ALTER TABLE fitting ADD extra text;
SELECT meridian.retry_parked(31);
SELECT id, v, extra FROM fitting WHERE id = 30;

-- given up
SELECT meridian.drop_parked(19);
SELECT pg_temp.error_of('SELECT meridian.drop_parked(19)');
SET ROLE pg_monitor;
SELECT pg_temp.error_of('SELECT meridian.drop_parked(20)');
RESET ROLE;
DROP TABLE fitting, unattached;
\set include :source '/sql/include/leave.psql'
\i :include
