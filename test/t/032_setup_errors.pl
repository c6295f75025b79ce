# What set-up refuses on real servers, and that it then has changed nothing anywhere.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($n1, $n2) = mesh([ 'n1', 'n2' ]);
my $new = new_node('new');
my $other = new_node('other');
join_mesh($other);

# Everything that set-up could change, on every node.
my $state = q{
	SELECT jsonb_build_object(
		'member', (SELECT jsonb_agg(m ORDER BY id) FROM meridian.member m),
		'local', (SELECT jsonb_agg(l) FROM meridian.local_member l),
		'tables', (SELECT jsonb_agg(t ORDER BY id) FROM meridian.replicated_table t),
		'issued', (SELECT jsonb_agg(i ORDER BY kind) FROM meridian.issued_id i),
		'slots', (SELECT jsonb_agg(slot_name ORDER BY slot_name) FROM pg_replication_slots),
		'subscriptions', (SELECT jsonb_agg((subname, subenabled) ORDER BY subname) FROM pg_subscription),
		'published', (SELECT jsonb_agg(prrelid ORDER BY prrelid) FROM pg_publication_rel),
		'received', (SELECT jsonb_agg((srsubid, srrelid) ORDER BY srsubid, srrelid) FROM pg_subscription_rel),
		'origins', (SELECT jsonb_agg(roname ORDER BY roname) FROM pg_replication_origin),
		'triggers', (SELECT jsonb_agg((tgrelid, tgname, tgenabled) ORDER BY tgrelid, tgname) FROM pg_trigger
			WHERE tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)),
		'columns', (SELECT jsonb_agg((attrelid, attname, atttypid) ORDER BY attrelid, attnum) FROM pg_attribute
			WHERE attnum > 0 AND NOT attisdropped AND attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)),
		'defaults', (SELECT jsonb_agg((adrelid, adnum, pg_get_expr(adbin, adrelid)) ORDER BY adrelid, adnum) FROM pg_attrdef
			WHERE adrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)),
		'sequences', (SELECT jsonb_agg((seqrelid, seqincrement) ORDER BY seqrelid) FROM pg_sequence),
		'work', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'meridian setup'
			OR application_name = 'meridian setup'))};

# Two tests: the statement fails as $expected says, and leaves every running node as it was.
sub refused
{
	my ($node, $statement, $expected, $name) = @_;
	my @nodes = grep { defined $_->{_pid} } $n1, $n2, $new, $other;
	my %before = map { $_->name => sql($_, $state) } @nodes;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $error = sql_error($node, $statement);
	like($error, $expected, $name);
	# An error without advice is half an error.
	like($error, qr/HINT:/, "$name: with a hint");
	wait_until($_, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'meridian setup'}) foreach @nodes;
	is_deeply({ map { $_->name => sql($_, $state) } @nodes }, \%before, "$name: nothing changed");
	return;
}

