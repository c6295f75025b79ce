# A promotion inside a mesh: us dies, its standby takes its place and its address, eu reads on from it. Tokens of writes that
# survived, that were lost, and that only eu has, are judged in both regions and on a standby of eu; nobody is told `yes` who cannot
# read the write.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my ($us, $eu) = mesh([ 'us', 'eu' ]);
my $us2 = new_standby($us, 'us2');
my $copy = new_standby($eu, 'copy');
my @europe = ($eu, $copy);

sub write_on { return sql($_[0], "INSERT INTO note VALUES ('$_[1]');\nSHOW meridian.last_write"); }
sub has { return sql($_[0], "SELECT count(*) FROM note WHERE t = '$_[1]'"); }
sub pid_of_keeper { return sql($_[0], q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'meridian keeper'}); }

# Stops the keeper where it waits for something to do: not in a transaction, which a new slot would wait for.
sub stop_keeper
{
	my ($node) = @_;
	my $at_rest = q{SELECT count(*) = 1 FROM pg_stat_activity
		WHERE backend_type = 'meridian keeper' AND xact_start IS NULL AND wait_event_type = 'Extension'};
	my $keeper = pid_of_keeper($node);
	while (1)
	{
		wait_until($node, $at_rest);
		kill 'STOP', $keeper;
		return $keeper if sql($node, $at_rest) eq 't';
		kill 'CONT', $keeper;
	}
}

on_all([ $us, $eu ], 'CREATE TABLE note (t text PRIMARY KEY)');
sql($us, q{SELECT meridian.replicate('note')});
wait_converged($us, $eu);
# The slot will be made anew on us2: what that skips, heal() brings.
on_all([ $us, $eu ], q{SELECT meridian.hold_removal('failover')});

# --- three writes -------------------------------------------------------------------------------------------------------

my $survives = write_on($us, 'survives');
is(reached($_, $survives), 'reached', 'the first write is on ' . $_->name) foreach ($us2, @europe);

$us2->append_conf('postgresql.conf', "primary_conninfo = ''\n");
$us2->reload;
wait_until($us2, 'SELECT count(*) = 0 FROM pg_stat_wal_receiver');
my $abroad = write_on($us, 'abroad');
is(reached($_, $abroad), 'reached', 'the second on ' . $_->name . ', not on us2') foreach @europe;

sql($eu, 'ALTER SUBSCRIPTION ' . (streams_to($eu, $us))[0] . ' DISABLE');
my $lost;
$lost = write_on($us, "lost $_") foreach 1 .. 3;
is(verdict($_, $lost), 'not_yet', 'the third has not come to ' . $_->name) foreach ($us2, @europe);
my %waiter = map { $_->name => wait_on($_, $lost) } ($us2, @europe);

# --- us dies ------------------------------------------------------------------------------------------------------------

my $slot = sql($eu, 'SELECT subslotname FROM pg_subscription');
$us->stop('immediate');
$us2->promote;
is_told_of_loss($us2, $waiter{us2});
is(verdict($us2, $survives), 'yes', 'us2: the first survived');
is(verdict($us2, $abroad), 'lost', 'us2: the second is not in its history');
is(verdict($us2, $lost), 'lost', 'us2: nor is the third');

# Nobody has told eu yet.
foreach my $node (@europe)
{
	is(verdict($node, $survives), 'yes', $node->name . ' knows of no failover: the first');
	is(verdict($node, $abroad), 'yes', 'the second');
	is(verdict($node, $lost), 'not_yet', 'the third may still come, for all it knows');
	is(sql($node, 'SELECT waiting FROM meridian.wait_status'), 1, 'so the waiter waits');
}

# --- us2 takes its place ------------------------------------------------------------------------------------------------

# The keeper, which would tell eu of the new timeline, is stopped before there is a slot that could bring what it says: what comes
# first to eu are writes on that timeline, with larger positions than that of the lost write.
my $keeper = stop_keeper($us2);

# Its positions go beyond all that us had written before a slot is made: eu reads on from where it was.
my $skipped = write_on($us2, 'skipped');
sql($us2, 'SELECT pg_switch_wal()');
symlink $us2->host . '/.s.PGSQL.' . $us2->port, $us->host . '/.s.PGSQL.' . $us->port or die $!;
sql($us2, "SELECT pg_create_logical_replication_slot('$slot', 'meridian_mesh')");
my $later = write_on($us2, 'later');
my ($lost_lsn, $later_lsn) = map { hex((/-([0-9a-f]+)$/)[0]) } $lost, $later;
cmp_ok($later_lsn, '>', $lost_lsn, 'the new timeline is beyond the position of the lost write');
sql($eu, 'ALTER SUBSCRIPTION ' . (streams_to($eu, $us))[0] . ' ENABLE');
wait_until($_, q{SELECT count(*) = 1 FROM note WHERE t = 'later'}) foreach @europe;
foreach my $node (@europe)
{
	is(verdict($node, $lost), 'not_yet', $node->name . ' does not take a position of the new timeline for one of the old');
	is(verdict($node, $abroad), 'yes', 'and knows what it had of the old');
	is(verdict($node, $later), 'not_yet', 'of the new one it has not heard');
}
kill 'CONT', $keeper;
is(reached($_, $later), 'reached', 'when it has, on ' . $_->name) foreach @europe;
is_told_of_loss($_, $waiter{ $_->name }) foreach @europe;
foreach my $node (@europe)
{
	my $name = $node->name;
	is(verdict($node, $lost), 'lost', "$name: the third is lost");
	is(has($node, 'lost 3'), 0, 'indeed');
	is(verdict($node, $abroad), 'yes', "$name: the second is there, though us2 has lost it");
	is(has($node, 'abroad'), 1, 'indeed');
	is(verdict($node, $survives), 'yes', "$name: the first survived");
	is(verdict($node, sql($us2, "SELECT meridian.merge_tokens('$survives', '$later')")), 'yes', "$name: with a later one");
	is(verdict($node, sql($us2, "SELECT meridian.merge_tokens('$lost', '$later')")), 'lost', "$name: a token with the third in it");
}
is(verdict($eu, $skipped), 'yes', 'what the new slot skipped counts as read');
is(has($eu, 'skipped'), 0, 'though it is not there before heal() has brought it');
my $back = write_on($eu, 'from eu');
is(reached($us2, $back), 'reached', 'us2 reads on from eu');

# What is known outlives a restart.
$eu->restart;
is(verdict($_, $lost), 'lost', 'after a restart of eu, on ' . $_->name) foreach @europe;
is(verdict($_, $abroad), 'yes', 'the second, on ' . $_->name) foreach @europe;

# --- healing ------------------------------------------------------------------------------------------------------------

wait_until($eu, 'SELECT bool_and(pid IS NOT NULL) FROM pg_stat_subscription');
sql($us2, q{SELECT meridian.heal('eu')});
is(has($us2, 'abroad'), 1, 'heal() brings the second back to us2');
is(has($eu, 'skipped'), 1, 'and to eu what the slot had skipped');
is(verdict($us2, $abroad), 'lost', 'whose history does not say so: the token is lost there for good');
same_everywhere([ $us2, $eu ], 'SELECT string_agg(t, $$,$$ ORDER BY t) FROM note', 'both hold the same');

no_crash($us, $eu, $us2, $copy);
done_testing();
