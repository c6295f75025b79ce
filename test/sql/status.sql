-- Status: what a server reports of itself, and how the reports of several are put together.

-- the report of this server: one object, small, without connection strings
SELECT jsonb_typeof(r) AS type, octet_length(r::text) < 65536 AS bounded, r ->> 'role' AS role, r ->> 'server' AS server, r ->> 'region' AS region
  FROM meridian.status_report() r;
SELECT k FROM jsonb_object_keys(meridian.status_report()) k ORDER BY k COLLATE "C";
SELECT r ->> 'server' AS server, r ->> 'sample_age' AS age FROM jsonb_array_elements(meridian.known_reports()) r;

-- no server is alarmed about itself (its keeper may still be waiting for this database)
SELECT * FROM meridian.local_alarms WHERE alarm <> 'keeper does not run';
SELECT drawing FROM meridian.topology WHERE node = 'local';
SELECT count(*) AS links FROM meridian.replication_status;
SELECT count(*) AS lags FROM meridian.lag;

-- Two regions: us with an asynchronous standby that has a cascading one below it, eu with a synchronous one; eu was asked a
-- minute ago, leaf cannot be asked at all, and eu's subscription fails.
CREATE TEMP TABLE reports AS SELECT '[
  {"server": "us", "sample_age": 0, "report": {"server": "us", "node": "us", "role": "primary", "member": 1, "system_id": "10", "region": "us", "timeline": 1, "receiver": null,
   "senders": [{"name": "us-2", "kind": "physical", "state": "streaming", "slot": "us_2", "sync_state": "async", "sync_priority": 0, "sent_bytes": 0, "replay_bytes": 5000,
                "replay_us": 1500, "retained_bytes": 16000},
               {"name": "gone", "kind": "physical", "state": "disconnected", "slot": "gone", "retained_bytes": 1000000},
               {"name": "meridian_1", "kind": "logical", "state": "streaming", "slot": "meridian_2", "member": 2, "peer": "eu", "stream": 1, "sync_state": "async", "replay_bytes": 70}],
   "subscriptions": [{"name": "meridian_2", "member": 2, "peer": "eu", "stream": 1, "enabled": true, "alive": true, "errors": 0, "message_age_us": 250000}],
   "lags": [{"name": "us-2", "connected": true, "waiting_us": 0, "recent_p95_us": [null, 900], "spans": {"1 min": [10, 1000, 2000, 2500, 3000], "15 min": [0, null, null, null, null]}},
            {"member": 2, "peer": "eu", "connected": false, "waiting_us": 7000000, "recent_p95_us": [], "spans": {"1 min": [3, 5, 6, 7, 8]}}],
   "slots": [], "alarms": []}},
  {"server": "us-2", "sample_age": 0.5, "report": {"server": "us-2", "role": "standby", "member": 1, "system_id": "10", "region": "us", "timeline": 1,
   "receiver": {"name": "us-2", "slot": "us_2", "alive": true, "host": "10.0.0.1", "port": 5432, "paused": true, "message_age_us": 1000000},
   "senders": [{"name": "leaf", "kind": "physical", "state": "catchup", "replay_bytes": 9}], "subscriptions": [], "lags": [], "slots": [],
   "alarms": [{"alarm": "replay paused", "severity": "warning", "age_us": 1000000, "subject": "us-2", "detail": "d", "remedy": "r"}]}},
  {"server": "eu", "sample_age": 60, "report": {"server": "eu", "node": "eu", "role": "primary", "member": 2, "system_id": "20", "region": "eu", "timeline": 3, "receiver": null,
   "senders": [{"name": "eu-2", "kind": "physical", "state": "streaming", "sync_state": "quorum", "sync_priority": 1, "replay_bytes": 0}],
   "subscriptions": [{"name": "meridian_1", "member": 1, "peer": "us", "stream": 1, "enabled": true, "alive": false, "errors": 12, "failures": 4, "error": "no"}],
   "lags": [], "slots": [], "alarms": []}},
  {"server": "eu-2", "sample_age": 1, "report": {"server": "eu-2", "role": "standby", "member": 2, "system_id": "20", "region": "eu", "timeline": 3,
   "receiver": {"name": "eu-2", "alive": false}, "senders": [], "subscriptions": [], "lags": [], "slots": [], "alarms": []}},
  {"server": "lost", "sample_age": 1, "report": {"server": "lost", "role": "standby", "member": 1, "system_id": "10", "region": "us", "timeline": 1,
   "receiver": {"name": "lost", "alive": false, "slot": "gone"}, "senders": [], "subscriptions": [], "lags": [], "slots": [], "alarms": []}}
]'::jsonb AS reports, '[
  {"server": "us", "member": 1, "role": "primary", "state": "up", "timeline": 1, "system_id": "10"},
  {"server": "eu", "member": 2, "role": "primary", "state": "suspect", "timeline": 3, "system_id": "20"},
  {"server": "leaf", "member": 1, "role": "standby", "region": "us", "upstream": "us-2", "state": "down", "since": "2026-01-01 00:00+00", "error": "connection refused", "system_id": "10"}
]'::jsonb AS servers;

