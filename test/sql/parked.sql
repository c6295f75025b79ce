-- Images and tombstones from the future wait, and are applied when their time has come.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include
\set include :source '/sql/include/member.psql'
\i :include
\set include :source '/sql/include/deliver.psql'
\i :include
CREATE TABLE early (id bigint PRIMARY KEY, day date, span interval, v text, gone integer, bytes bytea);
ALTER TABLE early DROP COLUMN gone;
SELECT pg_temp.attach('early');
CREATE TABLE refusing (id bigint PRIMARY KEY, v text);
SELECT pg_temp.attach('refusing');
-- the DateStyle of the session that parks is not that of the one that applies
SET datestyle = 'SQL, DMY';
SET intervalstyle = sql_standard;
SET bytea_output = escape;
SET session_replication_role = replica;
SELECT meridian.begin_apply();
-- a second beyond the limit: due in about a second
CREATE FUNCTION pg_temp.future(ms integer) RETURNS bigint LANGUAGE sql AS $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint + setting::integer + ms FROM pg_settings WHERE name = 'meridian.max_clock_skew' $$;
CREATE FUNCTION pg_temp.state(ms bigint) RETURNS meridian.row_state LANGUAGE sql AS $$ SELECT format('{entries:[2/1@0.1 last %s.0],groups:[0:2/1@0.1 last %s.0]}', ms, ms)::meridian.row_state $$;
INSERT INTO early VALUES (1, '2020-02-01', '-1 year +2 days -03:04:05', E'tab\there, "quoted", \\slash', '\x00ff', pg_temp.state(pg_temp.future(1000)));
INSERT INTO early VALUES (2, '2020-02-01', NULL, '', NULL, pg_temp.state(pg_temp.future(1000)));
INSERT INTO early VALUES (3, NULL, NULL, 'much later', NULL, pg_temp.state(pg_temp.future(86400000)));
INSERT INTO early VALUES (4, NULL, NULL, 'at once', NULL, pg_temp.state(pg_temp.future(-3000)));
INSERT INTO refusing VALUES (1, 'refused', pg_temp.state(pg_temp.future(1000)));
INSERT INTO early VALUES (5, NULL, NULL, 'to be deleted', NULL, pg_temp.state(10));
INSERT INTO meridian.tombstone (table_id, key_hash, key, floor, stamp, actor, seen)
  SELECT id, 0, '{5}', 0, pg_temp.future(1000) << 16, pg_temp.actor(2), '{entries:[2/1@0.1 last 10.0]}' FROM meridian.replicated_table WHERE rel = 'early'::regclass;
SELECT rel::text, reason, attempts, detail ~ '^stamped .* more than meridian.max_clock_skew \(5000 ms\) after this server''s clock$' AS said FROM meridian.parked ORDER BY id;
SELECT id, v FROM early ORDER BY id;
-- the clock does not follow
SELECT meridian.hlc_time(meridian.hlc_now()) < clock_timestamp() + interval '5 s' AS stays;
ALTER TABLE refusing ADD CHECK (v <> 'refused');
\c -
-- one that the table refuses does not hold up the others
DO $$
BEGIN
  WHILE (SELECT count(*) > 2 OR min(attempts) FILTER (WHERE rel = 'refusing'::regclass) = 0 FROM meridian.parked) LOOP
    IF clock_timestamp() > now() + interval '3 min' THEN RAISE 'the keeper does not retry'; END IF;
    PERFORM pg_sleep(0.01);
    COMMIT;
  END LOOP;
END
$$;
SELECT rel::text, reason, attempts > 0 AS tried, CASE reason WHEN 'check' THEN detail END AS detail, retry_at > parked_at AS later FROM meridian.parked ORDER BY id;
SET datestyle = ISO;
SET intervalstyle = postgres_verbose;
SELECT id, day, span, v, bytes FROM early ORDER BY id;
SELECT count(*) FROM meridian.tombstone;
-- and is applied when the table takes it
ALTER TABLE refusing DROP CONSTRAINT refusing_v_check;
UPDATE meridian.parked_image SET retry_at = now() WHERE rel = 'refusing'::regclass;
DO $$
BEGIN
  WHILE EXISTS (SELECT FROM meridian.parked WHERE rel = 'refusing'::regclass) LOOP
    IF clock_timestamp() > now() + interval '3 min' THEN RAISE 'the keeper does not retry'; END IF;
    PERFORM pg_sleep(0.01);
    COMMIT;
  END LOOP;
END
$$;
SELECT id, v FROM refusing;
SELECT count(*) AS failures FROM meridian.keeper_status() WHERE task = 'parked' AND sqlstate IS NOT NULL;
-- a table that is dropped takes its images along
DROP TABLE early, refusing;
UPDATE meridian.parked_image SET retry_at = now();
DO $$
BEGIN
  WHILE EXISTS (SELECT FROM meridian.parked) LOOP
    IF clock_timestamp() > now() + interval '3 min' THEN RAISE 'the keeper does not retry'; END IF;
    PERFORM pg_sleep(0.01);
    COMMIT;
  END LOOP;
END
$$;
\set include :source '/sql/include/leave.psql'
\i :include
