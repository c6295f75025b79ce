# Sessions on a primary, a standby and a standby of that: a standby says yes only after asking. Whether requests are asked
# together, and what happens when they cannot be, is tried with the worker held by SIGSTOP, so nothing depends on time.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_node('primary', conf => "wal_sender_timeout = '5min'\n");
my $standby = new_standby($primary, 'standby');
my $leaf = new_standby($standby, 'leaf');
sql($primary, 'CREATE TABLE note (t text)');
$_->wait_for_catchup('leaf', 'replay', $primary->lsn('insert')) foreach ($standby);

sub write_as { return sql($primary, "SET meridian.session = '$_[0]'; INSERT INTO note VALUES ('x');\nSHOW meridian.last_write"); }
sub check { return sql($_[0], "SELECT meridian.check_session('$_[1]')"); }
sub token { return sql($_[0], "SELECT meridian.session_token('$_[1]')"); }
sub status { return sql($_[0], "SELECT $_[1] FROM meridian.session_status"); }

# Of a token of one position.
sub lsn_of { my ($lsn) = $_[0] =~ /-([0-9a-f]+)$/ or die $_[0]; return hex $lsn; }
sub timeline_of { my ($timeline) = $_[0] =~ /-([0-9a-f]+)-[0-9a-f]+$/ or die $_[0]; return hex $timeline; }

# --- who asks is told the truth ---------------------------------------------------------------------------------------

my $first = write_as('user-1');
is(token($primary, 'user-1'), $first, 'the primary knows the last write of a session');
{
	local $ENV{PGOPTIONS} = '-c meridian.session=user-2';
	my $second = sql($primary, "INSERT INTO note VALUES ('x');\nSHOW meridian.last_write");
	is(token($primary, 'user-2'), $second, 'whose name came with the connection');
	local $ENV{PGOPTIONS} = "-c meridian.session=\xc3\xbc";
	my ($status, undef, $err) = $primary->psql($Meridian::database, 'SELECT 1');
	like($err, qr/not the name of a session/, 'a name that is none refuses the connection');
	isnt($status, 0, 'indeed');
}
foreach my $node ($standby, $leaf)
{
	my $name = $node->name;
	is(token($node, 'user-1'), $first, "$name: the token is that of the primary");
	is(sql($node, "SELECT meridian.wait_for_session('user-1', '1min')"), 'reached', "$name: it waits for the write");
	is(check($node, 'user-1'), 'yes', "$name: which is there");
	is(sql($node, "SELECT meridian.wait_for_session('never heard of', '1min')"), 'reached', "$name: one that is not known");
}
cmp_ok(status($primary, 'requests'), '==', 0, 'the primary asked nobody');
cmp_ok(status($standby, 'requests'), '>', status($leaf, 'requests'), 'the standby asked for itself and for the leaf');

pause_replay($standby);
my $pending = write_as('user-1');
my $asked = status($standby, 'queries');
is(check($standby, 'user-1'), 'not_yet', 'a write that has not been replayed');
is(status($standby, 'queries'), $asked + 1, 'the primary was asked');
is(check($standby, 'user-1'), 'not_yet', 'and again');
is(status($standby, 'queries'), $asked + 1, 'by the mirror, which need not ask to say no');
is(sql($standby, q{SELECT passed_by_all IS NULL FROM meridian.sessions WHERE session = 'user-1'}), 't', 'it is in the view');
is(check($standby, 'user-2'), 'yes', 'another session has all it wrote');
is(sql($leaf, "SELECT meridian.wait_for_session('user-1', '1min')"), 'reached', 'the leaf receives what the standby does not replay');
is(check($leaf, 'user-1'), 'yes', 'and asks through it all the same');
is(sql($standby, "SELECT meridian.wait_for_session('user-1', '50ms')"), 'timeout', 'a wait is bounded');
is(sql($leaf, "SET meridian.read_after_timeout = '1min'; SELECT set_config('meridian.read_after', meridian.session_token('user-2'), false) <> '';\nSELECT 'read'"),
	"t\nread", 'the token can be waited for without a snapshot');

