# Tombstones are dropped when every member has applied them, and by nothing else.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my ($n1, $n2, $n3) = my @nodes = map { new_node($_, conf => "max_prepared_transactions = 2\n") } qw(n1 n2 n3);
on_all(\@nodes, q{
	CREATE TABLE person (id bigint PRIMARY KEY, name text);
	CREATE TABLE account (id bigint PRIMARY KEY, balance bigint);
	CREATE TABLE note (id bigint PRIMARY KEY, v text, at timestamptz)});
join_mesh(@nodes);
sql($n1, q{SELECT meridian.replicate('person')});
sql($n1, q{SELECT meridian.replicate('account', 'balance=counter')});
sql($n1, q{SELECT meridian.replicate('note', 'row=lww(at)')});

my $count = 'SELECT count(*) FROM meridian.tombstone';
my $rows = q{SELECT (SELECT string_agg(t::text, ' ' ORDER BY id) FROM person t) || (SELECT string_agg(t::text, ' ' ORDER BY id) FROM account t)
	|| (SELECT string_agg(t::text, ' ' ORDER BY id) FROM note t)};

sub insert_rows
{
	my ($node, @ids) = @_;
	my $ids = join ',', @ids;
	sql($node, qq{
		INSERT INTO person SELECT i, 'old' FROM unnest('{$ids}'::bigint[]) i;
		INSERT INTO account SELECT i, 100 FROM unnest('{$ids}'::bigint[]) i;
		INSERT INTO note SELECT i, 'old', '2026-01-01' FROM unnest('{$ids}'::bigint[]) i});
	wait_converged(@nodes);
	return;
}

sub delete_rows
{
	my ($node, $where) = @_;
	sql($node, "DELETE FROM person WHERE $where; DELETE FROM account WHERE $where; DELETE FROM note WHERE $where");
	return;
}

# Everybody has told everybody of all that was written before.
sub told
{
	my (@mesh) = @_;
	foreach my $of (@mesh)
	{
		my $stamp = sql($of, 'SELECT meridian.hlc_now()');
		foreach my $at (@mesh)
		{
			wait_until($at, "SELECT safe >= $stamp FROM meridian.progress WHERE member = " . member_id($of));
		}
	}
	return;
}

# --- they go ----------------------------------------------------------------------------------------------------------------

insert_rows($n1, 0 .. 6);
delete_rows($n1, 'id = 1');
delete_rows($n2, 'id = 2');
wait_converged(@nodes);
wait_on_all(\@nodes, $count, '0');
pass('tombstones go from all nodes');
same_everywhere(\@nodes, $rows, 'rows are the same');
expect_everywhere(\@nodes, q{SELECT string_agg(node || ' ' || state || ' ' || coalesce(tombstones_held::text, '-'), ', ' ORDER BY node) FILTER (WHERE state <> 'self') IS NOT NULL
	FROM meridian.tombstone_progress}, 't', 'the view shows the others');
expect_everywhere(\@nodes, 'SELECT count(*) FROM meridian.local_alarms', 0, 'and no alarm');
is(sql($n1, 'SET ROLE pg_monitor; SELECT count(*) FROM meridian.tombstone_progress'), 3, 'whoever monitors may look');

# What was forgotten everywhere is forgotten: an old timestamp of lww() counts again.
sql($n1, q{INSERT INTO note VALUES (1, 'again', '2001-01-01')});
wait_converged(@nodes);
expect_everywhere(\@nodes, q{SELECT at = '2001-01-01' FROM note WHERE id = 1}, 't', 'a key that nobody remembers is free');

# --- transactions hold them back ---------------------------------------------------------------------------------------------

my $open = $n2->background_psql('postgres');
$open->query_safe(q{BEGIN; INSERT INTO person VALUES (50, 'open')});
delete_rows($n1, 'id = 3');
wait_converged(@nodes);
wait_until($n2, q{SELECT count(*) = 0 FROM person WHERE id = 3});
told($n1, $n3);
expect_everywhere(\@nodes, "$count WHERE settled OR true", 3, 'a transaction that is open on one node holds them back on all');
$open->query_safe(q{PREPARE TRANSACTION 'later'});
$open->quit;
delete_rows($n1, 'id = 4');
wait_until($n2, q{SELECT count(*) = 0 FROM note WHERE id = 4});
told($n1, $n3);
expect_everywhere(\@nodes, $count, 6, 'so does a prepared one');
sql($n2, q{COMMIT PREPARED 'later'});
wait_on_all(\@nodes, $count, '0');
pass('when it has ended they go');

# --- a peer that is away -----------------------------------------------------------------------------------------------------

