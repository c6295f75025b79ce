-- What check_config() says on a server that is in no mesh, whatever its settings are.

-- one line per setting; output_plugin_libraries only where the server knows it
SELECT setting FROM meridian.check_config()
 WHERE setting NOT IN ('output_plugin_libraries', 'max_active_replication_origins') ORDER BY setting COLLATE "C";
SELECT count(*) FILTER (WHERE c.setting IS NOT NULL) = count(s.name) AS as_the_server_knows
  FROM (SELECT name FROM pg_settings WHERE name IN ('output_plugin_libraries', 'max_active_replication_origins')) s
  LEFT JOIN meridian.check_config() c ON c.setting = s.name;

-- values are the server's
SELECT bool_and(value = current_setting(setting)) AS live FROM meridian.check_config();
SELECT bool_and(required <> '') AS told, bool_and(ok IS NOT NULL) AS decided, bool_and(ok = (fix IS NULL)) AS fix_if_wrong
  FROM meridian.check_config();

-- what a larger mesh needs, in which this node reads through two streams, and the line that gives it
SELECT setting, required, ok, fix FROM meridian.setting_items(5000, 4999, 9998)
 WHERE setting IN ('max_replication_slots', 'max_wal_senders', 'max_logical_replication_workers', 'max_worker_processes')
 ORDER BY setting;
SELECT setting, mandatory FROM meridian.setting_items(2, 1, 1) WHERE NOT mandatory ORDER BY setting;

-- for administrators: some settings are not for every user to see
CREATE ROLE meridian_test_asker;
SET ROLE meridian_test_asker;
SELECT * FROM meridian.check_config();
RESET ROLE;
GRANT meridian_admin TO meridian_test_asker;
SET ROLE meridian_test_asker;
SELECT count(*) > 8 AS answers FROM meridian.check_config();
RESET ROLE;
DROP ROLE meridian_test_asker;