# What sticky_until() knows: the standby lacks the write.
is(sql($primary, q{SELECT meridian.sticky_until('user-1') > now()}), 't', 'the session should stay at the primary');
is(sql($primary, q{SELECT bool_or(passed_by_all) FROM meridian.sessions WHERE session = 'user-1'}), 'f', 'not every replica has the write');
like(sql_error($standby, q{SELECT meridian.sticky_until('user-1')}), qr/55000.*only the primary.*HINT/s, 'a standby cannot tell');
resume_replay($standby);
wait_until($primary, q{SELECT meridian.sticky_until('user-1') IS NULL});
pass('until the replicas have it');
is(sql($standby, "SELECT meridian.wait_for_session('user-1', '1min')"), 'reached', 'the standby has it, too');
is(check($standby, 'user-1'), 'yes', 'and asks again to say so');

# Lags are measured while something is written.
$primary->poll_query_until($Meridian::database, q{WITH w AS (INSERT INTO note VALUES ('x')) SELECT lag_samples > 0 FROM meridian.session_status}) or die;
is(status($primary, q{replay_lag_p99 BETWEEN '0' AND '1h'}), 't', 'the lag of the standby is measured');

# --- requests are asked together --------------------------------------------------------------------------------------

my $worker = status($standby, 'worker_pid');
my ($requests, $queries) = split /\|/, status($standby, 'requests, queries');
my @crowd = map { open_session($standby) } 1 .. 12;
$_->query_safe(q{SET meridian.read_after_timeout = '2min'}) foreach @crowd;
kill 'STOP', $worker or die $!;
send_to($crowd[$_], "SELECT meridian.check_session('user-$_');") foreach 0 .. $#crowd;
wait_until($standby, "SELECT requests = $requests + 12 FROM meridian.session_status");
kill 'CONT', $worker or die $!;
like($_->query('SELECT 1'), qr/^yes\n1$/m, 'each is answered') foreach @crowd;
is(status($standby, 'queries'), $queries + 1, 'twelve requests were one query');

# A write that is acknowledged while an earlier request is under way: that request's answer is not for who asks after it.
my $server = sql($primary, q{SELECT pid FROM pg_stat_activity WHERE application_name = 'meridian sessions'});
$queries = status($standby, 'queries');
kill 'STOP', $server or die $!;
send_to($crowd[0], q{SELECT meridian.check_session('late');});
wait_until($standby, "SELECT queries = $queries + 1 FROM meridian.session_status");
pause_replay($standby);
write_as('late');
send_to($crowd[1], q{SELECT meridian.check_session('late');});
wait_until($standby, "SELECT requests = $requests + 14 FROM meridian.session_status");
kill 'CONT', $server or die $!;
like($crowd[1]->query('SELECT 1'), qr/^not_yet\n1$/m, 'who asks after the write is told of it');
like($crowd[0]->query('SELECT 1'), qr/^(yes|not_yet)\n1$/m, 'the other may be told either');
cmp_ok(status($standby, 'queries'), '>=', $queries + 2, 'which was asked anew');
resume_replay($standby);

# --- waits that end otherwise -----------------------------------------------------------------------------------------

kill 'STOP', $worker or die $!;
like(sql_error($standby, q{SET statement_timeout = '50ms'; SELECT meridian.check_session('user-1')}), qr/57014/, 'an interrupted request');
like(sql_error($standby, q{SET meridian.read_after_timeout = '50ms'; SELECT meridian.check_session('user-1')}),
	qr/MD033: the primary could not be asked.*did not answer in time.*HINT/s, 'one that takes too long');
send_to($crowd[0], q{SELECT meridian.check_session('user-1');});
wait_until($standby, "SELECT requests >= $requests + 17 FROM meridian.session_status");
kill 'TERM', $worker or die $!;
kill 'CONT', $worker or die $!;
like($crowd[0]->query('SELECT 1'), qr/^yes\n1$/m, 'when the worker dies its successor goes on');
isnt(status($standby, 'worker_pid'), $worker, 'it is another one');
is(sql($standby, q{SET meridian.read_after_timeout = '5s'; SELECT meridian.check_session('user-1')}), 'yes', 'nothing is left of what was interrupted');

# --- a loop of writes and reads ---------------------------------------------------------------------------------------