SELECT l.upstream, l.downstream, l.kind, l.state, l.sync_state, l.replay_bytes, l.replay_lag, l.paused, l.receiver_alive, l.slot, l.timeline, l.stream, l.errors, l.error, l.sample_age
  FROM reports, meridian.assemble_links(reports, servers) l;
SELECT t.node, t.depth, t.upstream, t.link, t.role, t.region, t.state, t.timeline, t.peers, t.sample_age FROM reports, meridian.assemble_topology(reports, servers) t;
SELECT t.drawing FROM reports, meridian.assemble_topology(reports, servers) t;
SELECT l.* FROM reports, meridian.assemble_lags(reports) l;

-- what only a comparison shows: a server that is down, two that claim one system, and clocks
SELECT a.alarm, a.severity, a.subject, a.detail FROM reports, meridian.assemble_alarms(reports, servers) a ORDER BY 1;
SELECT a.* FROM meridian.assemble_alarms('[]', '[
  {"server": "old", "role": "primary", "state": "up", "timeline": 1, "system_id": "10"}, {"server": "new", "role": "primary", "state": "up", "timeline": 2, "system_id": "10"},
  {"server": "other", "role": "primary", "state": "up", "timeline": 1, "system_id": "20"}, {"server": "late", "role": "standby", "state": "diverged", "timeline": 1, "system_id": "10"},
  {"server": "dead", "role": "primary", "state": "down", "timeline": 1, "system_id": "20"}]') a ORDER BY 1;
SELECT a.alarm, a.severity, a.subject, a.detail ~ '^the clock of server \w+ is \d+\.\d s (ahead|behind)$' AS told, a.detail ~ 'ahead' AS ahead
  FROM (SELECT jsonb_agg(jsonb_build_object('server', c.name, 'sample_age', c.age, 'report', jsonb_build_object('now', now() + c.skew))) AS reports
          FROM (VALUES ('right', 0, interval '0'), ('asked long ago', 100, '-100 s'), ('fast', 0, '4 s'), ('slow', 0, '-1 h'), ('faster', 10, '50 s')) AS c(name, age, skew)) r,
       meridian.assemble_alarms(r.reports, '[]') a ORDER BY 3;

-- reports of strangers are data: empty, incomplete, or in a circle
SELECT count(*) FROM meridian.assemble_links('[]', '[]');
SELECT count(*) FROM meridian.assemble_topology('[]', '[]');
SELECT drawing FROM meridian.assemble_topology('[{"server": "a", "sample_age": 1, "report": {}}]', '[]');
SELECT drawing FROM meridian.assemble_topology('[]', '[{"server": "a", "role": "standby", "upstream": "b"}, {"server": "b", "role": "standby", "upstream": "a"}, {"server": "c", "role": "standby", "upstream": "c"}]');

