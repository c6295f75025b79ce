# How waits for tokens end, and what they hold meanwhile. Replay is paused, so that a wait lasts as long as the test wants.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_node('primary');
my $standby = new_standby($primary, 'standby', conf => "meridian.max_waiters = 3\nmax_standby_streaming_delay = -1\n");
my $waiting = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND wait_event_type = 'Extension'};

sub write_one { return sql($primary, "UPDATE counter SET v = v + 1;\nSHOW meridian.last_write"); }
sub value { return sql($primary, 'SELECT v FROM counter'); }
sub places_are_free { wait_until($standby, 'SELECT waiting = 0 FROM meridian.wait_status'); return 1; }

sql($primary, 'CREATE TABLE counter (v integer)');
sql($primary, 'INSERT INTO counter VALUES (0)');
wait_until($standby, 'SELECT dispatcher_pid IS NOT NULL FROM meridian.wait_status');

# --- a wait that ends well --------------------------------------------------------------------------------------------

pause_replay($standby);
my $token = write_one();
is(sql($standby, "SELECT meridian.check_token('$token')"), 'not_yet', 'not there yet');
my $reader = open_session($standby);
$reader->query_safe(q{SET meridian.read_after_timeout = '2min'});
send_to($reader, "SET meridian.read_after = '$token';\nSELECT v FROM counter;");
wait_until($standby, 'SELECT waiting = 1 FROM meridian.wait_status');
is(sql($standby, q{SELECT backend_xmin IS NULL FROM pg_stat_activity WHERE query LIKE 'SET meridian.read_after = %'}), 't',
	'SET holds no snapshot while it waits');
is(sql($standby, q{SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
	WHERE a.query LIKE 'SET meridian.read_after = %' AND l.locktype <> 'virtualxid'}), 0, 'and no lock');
resume_replay($standby);
like($reader->query('SELECT v AS again FROM counter'), qr/^@{[value()]}\n@{[value()]}$/m, 'the reader wakes and sees the write');
places_are_free();

# --- a statement with its own wait ------------------------------------------------------------------------------------

pause_replay($standby);
$token = write_one();
$reader->query_safe("SELECT set_config('meridian.read_after', '$token', false)");
send_to($reader, 'SELECT v FROM counter;');
wait_until($standby, 'SELECT waiting = 1 FROM meridian.wait_status');
is(sql($standby, q{SELECT backend_xmin IS NULL FROM pg_stat_activity WHERE query LIKE 'SELECT v FROM counter%'}), 't',
	'a statement drops its snapshot while it waits');
resume_replay($standby);
like($reader->query('SELECT 1'), qr/^@{[value()]}$/m, 'and takes a new one');

# a connection that brings its token
pause_replay($standby);
$token = write_one();
my $brought;
{
	local $ENV{PGOPTIONS} = "-c meridian.read_after=$token -c meridian.read_after_timeout=2min";
	$brought = open_session($standby, wait => 0);
}
send_to($brought, 'BEGIN ISOLATION LEVEL REPEATABLE READ;' . "\nSELECT v FROM counter;");
wait_until($standby, 'SELECT waiting = 1 FROM meridian.wait_status');
resume_replay($standby);
like($brought->query('COMMIT'), qr/^@{[value()]}$/m, 'BEGIN waits for a token that came with the connection');
$brought->quit;

# --- the time is over -------------------------------------------------------------------------------------------------

pause_replay($standby);
$token = write_one();
my $timed = "SET meridian.read_after_timeout = '50ms'; ";
like(sql_error($standby, "$timed SET meridian.read_after = '$token'"), qr/MD030: the writes that meridian.read_after names have not arrived.*50 ms.*HINT/s,
	'a timeout is an error of its own');
is(sql($standby, "$timed SET meridian.read_after_action = proceed; SET meridian.read_after = '$token'; SELECT 'stale'"), 'stale',
	'or the session proceeds');
is(sql($standby, "SELECT meridian.wait_for('$token', '50ms')"), 'timeout', 'wait_for() says so');
like(sql_error($standby, "$timed BEGIN; SELECT 1; SET meridian.read_after = '$token'"), qr/MD030/, 'in a transaction, too');
is(sql($standby, 'SELECT waiting FROM meridian.wait_status'), 0, 'all places are free');
cmp_ok(sql($standby, 'SELECT timeouts FROM meridian.wait_status'), '>=', 4, 'timeouts are counted');

# --- interrupted ------------------------------------------------------------------------------------------------------

foreach my $way (qw(pg_cancel_backend pg_terminate_backend))
{
	my $victim = open_session($standby);
	$victim->query_safe(q{SET meridian.read_after_timeout = '2min'});
	send_to($victim, "SET meridian.read_after = '$token';");
	wait_until($standby, 'SELECT waiting = 1 FROM meridian.wait_status');
	is(sql($standby, "SELECT $way(pid) FROM pg_stat_activity WHERE query LIKE 'SET meridian.read_after = %' AND state = 'active'"), 't', $way);
	ok(places_are_free(), "$way frees the place");
	if ($way eq 'pg_cancel_backend')
	{
		is($victim->query('SELECT 7'), '7', 'a cancelled session goes on');
		like(errors_of($victim), qr/canceling statement due to user request/, 'after its error');
	}
	$victim->{run}->kill_kill;
}
like(sql_error($standby, "SET statement_timeout = '50ms'; SET meridian.read_after = '$token'"), qr/57014/, 'statement_timeout');
my $gone = open_session($standby);
$gone->query_safe(q{SET meridian.read_after_timeout = '2min'});
send_to($gone, "SET meridian.read_after = '$token';");
wait_until($standby, 'SELECT waiting = 1 FROM meridian.wait_status');
$gone->{run}->kill_kill;
ok(places_are_free(), 'a client that is gone frees its place');

