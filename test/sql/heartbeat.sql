-- What arrives of other members' positions, and how tokens are judged by it.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include
\set include :source '/sql/include/member.psql'
\i :include
SELECT pg_temp.error_of('SELECT meridian.fold_heartbeat()');
CREATE FUNCTION verdicts(VARIADIC tokens text[]) RETURNS TABLE (token text, verdict text) LANGUAGE sql AS $$
  SELECT t, meridian.check_token(t) FROM unnest(tokens) WITH ORDINALITY u(t, n) ORDER BY n $$;
CREATE FUNCTION arrives(member integer, system_id text, timeline integer, lsn pg_lsn, ancestors integer[], ends pg_lsn[]) RETURNS void
  LANGUAGE sql AS $$
  INSERT INTO meridian.heartbeat (member, system_id, timeline, lsn, ancestors, ends, peers, published_at)
    VALUES ($1, $2, $3, $4, $5, $6, '{1,2}', '2026-01-01 12:00+00') $$;

SELECT * FROM verdicts('m1.4d-1-100');
SET session_replication_role = replica;
SELECT meridian.begin_apply();
SELECT arrives(2, '77', 1, '0/100', '{}', '{}');
SELECT * FROM verdicts('m1.4d-1-100', 'm1.4d-1-101', 'm1.4d-2-1', 'm1.4e-1-1');
SELECT arrives(2, '77', 1, '0/200', '{}', '{}');
SELECT * FROM verdicts('m1.4d-1-101', 'm1.4d-1-200', 'm1.4d-1-201', 'm1.1-1-1.4d-1-201');
-- it was promoted, and had lost what it wrote after 0/180; what had come here before stays readable here
SELECT arrives(2, '77', 2, '0/300', '{1}', '{0/180}');
\set apply 'SET session_replication_role = replica; SELECT meridian.begin_apply();'
\c -
SELECT * FROM verdicts('m1.4d-1-180', 'm1.4d-1-200', 'm1.4d-1-201', 'm1.4d-2-300', 'm1.4d-2-301', 'm1.4d-1-201.4d-2-300', 'm1.4d-3-1');
:apply
-- it tells again, and is promoted again
SELECT arrives(2, '77', 2, '0/310', '{1}', '{0/180}');
SELECT arrives(2, '77', 4, '0/320', '{1,2}', '{0/180,0/305}');
SELECT member, timeline, ancestors, ends FROM meridian.heartbeat WHERE member = 2;
-- a history that is not known loses nothing
SELECT arrives(2, '77', 5, '0/400', '{}', '{}');
-- what this session has found readable stays so
SELECT * FROM verdicts('m1.4d-2-300', 'm1.4d-2-301');
\c -
SELECT * FROM verdicts('m1.4d-2-1', 'm1.4d-5-400');
:apply
-- another system under its name
SELECT arrives(2, '78', 1, '0/50', '{}', '{}');
SELECT * FROM verdicts('m1.4d-3-1', 'm1.4e-1-50', 'm1.4e-1-51');
-- the largest identifier
SELECT arrives(3, '18446744073709551615', 1, 'FFFFFFFF/FFFFFFFF', '{}', '{}');
SELECT * FROM verdicts('m1.ffffffffffffffff-1-ffffffffffffffff');
-- of ourselves nothing arrives
SELECT arrives(1, '99', 1, '0/50', '{}', '{}');
SELECT member, system_id, timeline, lsn, ancestors, ends, received_at IS NOT NULL AS received FROM meridian.heartbeat WHERE member > 1 ORDER BY member;
SELECT * FROM verdicts('m1.63-1-1');
DROP FUNCTION verdicts, arrives;
\set include :source '/sql/include/leave.psql'
\i :include