sql($primary, 'CREATE TABLE read_your_writes (id integer PRIMARY KEY, v bigint NOT NULL)');
my $created = sql($primary, "INSERT INTO read_your_writes VALUES (1, 0);\nSHOW meridian.last_write");
foreach my $reader ($standby, $leaf)
{
	is(sql($reader, "SELECT meridian.wait_for('$created', '1min')"), 'reached', 'the table is there');
	is(read_your_writes($primary, $reader, '--mode', 'session', '--cycles', $ENV{CYCLES} // 200)->{verdict}, 'stale 0, timeouts 0, late 0, errors 0',
		'no stale read on ' . $reader->name);
}

# --- more sessions than places ----------------------------------------------------------------------------------------

sub restart
{
	my ($node, $line, $mode) = @_;
	$node->append_conf('postgresql.conf', $line) if $line;
	$node->stop($mode // 'fast');
	$node->start;
	return;
}

$_->quit foreach @crowd;
restart($primary, "meridian.max_sessions = 100\n");
my %last = map { $_ => write_as("crowd-$_") } 1 .. 3;
sql($primary, q{DO $$ BEGIN FOR i IN 4 .. 400 LOOP
	PERFORM set_config('meridian.session', 'crowd-' || i, false); INSERT INTO note VALUES ('x'); COMMIT; END LOOP; END $$});
is(status($primary, 'places = 100 AND sessions <= 100 AND gave_way > 250'), 't', 'the table is bounded');
is(sql($primary, q{SELECT count(*) FROM meridian.sessions WHERE session LIKE 'crowd-_'}), 0, 'the first had to give way');
cmp_ok(lsn_of(token($primary, "crowd-$_")), '>=', lsn_of($last{$_}), 'and are answered no earlier than they wrote') foreach 1 .. 3;
is(sql($standby, "SELECT meridian.wait_for_session('crowd-1', '1min')"), 'reached', 'on a standby, too');

# --- restarts ---------------------------------------------------------------------------------------------------------

my $file = $primary->data_dir . '/pg_stat/meridian_sessions';
my $kept = write_as('kept');
my $floor = token($primary, 'nobody');
$primary->stop('fast');
ok(-e $file, 'a clean shutdown writes the table');
my $old_file = slurp_file($file);
$primary->start;
ok(!-e $file, 'the next start takes it');
is(token($primary, 'kept'), $kept, 'and knows the session');
is(token($primary, 'nobody'), $floor, 'and when it last forgot one');
my $later = write_as('kept');
restart($primary, '', 'immediate');
ok(!-e $file, 'a crash leaves no file');
is(sql($primary, 'SELECT count(*) FROM meridian.sessions'), 0, 'the table is empty');
cmp_ok(lsn_of(token($primary, 'kept')), '>=', lsn_of($later), 'a session that is not known is answered with all before the crash');
is(sql($standby, "SET meridian.read_after_timeout = '1min'; SELECT meridian.wait_for_session('kept', '1min')"), 'reached',
	'which standbys reach though nothing is written');
$primary->stop('fast');
append_to_file("$file.old", $old_file);
rename "$file.old", $file or die $!;
my $log = -s $primary->logfile;
$primary->start;
like(slurp_file($primary->logfile, $log), qr/is not of the last shutdown, and is ignored/, 'a file of an earlier shutdown is not taken');
cmp_ok(lsn_of(token($primary, 'kept')), '>=', lsn_of($later), 'nor believed');
$primary->stop('immediate');
append_to_file($file, $old_file);
$primary->start;
cmp_ok(lsn_of(token($primary, 'kept')), '>=', lsn_of($later), 'nor one that lies there after a crash');

# --- expiry -----------------------------------------------------------------------------------------------------------

my $expiring = write_as('expiring');
sql($primary, q{ALTER SYSTEM SET meridian.session_expiry = '1s'});
$primary->reload;
wait_until($primary, q{SELECT count(*) = 0 FROM meridian.sessions});
cmp_ok(status($primary, 'expired'), '>', 0, 'an old session expires');
cmp_ok(lsn_of(token($primary, 'expiring')), '>=', lsn_of($expiring), 'and is answered as one that is not known');

# --- the primary cannot be asked --------------------------------------------------------------------------------------

is(sql($standby, q{SET meridian.read_after_timeout = '5s'; SELECT meridian.check_session('user-1')}), 'yes', 'the primary can be asked');
$primary->stop('fast');
like(sql_error($standby, q{SET meridian.read_after_timeout = '5s'; SELECT meridian.check_session('user-1')}),
	qr/MD033: .*cannot be reached/s, 'an error of its own when the primary is away');
is(status($standby, 'failures > 0 AND failing_since IS NOT NULL AND last_failure IS NOT NULL'), 't', 'the reason is shown');
like(sql_error($leaf, q{SET meridian.read_after_timeout = '5s'; SELECT meridian.check_session('user-1')}), qr/MD033/, 'also on the leaf');
$primary->start;
$standby->poll_query_until($Meridian::database, q{SELECT meridian.check_session('user-1')}, 'yes') or die;
is(status($standby, 'failing_since IS NULL'), 't', 'when it is back it is asked again');

$standby->append_conf('postgresql.conf', "meridian.primary_dsn = 'host=" . $primary->host . ' port=' . $primary->port . " user=nobody_here password=hunter2secret'\n");
$standby->reload;
wait_until($standby, q{SELECT current_setting('meridian.primary_dsn') <> ''});
like(sql_error($standby, q{SET meridian.read_after_timeout = '5s'; SELECT meridian.check_session('user-1')}), qr/MD033/, 'a connection string that does not work');
like(status($standby, 'last_failure'), qr/nobody_here/, 'the reason is shown');
# PostgreSQL itself logs the value that a setting changes to.
my @told = grep { !/parameter "meridian.primary_dsn" changed/ } split /\n/, slurp_file($standby->logfile);
unlike(join("\n", status($standby, 'last_failure'), @told), qr/hunter2secret/, 'without the password');
sql($primary, 'CREATE ROLE asker LOGIN');
$standby->append_conf('postgresql.conf', "meridian.primary_dsn = '" . conninfo($primary) . " user=asker'\n");
$standby->reload;
$standby->poll_query_until($Meridian::database, q{SELECT meridian.check_session('user-1')}, 'yes') or die;
is(sql($primary, q{SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'asker' AND application_name = 'meridian sessions'}), 't', 'any role that may connect can ask');
$standby->append_conf('postgresql.conf', "meridian.primary_dsn = ''\n");
$standby->reload;
$standby->poll_query_until($Meridian::database, q{SELECT meridian.check_session('user-1')}, 'yes') or die;

# --- promotion --------------------------------------------------------------------------------------------------------

my $before = write_as('user-1');
is(sql($standby, "SELECT meridian.wait_for_session('user-1', '1min')"), 'reached', 'written before the promotion');
pause_replay($leaf);
$primary->stop('immediate');
$standby->promote;
is(check($standby, 'user-1'), 'yes', 'the new primary has what it has');
is(sql($standby, 'SELECT count(*) FROM meridian.sessions'), 0, 'and what it mirrored is void');
my $after = token($standby, 'user-1');
is(timeline_of($after), 2, 'it answers with its own timeline');
cmp_ok(lsn_of($after), '>=', lsn_of($before), 'no earlier than what it has of the session');
is(check($leaf, 'user-1'), 'not_yet', 'a leaf that has yet to follow');
resume_replay($leaf);
$leaf->poll_query_until($Meridian::database, q{SELECT meridian.check_session('user-1')}, 'yes') or die;
pass('until it follows');
sql($standby, "SET meridian.session = 'user-1'; INSERT INTO note VALUES ('x')");
is(sql($leaf, "SELECT meridian.wait_for_session('user-1', '1min')"), 'reached', 'and the session writes on the new primary');

# The old primary is back as it was, and somebody asks it.
$primary->start;
$leaf->append_conf('postgresql.conf', "meridian.primary_dsn = '" . conninfo($primary) . "'\n");
$leaf->reload;
wait_until($leaf, q{SELECT current_setting('meridian.primary_dsn') <> ''});
like(sql_error($leaf, q{SET meridian.read_after_timeout = '5s'; SELECT meridian.check_session('user-1')}),
	qr/MD033: .*left behind in a failover/s, 'a server that was left behind is not believed');

# --- not tracked ------------------------------------------------------------------------------------------------------

restart($primary, "meridian.max_sessions = 0\n");
is(sql($primary, q{SET meridian.session = 'user-1'; INSERT INTO note VALUES ('x'); SELECT meridian.check_session('user-1')}), 'yes', 'a primary has what was written on it');
like(sql_error($primary, q{SELECT meridian.session_token('user-1')}), qr/55000.*not tracked.*HINT.*max_sessions/s, 'without a table it knows no session');
my $plain = new_node('plain', preload => 0);
like(sql_error($plain, q{LOAD 'meridian'; SELECT meridian.session_token('user-1')}), qr/55000.*not tracked.*HINT/s, 'nor without the library at server start');
is(sql($plain, q{LOAD 'meridian'; SET meridian.session = 'user-1'; CREATE TABLE t (); SELECT count(*) FROM meridian.sessions}), '0', 'where naming it does no harm');

no_crash($primary, $standby, $leaf, $plain);
done_testing();
