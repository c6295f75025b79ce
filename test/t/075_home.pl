# Home regions: every server gives the same homes, a write elsewhere is refused, and a key changes its home under load, with
# each node killed at each step, without a lost or doubled write.
#
#   HOME_WRITERS=50   writers on each of the two homes (default 3)
#   HOME_KILLS=all    every node at every step, instead of one node at each
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my $writers = $ENV{HOME_WRITERS} // 3;

my ($us, $eu) = my @nodes = mesh([ 'us', 'eu' ]);
my $schema = q{
	CREATE TABLE counter (id bigint PRIMARY KEY, n integer NOT NULL);
	CREATE TABLE acknowledged (id bigint);
	CREATE TABLE running ();
	CREATE TRIGGER home BEFORE INSERT OR UPDATE OR DELETE ON counter FOR EACH ROW EXECUTE FUNCTION meridian.enforce_home('id');
	CREATE PROCEDURE count_up() LANGUAGE plpgsql AS $$
	BEGIN
		WHILE EXISTS (SELECT FROM running) LOOP
			DECLARE
				key bigint := 1 + floor(random() * 3);
			BEGIN
				UPDATE counter SET n = n + 1 WHERE id = key;
				INSERT INTO acknowledged SELECT key WHERE FOUND;
			EXCEPTION WHEN SQLSTATE 'MD050' OR SQLSTATE 'MD051' OR SQLSTATE 'MD052' THEN
				PERFORM pg_sleep(0.005);
			END;
			COMMIT;
			PERFORM pg_sleep(0.001);
		END LOOP;
	END $$};
on_all(\@nodes, $schema);
# A server that has just started asks the others first.
my $confirmed = q{SELECT meridian.homes_confirmed()};
wait_on_all(\@nodes, $confirmed);

# --- regions ---------------------------------------------------------------------------------------------------------------------

my $some_homes = q{SELECT string_agg(meridian.home_region(k), ' ' ORDER BY k) FROM generate_series(1, 200) k};
like(sql_error($us, q{SELECT meridian.add_region('mars')}), qr/42704: .*no member of the mesh is in region "mars"/s, 'a region without a member');
like(sql_error($us, q{INSERT INTO counter VALUES (1, 0)}), qr/55000: .*there is no home region/s, 'no region, no write');
like(sql_error($us, q{SELECT meridian.pin_home('1', 'us')}), qr/42704: .*no home region "us"/s, 'nor a pin');
is(sql($us, q{SELECT meridian.add_region('us')}), '1', 'the first change');
is(sql($eu, q{SELECT meridian.add_region('eu', 2)}), '2', 'the second, from the other node');
is(sql($us, q{SELECT meridian.add_region('eu', 2)}), '2', 'repeated, it is none');
like(sql_error($us, q{SELECT meridian.add_region('eu', 3)}), qr/22023: .*is there already.*set_region/s, 'with another weight it is an error');
my $two = same_everywhere(\@nodes, $some_homes, 'both nodes give the same homes');

sql($us, q{SELECT meridian.drop_region('eu')});
is(sql($eu, qq{SELECT count(*) FROM generate_series(1, 200) k WHERE meridian.home_region(k) = 'us'}), '200', 'a dropped region has no keys');
sql($us, q{SELECT meridian.add_region('eu', 2)});
my $ap = new_node('ap');
sql($ap, $schema);
make_member($ap, $us);
push @nodes, $ap;
links_up(@nodes);
wait_until($ap, $confirmed);
is(sql($ap, $some_homes), $two, 'a node that joins knows the homes');
sql($ap, q{SELECT meridian.add_region('ap')});
my @before = split / /, $two;
my @after = split / /, same_everywhere(\@nodes, $some_homes, 'a third region is known everywhere');
my @moved = grep { $before[$_] ne $after[$_] } 0 .. $#before;
is_deeply([ grep { $after[$_] ne 'ap' } @moved ], [], 'keys moved only to the new region');
cmp_ok(scalar(@moved), '>', 20, 'and some did');
sql($us, q{SELECT meridian.set_region('eu', 1)});
sql($us, q{SELECT meridian.set_home_rule('modulo')});
is(sql($ap, q{SELECT string_agg(meridian.home_region(k), ' ' ORDER BY k) FROM generate_series(0, 5) k}), 'us eu ap us eu ap', 'modulo, in the order of the regions');
sql($us, q{SELECT meridian.set_home_rule('hash')});

