# The conflict history on a server of its own: the keeper makes and drops partitions, the cap comes from the configuration, partitions are
# neither dumped nor left behind, and tables beyond the first 1024 are counted together.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('alone', conf => "meridian.conflict_retention = '2d'\nmeridian.conflict_rate_limit = 5\n");

# --- the keeper ------------------------------------------------------------------------------------------------------------

# Everything is gone, and something old is there.
sql($node, q{
	SELECT meridian.expire_conflicts('infinity');
	SELECT meridian.prepare_conflicts(now() - interval '10 days', '1 day');
	INSERT INTO meridian.conflict_history OVERRIDING SYSTEM VALUE
	  SELECT -n, now() - n * interval '1 day' + interval '12 hours', 'pg_class', '{}', 'update_update', 'local', 'row=lww', NULL, NULL, 1, 1, 1, 1 FROM generate_series(1, 10) n});
is(sql($node, q{SELECT count(*) FROM meridian.conflict_history}), 10, 'entries of ten days');
$node->restart;
wait_until($node, q{SELECT runs > 0 FROM meridian.keeper_status() WHERE task = 'history'});
is(sql($node, q{SELECT failures FROM meridian.keeper_status() WHERE task = 'history'}), 0, 'the keeper has nothing to complain about');
is(sql($node, q{SELECT count(*) FROM meridian.conflict_history}), 2, 'old entries are gone, with their partition or out of the default one');
is(sql($node, q{SELECT count(*) FROM meridian.conflict_partitions() WHERE until < now() - interval '2 days'}), 0, 'and so are old partitions');
is(sql($node, q{SELECT count(*) >= 2 FROM meridian.conflict_partitions() WHERE until > now()}), 't', 'the next ones are there');

# --- the cap ---------------------------------------------------------------------------------------------------------------

sql($node, q{
	CREATE FUNCTION make_table(name text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
	  EXECUTE format('CREATE TABLE %I (id integer PRIMARY KEY, at timestamptz)', name);
	  EXECUTE format('CREATE TRIGGER "00_meridian_apply" BEFORE INSERT ON %I FOR EACH ROW EXECUTE FUNCTION meridian.lww(''at'')', name);
	  EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER "00_meridian_apply"', name);
	END $$});
is(sql($node, q{SHOW meridian.conflict_rate_limit}), 5, 'the cap of the configuration');

# --- many tables ------------------------------------------------------------------------------------------------------------

my $tables = 1030;
sql($node, qq{SELECT make_table('t' || n) FROM generate_series($_, $_ + 102) n}) foreach map { 1 + 103 * $_ } 0 .. 9;
sql($node, qq{
	SET session_replication_role = replica;
	SELECT meridian.begin_apply();
	DO \$\$
	BEGIN
	  FOR n IN 1 .. $tables LOOP
	    EXECUTE format('INSERT INTO %I VALUES (1, now()), (1, now() + interval ''1 day'')', 't' || n);
	    COMMIT;
	  END LOOP;
	END \$\$});
is(sql($node, q{SELECT count(*) FROM meridian.stat_tables WHERE rel IS NOT NULL}), 1024, 'so many tables have counters of their own');
is(sql($node, q{SELECT sum(applied) FROM meridian.stat_tables}), 2 * $tables, 'the others are counted all the same');
is(sql($node, q{SELECT applied FROM meridian.stat_tables WHERE rel IS NULL}), 2 * ($tables - 1024), 'together');
is(sql($node, q{SELECT count(*) FROM meridian.stat_tables WHERE merge_time <= 0}), 0, 'merges take time');
sql($node, q{SELECT meridian.reset_stat_tables()});
is(sql($node, q{SELECT sum(applied + merge_time) FROM meridian.stat_tables}), 0, 'and can be reset');

# --- dump and drop -----------------------------------------------------------------------------------------------------------

my ($dump) = run_command([ 'pg_dump', '--schema-only', $node->connstr('postgres') ]);
like($dump, qr/CREATE EXTENSION IF NOT EXISTS meridian/, 'the dump has the extension');
unlike($dump, qr/conflict_history_2/, 'and not the partitions');
sql($node, q{DROP FUNCTION make_table(text)});
sql($node, qq{DO \$\$ BEGIN FOR n IN 1 .. $tables LOOP EXECUTE format('DROP TABLE %I', 't' || n); COMMIT; END LOOP; END \$\$});
sql($node, q{DROP EXTENSION meridian});
is(sql($node, q{SELECT count(*) FROM pg_class WHERE relname LIKE 'conflict_history%'}), 0, 'nothing stays behind');
sql($node, q{CREATE EXTENSION meridian});
is(sql($node, q{SELECT count(*) FROM meridian.conflict_partitions()}), 3, 'a new one begins with partitions');

no_crash($node);
done_testing();
