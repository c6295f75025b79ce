# compare(), repair(), resend() and heal(): rows that differ are found and repaired, whatever made them differ, and what is only on its way
# is not taken for a difference.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my ($us, $eu, $ap) = my @nodes = mesh([ 'us', 'eu', 'ap' ]);

# A stream that lost changes has also lost the ground on which tombstones are dropped, so who repairs one holds that first.
on_all(\@nodes, q{SELECT meridian.hold_removal('streams will lose changes')});

on_all(\@nodes, q{
	CREATE TABLE person (id integer PRIMARY KEY, name text, city text);
	CREATE TABLE account (id integer PRIMARY KEY, balance bigint, best integer, note text);
	CREATE TABLE note (id integer PRIMARY KEY, v text, at timestamptz);
	CREATE TABLE price (amount numeric, currency text, v text, PRIMARY KEY (amount, currency));
	CREATE TABLE plain (id integer PRIMARY KEY);
	CREATE TABLE visit (region text, id integer, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region)});
# Partitioned in another way, and with columns in another order, on each node.
on_all([ $us, $ap ], q{CREATE TABLE visit_all PARTITION OF visit DEFAULT});
sql($eu, q{
	CREATE TABLE visit_north (v text, gone text, id integer NOT NULL, region text NOT NULL, PRIMARY KEY (id, region));
	ALTER TABLE visit_north DROP COLUMN gone;
	ALTER TABLE visit ATTACH PARTITION visit_north FOR VALUES IN ('north');
	CREATE TABLE visit_rest PARTITION OF visit DEFAULT});
sql($us, q{SELECT meridian.replicate('visit')});
sql($us, q{SELECT meridian.replicate('person')});
sql($us, q{SELECT meridian.replicate('account', 'balance=counter', 'best=max')});
sql($us, q{SELECT meridian.replicate('note', 'row=lww(at)')});
sql($us, q{SELECT meridian.replicate('price')});
my @tables = qw(person account note price);

# Every column, the state too.
my %whole = map { $_ => "SELECT count(*) || ' ' || coalesce(string_agg(t::text, chr(10) ORDER BY t::text COLLATE \"C\"), '') FROM $_ t" } @tables;

sub compare
{
	my ($node, $table, $peer) = @_;
	return sql($node, "SELECT coalesce(string_agg(concat_ws(' ', key, kind, 'tombstone ' || tombstone), ', ' ORDER BY key COLLATE \"C\"), 'equal') FROM meridian.compare('$table', '"
		  . $peer->name . "')");
}

sub repair
{
	my ($node, $table, $peer) = @_;
	return sql($node, "SELECT meridian.repair('$table', '" . $peer->name . "')");
}

# Writes without Meridian's triggers, so that neither the state nor another node learns of it.
sub behind_its_back
{
	my ($node, $table, $statement) = @_;
	sql($node, qq{
		SET client_min_messages = warning;
		SELECT meridian.begin_apply();
		BEGIN;
		ALTER TABLE $table DISABLE TRIGGER USER;
		$statement;
		ALTER TABLE $table ENABLE ALWAYS TRIGGER "00_meridian_apply";
		ALTER TABLE $table ENABLE ALWAYS TRIGGER zz_meridian_stamp;
		ALTER TABLE $table ENABLE ALWAYS TRIGGER zz_meridian_delete;
		ALTER TABLE $table ENABLE ALWAYS TRIGGER zz_meridian_truncate;
		COMMIT});
	return;
}

# What $from writes in $statements is lost on the way to $to.
sub lose
{
	my ($from, $to, $statements) = @_;
	my $slot = "'meridian_" . member_id($to, $from) . "'";
	cut_link($from, $to);
	sql($from, $statements);
	sql($from, "SELECT pg_drop_replication_slot($slot)");
	sql($from, "SELECT pg_create_logical_replication_slot($slot, 'meridian_mesh')");
	heal_link($from, $to);
	return;
}