# --- more waiters than places -----------------------------------------------------------------------------------------

my $polled = sql($standby, 'SELECT polled FROM meridian.wait_status');
my @crowd = map { open_session($standby) } 1 .. 5;
foreach my $one (@crowd)
{
	$one->query_safe(q{SET meridian.read_after_timeout = '2min'});
	send_to($one, "SET meridian.read_after = '$token';\nSELECT v FROM counter;");
}
wait_until($standby, "SELECT waiting = 3 AND polled = $polled + 2 FROM meridian.wait_status");
pass('three have places, two poll');
resume_replay($standby);
like($_->query('SELECT 1'), qr/^@{[value()]}$/m, 'everybody is served') foreach @crowd;
$_->quit foreach @crowd;
places_are_free();

# --- replay waits for the waiter --------------------------------------------------------------------------------------

$reader->query_safe(q{RESET meridian.read_after});
$reader->query_safe('BEGIN; SELECT v FROM counter');
$token = sql($primary, "ALTER TABLE counter ADD COLUMN w integer;\nSHOW meridian.last_write");
$reader->query("SET meridian.read_after = '$token'");
like(errors_of($reader), qr/Replay waits for a lock that this transaction holds/, 'a wait that can only block itself is given up');
$reader->query_safe('ROLLBACK');
$reader->query_safe("SET meridian.read_after = '$token'");
is($reader->query('SELECT w IS NULL FROM counter'), 't', 'outside the transaction it succeeds');
$reader->quit;

# --- replay waits for a snapshot that the waiter had ---------------------------------------------------------------------

# Replay that meets an old snapshot waits for the end of its transaction. The statement's snapshot is old because planning it takes
# until the lock is free; replay meets it there, and the token lies behind what it met.
sql($primary, q{CREATE FUNCTION planned(bigint) RETURNS integer IMMUTABLE STRICT LANGUAGE internal AS 'pg_advisory_lock_shared_int8'});
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
pause_replay($standby);
sql($primary, 'UPDATE counter SET v = v + 1');
sql($primary, 'VACUUM counter');
$token = write_one();
my $holder = open_session($standby);
$holder->query_safe('SELECT pg_advisory_lock(1)');
my $planner = open_session($standby);
$planner->query_safe(q{SET meridian.read_after_timeout = '20s'});
$planner->query_safe("SELECT set_config('meridian.read_after', '$token', false)");
send_to($planner, 'SELECT v + planned(1) FROM counter;');
wait_until($standby, q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
resume_replay($standby);
wait_until($standby, q{SELECT wait_event = 'RecoveryConflictSnapshot' FROM pg_stat_activity WHERE backend_type = 'startup'});
$holder->query_safe('SELECT pg_advisory_unlock(1)');
like($planner->query('SELECT 1'), qr/^@{[value()]}$/m, 'replay does not wait for a snapshot that the waiter has dropped');
is(errors_of($planner), '', 'so the wait ends well');
$_->quit foreach $holder, $planner;

# --- the dispatcher dies ----------------------------------------------------------------------------------------------

pause_replay($standby);
$token = write_one();
my $patient = open_session($standby);
$patient->query_safe(q{SET meridian.read_after_timeout = '2min'});
send_to($patient, "SET meridian.read_after = '$token';\nSELECT v FROM counter;");
wait_until($standby, 'SELECT waiting = 1 FROM meridian.wait_status');
my $dispatcher = sql($standby, 'SELECT dispatcher_pid FROM meridian.wait_status');
kill('TERM', $dispatcher) == 1 or die 'the dispatcher cannot be ended';
wait_until($standby, "SELECT dispatcher_pid IS DISTINCT FROM $dispatcher FROM meridian.wait_status");
resume_replay($standby);
like($patient->query('SELECT 1'), qr/^@{[value()]}$/m, 'a waiter gets on when the dispatcher has died');
wait_until($standby, 'SELECT dispatcher_pid IS NOT NULL FROM meridian.wait_status');
pass('which comes back');

# --- shutdown ---------------------------------------------------------------------------------------------------------

pause_replay($standby);
$token = write_one();
send_to($patient, "SET meridian.read_after = '$token';");
wait_until($standby, 'SELECT waiting = 1 FROM meridian.wait_status');
$standby->stop('fast');
pass('a fast shutdown ends waits');
$patient->{run}->kill_kill;

# --- without preload --------------------------------------------------------------------------------------------------

my $plain = new_node('plain', preload => 0);
is(sql($plain, "LOAD 'meridian'; CREATE TABLE t (); SELECT meridian.check_token(meridian.last_write_token())"), 'yes',
	'a session that loads the library has tokens');
is(sql($plain, "LOAD 'meridian'; SELECT count(*) FROM meridian.wait_status WHERE places IS NULL"), 1, 'there is no place to wait in');

no_crash($primary, $standby, $plain);
done_testing();
