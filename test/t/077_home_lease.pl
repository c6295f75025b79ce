# Leases of home regions: one that is cut off stops writing, its keys are taken only then, and it hears of that when the network
# is back.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my ($us, $eu, $ap) = my @nodes = mesh([ 'us', 'eu', 'ap' ], conf => "meridian.home_lease = 2s\nmeridian.probe_interval = 200ms\n");
on_all(\@nodes, q{
	CREATE TABLE counter (id bigint PRIMARY KEY, n integer NOT NULL);
	CREATE TRIGGER home BEFORE INSERT OR UPDATE OR DELETE ON counter FOR EACH ROW EXECUTE FUNCTION meridian.enforce_home('id')});
sql($us, q{SELECT meridian.replicate('counter', 'n=counter')});
wait_on_all(\@nodes, q{SELECT meridian.homes_confirmed()});
sql($us, "SELECT meridian.add_region('$_')") foreach qw(us eu ap);
sql($us, "SELECT meridian.pin_home('$_', 'eu')") foreach 1, 2;
sql($us, q{SELECT meridian.pin_home('3', 'us')});

# The network between one node and the others: their addresses lead nowhere, and no stream runs.
my %dsn = map { $_->name => sql($us, "SELECT dsn FROM meridian.member WHERE name = '" . $_->name . "'") } @nodes;

sub cut_off
{
	my ($node) = @_;
	foreach my $other (grep { $_ != $node } @nodes)
	{
		cut_link($node, $other);
		sql($_->[0], "UPDATE meridian.member SET dsn = 'host=/nowhere' WHERE name = '" . $_->[1]->name . "'") foreach [ $node, $other ], [ $other, $node ];
	}
	return;
}

sub reconnect
{
	my ($node) = @_;
	foreach my $other (grep { $_ != $node } @nodes)
	{
		sql($_->[0], "UPDATE meridian.member SET dsn = '" . $dsn{ $_->[1]->name } . "' WHERE name = '" . $_->[1]->name . "'") foreach [ $node, $other ], [ $other, $node ];
		heal_link($node, $other);
	}
	return;
}

my $held = 'SELECT held FROM meridian.home_lease_status';
my $status = 'SELECT votes, voters, needed FROM meridian.home_lease_status';
my $alarm = q{SELECT count(*) FROM meridian.local_alarms WHERE alarm = 'home lease ended'};

# Writes again while the busy machine lets a lease end, or a server has not asked the others yet. Returns the last error.
sub write_key
{
	my ($node, $statement) = @_;
	my $error = '';
	foreach (1 .. 100)
	{
		my ($status, $out, $text) = $node->psql($Meridian::database, "\\set VERBOSITY verbose\n$statement");
		$error = $text;
		last if $text !~ /MD05[23]/;
		wait_until($node, $held);
	}
	return $error;
}

wait_on_all(\@nodes, $held);
is(sql($eu, $status), 't|3|1', 'of three members one other must answer');
is(write_key($eu, 'INSERT INTO counter VALUES (1, 0), (2, 0)'), '', 'a region writes while it holds its lease');
wait_converged(@nodes);
like(sql_error($us, q{SELECT meridian.home_lease_wait(ARRAY(SELECT id FROM meridian.member WHERE name <> 'us'))}), qr/55000: .*2 of the 3 members/s, 'two of three members could go on without the third');

# --- cut off --------------------------------------------------------------------------------------------------------------------

my $open = open_session($eu);
foreach (1 .. 100)
{
	$open->query('BEGIN; UPDATE counter SET n = n + 100 WHERE id = 2');
	last if errors_of($open) !~ /lease/;
	$open->query('ROLLBACK');
	wait_until($eu, $held);
}
cut_off($eu);
# It does not come back before the lease of eu has ended, whenever that is.
sql($us, q{SELECT meridian.take_home('1', force => true)});
is(sql($eu, $held), 'f', 'a key is taken only when the lease of the region that is cut off has ended');
is(sql($eu, $alarm), '1', 'which is an alarm there');
like(sql_error($eu, 'UPDATE counter SET n = n + 1 WHERE id = 1'), qr/MD053: .*lease of region "eu" has ended.*home_lease_status/s, 'and no key is written there any more');
$open->query('COMMIT');
like(errors_of($open), qr/lease of region "eu" has ended/, 'nor committed');
$open->quit;
is(write_key($us, 'UPDATE counter SET n = n + 10 WHERE id = 1'), '', 'but where it was taken to');
is(sql($us, $status), 't|2|1', 'who was given up does not vote');
is(sql($us, q{SELECT meridian.home_region('1')}) . sql($eu, q{SELECT meridian.home_region('1')}), 'useu', 'the region that is cut off knows nothing of it');

# --- back -----------------------------------------------------------------------------------------------------------------------

reconnect($eu);
wait_until($eu, q{SELECT meridian.home_region('1') = 'us'});
like(write_key($eu, 'UPDATE counter SET n = n + 1 WHERE id = 1'), qr/MD050/, 'it hears of it, without a restart');
wait_until($eu, $held);
is(sql($eu, $status), 'f|2|2', 'and holds a lease without a vote');
is(sql($eu, $alarm), '0', 'the alarm is over');
is(write_key($eu, 'UPDATE counter SET n = n + 1 WHERE id = 2'), '', 'for the keys that it kept');
wait_converged(@nodes);
expect_everywhere(\@nodes, q{SELECT string_agg(n::text, ' ' ORDER BY id) FROM counter}, '10 1', 'all agree on what was written');
sql($ap, q{SELECT meridian.rehome('1', 'eu')});
wait_on_all(\@nodes, $held);
expect_everywhere(\@nodes, $status, 't|3|1', 'after a change that all took part in, all vote');

# --- one that is down ---------------------------------------------------------------------------------------------------------------

$eu->stop('immediate');
$ap->stop('immediate');
wait_until($us, $held, 'f');
like(sql_error($us, q{SELECT meridian.take_home('1', force => true)}), qr/55000: .*2 of the 3 members.*home_lease to 0/s, 'one of three cannot take what the others may go on with');
$us->append_conf('postgresql.conf', 'meridian.home_lease = 0');
$us->reload;
wait_until($us, q{SELECT current_setting('meridian.home_lease') = '0'});
sql($us, q{SELECT meridian.take_home('1', force => true)});
is(write_key($us, 'UPDATE counter SET n = n + 1 WHERE id = 1'), '', 'without leases it does as it is told');
no_crash(@nodes);
done_testing;