sql($us, q{
	INSERT INTO person SELECT i, 'name ' || i, 'city' FROM generate_series(1, 20000) i;
	INSERT INTO account SELECT i, 100, i, 'note' FROM generate_series(1, 100) i;
	INSERT INTO note SELECT i, 'note', '2026-01-01' FROM generate_series(1, 100) i;
	INSERT INTO price SELECT i + 0.50, 'EUR', 'v' FROM generate_series(1, 100) i});
wait_converged(@nodes);
is(compare($us, $_, $eu), 'equal', "$_: nothing differs") foreach @tables;
is(repair($us, 'person', $eu), 0, 'and there is nothing to repair');

# --- rows that somebody changed behind Meridian's back ----------------------------------------------------------------------

behind_its_back($us, 'person', q{
	UPDATE person SET name = 'zz' WHERE id = 1; UPDATE person SET name = 'aa' WHERE id = 2;
	DELETE FROM person WHERE id = 3; INSERT INTO person VALUES (-1, 'smuggled', NULL)});
behind_its_back($eu, 'person', q{DELETE FROM person WHERE id = 20000});
is(compare($us, 'person', $eu), '{-1} only here, {1} different, {2} different, {20000} only here, {3} only there', 'all differences are found, and no others');
is(compare($eu, 'person', $us), '{-1} only there, {1} different, {2} different, {20000} only there, {3} only here', 'from the other side too');
is(compare($ap, 'person', $eu), '{20000} only here', 'a third node compares by itself');
is(repair($us, 'person', $eu), 5, 'they are repaired');
is(compare($us, 'person', $eu), 'equal', 'after which nothing differs');
same_everywhere([ $us, $eu ], $whole{person}, 'states included');
is(sql($eu, q{SELECT string_agg(name, ' ' ORDER BY id) FROM person WHERE id IN (1, 2, 3, -1, 20000)}), 'smuggled zz name 2 name 3 name 20000',
	'of two values of one write the larger one stays; rows that are gone without a delete come back');
is(compare($us, 'person', $ap), '{-1} only here, {1} different', 'what a repair brought does not travel on');
is(repair($us, 'person', $ap), 2, 'each pair is repaired by itself');
same_everywhere(\@nodes, $whole{person}, 'and all agree');

behind_its_back($us, 'account', q{
	UPDATE account SET balance = 999 WHERE id = 1; UPDATE account SET balance = 1 WHERE id = 2; UPDATE account SET best = 0 WHERE id = 3;
	UPDATE account SET best = 77 WHERE id = 4; UPDATE account SET note = 'x', best = NULL WHERE id = 5});
is(repair($eu, 'account', $us), 5, 'columns with rules are repaired');
is(compare($us, 'account', $eu), 'equal', 'for good');
same_everywhere([ $us, $eu ], $whole{account}, 'states included');
is(sql($us, q{SELECT string_agg(concat_ws(' ', balance, best, note), ', ' ORDER BY id) FROM account WHERE id <= 5}), '100 1 note, 100 2 note, 100 3 note, 100 77 note, 100 5 x',
	'counters to what their state says, max columns to the larger value');
repair($us, 'account', $ap);

behind_its_back($us, 'note', q{UPDATE note SET v = 'a' WHERE id = 1; UPDATE note SET at = '2020-01-01' WHERE id = 2; UPDATE note SET at = '2026-02-01', v = 'new' WHERE id = 3});
is(repair($us, 'note', $eu), 3, 'row=lww() tables are repaired by their timestamp');
is(sql($_, q{SELECT string_agg(v || at::date, ' ' ORDER BY id) FROM note WHERE id <= 3}), 'note2026-01-01 note2026-01-01 new2026-02-01', 'on ' . $_->name) foreach $us, $eu;
repair($us, 'note', $ap);

behind_its_back($us, 'price', q{UPDATE price SET amount = 1.5, v = 'looks different' WHERE amount = 1.5});
is(compare($us, 'price', $eu), '{1.5,EUR} different', 'equal keys that look different are one row');
is(compare($eu, 'price', $us), '{1.50,EUR} different', 'shown as it is here');
is(repair($us, 'price', $eu), 1, 'repaired');
same_everywhere([ $us, $eu ], $whole{price}, 'keys look the same again');
repair($us, 'price', $ap);

# --- a partitioned table ----------------------------------------------------------------------------------------------------

