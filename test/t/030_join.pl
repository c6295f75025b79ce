# How a mesh grows and shrinks: create_node, join, leave, drop_node, wait_converged and the view nodes.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use Meridian;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($n1, $n2, $n3) = my @nodes = map { new_node($_, conf => "max_prepared_transactions = 2\n") } qw(n1 n2 n3);
my $table = q{CREATE TABLE account (id bigint PRIMARY KEY, note text, balance bigint NOT NULL DEFAULT 0);
	CREATE TABLE tick (id bigserial PRIMARY KEY, node text)};
on_all(\@nodes, $table);
my $rows = q{SELECT string_agg(format('%s:%s:%s', id, note, balance), ' ' ORDER BY id) FROM account};

sub call
{
	my ($function, $node, @rest) = @_;
	my @args = ($node->name, 'region of ' . $node->name, conninfo($node), @rest);
	return "SELECT meridian.$function(" . join(', ', map { "'" . s/'/''/gr . "'" } @args) . ')';
}

# Starts SQL that will wait for something; finish_call() returns its output and its errors.
sub start_call
{
	my ($node, $statement) = @_;
	my $call = { out => '', err => '' };
	$call->{process} = IPC::Run::start([ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres'), '-c', $statement ],
		'>', \$call->{out}, '2>', \$call->{err}, IPC::Run::timer($PostgreSQL::Test::Utils::timeout_default));
	return $call;
}

sub wait_for_message
{
	my ($call, $pattern, $name) = @_;
	$call->{process}->pump while $call->{err} !~ $pattern && $call->{process}->pumpable;
	like($call->{err}, $pattern, $name);
	return;
}

sub finish_call
{
	my ($call) = @_;
	$call->{process}->finish;
	chomp $call->{out};
	return ($call->{out}, $call->{err});
}

# Everything that set-up makes, on one node.
sub traces
{
	my ($node) = @_;
	return sql($node, q{
		SELECT (SELECT count(*) FROM meridian.member) || ' members, '
			|| (SELECT count(*) FROM meridian.local_member) || ' identities, '
			|| (SELECT count(*) FROM pg_replication_slots) || ' slots, '
			|| (SELECT count(*) FROM pg_subscription) || ' subscriptions, '
			|| (SELECT count(*) FROM pg_publication) || ' publications, '
			|| (SELECT count(*) FROM meridian.replicated_table) || ' tables, '
			|| (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'account'::regclass) || ' triggers, '
			|| (SELECT count(*) FROM pg_attribute WHERE attname = '_meridian' AND attrelid = 'account'::regclass AND NOT attisdropped) || ' columns, '
			|| (SELECT count(*) FROM pg_replication_origin) || ' origins'});
}
my $nothing = '0 members, 0 identities, 0 slots, 0 subscriptions, 0 publications, 0 tables, 0 triggers, 0 columns, 0 origins';

# --- the first node -----------------------------------------------------------------------------------------------

is(sql($n1, call('create_node', $n1)), 1, 'create_node returns the number of the node');
is(sql($n1, 'SELECT node, id, region, role, timeline, state, upstream FROM meridian.nodes'),
	'n1|1|region of n1|primary|1|active|', 'the view nodes shows it');
is(sql($n1, 'SELECT confirmed FROM meridian.identity'), 't', 'and its identity is confirmed');
is(sql($n1, 'SELECT meridian.wait_converged()'), 't', 'alone it has converged');
like(sql_error($n1, call('create_node', $n1)), qr/42710.*member of a mesh already/s, 'a second create_node is refused');

sql($n1, q{INSERT INTO account VALUES (1, 'one', 10), (2, 'two', 20)});
sql($n1, q{SELECT meridian.replicate('account', 'balance=counter')});
sql($n1, q{SELECT meridian.replicate('tick')});
sql($n1, q{UPDATE account SET balance = balance + 1 WHERE id = 1; DELETE FROM account WHERE id = 2; INSERT INTO account VALUES (3, 'three', 30)});

# --- the second brings rows ---------------------------------------------------------------------------------------

sql($n2, q{INSERT INTO account VALUES (4, 'four', 40)});
is(sql($n2, call('join', $n2, conninfo($n1))), 2, 'join returns the next number');
wait_converged($n1, $n2);
expect_everywhere([ $n1, $n2 ], $rows, '1:one:11 3:three:30 4:four:40',
	'rows of both sides are on both');
sql($n2, q{UPDATE account SET balance = balance + 100});
sql($n1, q{UPDATE account SET balance = balance + 1000});
wait_converged($n1, $n2);
expect_everywhere([ $n1, $n2 ], $rows, '1:one:1111 3:three:1130 4:four:1140', 'counters do not double');
expect_everywhere([ $n1, $n2 ], q{SELECT string_agg(format('%s %s %s', id, name, state), ', ' ORDER BY id) FROM meridian.member},
	'1 n1 active, 2 n2 active', 'both know both');
is(sql($n1, q{SELECT string_agg(format('%s %s', node, state), ', ' ORDER BY id) FROM meridian.nodes}), 'n1 active, n2 streaming',
	'the view nodes shows the stream');
is(sql($n2, q{SELECT count(*) FROM meridian.check_config() WHERE NOT ok}), 0, 'check_config finds nothing wrong');

# --- the third, through the second, while everybody writes ------------------------------------------------------------

my $script = PostgreSQL::Test::Utils::tempdir() . '/tick.sql';
append_to_file($script, q{\set id 1 + 2 * random(0, 1)
INSERT INTO tick (node) SELECT current_setting('meridian.node');
UPDATE account SET balance = balance + 1, note = current_setting('meridian.node') WHERE id = :id;
});
my @load = map {
	IPC::Run::start([ 'pgbench', '-n', '-c', '2', '-t', '400', '-f', $script, $_->connstr('postgres') ], '>', '/dev/null', '2>', '/dev/null')
} $n1, $n2;
wait_until($n1, q{SELECT count(*) > 20 FROM tick});
is(sql($n3, call('join', $n3, conninfo($n2))), 3, 'a third joins through the second');
ok($_->finish, 'and nobody is disturbed') foreach @load;
wait_converged(@nodes);
same_everywhere(\@nodes, $rows, 'rows that changed meanwhile are the same everywhere');
expect_everywhere(\@nodes, q{SELECT count(*) FROM tick}, 1600, 'no row is missing');
expect_everywhere(\@nodes, q{SELECT sum(balance) FROM account}, 3381 + 1600, 'no purchase is counted twice or lost');
is(sql($n3, q{SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'tick'::regclass AND adnum = 1}),
	'meridian.next_id()', 'keys are filled as in the mesh');

# --- wait_converged -----------------------------------------------------------------------------------------------------

my $holder = $n2->background_psql('postgres');
$holder->query_safe('BEGIN; SELECT * FROM account WHERE id = 1 FOR UPDATE');
sql($n1, q{UPDATE account SET note = 'waits' WHERE id = 1});
is(sql($n1, q{SELECT meridian.wait_converged('200ms')}), 'f', 'false while a connected peer is behind');
$holder->query_safe('COMMIT');
$holder->quit;
is(sql($n1, q{SELECT meridian.wait_converged()}), 't', 'true when it has caught up');
is(sql($n2, q{SELECT note FROM account WHERE id = 1}), 'waits', 'and the change is visible there');

cut_link($n1, $n3);
sql($n1, q{UPDATE account SET note = 'cut' WHERE id = 1});
my ($status, $out, $err) = $n1->psql('postgres', q{SELECT meridian.wait_converged('3s')});
is($out, 't', 'an unreachable peer does not count');
like($err, qr/WARNING:  not reachable, so not waited for: n3/, 'but is named');
is(sql($n1, q{SELECT state FROM meridian.nodes WHERE node = 'n3'}), 'unreachable', 'the view nodes shows it');
like(sql($n3, q{SELECT setting || ': ' || value || ': ' || fix FROM meridian.check_config() WHERE NOT ok}),
	qr/^subscription meridian_1: disabled: ALTER SUBSCRIPTION meridian_1 ENABLE$/, 'check_config shows the disabled subscription');
heal_link($n1, $n3);
is(sql($n1, q{SELECT meridian.wait_converged()}), 't', 'it catches up when it is back');
is(sql($n1, q{BEGIN TRANSACTION READ ONLY; SELECT meridian.wait_converged(); COMMIT}), 't', 'also in a transaction that only reads');

# --- leave ------------------------------------------------------------------------------------------------------------

sql($n3, q{INSERT INTO account VALUES (5, 'farewell', 5)});
sql($n3, q{SELECT meridian.leave()});
is(traces($n3), $nothing, 'a node that has left keeps nothing of the mesh');
is(sql($n3, q{SELECT note FROM account WHERE id = 5}), 'farewell', 'but its rows');
is(sql($n3, q{INSERT INTO tick (node) VALUES ('sequence') RETURNING id = (SELECT max(id) + 1 FROM tick)}), 't',
	'its keys come from the sequence again, above all that are there');
expect_everywhere([ $n1, $n2 ], q{SELECT string_agg(name, ',' ORDER BY id) FROM meridian.member}, 'n1,n2', 'the others have forgotten it');
expect_everywhere([ $n1, $n2 ], q{SELECT count(*) FROM pg_replication_slots}, 1, 'slots for it are gone');
expect_everywhere([ $n1, $n2 ], q{SELECT note FROM account WHERE id = 5}, 'farewell', 'they have what it wrote last');
is(sql($n1, q{SELECT meridian.wait_converged('10s')}), 't', 'nobody waits for it');
sql($n3, 'DROP EXTENSION meridian');
sql($n3, 'CREATE EXTENSION meridian');
pass('the extension can be dropped after leaving');

# --- a join that must wait ----------------------------------------------------------------------------------------------

sql($n3, 'TRUNCATE account, tick');
my $open = $n1->background_psql('postgres');
$open->query_safe(q{BEGIN; CREATE TABLE unfinished ()});
my $pid = $open->query_safe('SELECT pg_backend_pid()');
my $join = start_call($n3, call('join', $n3, conninfo($n2)));
wait_for_message($join, qr/NOTICE:.*set-up waits for process $pid \(.*xid \d+.*on node "n1"/, 'a join names the transaction that it waits for');

# ... and is cancelled
is(sql($n3, q{SELECT count(*) FROM (SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT meridian.join(%') c}), 1, 'cancelled');
($out, $err) = finish_call($join);
like($err, qr/ERROR:  57014.*CONTEXT:  set-up worker, waiting for process $pid/s, 'the error says what it was waiting for');
wait_until($n3, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'meridian setup'});
is(traces($n3), $nothing, 'a cancelled join leaves nothing here');
expect_everywhere([ $n1, $n2 ], q{SELECT (SELECT count(*) FROM pg_replication_slots) || ' ' || (SELECT count(*) FROM meridian.member)}, '1 2', 'and nothing there');

# ... and repeated
$open->query_safe(q{PREPARE TRANSACTION 'left over'});
$open->quit;
$join = start_call($n3, call('join', $n3, conninfo($n2)));
wait_for_message($join, qr/set-up waits for prepared transaction 'left over' \(xid \d+/, 'repeated, it waits again, for prepared transactions too');
sql($n1, q{ROLLBACK PREPARED 'left over'});
($out, $err) = finish_call($join);
is($out, 4, 'and goes on when it has ended, under a number that nobody had');
wait_converged(@nodes);
same_everywhere(\@nodes, $rows, 'rows are the same again');

# --- a join cut off after rows have begun to flow -------------------------------------------------------------------------

sql($n3, q{SELECT meridian.leave()});
sql($n3, 'TRUNCATE account, tick');
sql($n2, 'ALTER SUBSCRIPTION meridian_1 DISABLE');
wait_until($n1, q{SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'meridian_2'});
sql($n1, q{INSERT INTO account VALUES (6, 'not at n2 yet', 6)});
$join = start_call($n3, call('join', $n3, conninfo($n2)));
wait_for_message($join, qr/set-up waits for node "n2" to apply what node "n1" has written/, 'a copy waits until its source has everything');
sql($n3, q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT meridian.join(%'});
finish_call($join);
wait_until($n3, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'meridian setup'});
expect_everywhere(\@nodes, q{SELECT state FROM meridian.member WHERE name = 'n3'}, 'joining', 'cut off now, the join is unfinished');
like(sql_error($n1, q{SELECT meridian.replicate('tick')}), qr/55000.*"n3" has not completed its join.*drop_node\('n3'\)/s, 'other set-up says so');
sql($n2, 'ALTER SUBSCRIPTION meridian_1 ENABLE');
is(sql($n3, call('join', $n3, conninfo($n2))), 5, 'and a repeat completes it');
wait_converged(@nodes);
same_everywhere(\@nodes, $rows, 'with the same rows everywhere');
expect_everywhere(\@nodes, q{SELECT state FROM meridian.member WHERE name = 'n3'}, 'active', 'and it is a member like the others');

# --- tables from a dump of a member -------------------------------------------------------------------------------------

my $n4 = new_node('n4', extension => 0);
my $dump = PostgreSQL::Test::Utils::tempdir() . '/schema.sql';
command_ok([ 'pg_dump', '--schema-only', '--no-publications', '--no-subscriptions', '-d', $n1->connstr('postgres'), '-f', $dump ], 'the schema of a member is dumped');
command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $n4->connstr('postgres'), '-f', $dump ], 'and restored on a new server');
is(sql($n4, call('join', $n4, conninfo($n1))), 6, 'which joins with it');
wait_converged(@nodes, $n4);
sql($n4, q{UPDATE account SET balance = balance + 1; INSERT INTO tick (node) VALUES ('n4')});
wait_converged(@nodes, $n4);
same_everywhere([ @nodes, $n4 ], $rows, 'and has the same rows');
same_everywhere([ @nodes, $n4 ], q{SELECT count(*) FROM tick}, 'of every table');
sql($n4, 'SELECT meridian.leave()');
is(traces($n4), $nothing, 'and it leaves without a trace');

# --- drop_node ------------------------------------------------------------------------------------------------------------

like(sql_error($n1, q{SELECT meridian.drop_node('n1')}), qr/22023.*cannot drop itself.*leave\(\)/s, 'a node does not drop itself');
like(sql_error($n1, q{SELECT meridian.drop_node('n9')}), qr/42704.*"n9" is not a member/s, 'nor a stranger');
$n3->stop;
like(sql_error($n1, q{CREATE TABLE more (id bigint PRIMARY KEY); SELECT meridian.replicate('more')}), qr/08001.*could not connect to node "n3"/s,
	'set-up needs every node');
($status, $out, $err) = $n1->psql('postgres', q{SELECT meridian.drop_node('n3')});
is($status, 0, 'a dead node is dropped');
like($err, qr/WARNING:.*"n3" itself was not cleaned up/, 'which is said');
expect_everywhere([ $n1, $n2 ], q{SELECT (SELECT string_agg(name, ',' ORDER BY id) FROM meridian.member) || ' '
	|| (SELECT count(*) FROM pg_replication_slots) || ' ' || (SELECT count(*) FROM pg_subscription)},
	'n1,n2 1 1', 'the others have forgotten it');
$n3->start;
sql($n3, 'SELECT meridian.leave()');
is(traces($n3), $nothing, 'it leaves by itself when it is back');

# The last node.
sql($n2, 'SELECT meridian.leave()');
sql($n1, 'SELECT meridian.leave()');
is(traces($_), $nothing, 'nothing is left on ' . $_->name) foreach $n1, $n2;

no_crash(@nodes);
done_testing();