sub quoted { return join ', ', map { "'" . s/'/''/gr . "'" } @_ }
sub join_call { return 'SELECT meridian.join(' . quoted(@_) . ')' }

# --- join -----------------------------------------------------------------------------------------------------------------

my $dead = 'host=/nonexistent port=1 dbname=postgres';
refused($new, join_call('new', 'r', conninfo($new), $dead), qr/08001.*could not connect to the node given as via/s, 'via cannot be reached');
refused($new, join_call('new', 'r', $dead, conninfo($n1)), qr/08001.*could not connect to this node/s, 'own dsn cannot be reached');
refused($new, join_call('new', 'r', conninfo($n1), conninfo($n1)), qr/22023.*does not lead to this database/s, 'own dsn leads to another server');
refused($new, join_call('new', 'r', conninfo($new) =~ s/postgres$/template1/r, conninfo($n1)), qr/22023.*does not lead to this database.*template1/s,
	'own dsn leads to another database');
refused($new, join_call('new', 'r', conninfo($new), conninfo($new)), qr/22023.*via leads to this server itself/s, 'via is the node itself');
refused($new, join_call('new', 'r', conninfo($new), conninfo($n1) =~ s/postgres$/template1/r), qr/55000.*not installed on the node given as via/s,
	'via has no extension');
refused($new, join_call('n2', 'r', conninfo($new), conninfo($n1)), qr/42710.*"n2" is a member of the mesh already/s, 'a name that is taken');
refused($n2, join_call('again', 'r', conninfo($n2), conninfo($n1)), qr/42710.*this server is a member of the mesh already.*"n2"/s, 'the same server twice');
refused($n2, join_call('n2', 'r', conninfo($n2), conninfo($n1)), qr/42710.*this server is a member of the mesh already/s, 'the same call twice');
refused($other, join_call('o2', 'r', conninfo($other), conninfo($n1)), qr/55000.*member of another mesh/s, 'a member of another mesh');
refused($n1, 'SELECT meridian.create_node(' . quoted('x', 'r', conninfo($n1)) . ')', qr/42710.*member of a mesh already/s, 'create_node in a mesh');

my $lone = new_node('lone');
refused($new, join_call('new', 'r', conninfo($new), conninfo($lone)), qr/55000.*via is in no mesh/s, 'via is in no mesh');
refused($new, "SELECT meridian.drop_node('n1')", qr/MD020.*not a member/s, 'drop_node outside a mesh');

# A copy of a member's server.
my $standby = new_standby($n2, 'standby');
refused($new, join_call('new', 'r', conninfo($new), conninfo($standby)), qr/55000.*is a standby.*primary/s, 'via is a standby');
like(sql_error($standby, join_call('s', 'r', conninfo($standby), conninfo($n1))), qr/25006.*is a standby/s, 'a standby does not join');
like(sql_error($standby, 'SELECT meridian.wait_converged()'), qr/25006.*is a standby/s, 'nor wait for convergence');
is(sql($standby, q{SELECT node, role, upstream FROM meridian.nodes WHERE role = 'standby'}), 'standby|standby|n2', 'the view nodes works there');
wait_until($n2, q{SELECT count(*) = 1 FROM meridian.nodes WHERE role = 'standby' AND node = 'standby' AND upstream = 'n2' AND id = 2 AND state = 'streaming'});
pass('and shows the standby on its primary');
$standby->promote;
sql($standby, 'DELETE FROM meridian.local_member; DROP PUBLICATION meridian');
refused($new, join_call('new', 'r', conninfo($new), conninfo($standby)), qr/55000.*via is in no mesh/s, 'via was cut loose');
like(sql_error($standby, join_call('copy', 'r', conninfo($standby), conninfo($n1))), qr/42710.*"n2".*system identifier.*copy of a member/s, 'a copy of a member cannot join');
$standby->stop;
$lone->stop;

sql($new, 'CREATE PUBLICATION meridian');
refused($new, join_call('new', 'r', conninfo($new), conninfo($n1)), qr/42710.*publication "meridian" exists already/s, 'a publication of that name');
refused($new, 'SELECT meridian.create_node(' . quoted('x', 'r', conninfo($new)) . ')', qr/42710.*publication "meridian" exists already/s, 'create_node likewise');
sql($new, 'DROP PUBLICATION meridian');

sql($new, q{UPDATE pg_extension SET extversion = '0.0.1' WHERE extname = 'meridian'});
refused($new, join_call('new', 'r', conninfo($new), conninfo($n1)), qr/55000.*this node has version 0\.0\.1/s, 'another version');
sql($new, q{UPDATE pg_extension SET extversion = (SELECT default_version FROM pg_available_extensions WHERE name = 'meridian') WHERE extname = 'meridian'});

# Settings.
$new->append_conf('postgresql.conf', "max_replication_slots = 1\nmax_logical_replication_workers = 1\nmeridian.node = ''\n");
$new->restart;
refused($new, join_call('new', 'r', conninfo($new), conninfo($n1)),
	qr/55000.*settings of node "new" do not suffice for a mesh of 3.*max_replication_slots = 6.*meridian\.node = '/s, 'settings that do not suffice');
refused($new, 'SELECT meridian.create_node(' . quoted('x', 'r', conninfo($new)) . ')', qr/55000.*settings of this server.*meridian\.node = '/s, 'create_node without a server name');
$new->append_conf('postgresql.conf', "max_replication_slots = 20\nmax_logical_replication_workers = 10\nmeridian.node = 'new'\n");
$new->restart;

# --- tables on join --------------------------------------------------------------------------------------------------------------

my $definition = 'CREATE TABLE item (id integer PRIMARY KEY, v text, n bigint)';
on_all([ $n1, $n2 ], $definition);
sql($n1, q{SELECT meridian.replicate('item', 'n=counter')});
refused($new, join_call('new', 'r', conninfo($new), conninfo($n1)), qr/42P01.*public\.item does not exist on this node.*pg_dump --schema-only/s, 'a table is missing');
my %wrong = (
	'another type' => [ 'CREATE TABLE item (id integer PRIMARY KEY, v varchar(10), n bigint)', qr/42804.*column "v" is character varying\(10\) here, text there/s ],
	'a column less' => [ 'CREATE TABLE item (id integer PRIMARY KEY, n bigint)', qr/42P16.*column "v" exists only there/s ],
	'a column more' => [ 'CREATE TABLE item (id integer PRIMARY KEY, v text, n bigint, more text)', qr/42P16.*column "more" does not exist there/s ],
	'another key' => [ 'CREATE TABLE item (id integer, v text, n bigint, PRIMARY KEY (id, v))', qr/42804.*(column "v" is not null here|the primary key is)/s ],
	'another collation' => [ 'CREATE TABLE item (id integer PRIMARY KEY, v text COLLATE "C", n bigint)', qr/42804.*collation pg_catalog\."C" here/s ],
	'a rule that does not fit' => [ 'CREATE TABLE item (id integer PRIMARY KEY, v text, n bigint CHECK (n > 0))', qr/ERROR:.*CHECK/s ],
);
foreach my $case (sort keys %wrong)
{
	my ($create, $expected) = @{ $wrong{$case} };
	sql($new, $create);
	refused($new, join_call('new', 'r', conninfo($new), conninfo($n1)), $expected, "join with $case");
	sql($new, 'DROP TABLE item');
}

# --- replicate ---------------------------------------------------------------------------------------------------------------------

my %refusals = (
	'CREATE TABLE t (id integer)' => qr/42P16.*public\.t has no primary key/s,
	'CREATE TABLE t (id integer PRIMARY KEY DEFERRABLE)' => qr/0A000.*primary key of public\.t is deferrable/s,
	'CREATE TABLE t (id integer PRIMARY KEY); ALTER TABLE t FORCE ROW LEVEL SECURITY' => qr/0A000.*forces row-level security/s,
	'CREATE TABLE t (id integer PRIMARY KEY, kind regclass)' => qr/0A000.*column "kind" of public\.t holds regclass/s,
	'CREATE TYPE pair AS (a integer, b regtype[]); CREATE TABLE t (id integer PRIMARY KEY, pairs pair[])' => qr/0A000.*column "pairs" of public\.t holds regtype/s,
	'CREATE UNLOGGED TABLE t (id integer PRIMARY KEY)' => qr/0A000.*is unlogged/s,
	'CREATE TABLE p (id integer PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE t PARTITION OF p DEFAULT' => qr/0A000.*is a partition/s,
	'CREATE TABLE p (id integer PRIMARY KEY); CREATE TABLE t (PRIMARY KEY (id)) INHERITS (p)' => qr/0A000.*inheritance/s,
	'CREATE TABLE t (id integer PRIMARY KEY); CREATE TABLE p () INHERITS (t)' => qr/0A000.*inheritance/s,
	'CREATE VIEW t AS SELECT 1 AS id' => qr/0A000.*is a view/s,
	'CREATE MATERIALIZED VIEW t AS SELECT 1 AS id' => qr/0A000.*is a materialized view/s,
	'CREATE SEQUENCE t' => qr/0A000.*is not a table/s,
	'CREATE TABLE t (id integer PRIMARY KEY, _meridian text)' => qr/42701.*column "_meridian" of its own/s,
	'CREATE TABLE t (id serial PRIMARY KEY)' => qr/42804.*"id" of public\.t is integer.*ids=stepped/s,
);
foreach my $create (sort keys %refusals)
{
	on_all([ $n1, $n2 ], $create);
	refused($n1, q{SELECT meridian.replicate('t')}, $refusals{$create}, $create);
	on_all([ $n1, $n2 ], q{DO $$ BEGIN EXECUTE (SELECT format('DROP %s t CASCADE', CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
		WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END) FROM pg_class WHERE relname = 't'); END $$; DROP TABLE IF EXISTS p});
}
refused($n1, q{CREATE TEMPORARY TABLE tt (id integer PRIMARY KEY); SELECT meridian.replicate('tt')}, qr/0A000.*temporary/s, 'a temporary table');
refused($n1, q{SELECT meridian.replicate('pg_class')}, qr/0A000.*is a system table/s, 'a system table');
refused($n1, q{SELECT meridian.replicate('meridian.tombstone')}, qr/0A000.*is a system table/s, 'a table of ours');

on_all([ $n1, $n2 ], 'CREATE TABLE t (id integer PRIMARY KEY, v text, n bigint CHECK (n > 0), g bigint GENERATED ALWAYS AS (id * 2) STORED)');
refused($n1, q{SELECT meridian.replicate('t', 'v=best')}, qr/22023.*unknown rule "best"/s, 'an unknown rule');
refused($n1, q{SELECT meridian.replicate('t', 'x=lww')}, qr/42703.*"x"/s, 'a rule for a column that is not there');
refused($n1, q{SELECT meridian.replicate('t', 'v=counter')}, qr/ERROR:  42804.*"v"/s, 'a counter on text');
refused($n1, q{SELECT meridian.replicate('t', 'n=counter')}, qr/ERROR:  0A000.*CHECK/s, 'a counter in a CHECK');
refused($n1, q{SELECT meridian.replicate('t', 'g=counter')}, qr/ERROR:.*generated/s, 'a generated column');
refused($n1, q{SELECT meridian.replicate('t', 'ids=random')}, qr/22023.*"random".*ids/s, 'an unknown way to fill keys');
refused($n1, q{SELECT meridian.replicate('t', 'ids=stepped')}, qr/22023.*no key column that a sequence/s, 'stepped without a sequence');
refused($n1, q{SELECT meridian.replicate('t', 'ids=global')}, qr/22023.*no key column for meridian\.next_id/s, 'global on an integer');
refused($n1, q{BEGIN; CREATE TABLE u (id integer PRIMARY KEY); SELECT meridian.replicate('u')}, qr/25001.*transaction that has written/s, 'in a transaction that has written');

# Differences between nodes.
sql($n2, 'DROP TABLE t');
refused($n1, q{SELECT meridian.replicate('t')}, qr/42P01.*public\.t does not exist on node "n2"/s, 'a table that is on one node only');
sql($n2, 'CREATE TABLE t (id bigint PRIMARY KEY, v text, n bigint, g bigint GENERATED ALWAYS AS (id * 3) STORED)');
refused($n1, q{SELECT meridian.replicate('t')},
	qr/42804.*public\.t differs between this node and node "n2".*column "g" is generated as \(id \* 2\) here, generated as \(id \* 3\) there.*column "id" is integer here, bigint there/s,
	'a table that differs');
sql($n2, 'DROP TABLE t; CREATE TABLE t (g bigint GENERATED ALWAYS AS (id * 2) STORED, v text, n bigint, id integer PRIMARY KEY); ALTER TABLE t FORCE ROW LEVEL SECURITY');
refused($n1, q{SELECT meridian.replicate('t')}, qr/0A000.*forces row-level security.*Reported by node "n2"/s, 'a table that is refused elsewhere');
sql($n2, 'ALTER TABLE t NO FORCE ROW LEVEL SECURITY');

# Somebody holds the table on the second node: the first is put back.
my $holder = $n2->background_psql('postgres');
my $pid = $holder->query_safe('SELECT pg_backend_pid()');
$holder->query_safe('BEGIN; SELECT * FROM t');
refused($n1, q{SET lock_timeout = '1s'; SELECT meridian.replicate('t')}, qr/55P03.*waited for process $pid \(.*on node "n2".*Reported by node "n2"/s,
	'a table that is in use elsewhere');
$holder->query_safe('COMMIT');
$holder->quit;
sql($n1, q{SELECT meridian.replicate('t')});
pass('columns in another order are no difference');

# A node is away.
$n2->stop;
sql($n1, 'CREATE TABLE away (id integer PRIMARY KEY)');
refused($n1, q{SELECT meridian.replicate('away')}, qr/08001.*could not connect to node "n2"/s, 'replicate with a node away');
refused($n1, q{SELECT meridian.unreplicate('t')}, qr/08001.*could not connect to node "n2"/s, 'unreplicate with a node away');
refused($n1, q{SELECT meridian.leave()}, qr/08001.*could not connect to node "n2"/s, 'leave with a node away');
sql($new, $definition . '; CREATE TABLE t (id integer PRIMARY KEY, v text, n bigint, g bigint GENERATED ALWAYS AS (id * 2) STORED)');
refused($new, join_call('new', 'r', conninfo($new), conninfo($n1)), qr/08001.*could not connect to node "n2"/s, 'join with a node away');
$n2->start;
links_up($n1, $n2);

# Two at once: the second waits for the first, and says so if it cannot.
my $lock = $n1->background_psql('postgres');
$lock->query_safe('SELECT pg_advisory_lock(331875502404)');
refused($n2, q{SET lock_timeout = '1s'; SELECT meridian.unreplicate('t')}, qr/55P03.*another set-up function is at work.*waited for process/s, 'another set-up at work');
$lock->quit;

# --- passwords --------------------------------------------------------------------------------------------------------------------------

my $secret = 'canary0815';
is(sql($new, join_call('new', 'r', conninfo($new) . " password=$secret", conninfo($n1) . " password=$secret")), 3, 'a join with passwords');
my $shown = join "\n", map { my $node = $_; map { sql($node, $_) } 'TABLE meridian.nodes', 'TABLE meridian.tables', 'SELECT * FROM meridian.check_config()',
	q{SELECT query, application_name FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query NOT LIKE '%canary%'} } $n1, $n2, $new;
unlike($shown, qr/$secret/, 'no view shows a password');
sql($new, q{CREATE ROLE reader; GRANT meridian_admin TO reader});
is(sql($new, qq{SET ROLE reader; SELECT count(*) FROM meridian.nodes WHERE dsn LIKE '%$secret%'}), 0, 'not to administrators either');
unlike(slurp_file($_->logfile), qr/$secret/, 'nor a log: ' . $_->name) foreach $n1, $n2, $new;

no_crash($n1, $n2, $new, $other);
done_testing();