sql($us, q{INSERT INTO visit SELECT CASE i % 2 WHEN 0 THEN 'north' ELSE 'south' END, i, 'v' FROM generate_series(1, 1000) i});
wait_converged(@nodes);
is(compare($us, 'visit', $eu), 'equal', 'visit: nothing differs, however it is partitioned');
lose($us, $eu, q{UPDATE visit SET v = 'lost' WHERE id IN (10, 11); DELETE FROM visit WHERE id = 12; INSERT INTO visit VALUES ('north', 2000, 'lost'), ('west', 2001, 'lost')});
is(compare($us, 'visit', $eu), '{10,north} different, {11,south} different, {12,north} only there tombstone here, {2000,north} only here, {2001,west} only here',
	'differences are found in every partition');
is(repair($us, 'visit', $eu), 5, 'and repaired');
is(compare($us, 'visit', $eu), 'equal', 'for good');
same_everywhere([ $us, $eu ], q{SELECT count(*) || ' ' || string_agg(concat(region, id, v, _meridian), ' ' ORDER BY id) FROM visit}, 'states included');
expect_everywhere([ $us, $eu ], q{SELECT count(*) FROM meridian.replicated_table WHERE NOT filled}, 0, 'tombstones may go again after a repair');

# --- more than one batch ----------------------------------------------------------------------------------------------------

behind_its_back($eu, 'person', q{UPDATE person SET city = 'zz' WHERE id % 8 = 0; DELETE FROM person WHERE id % 8 = 1 AND id > 1});
is(sql($us, q{SELECT string_agg(kind || ' ' || n, ', ' ORDER BY kind) FROM (SELECT kind, count(*) AS n FROM meridian.compare('person', 'eu') GROUP BY kind) k}),
	'different 2500, only here 2499', 'thousands of differences');
is(repair($us, 'person', $eu), 4999, 'are repaired');
is(repair($us, 'person', $ap), 2500, 'on every node');
same_everywhere(\@nodes, $whole{person}, 'and all agree');

# --- changes that a slot lost -------------------------------------------------------------------------------------------------

my $since = sql($us, 'SELECT clock_timestamp()');
lose($us, $eu, q{
	INSERT INTO person VALUES (30001, 'lost', NULL); UPDATE person SET name = 'lost' WHERE id = 10; DELETE FROM person WHERE id IN (11, 12);
	UPDATE account SET balance = balance - 30 WHERE id = 10; DELETE FROM account WHERE id = 11;
	DELETE FROM note WHERE id = 10; INSERT INTO note VALUES (200, 'lost', NULL)});
sql($us, q{UPDATE person SET city = 'arrives' WHERE id = 13});
sql($eu, q{UPDATE account SET balance = balance - 20 WHERE id = 10; UPDATE person SET name = 'eu' WHERE id = 12});
wait_converged(@nodes);
is(compare($us, 'person', $eu), '{10} different, {11} only there tombstone here, {12} different tombstone here, {30001} only here', 'rows whose changes were lost differ');
is(sql($us, "SELECT meridian.resend('eu', now() + interval '1 hour') <= (SELECT count(*) FROM note) + (SELECT count(*) FROM meridian.tombstone)"), 't',
	'of what is stamped nothing is sent that is older');
is(compare($us, 'account', $eu), '{10} different, {11} only there tombstone here', 'so it is not repaired');
cmp_ok(sql($us, "SELECT meridian.resend('eu', '$since')"), '>=', 7, 'resend sends what was written since');
foreach my $table (@tables)
{
	is(compare($us, $table, $eu), 'equal', "$table: equal afterwards");
	same_everywhere(\@nodes, $whole{$table}, 'on all, states included');
}
is(sql($eu, 'SELECT balance FROM account WHERE id = 10'), 50, 'what was written meanwhile counts');
is(sql($eu, 'SELECT count(*) FROM person WHERE id = 11'), 0, 'deletes arrive');
same_everywhere([ $us, $eu ], q{SELECT string_agg(DISTINCT concat(table_id, key, stamp), ' ' ORDER BY concat(table_id, key, stamp)) FROM meridian.tombstone}, 'and are remembered');