sql($n3, q{UPDATE person SET name = 'n3'});
wait_converged(@nodes);
told(@nodes);
cut_link($n1, $n3);
cut_link($n2, $n3);
sql($n3, q{UPDATE account SET balance = balance - 1 WHERE id = 5});
delete_rows($n1, 'id = 5');
wait_until($n2, q{SELECT count(*) = 0 FROM note WHERE id = 5});
told($n1, $n2);
expect_everywhere([ $n1, $n2 ], $count, 3, 'a peer that is away holds them back');
is(sql($n1, q{SELECT node || ' ' || tombstones_held FROM meridian.tombstone_progress WHERE blocks_since IS NOT NULL AND node = 'n3'}), 'n3 3',
	'the view says who');
is(sql($n1, q{SELECT count(*) FROM meridian.local_alarms WHERE alarm = 'tombstones held'}), 0, 'which is no alarm yet');
$n1->append_conf('postgresql.conf', "meridian.tombstone_alarm_count = 2\n");
$n1->reload;
wait_until($n1, q{SELECT count(*) = 1 FROM meridian.alarms WHERE alarm = 'tombstones held' AND subject = 'n3'});
like(sql($n1, q{SELECT detail || ' / ' || remedy FROM meridian.alarms WHERE subject = 'n3'}),
	qr{^3 tombstones wait for node "n3" \(counts\), the oldest since .* / Bring node "n3".*SELECT meridian\.drop_node\('n3'\)},
	'there are too many of them: an alarm names the node and what helps');
$n1->append_conf('postgresql.conf', "meridian.tombstone_alarm_count = 1000\nmeridian.tombstone_alarm_age = 0\n");
$n1->reload;
wait_until($n1, q{SELECT count(*) = 1 FROM meridian.alarms WHERE alarm = 'tombstones held' AND subject = 'n3'});
pass('or they are too old');
heal_link($n1, $n3);
heal_link($n2, $n3);
wait_converged(@nodes);
expect_everywhere(\@nodes, 'SELECT (SELECT count(*) FROM person WHERE id = 5) + (SELECT count(*) FROM account WHERE id = 5) + (SELECT count(*) FROM note WHERE id = 5)', 0,
	'an update that was under way brings nothing back');
wait_on_all(\@nodes, $count, '0');
pass('and they go when it is back');
same_everywhere(\@nodes, $rows, 'with the same rows everywhere');
wait_until($n1, q{SELECT count(*) = 0 FROM meridian.local_alarms});

# --- lww(): forgotten by one and not by another -------------------------------------------------------------------------------

# n3 applies a delete late, and n1 hears of that, but n2 does not.
sub subscription
{
	my ($to, $from, $action) = @_;
	sql($to, 'ALTER SUBSCRIPTION meridian_' . member_id($from, $to) . " $action");
	my $active = $action eq 'ENABLE' ? 'active' : 'NOT active';
	wait_until($from, "SELECT $active FROM pg_replication_slots WHERE slot_name = 'meridian_" . member_id($to) . "'");
	return;
}

subscription($n3, $n1, 'DISABLE');
sql($n1, q{DELETE FROM note WHERE id = 6});
my $written = sql($n1, 'SELECT written FROM meridian.tombstone');
wait_until($n2, q{SELECT count(*) = 0 FROM note WHERE id = 6});
cmp_ok(sql($n3, 'SELECT meridian.hlc_now()'), '>', $written, 'clocks go on');
wait_until($n1, "SELECT a >= $written FROM meridian.progress, unnest(origins, applied) u(o, a) WHERE member = " . member_id($n2) . ' AND o = ' . member_id($n3));
subscription($n2, $n3, 'DISABLE');
subscription($n3, $n1, 'ENABLE');
wait_until($n1, 'SELECT laid_down FROM meridian.tombstone');
is(sql($n2, 'SELECT laid_down FROM meridian.tombstone'), 'f', 'one node knows that a delete is stable, another does not yet');
sql($n1, q{INSERT INTO note VALUES (6, 'new', '2001-01-01')});
wait_until($n2, q{SELECT count(*) = 1 FROM note WHERE id = 6});
is(sql($n1, q{SELECT at > '2026-01-01' FROM note WHERE id = 6}), 't', 'a new row is lifted above the delete that another still remembers');
subscription($n2, $n3, 'ENABLE');
wait_on_all(\@nodes, $count, '0');
same_everywhere(\@nodes, $rows, 'and lives everywhere');

# --- a node is lost -----------------------------------------------------------------------------------------------------------

