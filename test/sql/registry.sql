-- Registering servers: what is refused, and what is written down. What the prober makes of them is tried with real servers.
\getenv source PG_ABS_SRCDIR
\set include :source '/sql/include/error_of.psql'
\i :include
-- connection strings
SELECT pg_temp.error_of(format('SELECT meridian.check_server_dsn(%L, %s)', dsn, trusted))
  FROM (VALUES ('host=db1 port=5433 dbname=app user=prober password=x', 'false'), ('postgresql://prober@db1/app', 'false'),
               ('host=db1 passfile=/etc/shadow', 'false'), ('host=db1 passfile=/etc/shadow', 'true'), ('host=db1 options=-crole=x', 'true'),
               ('host=/tmp', 'false'), ('host=/tmp', 'true'), ('dbname=app', 'true'), ('host=db1 replication=1', 'true'), ('what is this', 'true'),
               ('host=db1 password=hunter2 nonsense', 'true')) v(dsn, trusted);
-- outside a mesh
SELECT pg_temp.error_of($$SELECT meridian.add_standby('s1', 'host=db1')$$);
SELECT pg_temp.error_of($$SELECT meridian.drain_node('s1')$$);

\set include :source '/sql/include/member.psql'
\i :include
UPDATE meridian.member SET dsn = 'host=/nowhere port=2 dbname=x password=hunter2' WHERE id = 2;
SELECT pg_temp.error_of(call)
  FROM (VALUES ($$SELECT meridian.add_standby('', 'host=db1')$$), ($$SELECT meridian.add_standby(repeat('x', 64), 'host=db1')$$),
               ($$SELECT meridian.add_standby('s1', NULL)$$), ($$SELECT meridian.add_standby('s1', 'host=db1', weight => 1001)$$),
               ($$SELECT meridian.add_standby('s1', 'host=db1', weight => -1)$$), ($$SELECT meridian.add_standby('s1', 'port=1')$$),
               ($$SELECT meridian.add_standby('peer', 'host=db1')$$), ($$SELECT meridian.add_standby('s1', 'host=db1', region => '')$$),
               ($$SELECT meridian.set_node('nobody', weight => 1)$$), ($$SELECT meridian.set_node('peer', region => 'x')$$),
               ($$SELECT meridian.set_node('local', dsn => 'host=x')$$), ($$SELECT meridian.undrain_node('nobody')$$)) v(call);
SELECT meridian.add_standby('s1', 'host=/nowhere port=3 dbname=x password=hunter2', weight => 3);
SELECT meridian.add_standby('it''s "s2"', 'host=/nowhere port=4 dbname=x', 'far', upstream => 's1');
SELECT meridian.drain_node('s1'), meridian.set_node('local', weight => 7);
SELECT name, region, weight, drained, upstream, trusted FROM meridian.server ORDER BY name;
-- again: what is not given stays
SELECT meridian.register_standby('s1', 'near', 'host=/nowhere port=5 dbname=x', 'local');
SELECT name, region, weight, drained, upstream, substring(dsn FROM 'port=\d+') FROM meridian.server WHERE name = 's1';
-- a copy of what another member has written down; never of this one's own
SELECT meridian.put_servers(2, '{o1}', '{NULL}', '{host=/nowhere port=6 dbname=x}', '{1}', '{f}', '{NULL}', '{t}');
SELECT meridian.put_servers(1, '{evil}', '{NULL}', '{host=evil}', '{1}', '{f}', '{NULL}', '{t}');
SELECT pg_temp.error_of($$SELECT meridian.add_standby('o1', 'host=db1')$$);
SELECT member, name FROM meridian.server ORDER BY member, name;
SELECT meridian.servers_digest(2) = meridian.servers_digest(2) AS same, meridian.servers_digest(1) <> meridian.servers_digest(2) AS differ, meridian.servers_digest(3);
SELECT name, region, is_primary, weight, drained FROM meridian.probe_targets();
-- the other member is away, so a change of its servers cannot be carried there
SELECT pg_temp.error_of($$SELECT meridian.drain_node('o1')$$);
SELECT meridian.drop_node('s1');
SELECT count(*) FROM meridian.server WHERE name = 's1';
-- rights
CREATE ROLE reader;
SET ROLE reader;
SELECT pg_temp.error_of(call)
  FROM (VALUES ('SELECT * FROM meridian.server'), ('SELECT meridian.own_servers()'), ('SELECT meridian.probe_targets()'), ('SELECT meridian.probed_reports()'),
               ($$SELECT meridian.add_standby('s1', 'host=db1')$$), ($$SELECT meridian.drain_node('s1')$$), ($$SELECT meridian.set_node('s1')$$),
               ($$SELECT meridian.carry_change(1, '{}', 'x', '{}')$$), ($$SELECT meridian.drop_node('x')$$)) v(call);
RESET ROLE;
DROP ROLE reader;
-- bad arguments of routing
SELECT pg_temp.error_of(call)
  FROM (VALUES ($$SELECT meridian.route_read('')$$), ($$SELECT meridian.route_read(repeat('x', 65))$$), ($$SELECT meridian.route_read(E'a\nb')$$),
               ($$SELECT meridian.route_read(max_lag => '-1 s')$$), ($$SELECT meridian.conninfo('')$$), ($$SELECT meridian.conninfo('reads')$$),
               ($$SELECT meridian.conninfo('read:')$$), ($$SELECT meridian.conninfo('write:nowhere:x')$$)) v(call);
\set include :source '/sql/include/leave.psql'
\i :include
SELECT count(*) FROM meridian.server;