# --- the directory, and writes in the wrong region -------------------------------------------------------------------------------

sql($us, q{SELECT meridian.replicate('counter')});
sql($us, qq{SELECT meridian.pin_home('$_', 'us')}) foreach 1 .. 3;
expect_everywhere(\@nodes, q{SELECT string_agg(meridian.home_region(k), ' ') FROM generate_series(1, 3) k}, 'us us us', 'pinned keys');
sql($us, q{SELECT meridian.pin_home('4', 'eu')});
sql($us, q{INSERT INTO counter SELECT k, 0 FROM generate_series(1, 3) k});
sql($eu, q{INSERT INTO counter VALUES (4, 0)});
wait_converged(@nodes);
my $error = sql_error($eu, q{UPDATE counter SET n = 5 WHERE id = 1});
like($error, qr/MD050: .*home of key "1" is region "us", and this is "eu"/s, 'a write in the wrong region is refused');
my ($detail) = $error =~ /DETAIL:  (\{.*\})/;
is(sql($eu, "SELECT d ->> 'home', d ->> 'key', d ->> 'node', (d ->> 'epoch')::int > 0 FROM (SELECT '$detail'::jsonb) t(d)"), 'us|1|us|t', 'the detail is for programs');
like($detail, qr/port=@{[ $us->port ]}/, 'and says where to connect');
is(sql($eu, q{SELECT node, region, reason FROM meridian.route_write('1')}), 'us|us|the key is pinned', 'as route_write does');
like(sql_error($us, q{SELECT meridian.drop_region('us')}), qr/2BP01: .*3 keys are pinned to region "us".*rehome/s, 'a region with pinned keys stays');
like(sql_error($us, q{BEGIN; INSERT INTO running DEFAULT VALUES; SELECT meridian.rehome('1', 'eu')}), qr/25001/, 'not in a transaction that has written');

# --- under load, with nodes killed ------------------------------------------------------------------------------------------------

my %work;

sub start_writers
{
	my ($node) = @_;
	my @command = ('psql', '-X', '-q', '-d', conninfo($node), '-c', 'CALL count_up()');
	my $discard = '';
	$work{ $node->name } = [ map { IPC::Run::start(\@command, '<', \undef, '>', \$discard, '2>', \$discard) } 1 .. $writers ];
	return;
}

sub end_writers
{
	my ($node) = @_;
	$_->finish foreach @{ $work{ $node->name } };
	return;
}

sub acknowledged { my ($key) = @_; my $sum = 0; $sum += sql($_, "SELECT count(*) FROM acknowledged WHERE id = $key") foreach $us, $eu; return $sum; }

# A statement that runs while we do other things; its outcome is not looked at.
sub in_background
{
	my ($node, $statement) = @_;
	my $output = '';
	return IPC::Run::start([ 'psql', '-X', '-q', '-d', conninfo($node), '-c', $statement ], '<', \undef, '>', \$output, '2>', \$output);
}

sub hold
{
	my ($node, $statement) = @_;
	my $session = open_session($node);
	$session->query_safe("BEGIN; $statement");
	return $session;
}

# A write of another key, at each home.
my %write_elsewhere = (us => 'UPDATE counter SET n = n WHERE id = 3', eu => 'UPDATE counter SET n = n WHERE id = 4');
my $lock = 'LOCK TABLE meridian.home_change IN EXCLUSIVE MODE';
my $waits_for_lock = q{SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'meridian.home_change'::regclass AND NOT granted)};
my $waits_for_writer = q{SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'virtualxid' AND NOT granted)};
my $drains = q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'meridian setup' AND query LIKE '%peer_positions%')};

