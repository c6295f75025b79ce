# The clock never goes back, and no two servers write under one identity: crashes, restarts, promotion, a copied server.
#
# Most of it runs with a clock an hour ahead of physical time. There only the stored bound can keep it from going back.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Cluster;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $hour = 3600 * 1000;

sub tick { return sql($_[0], 'SELECT meridian.hlc_now()'); }
sub identity { return sql($_[0], 'SELECT member, epoch, server, confirmed FROM meridian.identity'); }
sub epoch_of_next_id { return sql($_[0], 'SELECT (meridian.next_id() >> 10) & 3'); }

# Returns when the keeper has begun and ended a run of $task after this call. (One run may be under way already.)
sub wait_for_keeper
{
	my ($node, $task) = @_;
	my $runs = sql($node, "SELECT runs FROM meridian.keeper_status() WHERE task = '$task'");
	wait_until($node, "SELECT runs >= $runs + 2 FROM meridian.keeper_status() WHERE task = '$task'");
	return;
}

sub write_identity
{
	my ($node, $member) = @_;
	sql($node, "INSERT INTO meridian.local_member (mesh, member, epoch, server, system_id, timeline)
		SELECT '00000000-0000-0000-0000-000000000001', $member, 1, current_setting('meridian.node'), system_identifier, timeline_id
		FROM pg_control_system(), pg_control_checkpoint()");
	return;
}

# --- not loaded at server start -----------------------------------------------------------------------------------

my $plain = new_node('plain', preload => 0);
like(sql_error($plain, 'SELECT meridian.hlc_now()'),
	qr/ERROR:  55000: meridian must be loaded at server start\nHINT:  Add meridian to shared_preload_libraries/,
	'without preload the clock names the setting');
write_identity($plain, 1);
like(sql_error($plain, 'SELECT meridian.next_id()'), qr/55000: meridian must be loaded/, 'so do ids');
like(sql_error($plain, 'SELECT meridian.confirm_identity()'), qr/55000: meridian must be loaded/, 'and the identity');
is(sql($plain, q{SELECT meridian.hlc_time(0) = 'epoch'}), 't', 'plain functions work without preload');
is(sql($plain, 'SELECT meridian.clock_status()'), '(,,)', 'the clock does not run');
is(sql($plain, 'SELECT count(*) FROM meridian.keeper_status()'), '0', 'there is no keeper');
is(identity($plain), '1|1|plain|t', 'the identity can be read');
is(sql($plain, "LOAD 'meridian'; SHOW meridian.max_clock_skew"), '5s', 'settings exist');
$plain->stop;

# --- restarts -----------------------------------------------------------------------------------------------------

my $us = new_node('us');
write_identity($us, 7);
is(identity($us), '7|1|us|t', 'a member');

my $last = tick($us);
foreach my $mode (qw(immediate fast))
{
	$us->stop($mode);
	$us->start;
	my $next = tick($us);
	cmp_ok($next, '>', $last, "$mode restart: the clock goes on");
	cmp_ok(sql($us, 'SELECT ahead_ms FROM meridian.clock_status()'), '<=', 2000, "$mode restart: at most the lead ahead");
	$last = $next;
}

# No stamp reaches the stored bound: while nobody can store a new one, a tick waits.
my $locker = $us->background_psql($Meridian::database);
$locker->query_safe('BEGIN; LOCK TABLE meridian.clock IN ACCESS EXCLUSIVE MODE');
wait_until($us, 'SELECT extract(epoch FROM clock_timestamp()) * 1000 > bound >> 16 FROM meridian.clock_status()');
like(sql_error($us, q{SET statement_timeout = '100ms'; SELECT meridian.hlc_now()}), qr/57014: canceling statement/,
	'a tick beyond the bound waits');
$locker->query_safe('COMMIT');
$locker->quit;
cmp_ok(tick($us), '>', $last, 'and goes on when the bound is stored');

$us->append_conf('postgresql.conf', "meridian.max_clock_skew = '2 h'\n");
$us->reload;
wait_until($us, q{SELECT current_setting('meridian.max_clock_skew') = '2h'});
sql($us, "SELECT meridian.advance_clock((extract(epoch FROM clock_timestamp()) * 1000)::bigint + $hour << 16)");
foreach my $mode (qw(immediate fast immediate immediate))
{
	$last = tick($us);
	$us->stop($mode);
	$us->start;
	cmp_ok(tick($us), '>', $last, "an hour ahead, $mode restart: the clock goes on");
}
cmp_ok(sql($us, 'SELECT ahead_ms FROM meridian.clock_status()'), '<=', $hour + 4 * 100, 'a clock far ahead does not drift');


# --- many writers, and a crash in the middle ----------------------------------------------------------------------

sql($us, 'CREATE TABLE stamp (id bigint PRIMARY KEY DEFAULT meridian.next_id(), stamp bigint UNIQUE DEFAULT meridian.hlc_now())');
my $script = $us->basedir . '/insert.sql';
append_to_file($script, "INSERT INTO stamp SELECT FROM generate_series(1, 1000);\n");
my @pgbench = ('pgbench', '-n', '-c', 8, '-f', $script, '-h', $us->host, '-p', $us->port, $Meridian::database);

command_ok([ @pgbench, '-t', 10 ], 'eight writers');
is(sql($us, 'SELECT count(DISTINCT id), count(DISTINCT stamp) FROM stamp'), '80000|80000', 'no stamp and no id came twice');

my ($out, $err) = ('', '');
my $load = IPC::Run::start([ @pgbench, '-T', $PostgreSQL::Test::Utils::timeout_default ], '>', \$out, '2>', \$err);
wait_until($us, 'SELECT count(*) > 100000 FROM stamp');
$us->stop('immediate');
$load->finish;
$us->start;
cmp_ok(tick($us), '>', sql($us, 'SELECT max(stamp) FROM stamp'), 'a crash under load: the clock is beyond all stamps');
cmp_ok(sql($us, 'SELECT meridian.next_id()'), '>', sql($us, 'SELECT max(id) FROM stamp'), 'and ids beyond all ids');

# A killed backend makes the postmaster drop shared memory.
$us->append_conf('postgresql.conf', "restart_after_crash = on\n");
$us->reload;
wait_until($us, q{SELECT current_setting('restart_after_crash') = 'on'});
$last = tick($us);
my $keeper = sql($us, 'SELECT pid FROM meridian.keeper_status() LIMIT 1');
kill 'KILL', $keeper;
wait_until($us, "SELECT bool_and(pid <> $keeper AND runs > 0) FROM meridian.keeper_status()");
cmp_ok(tick($us), '>', $last, 'a killed process: the clock goes on');

# --- the keeper ---------------------------------------------------------------------------------------------------

wait_for_keeper($us, 'clock');
my $idle_bound = sql($us, 'SELECT bound FROM meridian.clock_status()');
wait_for_keeper($us, 'clock');
is(sql($us, 'SELECT bound FROM meridian.clock_status()'), $idle_bound, 'the bound of an idle clock rests');

like(sql_error($us, 'SELECT meridian.hlc_now()', database => 'template1'), qr/schema "meridian" does not exist/, 'template1 has no clock');
sql($us, 'CREATE DATABASE other');
sql($us, 'CREATE EXTENSION meridian', database => 'other');
like(sql_error($us, 'SELECT meridian.hlc_now()', database => 'other'),
	qr/55000: database "other" is not the replicated database of this server\nHINT:  Connect to database "postgres"/,
	'the clock runs in one database');
sql($us, 'DROP DATABASE other');

# One failing task does not stop the others.
my $bound = sql($us, 'TABLE meridian.clock');
sql($us, 'TRUNCATE meridian.clock');
wait_until($us, "SELECT sqlstate = 'XX001' FROM meridian.keeper_status() WHERE task = 'clock'");
wait_for_keeper($us, 'identity');
is(sql($us, "SELECT sqlstate IS NULL, pid IS NOT NULL FROM meridian.keeper_status() WHERE task = 'identity'"), 't|t', 'other tasks go on');
ok($us->log_contains('meridian keeper: task "clock" failed: table meridian.clock does not hold exactly one row version'),
	'the failure is in the log');
sql($us, "INSERT INTO meridian.clock VALUES ($bound)");
wait_until($us, "SELECT sqlstate IS NULL AND failures > 0 FROM meridian.keeper_status() WHERE task = 'clock'");

# What SQL and VACUUM may do to the row that is written in place.
foreach my $command ('VACUUM (FREEZE, FULL) meridian.clock', 'VACUUM FREEZE meridian.clock', 'CHECKPOINT')
{
	sql($us, $command);
	$last = tick($us);
	$us->restart;
	cmp_ok(tick($us), '>', $last, "the bound outlives $command");
}

# --- promotion ----------------------------------------------------------------------------------------------------

my $us2 = new_standby($us, 'us2');
like(sql_error($us2, 'SELECT meridian.hlc_now()'), qr/25006: the clock does not move during recovery/, 'a standby does not tick');
like(sql_error($us2, 'SELECT meridian.confirm_identity()'), qr/25006: /, 'nor does it confirm itself');
is(identity($us2), '7|1|us2|f', 'nor is it the writer of its member');

foreach (1 .. 3) { $last = sql($us, 'INSERT INTO stamp DEFAULT VALUES RETURNING stamp'); }
$us->wait_for_catchup($us2, 'replay', $us->lsn('insert'));
$us->stop('immediate');
$us2->promote;
is(epoch_of_next_id($us2), '2', 'the first write after promotion waits for the new epoch');
is(identity($us2), '7|2|us2|t', 'the promoted standby writes under a new epoch');
cmp_ok(tick($us2), '>', $last, 'promotion: the clock goes on');
ok($us2->log_contains('member 7 goes on in epoch 2'), 'the new epoch is in the log');

# The keeper is needed for that only once.
$us2->restart;
is(epoch_of_next_id($us2), '2', 'a restart needs no new epoch');

# As pg_upgrade and a restore do: another system under the same name.
sql($us2, "UPDATE meridian.local_member SET system_id = '1'");
is(epoch_of_next_id($us2), '3', 'a new system under the confirmed name goes on in a new epoch');
sql($us2, 'UPDATE meridian.local_member SET timeline = 1, epoch = 65535');
wait_for_keeper($us2, 'identity');
like(sql_error($us2, 'SELECT meridian.next_id()'), qr/MD010: this member has used up its 65535 epochs/, 'epochs do not wrap around');
sql($us2, 'UPDATE meridian.local_member SET timeline = 2, epoch = 2');

# --- a copy of the files ------------------------------------------------------------------------------------------

$us2->stop;
$us2->backup_fs_cold('cold');
$us2->start;
my $copy = PostgreSQL::Test::Cluster->new('copy');
$copy->init_from_backup($us2, 'cold');
$copy->append_conf('postgresql.conf', "meridian.node = 'copy'\n");
$copy->start;
is(identity($copy), '7|2|copy|f', 'a copy under another name is not confirmed');
like(sql_error($copy, 'INSERT INTO stamp DEFAULT VALUES'),
	qr/MD010: this server has another name than the one that was confirmed: it may be a copy\nHINT:  .*confirm_identity/,
	'it stamps nothing');
wait_for_keeper($copy, 'identity');
is(identity($copy), '7|2|copy|f', 'the keeper leaves it so');

$copy->append_conf('postgresql.conf', "meridian.node = ''\n");
$copy->restart;
like(sql_error($copy, 'SELECT meridian.next_id()'), qr/MD010: this server has no name.*\nHINT:  Set meridian.node/, 'nor without a name');
like(sql_error($copy, 'SELECT meridian.confirm_identity()'), qr/MD010: this server has no name/, 'which cannot be confirmed');
$copy->append_conf('postgresql.conf', "meridian.node = 'copy'\n");
$copy->restart;

is(sql($copy, 'SELECT meridian.confirm_identity()'), '3', 'confirm_identity raises the epoch');
is(identity($copy), '7|3|copy|t', 'and confirms the copy');
is(epoch_of_next_id($copy), '3', 'which then writes');
is(identity($us2), '7|2|us2|t', 'the original knows nothing of it');

# --- drop and create ----------------------------------------------------------------------------------------------

# What the running clock has promised goes over to the new table.
$last = tick($copy);
sql($copy, 'DROP EXTENSION meridian CASCADE');
sql($copy, 'CREATE EXTENSION meridian');
wait_until($copy, 'SELECT c.bound >= s.bound FROM meridian.clock c, meridian.clock_status() s');
like(sql_error($copy, 'SELECT meridian.next_id()'), qr/MD020: this server is not a member/, 'a new extension is no member');
$copy->stop('immediate');
$copy->start;
cmp_ok(tick($copy), '>', $last, 'a new extension: the clock goes on');

no_crash($plain, $us2, $copy);
$_->stop foreach $us2, $copy;
done_testing();
