-- Streams: names, options, positions and rights. What they send is in test/t/090_cdc_events.pl and 091_cdc_streams.pl.
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE TABLE stream_item (id integer PRIMARY KEY, v text);

-- Names and tables.
SELECT meridian.create_stream('With Space', NULL);
SELECT meridian.create_stream(NULL, NULL);
SELECT meridian.create_stream('s', ARRAY['no_such_table']);
SELECT meridian.stream_tables(ARRAY['public.stream_item', 'public.*']);
SELECT meridian.read_changes('s', 1);
SELECT meridian.ack_changes('s', '0/1,0/1,0');
SELECT meridian.drop_stream('s');

-- Options.
SELECT meridian.create_stream('s', NULL, '[]');
SELECT meridian.create_stream('s', NULL, '{"tables": "public.stream_item"}');
SELECT meridian.create_stream('s', NULL, '{"decimal_modus": "string"}');
SELECT meridian.create_stream('s', NULL, '{"decimal_mode": "exact"}');
SELECT meridian.create_stream('s', NULL, '{"tombstones": 7}');
SELECT meridian.create_stream('s', NULL, '{"after": "0/1,0/1,0"}');
SELECT meridian.create_stream('s', NULL, '{"row_filter": "a.b: c ~ 1"}');
SELECT meridian.create_stream('s', NULL, '{"mask_columns": "stream_item.v"}');
SELECT meridian.create_stream('s', NULL, '{"hash_columns": "*.*.v"}');
SELECT meridian.stream_arguments(ARRAY['a.b', 'c.*'], '{"tombstones": false, "envelope": "flat"}');

-- Not in a transaction that has written.
BEGIN;
INSERT INTO stream_item VALUES (0, '');
SELECT meridian.create_stream('s', NULL);
ROLLBACK;

SELECT meridian.create_stream('s', ARRAY['public.stream_item'], '{"hash_columns": "public.stream_item.v", "hash_salt": "secret"}') IS NOT NULL AS created;
SELECT meridian.create_stream('s', NULL);
INSERT INTO stream_item VALUES (1, 'x');
SELECT topic, key, value->'after' AS after, value->>'op' AS op FROM meridian.read_changes('s', 10);
SELECT name, slot, tables, options, state, acked_lsn IS NULL AS unread FROM meridian.streams;

-- Positions.
SELECT meridian.read_changes('s', 0);
SELECT meridian.ack_changes('s', 'nonsense');
SELECT meridian.ack_changes('s', '0/1');
SELECT meridian.ack_changes('s', NULL);
SELECT meridian.ack_changes('s', 'FFFFFFFF/0,0/1,0');
SELECT * FROM meridian.position_parts('0/20,0/10,3,0/28');
SELECT * FROM meridian.event_parts(E'E 0/20,0/10,3 0/28 1 2 3 -1\nt{}{1}');
SELECT * FROM meridian.event_parts('I 0/20');
SELECT meridian.ack_changes('s', position) FROM meridian.read_changes('s', 10);
SELECT count(*) FROM meridian.read_changes('s', 10);

-- Rights.
CREATE ROLE stream_nobody;
GRANT meridian_admin TO stream_nobody;
SET ROLE stream_nobody;
SELECT count(*) FROM meridian.read_changes('s', 10);
SELECT name FROM meridian.streams;
SELECT options FROM meridian.stream;
RESET ROLE;
REVOKE meridian_admin FROM stream_nobody;
SET ROLE stream_nobody;
SELECT meridian.read_changes('s', 10);
SELECT meridian.create_stream('t', NULL);
RESET ROLE;
DROP ROLE stream_nobody;

SELECT meridian.drop_stream('s');
SELECT count(*) FROM pg_replication_slots WHERE plugin = 'meridian_cdc' AND database = current_database();
DROP TABLE stream_item;
