-- Which rules fit which table.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include

CREATE DOMAIN plain_amount AS numeric(12,2);
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE TABLE subject (
  id bigint, part text, name text, n2 smallint, n4 integer, n8 bigint, amount numeric, money_like plain_amount, small positive,
  checked integer CHECK (checked > 0), since date, flag boolean, tags json, at timestamptz, at_local timestamp,
  twice integer GENERATED ALWAYS AS (n4 * 2) STORED, gone text, "delete" text, "we=ird""" text, "row" text,
  PRIMARY KEY (id, part));
ALTER TABLE subject DROP COLUMN gone;

SELECT rules, meridian.canonical_rules('subject', rules) FROM (VALUES
  ('{}'::text[]), ('{delete=latest}'), ('{delete=birth}'), ('{name=lww}'), ('{n2=counter,n4=counter,n8=counter,amount=counter,money_like=counter}'),
  ('{name=group:a,since=group:a,flag=group:b}'), ('{n4=max,since=min,flag=or}'), ('{flag=and,delete=birth}'), ('{n4=counter,delete=birth}'),
  ('{row=lww(at)}'), ('{row=lww(at_local),delete=latest}'), ('{ids=keep,n4=counter}'), ('{n4=counter,ids=global}'), ('{ids=stepped}'),
  ('{"\"delete\"=lww"}'), ('{"\"we=ird\"\"\"=lww"}'), ('{"\"row\"=lww"}'), ('{"\"name\"=lww"}')) AS t(rules);

SELECT left(rules::text, 40) AS rules, left(pg_temp.error_of(format('SELECT meridian.canonical_rules(%L, %L)', 'subject', rules)), 160) AS error FROM (VALUES
  ('{name}'::text[]), ('{""}'), ('{=lww}'), ('{name=}'), ('{name=LWW}'), ('{name=newest}'), ('{name=counter}'), ('{tags=max}'), ('{name=or}'),
  ('{n4=and}'), ('{absent=lww}'), ('{gone=lww}'), ('{twice=lww}'), ('{twice=counter}'), ('{id=lww}'), ('{part=group:a}'), ('{checked=counter}'),
  ('{small=counter}'), ('{name=lww,name=lww}'), ('{name=group:}'), ('{"name=group:a=b"}'), ('{name=set}'), ('{tags=set}'), ('{name=bounded(0)}'), ('{name=merge:f}'),
  ('{delete=never}'), ('{delete=latest,name=lww}'), ('{delete=latest,delete=latest}'), ('{ids=random}'), ('{ids=keep,ids=keep}'),
  ('{row=lww(name)}'), ('{row=lww(absent)}'), ('{row=lww}'), ('{row=lww()}'), ('{row=lww(at),name=lww}'), ('{row=lww(at),delete=birth}'),
  ('{row=lww(at),row=lww(at)}'), ('{"\"name=lww"}'), ('{tableoid=lww}'), ('{ctid=lww}'), (ARRAY[repeat('n', 64) || '=lww']), ('{NULL}'),
  (ARRAY['name=' || repeat('x', 5000)]), (ARRAY(SELECT 'c' || n || '=lww' FROM generate_series(1, 1601) n))) AS t(rules);

-- a counter that only the whole row, or a type of its own, constrains
CREATE TABLE whole (id integer PRIMARY KEY, n integer);
ALTER TABLE whole ADD CHECK (whole IS NOT NULL);
SELECT pg_temp.error_of($$SELECT meridian.canonical_rules('whole', '{n=counter}')$$);
ALTER TABLE whole DROP CONSTRAINT whole_check, ADD CHECK (id > 0);
SELECT meridian.canonical_rules('whole', '{n=counter}');
-- the state column is nobody's to rule
ALTER TABLE whole ADD COLUMN _meridian meridian.row_state;
SELECT pg_temp.error_of($$SELECT meridian.canonical_rules('whole', '{_meridian=lww}')$$);

-- arguments
SELECT meridian.canonical_rules(NULL, '{}') IS NULL AS strict, meridian.canonical_rules('whole', NULL) IS NULL AS strict_too;
SELECT pg_temp.error_of($$SELECT meridian.canonical_rules('absent', '{}')$$);
SELECT pg_temp.error_of($$SELECT meridian.canonical_rules(0, '{}')$$);
SELECT pg_temp.error_of($$SELECT meridian.canonical_rules('whole', '{{n=counter},{id=lww}}')$$);
CREATE VIEW seen AS SELECT * FROM whole;
SELECT meridian.canonical_rules('seen', '{n=counter}');

DROP VIEW seen;
DROP TABLE subject, whole;
DROP DOMAIN plain_amount, positive;
