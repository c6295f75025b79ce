-- Home regions on one server: where keys belong, and what is refused. How they move: test/t/075_home.pl.
\set VERBOSITY default
-- in no mesh
SELECT meridian.home_region('42');
SELECT * FROM meridian.route_write();
SELECT meridian.local_region();
SELECT meridian.add_region('us');
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/member.psql'
-- in one transaction, since workers may look at any time
BEGIN;
\i :include
DELETE FROM meridian.member;
INSERT INTO meridian.member (id, name, region, dsn, system_id) VALUES
  ((SELECT member FROM meridian.local_member), 'us1', 'us', 'host=us1 password=secret', '1'),
  (901, 'eu1', 'eu', 'host=eu1 port=5433 password=secret', '2'), (900, 'eu0', 'eu', 'host=eu0', '3'), (902, 'ap1', 'ap', 'host=ap1', '4');
COMMIT;
-- no region
SELECT meridian.home_region('42');
SELECT * FROM meridian.route_write('42');
SELECT * FROM meridian.route_write();
SELECT meridian.local_region();
SELECT meridian.home_region(NULL::text) IS NULL AS strict;

-- the same homes for ever
SELECT meridian.confirm_homes();
INSERT INTO meridian.home_map (epoch, rule, regions, weights) VALUES (1, 'hash', '{us,eu,ap}', '{1,2,5}');
SELECT array_agg(meridian.home_region(i::text) ORDER BY i), array_agg(meridian.home_region(i) ORDER BY i) = array_agg(meridian.home_region(i::text) ORDER BY i) AS same
  FROM generate_series(0, 11) i;