# How a move from one home to another is held up at a step; returns what ends that.
my %hold_at = (
	prepare => sub {
		my ($move, $old, $new) = @_;
		my $session = hold($ap, $lock);
		my $mover = $move->();
		wait_until($ap, $waits_for_lock);
		return ($mover, sub { $session->quit });
	},
	settle => sub {
		my ($move, $old, $new) = @_;
		my $session = hold($old, $write_elsewhere{ $old->name });
		my $mover = $move->();
		wait_until($old, $waits_for_writer);
		return ($mover, sub { $session->quit });
	},
	drain => sub {
		my ($move, $old, $new) = @_;
		cut_stream($new, $old, 1);
		my $mover = $move->();
		wait_until($old, $drains);
		return ($mover, sub { heal_stream($new, $old, 1) });
	},
	commit => sub {
		my ($move, $old, $new) = @_;
		my $writer = hold($old, $write_elsewhere{ $old->name });
		my $mover = $move->();
		wait_until($old, $waits_for_writer);
		my $session = hold($eu, $lock);
		$writer->quit;
		wait_until($eu, $waits_for_lock);
		return ($mover, sub { $session->quit });
	});

sub kill_node
{
	my ($node) = @_;
	$node->stop('immediate');
	end_writers($node) if $work{ $node->name };
	$node->start;
	start_writers($node) if $work{ $node->name };
	return;
}

