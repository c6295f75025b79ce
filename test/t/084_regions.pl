# Tokens across regions: a write in us is readable in eu, and on a standby of eu, when check_token() says so.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my $cycles = $ENV{CYCLES} // 100;

my ($us, $eu) = mesh([ 'us', 'eu' ], conf => "wal_writer_delay = 10ms\n");
my $copy = new_standby($eu, 'copy');
my @readers = ($eu, $copy);


on_all([ $us, $eu ], 'CREATE TABLE read_your_writes (id integer PRIMARY KEY, v bigint NOT NULL)');
sql($us, q{SELECT meridian.replicate('read_your_writes')});
sql($us, 'INSERT INTO read_your_writes VALUES (1, 0)');
wait_converged($us, $eu);

# Every member knows of every other soon after it has joined, however quiet both are.
wait_until($_, 'SELECT count(*) = 2 FROM meridian.heartbeat') foreach ($us, $eu, $copy);

foreach my $case (
	[ 'SET', [] ],
	[ 'BEGIN in REPEATABLE READ', [ '--mode', 'begin' ] ],
	[ 'asynchronous commit', ['--async'] ],
	[ 'generic plan', [ '--mode', 'statement', '--prepared' ] ],
	[ 'DDL in the gap', [ '--ddl', '25', '--ddl-on', conninfo($eu) ] ])
{
	my ($name, $options) = @$case;
	foreach my $reader (@readers)
	{
		is(read_your_writes($us, $reader, '--cycles', $cycles, @$options)->{verdict}, 'stale 0, timeouts 0, late 0, errors 0', "$name, written in us, read on " . $reader->name);
	}
}
is(read_your_writes($eu, $us, '--cycles', $cycles)->{verdict}, 'stale 0, timeouts 0, late 0, errors 0', 'written in eu, read in us');

# A write that sends nothing.
my $local = sql($us, "CREATE TABLE here_only (v integer);\nSHOW meridian.last_write");
is(reached($_, $local), 'reached', 'a write that no peer sees is waited for no longer than a heartbeat on ' . $_->name) foreach @readers;

# A link that is cut.
cut_link($us, $eu);
my $cut = sql($us, "UPDATE read_your_writes SET v = -1;\nSHOW meridian.last_write");
is(verdict($_, $cut), 'not_yet', 'not there while the link is cut: ' . $_->name) foreach @readers;
like(sql_error($eu, "SET meridian.read_after_timeout = '50ms'; SET meridian.read_after = '$cut'"), qr/MD030/, 'a wait times out');
my $theirs = sql($eu, "CREATE TABLE there_only (v integer);\nSHOW meridian.last_write");
my $both = sql($us, "SELECT meridian.merge_tokens('$cut', '$theirs')");
is(verdict($eu, $both), 'not_yet', 'a token of both regions: one part is missing');
my $waiter = $eu->background_psql($Meridian::database, extra_params => ['-q']);
$waiter->query_safe(q{SET meridian.read_after_timeout = '3min'});
send_to($waiter, "SET meridian.read_after = '$both';\nSELECT v FROM read_your_writes;");
wait_until($eu, 'SELECT waiting = 1 FROM meridian.wait_status');
heal_link($us, $eu);
is($waiter->query('SELECT 7'), "-1\n7", 'the waiter sees the write when the link is back');
$waiter->quit;
is(reached($_, $both), 'reached', 'both parts on ' . $_->name) foreach @readers;

# What was known is known after a restart.
foreach my $mode (qw(fast immediate))
{
	my $before = sql($us, "UPDATE read_your_writes SET v = v + 1;\nSHOW meridian.last_write");
	is(reached($eu, $before), 'reached', "before a $mode restart");
	$eu->stop($mode);
	$eu->start;
	is(reached($_, $before), 'reached', "after a $mode restart of eu: " . $_->name) foreach @readers;
	$us->stop($mode);
	$us->start;
	is(reached($_, $before), 'reached', "after a $mode restart of us: " . $_->name) foreach @readers;
}
links_up($us, $eu);

is(verdict($eu, 'm1.1-1-1'), 'foreign', 'a system that is no member');
my ($system, $timeline) = $cut =~ /^m1\.([0-9a-f]+)-([0-9a-f]+)-/;
is(verdict($eu, "m1.$system-$timeline-ffffffffffffff"), 'not_yet', 'what a peer has not written cannot be told from what has not come');

# What eu refuses is parked there: it has arrived and been merged, so `yes` is the answer, but the table does not hold it.
sql($eu, 'ALTER TABLE read_your_writes ADD CONSTRAINT refused CHECK (v <> 4242)');
my $parked = sql($us, "UPDATE read_your_writes SET v = 4242;\nSHOW meridian.last_write");
is(reached($_, $parked), 'reached', 'the token of a change that is parked, on ' . $_->name) foreach @readers;
isnt(sql($_, 'SELECT v FROM read_your_writes'), '4242', 'which cannot be read on ' . $_->name) foreach @readers;
is(sql($_, q{SELECT count(*) FROM meridian.parked}), 1, 'and is in meridian.parked of ' . $_->name) foreach @readers;
sql($eu, 'ALTER TABLE read_your_writes DROP CONSTRAINT refused');
is(sql($eu, 'SELECT meridian.retry_parked(id) FROM meridian.parked'), 'applied', 'until the table takes it');

# A quiet mesh falls silent.
wait_converged($us, $eu);
my $told = q{SELECT string_agg(lsn::text, ' ' ORDER BY member) FROM meridian.heartbeat};
my $runs = q{SELECT runs FROM meridian.keeper_status() WHERE task = 'heartbeat'};
sub pass_of_keepers { foreach my $node ($us, $eu) { my $n = sql($node, $runs); wait_until($node, "SELECT runs >= $n + 8 FROM meridian.keeper_status() WHERE task = 'heartbeat'"); } return; }
pass_of_keepers();
my $quiet = sql($us, $told);
pass_of_keepers();
is(sql($us, $told), $quiet, 'nobody writes, nobody tells');

sql($eu, q{SELECT meridian.leave()});
is(sql($us, 'SELECT count(*) FROM meridian.heartbeat'), 1, 'who has left is forgotten');
is(verdict($us, $theirs), 'foreign', 'and so are its tokens');

no_crash($us, $eu, $copy);
done_testing();