# What it wrote last has reached one of the others only.
told(@nodes);
cut_link($n2, $n3);
sql($n3, q{UPDATE person SET name = 'last words' WHERE id = 0; UPDATE account SET balance = 7 WHERE id = 0; UPDATE note SET v = 'last words', at = NULL WHERE id = 0});
sql($n3, q{INSERT INTO person VALUES (60, 'n3'); DELETE FROM person WHERE id = 6});
wait_until($n1, q{SELECT count(*) = 0 FROM person WHERE id = 6});
is(sql($n2, q{SELECT count(*) FROM person WHERE id IN (6, 60)}), 1, 'a node is lost before all have what it wrote');
$n3->stop;
delete_rows($n1, 'id = 1');
wait_until($n2, q{SELECT count(*) = 0 FROM note WHERE id = 1});
told($n1, $n2);
expect_everywhere([ $n1, $n2 ], "$count WHERE key = '{1}'", 1, 'it holds back what is deleted now');
my $generation = sql($n1, 'SELECT number FROM meridian.generation');
sql($n1, q{SELECT meridian.drop_node('n3')});
same_everywhere([ $n1, $n2 ], $rows, 'those that are left send each other what they have of it');
is(sql($n2, q{SELECT name FROM person WHERE id = 0}), 'last words', 'updates');
is(sql($n2, q{SELECT balance FROM account WHERE id = 0}), 7, 'counters');
is(sql($n2, q{SELECT v FROM note WHERE id = 0}), 'last words', 'rows of lww()');
is(sql($n2, q{SELECT string_agg(id::text, ' ') FROM person WHERE id IN (6, 60)}), 60, 'inserts and deletes');
expect_everywhere([ $n1, $n2 ], 'SELECT number FROM meridian.generation', $generation + 1, 'a new generation begins');
wait_on_all([ $n1, $n2 ], $count, '0');
pass('and removal goes on without it');

# --- it comes back ------------------------------------------------------------------------------------------------------------

sql($n1, q{INSERT INTO person VALUES (70, 'without n3')});
my $log = -s $n3->logfile;
$n3->start;
sql($n3, q{INSERT INTO person VALUES (80, 'from the past'); UPDATE person SET name = 'from the past' WHERE id = 0});
wait_until($n3, q{SELECT held FROM meridian.generation}, 'dropped from the mesh');
like(slurp_file($n3->logfile, $log), qr/LOG:  meridian: this node was dropped from the mesh: node "n[12]" does not know it any more.*HINT:  .*meridian\.leave\(\).*meridian\.join\(\)/s,
	'the node that comes back is told that it must join again');
is(sql($n3, q{SELECT alarm || ': ' || remedy FROM meridian.local_alarms WHERE alarm = 'dropped from the mesh'}),
	'dropped from the mesh: SELECT meridian.leave(); empty its tables, then meridian.join() again.', 'and shows it');
is(sql($n3, q{SELECT count(*) FROM pg_subscription WHERE subenabled}), 0, 'it does not ask for changes any more');
wait_converged($n1, $n2);
expect_everywhere([ $n1, $n2 ], q{SELECT count(*) FROM person WHERE name = 'from the past'}, 0, 'the others take nothing from it');
is(sql($n3, q{SELECT count(*) FROM person WHERE id = 70}), 0, 'nor does it from them');
expect_everywhere([ $n1, $n2 ], q{SELECT count(*) FROM meridian.progress}, 2, 'not even its progress');
sql($n3, 'SELECT meridian.leave()');
sql($n3, 'TRUNCATE person, account, note');
sql($n3, 'SELECT meridian.join(' . join(', ', map { "'$_'" } 'n3', 'n3', conninfo($n3), conninfo($n1)) . ')');
wait_converged(@nodes);
same_everywhere(\@nodes, $rows, 'joined again it has the same rows');
delete_rows($n3, 'id = 0');
wait_converged(@nodes);
wait_on_all(\@nodes, $count, '0');
pass('and tombstones go with it as before');

# --- a node goes by itself ----------------------------------------------------------------------------------------------------

delete_rows($n3, 'id = 2');
sql($n3, 'SELECT meridian.leave()');
expect_everywhere([ $n1, $n2 ], 'SELECT number FROM meridian.generation', $generation + 2, 'leaving begins a generation, too');
wait_on_all([ $n1, $n2 ], $count, '0');
pass('in which tombstones go');

# --- a raised epoch -----------------------------------------------------------------------------------------------------------

sql($n2, 'SELECT meridian.confirm_identity()');
sql($n1, q{INSERT INTO person VALUES (90, 'x')});
wait_until($n1, q{SELECT state = 'epoch raised' FROM meridian.tombstone_progress WHERE node = 'n2'});
sql($n1, q{DELETE FROM person WHERE id = 90});
wait_converged($n1, $n2);
told($n1, $n2);
expect_everywhere([ $n1, $n2 ], $count, 1, 'what a node told before its epoch was raised does not count');
like(sql($n2, q{SELECT remedy FROM meridian.alarms WHERE alarm = 'epoch raised'}), qr/drop_node\('n2'\).*join again/, 'which is an alarm');

no_crash(@nodes);
done_testing();