sql($_, 'INSERT INTO running DEFAULT VALUES') foreach $us, $eu;
start_writers($_) foreach $us, $eu;
my @kills = map { my $step = $_; map { [ $step, $_ ] } 0 .. 2 } qw(prepare settle drain commit);
@kills = @kills[ 1, 5, 6, 9 ] unless ($ENV{HOME_KILLS} // '') eq 'all';
my ($old, $new) = ($us, $eu);
foreach my $kill (@kills)
{
	my ($step, $whom) = @$kill;
	my $victim = ($old, $new, $ap)[$whom];
	my $name = "killed " . ('the old home', 'the new home', 'a third node')[$whom] . " at step $step";
	my $written = acknowledged(1);
	wait_until($old, "SELECT count(*) > 0 FROM acknowledged WHERE id = 1");
	my ($mover, $release) = $hold_at{$step}->(sub { in_background($ap, "SELECT meridian.rehome('1', '" . $new->name . "')") }, $old, $new);
	kill_node($victim);
	eval { $release->(); 1 } or note "the holder of the step went with its server";
	$mover->finish;
	links_up(@nodes);
	sql($ap, "SELECT meridian.rehome('1', '" . $new->name . "')");
	expect_everywhere(\@nodes, q{SELECT meridian.home_region(1)}, $new->name, "$name: the key is at its new home");
	my $seen = sql($new, 'SELECT count(*) FROM acknowledged WHERE id = 1');
	wait_until($new, "SELECT count(*) > $seen FROM acknowledged WHERE id = 1");
	is(sql($ap, q{SELECT count(*) FROM meridian.rehome_status WHERE state = 'moving'}), '0', 'nothing is left in progress');
	($old, $new) = ($new, $old);
}

# A move that is cancelled is taken back.
my $holder = hold($old, 'UPDATE counter SET n = n WHERE id = 1');
my $mover = in_background($ap, "SELECT meridian.rehome('1', '" . $new->name . "')");
wait_until($old, $waits_for_writer);
sql($ap, q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT meridian.rehome%'});
$mover->finish;
wait_on_all(\@nodes, q{SELECT state = 'aborted' FROM meridian.rehome_status ORDER BY epoch DESC LIMIT 1});
$holder->quit;
expect_everywhere(\@nodes, q{SELECT meridian.home_region(1)}, $old->name, 'then the key is where it was');

on_all([ $us, $eu ], 'DELETE FROM running');
end_writers($_) foreach $us, $eu;
wait_converged(@nodes);
my $acknowledged = join ' ', map { acknowledged($_) } 1 .. 3;
note "acknowledged: $acknowledged";
expect_everywhere(\@nodes, q{SELECT string_agg(n::text, ' ' ORDER BY id) FROM counter WHERE id < 4}, $acknowledged, 'every acknowledged write counts, and nothing else');

# --- a standby says what its primary knows ------------------------------------------------------------------------------------------

my $standby = new_standby($us, 'us2');
is(sql($standby, $some_homes), sql($us, $some_homes), 'a standby knows the homes');
my $session = open_session($standby);
is($session->query_safe(q{SELECT meridian.home_region(1)}), $old->name, 'also in a session that asked before');
sql($us, "SELECT meridian.rehome('1', 'ap')");
$us->wait_for_catchup($standby);
is($session->query_safe(q{SELECT meridian.home_region(1)}), 'ap', 'the key moved');
is($session->query_safe(q{SELECT node FROM meridian.route_write('1')}), 'ap', 'and the standby says so');
$session->quit;

sql($us, q{SELECT meridian.unpin_home('2')});
is(sql($ap, q{SELECT reason FROM meridian.route_write('2')}), 'by hash of the key', 'an unpinned key follows the map');
sql($us, qq{SELECT meridian.rehome('$_', 'eu')}) foreach 1, 3;
# --- a region is lost -----------------------------------------------------------------------------------------------------------------

wait_converged(@nodes);
cut_stream($us, $eu, 1);
sql($eu, q{UPDATE counter SET n = -1 WHERE id = 1});
$eu->stop('immediate');
like(sql_error($us, q{SELECT meridian.take_home('1', 'us')}), qr/08001: .*could not connect to node "eu"/s, 'a key of a region that is away is not taken');
sql($us, q{SELECT meridian.take_home('1', 'us', force => true)});
is(sql($us, q{SELECT lost, lost_after ? 'eu' FROM meridian.rehome_status ORDER BY epoch DESC LIMIT 1}), '{eu}|t', 'but by force, which says what may be lost');
sql($us, q{UPDATE counter SET n = 1000000 WHERE id = 1});
is(sql($ap, q{SELECT meridian.home_region(1)}), 'us', 'the others know');
like(sql_error($us, q{SELECT meridian.rehome('1', 'ap')}), qr/08001/, 'other changes wait for the region');
$eu->start;
my $refusal;
do { $refusal = sql_error($eu, q{UPDATE counter SET n = -2 WHERE id = 1}) } while $refusal =~ /MD052/;
like($refusal, qr/MD050: .*home of key "1" is region "us"/s, 'the region that comes back has heard of it before it writes');
# By a stream of another member, it may be, before it has asked them all.
wait_until($eu, $confirmed);
pass('and it has asked');
heal_stream($us, $eu, 1);
links_up(@nodes);
sql($eu, q{SELECT meridian.rehome('1', 'ap')});
expect_everywhere(\@nodes, q{SELECT meridian.home_region(1)}, 'ap', 'and all go on together');
$eu->stop('immediate');
sql($us, q{SELECT meridian.take_home('eu', force => true)});
is(sql($us, q{SELECT meridian.home_region(3)}), 'us', 'all keys of a lost region can be taken, also those that were pinned');
$_->stop('immediate') foreach $us, $ap;
$_->start foreach $us, $ap;
is(sql($us, $confirmed), 'f', 'servers that know of no confirmed one wait for all');
$eu->start;
wait_on_all(\@nodes, $confirmed);
expect_everywhere(\@nodes, q{SELECT meridian.home_region(3)}, 'us', 'and then agree');
no_crash(@nodes);
done_testing;