-- checks by purpose: each line says what is wanted, and how to get it
SELECT p AS purpose, count(*) > 3 AS items, bool_and(c.required <> '') AS told, bool_and(c.ok IS NOT NULL) AS decided, bool_and(c.ok = (c.fix IS NULL)) AS fix_if_wrong
  FROM unnest(ARRAY['primary', 'standby', 'sync', 'mesh', 'cdc']) p CROSS JOIN LATERAL meridian.check_config(p) c GROUP BY p ORDER BY p COLLATE "C";
SELECT setting, value, ok FROM meridian.check_config('standby') WHERE setting IN ('this server', 'primary_conninfo', 'primary_slot_name') ORDER BY setting;
SELECT setting, ok, fix FROM meridian.check_config('sync') WHERE setting IN ('synchronous_standby_names', 'connected standbys') ORDER BY setting;
\set SHOW_CONTEXT never
SELECT * FROM meridian.check_config('breakfast');

-- set-up help
SELECT step, command FROM meridian.standby_setup('local-2') WHERE run_on <> 'new server' ORDER BY step;
SELECT regexp_replace(command, 'host=\S+ port=\d+', 'host=H port=P') AS command FROM meridian.standby_setup('local 2; "$(x)') WHERE run_on = 'new server' ORDER BY step LIMIT 2;
SELECT * FROM meridian.standby_setup('local');
SELECT * FROM meridian.standby_setup('it''s');
SELECT * FROM meridian.standby_setup('');
SELECT meridian.shell_quote(w) FROM unnest(ARRAY['plain/word_1.2', '', 'two words', 'it''s', '$(rm)']) w;
SELECT * FROM meridian.synchronous_plan();
SELECT * FROM meridian.synchronous_plan(0);
SELECT * FROM meridian.synchronous_plan(1, 'SOME');
SELECT * FROM meridian.synchronous_plan(2, 'FIRST', apply => true);

-- metrics: one family after the other, each with its help
SELECT count(*) > 0 AS lines, bool_and(l ~ '^(# (HELP|TYPE) meridian_[a-z_]+ |meridian_[a-z_]+(\{([a-z_]+="([^"\\]|\\.)*",?)+\})? \S+$|$)') AS well_formed
  FROM regexp_split_to_table(meridian.metrics(), '\n') l;
SELECT count(*) = count(DISTINCT l) AS told_once FROM regexp_split_to_table(meridian.metrics(), '\n') l WHERE l LIKE '# TYPE%';
SELECT l FROM regexp_split_to_table(meridian.metrics(), '\n') l WHERE l ~ '^meridian_(server_is_primary|parked_rows) ';

-- who may see it
CREATE ROLE meridian_test_watcher;
SET ROLE meridian_test_watcher;
SELECT * FROM meridian.replication_status;
SELECT meridian.status_report();
SELECT meridian.metrics();
SELECT * FROM meridian.check_config('primary');
RESET ROLE;
GRANT pg_monitor TO meridian_test_watcher;
SET ROLE meridian_test_watcher;
SELECT meridian.status_report() IS NOT NULL AS report, meridian.metrics() <> '' AS metrics, (SELECT count(*) > 0 FROM meridian.topology) AS topology,
       (SELECT count(*) FROM meridian.alarms WHERE alarm <> 'keeper does not run') AS alarms, (SELECT count(*) >= 0 FROM meridian.slots) AS slots, (SELECT count(*) FROM meridian.lag) AS lags;
SELECT meridian.set_synchronous_names('');
RESET ROLE;
GRANT meridian_admin TO meridian_test_watcher;
SET ROLE meridian_test_watcher;
SELECT * FROM meridian.synchronous_plan(1, 'NONE', apply => true);
RESET ROLE;
DROP ROLE meridian_test_watcher;
