-- find_orphans: rows whose foreign key has no parent any more.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include
\set include :source '/sql/include/member.psql'
\i :include
CREATE TABLE parent (id integer, "Odd name" text, v text, PRIMARY KEY (id, "Odd name"), UNIQUE (v));
CREATE TABLE child (a integer, b text, ref integer, "Ref" text, v text, PRIMARY KEY (a, b),
  FOREIGN KEY (ref, "Ref") REFERENCES parent (id, "Odd name"), CONSTRAINT by_v FOREIGN KEY (v) REFERENCES parent (v));
CREATE TABLE no_key (ref integer, "Ref" text, FOREIGN KEY (ref, "Ref") REFERENCES parent);
CREATE TABLE elsewhere (id integer PRIMARY KEY, up integer REFERENCES elsewhere);
CREATE TABLE part (id bigint PRIMARY KEY, ref integer, "Ref" text, FOREIGN KEY (ref, "Ref") REFERENCES parent) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part DEFAULT;
SELECT pg_temp.attach('parent'), pg_temp.attach('child'), pg_temp.attach('part');

INSERT INTO parent VALUES (1, 'x', 'one'), (2, 'y', 'two');
INSERT INTO child VALUES (1, 'a', 1, 'x', 'two'), (2, 'b', 2, 'y', NULL), (3, 'c', 2, NULL, 'one'), (4, 'd', 2, 'y', 'two');
INSERT INTO no_key VALUES (2, 'y');
INSERT INTO part VALUES (7, 2, 'y'), (8, 1, 'x');
INSERT INTO elsewhere VALUES (1, NULL), (2, 1);
SELECT * FROM meridian.find_orphans();

-- As a merge does: a trigger of the constraint does not run.
SET session_replication_role = replica;
BEGIN;
SELECT meridian.begin_apply();
DELETE FROM parent WHERE id = 2;
DELETE FROM elsewhere WHERE id = 1;
COMMIT;
\c -
\set ECHO none
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include
SELECT * FROM meridian.find_orphans();
SELECT * FROM meridian.find_orphans('child');
-- of a table that is not replicated, only when asked for
SELECT * FROM meridian.find_orphans('elsewhere');
SELECT * FROM meridian.find_orphans('parent');

-- everybody may ask about what he may read
CREATE ROLE regress_meridian_user;
SET ROLE regress_meridian_user;
SELECT pg_temp.error_of('SELECT * FROM meridian.find_orphans()');
RESET ROLE;
GRANT SELECT ON parent, child TO regress_meridian_user;
ALTER TABLE parent ENABLE ROW LEVEL SECURITY;
SET ROLE regress_meridian_user;
-- parents that a policy hides are not missing
SELECT pg_temp.error_of($$SELECT * FROM meridian.find_orphans('child')$$);
RESET ROLE;
ALTER TABLE parent DISABLE ROW LEVEL SECURITY;
SET ROLE regress_meridian_user;
SELECT count(*) FROM meridian.find_orphans('child');
RESET ROLE;

DROP TABLE child, no_key, part, elsewhere, parent;
DROP OWNED BY regress_meridian_user;
DROP ROLE regress_meridian_user;
\set include :source '/sql/include/leave.psql'
\i :include
