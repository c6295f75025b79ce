-- The clock and the identity on one server that is not yet a member of a mesh.

-- stamps grow, and are not behind physical time
SELECT meridian.hlc_now() < meridian.hlc_now() AS grows;
WITH earlier AS MATERIALIZED (SELECT clock_timestamp() AS moment)
SELECT meridian.hlc_time(meridian.hlc_now()) >= date_trunc('milliseconds', moment) AS current FROM earlier;
SELECT count(DISTINCT meridian.hlc_now()) FROM generate_series(1, 100000);

-- the bound stays above the clock
SELECT now < bound AS bounded FROM meridian.clock_status();
SELECT bound AS shared_bound FROM meridian.clock_status() \gset
SELECT bound >= :shared_bound AS stored FROM meridian.clock;

-- the time in a stamp
SELECT meridian.hlc_time(0) AT TIME ZONE 'UTC' AS epoch,
       meridian.hlc_time((1704067200123 << 16) | 65535) AT TIME ZONE 'UTC' AS new_year;
SELECT meridian.hlc_time(NULL) IS NULL AS strict;
SELECT meridian.hlc_time(9223372036854775807) > 'now' AS last;
SELECT meridian.hlc_time(-1);

-- advance_clock moves forward only, and not beyond the skew
SELECT meridian.advance_clock(1) > 1 AS stays;
WITH target(stamp) AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 1000 << 16)
SELECT meridian.advance_clock(stamp) >= stamp AND meridian.hlc_now() > stamp AS moved FROM target;
SELECT meridian.advance_clock(((extract(epoch FROM clock_timestamp()) * 1000)::bigint + 60000) << 16);
SELECT meridian.advance_clock(9223372036854775807);
SELECT meridian.advance_clock(-1);
SELECT meridian.advance_clock(NULL) IS NULL AS strict;

-- a tick is outside the transaction: rollback does not take it back
BEGIN;
SELECT meridian.hlc_now() AS rolled_back \gset
ROLLBACK;
SELECT meridian.hlc_now() > :rolled_back AS grows;
BEGIN READ ONLY;
SELECT meridian.hlc_now() > :rolled_back AS grows;
COMMIT;

-- nobody stamps who is not a member
SELECT mesh, member, epoch, confirmed, reason FROM meridian.identity;
SELECT meridian.next_id();
\echo :LAST_ERROR_SQLSTATE
SELECT meridian.confirm_identity();
\echo :LAST_ERROR_SQLSTATE

-- a member by hand: the identity counts within the transaction that makes it, and is gone when that is rolled back
BEGIN;
INSERT INTO meridian.local_member (mesh, member, epoch, server, system_id, timeline)
  SELECT '00000000-0000-0000-0000-000000000001', 7, 1, current_setting('meridian.node'), system_identifier, timeline_id
  FROM pg_control_system(), pg_control_checkpoint();
SELECT member, epoch, confirmed, reason FROM meridian.identity;
SELECT id > 0 AS positive, id & 1023 AS member, (id >> 10) & 3 AS epoch,
       abs(extract(epoch FROM clock_timestamp()) * 1000 - ((id >> 22) + 1704067200000)) < 60000 AS current
  FROM meridian.next_id() AS id;
WITH ids AS (SELECT n, meridian.next_id() AS id FROM generate_series(1, 10000) AS n)
SELECT count(DISTINCT id), bool_and(id > previous) AS grow
  FROM (SELECT id, lag(id, 1, 0::bigint) OVER (ORDER BY n) AS previous FROM ids) AS pairs;
SAVEPOINT before_confirm;
SELECT meridian.confirm_identity();
SELECT epoch, confirmed FROM meridian.identity;
SELECT (meridian.next_id() >> 10) & 3 AS epoch;
ROLLBACK TO before_confirm;
SELECT (meridian.next_id() >> 10) & 3 AS epoch;

-- the rules: another name is a copy, a new timeline a promotion
UPDATE meridian.local_member SET server = 'somebody else';
SELECT confirmed, reason FROM meridian.identity;
SAVEPOINT refused;
SELECT meridian.next_id();
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO refused;
UPDATE meridian.local_member SET timeline = 0;
SELECT confirmed, reason FROM meridian.identity;
SELECT meridian.next_id();
ROLLBACK TO refused;
SELECT meridian.confirm_identity();
SELECT confirmed, reason FROM meridian.identity;
UPDATE meridian.local_member SET epoch = 65535;
SELECT meridian.confirm_identity();
ROLLBACK TO refused;
UPDATE meridian.local_member SET member = 1024, server = current_setting('meridian.node');
SELECT meridian.next_id();
ROLLBACK TO refused;
PREPARE TRANSACTION 'identity';
SELECT member, confirmed, reason FROM meridian.identity;
SELECT meridian.next_id();

-- privileges
CREATE ROLE regress_meridian_user;
SET ROLE regress_meridian_user;
SELECT confirmed FROM meridian.identity;
SELECT count(*) > 0 AS visible FROM meridian.keeper_status();
SELECT meridian.hlc_time(0) IS NOT NULL AS visible;
SELECT now > 0 AS visible FROM meridian.clock_status();
SELECT meridian.hlc_now();
SELECT meridian.advance_clock(1);
SELECT meridian.confirm_identity();
SELECT * FROM meridian.clock;
SELECT * FROM meridian.local_member;
RESET ROLE;
GRANT meridian_admin TO regress_meridian_user;
SET ROLE regress_meridian_user;
SELECT meridian.hlc_now() > 0 AS admin;
SELECT meridian.confirm_identity();
RESET ROLE;
DROP ROLE regress_meridian_user;

-- the keeper's tasks; it starts within seconds of the creation of its database
DO $$
BEGIN
  WHILE (SELECT bool_or(runs = 0) FROM meridian.keeper_status()) LOOP
    IF clock_timestamp() > now() + interval '3 min' THEN RAISE 'the keeper does not run'; END IF;
    PERFORM pg_sleep(0.01);
  END LOOP;
END
$$;
SELECT task, pid IS NOT NULL AS running, sqlstate FROM meridian.keeper_status()
 WHERE task IN ('clock', 'identity') ORDER BY task;
