# Without shared_preload_libraries: what needs the clock says which setting is missing, and lww() triggers work.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('plain', preload => 0);

sql($node, q{
	CREATE TABLE note (id integer PRIMARY KEY, v text, at timestamptz);
	CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON note FOR EACH ROW EXECUTE FUNCTION meridian.lww('at');
	CREATE TRIGGER stamp_delete AFTER DELETE ON note FOR EACH ROW EXECUTE FUNCTION meridian.lww('at');
	CREATE TABLE account (id integer PRIMARY KEY, n integer, _meridian meridian.row_state);
	CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON account FOR EACH ROW EXECUTE FUNCTION meridian.resolve('n=counter')});
sql($node, q{INSERT INTO note VALUES (1, 'a', '2026-01-01'), (2, 'b', NULL); UPDATE note SET v = 'c' WHERE id = 1; DELETE FROM note WHERE id = 2});
is(sql($node, q{SET timezone = 'UTC'; SELECT * FROM note}), '1|c|2026-01-01 00:00:00.000001+00', 'lww() stamps');
# An image on a plain subscription.
sql($node, q{ALTER TABLE note ENABLE ALWAYS TRIGGER stamp; SET session_replication_role = replica; SELECT meridian.begin_apply();
	INSERT INTO note VALUES (1, 'newer', '2026-01-02'), (1, 'older', '2026-01-01')});
is(sql($node, q{SELECT v FROM note}), 'newer', 'and merges');
like(sql_error($node, q{INSERT INTO account VALUES (1, 1)}), qr/55000: .*shared_preload_libraries/s, 'resolve() names the setting that it needs');
like(sql_error($node, q{SELECT meridian.begin_apply(); INSERT INTO account VALUES (1, 1)}), qr/55000: .*shared_preload_libraries/s, 'so does a merge');
is(sql($node, q{SELECT count(*) FROM meridian.stat_tables}), 0, 'nothing is counted');
is(sql($node, q{SELECT '{}'::meridian.row_state}), '{}', 'the type works');
no_crash($node);
done_testing();