SELECT meridian.home_regions('{0,1,NULL,"(7,\"café\")",5,9}'), meridian.home_regions('{}');
SELECT meridian.home_region(ROW(7, 'café')) = meridian.home_region('(7,café)') AS composite,
       meridian.home_region('42'::varchar) = meridian.home_region(42) AS text_form,
       meridian.home_region('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid) = meridian.home_region('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11') AS uuid;
-- settings of the session change nothing
SET datestyle = 'German';
SET timezone = 'Asia/Tokyo';
SELECT meridian.home_region(timestamptz '2026-11-26 12:00+00') = meridian.home_region('2026-11-26 12:00:00+00') AS same, now()::text ~ 'JST' AS restored;
RESET datestyle;
RESET timezone;
SELECT * FROM meridian.route_write('0');
SELECT * FROM meridian.route_write('1');
SELECT * FROM meridian.route_write('9');
SELECT region, weight, position, rule, epoch, members, pinned_keys FROM meridian.home_regions;
-- a region that nobody serves
UPDATE meridian.home_map SET regions = '{us,nowhere}', weights = '{0,1}';
SELECT meridian.home_region('0');
SELECT * FROM meridian.route_write('0');
-- within the transaction that changes them nobody can say
BEGIN;
UPDATE meridian.home_map SET regions = '{us,eu}', weights = '{1,1}';
SELECT meridian.home_region('0');
ROLLBACK;
SELECT meridian.home_region('0');
-- all weights 0
UPDATE meridian.home_map SET regions = '{us}', weights = '{0}';
SELECT meridian.home_region('0');

-- modulo
UPDATE meridian.home_map SET rule = 'modulo', regions = '{us,eu}', weights = '{1,1}';
SELECT array_agg(meridian.home_region(i) ORDER BY i) FROM generate_series(-2, 3) i;
SELECT meridian.home_region('123456789012345678901234567890');
SELECT meridian.home_region('x');
SELECT reason FROM meridian.route_write('7');

-- the directory comes first
INSERT INTO meridian.home_pin (key, region, epoch) VALUES ('7', 'us', 5), ('x', 'eu', 6), (repeat('long', 50), 'us', 7), ('8', NULL, 8);
SELECT meridian.home_region('7'), meridian.home_region('x'), meridian.home_region(repeat('long', 50)), meridian.home_region('8');
SELECT region, reason FROM meridian.route_write('7');
SELECT region, pinned_keys FROM meridian.home_regions;
UPDATE meridian.home_map SET rule = 'hash';

-- the trigger
CREATE TABLE account (user_id bigint, note text, place text, PRIMARY KEY (user_id));
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, place text);
CREATE TABLE line (order_id bigint, n integer, PRIMARY KEY (order_id, n));
CREATE TRIGGER home BEFORE INSERT OR UPDATE OR DELETE ON account FOR EACH ROW EXECUTE FUNCTION meridian.enforce_home('user_id');
CREATE TRIGGER home BEFORE INSERT OR UPDATE OR DELETE ON orders FOR EACH ROW EXECUTE FUNCTION meridian.enforce_home('user_id', 'region_column=place');
CREATE TRIGGER home BEFORE INSERT OR UPDATE OR DELETE ON line FOR EACH ROW EXECUTE FUNCTION meridian.enforce_home('order_id', 'orders.user_id');
SELECT k, meridian.home_region(k) FROM generate_series(1, 8) k;
DELETE FROM meridian.home_pin WHERE key <> '7';
INSERT INTO meridian.home_pin (key, region, epoch) VALUES ('1', 'us', 11), ('2', 'eu', 12);
INSERT INTO account VALUES (1, 'here'), (7, 'here');
INSERT INTO account VALUES (2, 'elsewhere');
INSERT INTO account VALUES (NULL, 'nowhere');
UPDATE account SET note = 'changed' WHERE user_id = 1;
UPDATE account SET user_id = 2 WHERE user_id = 1;
SET session_replication_role = replica;
INSERT INTO account VALUES (2, 'brought by a worker');
RESET session_replication_role;
UPDATE account SET note = 'changed' WHERE user_id = 2;
DELETE FROM account WHERE user_id = 2;
-- it warns only
CREATE TABLE soft (user_id bigint);
CREATE TRIGGER home BEFORE INSERT OR UPDATE OR DELETE ON soft FOR EACH ROW EXECUTE FUNCTION meridian.enforce_home('user_id', 'mode=warn');
INSERT INTO soft VALUES (2);
-- a column names the region; a row can be given away
INSERT INTO orders VALUES (10, 30, 'eu');
INSERT INTO orders VALUES (10, 30, 'mars');
INSERT INTO orders VALUES (10, 30, 'us'), (11, 2, NULL);
INSERT INTO orders VALUES (10, 30, 'us'), (12, 7, 'eu');
UPDATE orders SET place = 'eu' WHERE id = 10;
UPDATE orders SET place = 'us' WHERE id = 10;
-- the key of the parent
INSERT INTO line VALUES (12, 1);
INSERT INTO line VALUES (99, 1);
SET session_replication_role = replica;
INSERT INTO orders VALUES (13, 2, NULL);
RESET session_replication_role;
INSERT INTO line VALUES (13, 1);
-- a key that moves has no home
INSERT INTO meridian.home_change (epoch, state, kind, key, region) VALUES (20, 'moving', 'pin', '7', 'eu');
UPDATE account SET note = 'fenced' WHERE user_id = 7;
UPDATE account SET note = 'not fenced' WHERE user_id = 1;
SELECT region, reason FROM meridian.route_write('7');
UPDATE meridian.home_change SET state = 'aborted' WHERE epoch = 20;
UPDATE account SET note = 'open again' WHERE user_id = 7;
-- prepared transactions
BEGIN;
UPDATE account SET note = 'prepared' WHERE user_id = 7;
PREPARE TRANSACTION 'home';
-- wrong uses
CREATE TABLE misused (user_id bigint);
CREATE TRIGGER home BEFORE INSERT ON misused FOR EACH ROW EXECUTE FUNCTION meridian.enforce_home();
INSERT INTO misused VALUES (1);
CREATE OR REPLACE TRIGGER home BEFORE INSERT ON misused FOR EACH ROW EXECUTE FUNCTION meridian.enforce_home('nothing');
INSERT INTO misused VALUES (1);
CREATE OR REPLACE TRIGGER home BEFORE INSERT ON misused FOR EACH ROW EXECUTE FUNCTION meridian.enforce_home('user_id', 'mode=loud');
INSERT INTO misused VALUES (1);
CREATE OR REPLACE TRIGGER home BEFORE INSERT ON misused FOR EACH ROW EXECUTE FUNCTION meridian.enforce_home('user_id', 'line.n');
INSERT INTO misused VALUES (1);
CREATE OR REPLACE TRIGGER home AFTER INSERT ON misused FOR EACH ROW EXECUTE FUNCTION meridian.enforce_home('user_id');
INSERT INTO misused VALUES (1);

-- the states of a change
SELECT meridian.next_home_state('unknown', 'prepare'), meridian.next_home_state('moving', 'commit'), meridian.next_home_state('unknown', 'abort');
SELECT meridian.next_home_state('aborted', 'commit');
SELECT meridian.next_home_state('lost', 'commit');
SELECT meridian.decide_home_change('{moving,done}', false), meridian.decide_home_change('{moving}', true), meridian.decide_home_change('{moving}', false),
       meridian.decide_home_change('{done}', true);
-- bad arguments
SELECT meridian.add_region('');
SELECT meridian.add_region('x', 1001);
SELECT meridian.set_region('x', -1);
SELECT meridian.pin_home(repeat('k', 1001), 'us');
SELECT has_function_privilege('public', 'meridian.rehome(text, text)', 'EXECUTE'), has_function_privilege('public', 'meridian.home_region(text)', 'EXECUTE');
DROP TABLE account, orders, line, soft, misused;
DELETE FROM meridian.home_change;
DELETE FROM meridian.home_pin;
DELETE FROM meridian.home_map;
\set include :source '/sql/include/leave.psql'
\i :include
