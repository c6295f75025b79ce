-- What the set-up functions refuse before anything is done. Servers that are in a mesh are in test/t/03?_*.pl.
\set VERBOSITY default

-- arguments
SELECT meridian.create_node('', 'r', 'dbname=x');
SELECT meridian.create_node(repeat('n', 64), 'r', 'dbname=x');
SELECT meridian.create_node('n', '', 'dbname=x');
SELECT meridian.create_node('n', repeat('é', 32), 'dbname=x');
SELECT meridian.create_node(NULL, 'r', 'dbname=x') IS NULL AS strict;
SELECT meridian.create_node('n', 'r', 'dbname');
SELECT meridian.create_node('n', 'r', 'password=secret=1 word');
SELECT meridian.create_node('n', 'r', 'dbname=x replication=database');
SELECT meridian.join('', 'r', 'dbname=x', 'dbname=y');
SELECT meridian.join('n', '', 'dbname=x', 'dbname=y');
SELECT meridian.join('n', 'r', 'nonsense', 'dbname=y');

-- a server that cannot be reached, and no password in what is said
SELECT meridian.create_node('n', 'r', 'host=/nonexistent port=1 dbname=x user=u password=canary');
SELECT meridian.join('n', 'r', 'host=/nonexistent port=1 dbname=x user=u password=canary', 'host=/nonexistent');

-- not a member
SELECT meridian.leave();
SELECT meridian.drop_node('other');
CREATE TABLE meridian_test_table (id bigint PRIMARY KEY);
SELECT meridian.replicate('meridian_test_table');
SELECT meridian.replicate('meridian_test_table', NULL, 'id=lww');
SELECT meridian.replicate('absent');
SELECT meridian.unreplicate('meridian_test_table');
SELECT meridian.wait_converged();
SELECT meridian.compare('meridian_test_table', 'other');
SELECT meridian.repair('meridian_test_table', 'other');
SELECT meridian.resend('other', now());
SELECT meridian.heal('other');
DROP TABLE meridian_test_table;

-- timeouts
SELECT meridian.wait_converged('-1s');
SELECT meridian.wait_converged('1 day 1 second');
SELECT meridian.wait_converged('1 month');
SELECT meridian.wait_converged('178000000 years');
SELECT meridian.wait_converged('soon');

-- a transaction that has written; one that has not is no obstacle
BEGIN;
CREATE TABLE meridian_test_open ();
SELECT meridian.create_node('n', 'r', 'host=/nonexistent port=1 dbname=x');
ROLLBACK;
BEGIN;
SELECT meridian.create_node('n', 'r', 'dbname');
ROLLBACK;

-- passwords are not shown
SELECT meridian.redact_dsn('host=h password=canary user=u');
SELECT meridian.redact_dsn('postgresql://u:canary@h:5433/d?sslpassword=canary&application_name=a%20b');
SELECT meridian.redact_dsn('password=''can ary'' user=''o\''brien'' dbname=''''');
SELECT meridian.redact_dsn('password=canary oops');

-- rights
CREATE ROLE meridian_test_user;
SET ROLE meridian_test_user;
SELECT meridian.create_node('n', 'r', 'dbname=x');
SELECT meridian.join('n', 'r', 'dbname=x', 'dbname=y');
SELECT meridian.leave();
SELECT meridian.drop_node('n');
SELECT meridian.replicate('pg_class');
SELECT meridian.unreplicate('pg_class');
SELECT meridian.wait_converged();
SELECT meridian.compare('pg_class', 'n');
SELECT meridian.repair('pg_class', 'n');
SELECT meridian.resend('n', now());
SELECT meridian.heal('n');
SELECT meridian.own_dsn();
SELECT * FROM meridian.member;
SELECT * FROM meridian.replicated_table;
SELECT count(*) FROM meridian.nodes;
SELECT count(*) FROM meridian.tables;
RESET ROLE;

-- an administrator who is no superuser does not borrow the rights of the server's account
GRANT meridian_admin TO meridian_test_user;
SET ROLE meridian_test_user;
SELECT meridian.create_node('n', 'r', 'host=/tmp dbname=x password=p');
SELECT meridian.create_node('n', 'r', 'dbname=x');
SELECT meridian.create_node('n', 'r', 'host=h dbname=x');
SELECT meridian.create_node('n', 'r', 'host=h dbname=x password=p passfile=/etc/passwd');
SELECT meridian.create_node('n', 'r', 'host=h dbname=x password=p service=s');
SELECT * FROM meridian.wait_converged();
RESET ROLE;
DROP ROLE meridian_test_user;

-- every function says what it is
SELECT p.proname FROM pg_proc p
 WHERE p.pronamespace = 'meridian'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL ORDER BY 1;