lose($us, $eu, q{DELETE FROM person WHERE id = 20; INSERT INTO person VALUES (20, 'again', NULL); DELETE FROM person WHERE id = 21});
is(compare($us, 'person', $eu), '{20} different tombstone here, {21} only there tombstone here', 'compare tells of deletes');
is(repair($eu, 'person', $us), 2, 'which repair carries out');
expect_everywhere([ $us, $eu ], q{SELECT string_agg(id || name, ' ') FROM person WHERE id IN (20, 21)}, '20again', 'on the node that missed them');
same_everywhere([ $us, $eu ], $whole{person}, 'states included');

# --- heal: both ways, what is parked too -----------------------------------------------------------------------------------------

my $future = q{(SELECT format('{entries:[7/1@1.0 last %s.0],groups:[0:7/1@1.0 last %s.0]}', ms, ms)::meridian.row_state
	FROM (SELECT (extract(epoch FROM now()) * 1000)::bigint + 86400000 AS ms) f)};
sql($us, qq{SET session_replication_role = replica; SELECT meridian.begin_apply(); INSERT INTO person VALUES (40000, 'from the future', NULL, $future)});
is(sql($us, q{SELECT rel || ' ' || reason FROM meridian.parked}), 'person clock_skew', 'a change is parked on one node');
lose($us, $eu, q{INSERT INTO person VALUES (40001, 'us', NULL)});
lose($eu, $us, q{INSERT INTO person VALUES (40002, 'eu', NULL)});
cmp_ok(sql($eu, q{SELECT meridian.heal('us')}), '>', 20000, 'heal sends everything');
expect_everywhere([ $us, $eu ], q{SELECT string_agg(name, ' ' ORDER BY id) FROM person WHERE id > 40000}, 'us eu', 'both ways');
is(sql($eu, q{SELECT image FROM meridian.parked_image}), sql($us, q{SELECT image FROM meridian.parked_image LIMIT 1}), 'what is parked too');
same_everywhere([ $us, $eu ], $whole{$_}, "$_ agrees") foreach @tables;

# --- a node that joins gets what is parked -----------------------------------------------------------------------------------------

my $generation = sql($us, 'SELECT number + 1 FROM meridian.generation');
my $sa = new_node('sa');
sql($sa, q{
	CREATE TABLE person (city text, id integer PRIMARY KEY, name text);
	CREATE TABLE account (id integer PRIMARY KEY, balance bigint, best integer, note text);
	CREATE TABLE note (id integer PRIMARY KEY, v text, at timestamptz);
	CREATE TABLE price (amount numeric, currency text, v text, PRIMARY KEY (amount, currency));
	CREATE TABLE visit (region text, id integer, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
	CREATE TABLE visit_all PARTITION OF visit DEFAULT});
my $join = "SELECT meridian.join('sa', 'sa', '" . conninfo($sa) . "', '" . conninfo($us) . "')";
like(sql_error($sa, $join), qr/55000.*holds its tombstones: streams will lose changes/s, 'nobody joins before all is mended');
on_all(\@nodes, "SELECT meridian.begin_generation($generation)");
sql($sa, $join);
links_up($us, $sa);
is(sql($sa, q{SELECT rel || ' ' || reason FROM meridian.parked LIMIT 1}), 'person clock_skew', 'a copy contains what is parked');
is(sql($sa, q{SELECT image ->> 'name' FROM meridian.parked_image LIMIT 1}), 'from the future', 'whatever the order of columns');
is(compare($us, $_, $sa), 'equal', "$_: rows of a table with another order of columns compare as equal") foreach @tables;
sql($_, 'DELETE FROM meridian.parked_image') foreach @nodes, $sa;

# --- what is on its way is no difference ----------------------------------------------------------------------------------------------

my $script = PostgreSQL::Test::Utils::tempdir() . '/busy.sql';
append_to_file($script, q{\set id random(1, 20000)
UPDATE person SET city = clock_timestamp()::text WHERE id = :id;
\set id random(1, 100)
UPDATE account SET balance = balance + 1 WHERE id = :id;
});
my @load = map {
	IPC::Run::start([ 'pgbench', '-n', '-c', '1', '-t', '100000', '-f', $script, $_->connstr('postgres') ], '>', '/dev/null', '2>', '/dev/null')
} $us, $eu;
wait_until($us, q{SELECT count(*) > 50 FROM person WHERE city ~ '^2'});
foreach my $table ('person', 'account', 'person')
{
	is(compare($us, $table, $eu), 'equal', "$table: rows that are being changed are not reported");
}
$_->kill_kill foreach @load;
wait_converged(@nodes);
is(compare($us, $_, $eu), 'equal', "$_: and all arrive") foreach @tables;

# --- a stream that does not run ---------------------------------------------------------------------------------------------------------

cut_link($us, $eu);
sql($us, q{UPDATE person SET name = 'cut' WHERE id = 50});
my ($status, $out, $err) = $us->psql('postgres', q{SELECT key, kind FROM meridian.compare('person', 'eu')});
is($out, '{50}|different', 'without a stream nothing is on its way');
like($err, qr/WARNING:  changes of node "us" do not arrive at node "eu" now/, 'which is said');
is(repair($us, 'person', $eu), 1, 'a repair needs no stream');
is(sql($eu, 'SELECT name FROM person WHERE id = 50'), 'cut', 'and brings the change');
heal_link($us, $eu);
wait_converged(@nodes);

# --- who may, and what else is refused ---------------------------------------------------------------------------------------------------

like(sql_error($us, q{SELECT meridian.compare('person', 'mars')}), qr/42704.*"mars" is not a member/s, 'a stranger');
like(sql_error($us, q{SELECT meridian.repair('person', 'us')}), qr/22023.*"us" is this node itself/s, 'oneself');
like(sql_error($us, q{SELECT meridian.compare('plain', 'eu')}), qr/42704.*plain is not replicated/s, 'a table that is not replicated');
like(sql_error($us, q{BEGIN; CREATE TABLE x (); SELECT meridian.resend('eu', now())}), qr/25001/, 'a transaction that has written');
sql($us, q{CREATE ROLE clerk IN ROLE meridian_admin});
like(sql_error($us, q{SET ROLE clerk; SELECT meridian.compare('person', 'eu')}), qr/42501.*permission denied for table person/s, 'somebody who may not read the table');
sql($us, q{GRANT SELECT ON person TO clerk; ALTER TABLE person ENABLE ROW LEVEL SECURITY});
like(sql_error($us, q{SET ROLE clerk; SELECT meridian.compare('person', 'eu')}), qr/42501.*row-level security hides rows/s, 'or not all of its rows');
sql($us, q{ALTER TABLE person DISABLE ROW LEVEL SECURITY});
is(sql($us, q{SET ROLE clerk; SELECT count(*) FROM meridian.compare('person', 'eu')}), 0, 'who may is told');
my $holder = $eu->background_psql('postgres');
$holder->query_safe('BEGIN; LOCK TABLE person IN ACCESS EXCLUSIVE MODE');
like(sql_error($us, q{SET lock_timeout = '300ms'; SELECT meridian.compare('person', 'eu')}), qr/55P03.*lock timeout.*Reported by node "eu"/s,
	'a locked table is waited for as long as the caller says');
$holder->query_safe('COMMIT');
$holder->quit;
wait_until($us, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'meridian setup'});
is(sql($us, q{SELECT count(*) FROM meridian.compare('person', 'eu')}), 0, 'and nothing is left of the attempt');
sql($eu, q{ALTER TABLE account ADD COLUMN extra integer});
like(sql_error($us, q{SELECT meridian.repair('account', 'eu')}), qr/table public.account differs between this node and node "eu".*extra/s, 'tables of another shape');
$eu->stop;
like(sql_error($us, q{SELECT meridian.compare('person', 'eu')}), qr/08001.*"eu" cannot be reached/s, 'a node that is away');
($status, $out, $err) = $us->psql('postgres', q{SELECT count(*) FROM meridian.compare('person', 'ap')});
is($out, 0, 'but others compare without it');
$eu->start;

no_crash(@nodes, $sa);
done_testing();
