# A node that reads through several streams: what is split, and what counts only when it has come through all of them.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my ($n1, $n2, $n3) = my @nodes = map { new_node($_) } qw(n1 n2 n3);
on_all(\@nodes, q{
	CREATE TABLE person (name text PRIMARY KEY, v text);
	CREATE TABLE account (id numeric PRIMARY KEY, balance bigint);
	CREATE TABLE place (v text, x integer, y text, PRIMARY KEY (y, x));
	CREATE TABLE note (id bigint PRIMARY KEY, v text, at timestamptz);
	CREATE TABLE seat (id integer PRIMARY KEY, guest text UNIQUE)});
my @tables = qw(person account place note seat);

make_member($n1, $n1);
make_member($n2, $n1);
sql($n1, q{SELECT meridian.replicate('person'), meridian.replicate('account', 'balance=counter'), meridian.replicate('place', 'v=lww'),
	meridian.replicate('note', 'row=lww(at)'), meridian.replicate('seat')});
sql($n1, q{
	INSERT INTO person SELECT 'p' || i, 'old' FROM generate_series(1, 60) i;
	INSERT INTO account SELECT (i || '.0')::numeric, 100 FROM generate_series(1, 60) i;
	INSERT INTO place SELECT 'old', i, 'y' FROM generate_series(1, 60) i;
	INSERT INTO note SELECT i, 'old', '2026-01-01' FROM generate_series(1, 60) i;
	INSERT INTO seat SELECT i, 'guest ' || i FROM generate_series(1, 60) i});

sub agree
{
	my ($name, @of) = @_;
	@of = @nodes unless @of;
	wait_converged(@of);
	wait_on_all(\@of, 'SELECT count(*) = 0 FROM meridian.parked');
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	same_everywhere(\@of, "SELECT count(*) || ':' || md5(string_agg(t::text, chr(10) ORDER BY t::text COLLATE \"C\")) FROM $_ t", "$name: $_ agrees, with its states")
	  foreach @tables;
	return;
}

# Everybody has told everybody of all that was written before, through the streams that run; and what came of it is done.
sub told
{
	my (@mesh) = @_;
	foreach my $round (1, 2)
	{
		foreach my $of (@mesh)
		{
			my $stamp = sql($of, 'SELECT meridian.hlc_now()');
			foreach my $at (@mesh)
			{
				wait_until($at, "SELECT max(safe) >= $stamp FROM meridian.progress WHERE member = " . member_id($of));
			}
		}
	}
	my %runs = map { $_->name => sql($_, q{SELECT runs + 2 FROM meridian.keeper_status() WHERE task = 'removal'}) } @mesh;
	wait_until($_, "SELECT runs >= $runs{$_->name} FROM meridian.keeper_status() WHERE task = 'removal'") foreach @mesh;
	return;
}

# $reader has applied all that $writer has written by now through the stream, whatever the others do.
sub stream_done
{
	my ($reader, $writer, $number) = @_;
	my $mark = sql($writer, 'SELECT meridian.mark_position()');
	my $slot = 'meridian_' . member_id($reader) . "_${number}of3";
	wait_until($writer, "SELECT replay_lsn >= '$mark' FROM pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid WHERE slot_name = '$slot'");
	return;
}

# --- joining ------------------------------------------------------------------------------------------------------------------

make_member($n3, $n1, streams => 3);
links_up(@nodes);
is(sql($n3, q{SELECT string_agg(subname || ' ' || subslotname, ', ' ORDER BY subname) FROM pg_subscription}),
	'meridian_1_1of3 meridian_3_1of3, meridian_1_2of3 meridian_3_2of3, meridian_1_3of3 meridian_3_3of3, '
	  . 'meridian_2_1of3 meridian_3_1of3, meridian_2_2of3 meridian_3_2of3, meridian_2_3of3 meridian_3_3of3', 'three subscriptions to each other member');
is(sql($n1, q{SELECT string_agg(slot_name, ' ' ORDER BY slot_name) FROM pg_replication_slots}), 'meridian_2 meridian_3_1of3 meridian_3_2of3 meridian_3_3of3',
	'three slots there; the others read through one');
is(sql($n3, q{SELECT string_agg(subname, ' ' ORDER BY subname) FROM pg_subscription WHERE subenabled}),
	join(' ', streams_to($n3, $n1), streams_to($n3, $n2)), 'all enabled');
same_everywhere(\@nodes, q{SELECT string_agg(node || ' ' || streams, ', ' ORDER BY node) FROM meridian.nodes}, 'every node knows who reads through how many');
is(sql($n1, q{SELECT string_agg(node || ' ' || state, ', ' ORDER BY node) FROM meridian.nodes}), 'n1 active, n2 streaming, n3 streaming', 'which all run');
is(sql($_, 'SELECT count(*) FROM meridian.check_config() WHERE NOT ok'), 0, $_->name . ': nothing is amiss') foreach @nodes;
like(sql($n1, q{SELECT required FROM meridian.check_config() WHERE setting = 'max_wal_senders'}), qr/at least 4 for 3 members/, 'one node needs more senders');
like(sql($n3, q{SELECT required FROM meridian.check_config() WHERE setting = 'max_logical_replication_workers'}), qr/at least 6 for 3 members/, 'another more workers');
expect_everywhere(\@nodes, 'SELECT DISTINCT subscriptions FROM meridian.tables', 2, 'each table arrives from two members');
agree('joined');

# --- one stream stands still -----------------------------------------------------------------------------------------------------

cut_stream($n3, $n1, 2);
my $token = sql($n1, "INSERT INTO person SELECT 'q' || i, 'new' FROM generate_series(1, 60) i;\nSHOW meridian.last_write");
stream_done($n3, $n1, $_) foreach 1, 3;
my $arrived = sql($n3, q{SELECT count(*) FROM person WHERE v = 'new'});
cmp_ok($arrived, '>', 20, 'of one transaction a part arrives');
cmp_ok($arrived, '<', 55, 'and a part does not, if one stream stands still');
is(sql($n1, q{SELECT meridian.wait_converged('1 s')}), 'f', 'which is not converged');
wait_until($n3, 'SELECT count(*) = 2 FROM meridian.heartbeat h WHERE member = ' . member_id($n1) . ' AND lsn >= (SELECT max(lsn) FROM meridian.heartbeat WHERE member = h.member)
	AND (SELECT count(*) FROM meridian.heartbeat o WHERE o.member = h.member AND o.lsn < h.lsn) = 1');
is(sql($n3, "SELECT meridian.check_token('$token')"), 'not_yet', 'and no token of it is reached, whatever the other streams have brought');
is(sql($n2, "SELECT meridian.wait_for('$token', '1min')"), 'reached', 'but where it is');
is(sql($n2, q{SELECT meridian.wait_converged()}), 't', 'what another node wrote has arrived');
is(sql($n1, q{SELECT state || ' ' || coalesce(lag_bytes::text, '-') FROM meridian.nodes WHERE node = 'n3'}), 'incomplete -', 'the view says why');
is(sql($n3, q{SELECT string_agg(setting || ': ' || value, ', ') FROM meridian.check_config() WHERE NOT ok}), 'subscription meridian_1_2of3: disabled', 'and so does check_config()');
my $late = sql($n3, q{SELECT key FROM (SELECT 'q' || i FROM generate_series(1, 60) i) e(key) WHERE key NOT IN (SELECT name FROM person) ORDER BY key LIMIT 1});
like(sql($n3, q{\set VERBOSITY terse
	SELECT count(*) > 0 FROM meridian.compare('person', 'n1')}), qr/^t$/m, 'compare() works around it');

# The image of the new row is still on its way to n3 when the tombstone is there already.
sql($n2, "DELETE FROM person WHERE name = '$late'");
wait_until($n3, "SELECT count(*) = 1 FROM meridian.tombstone WHERE key = '{$late}'");
told(@nodes);
expect_everywhere(\@nodes, "SELECT count(*) FROM meridian.tombstone WHERE key = '{$late}'", 1, 'nobody forgets a delete while a stream may bring the row');
is(sql($n3, q{SELECT string_agg(stream::text, ' ') FROM meridian.progress p WHERE member = 1 AND safe = (SELECT min(safe) FROM meridian.progress WHERE member = 1)}), 2,
	'the stream that stands still decides');
heal_stream($n3, $n1, 2);
wait_on_all(\@nodes, 'SELECT count(*) = 0 FROM meridian.tombstone');
agree('after the stream runs again');
is(sql($n3, "SELECT meridian.wait_for('$token', '1min')"), 'reached', 'now the token is, too');
expect_everywhere(\@nodes, "SELECT count(*) FILTER (WHERE name = '$late') || ' of ' || count(*) FROM person WHERE v = 'new'", '0 of 59', 'the late row stayed dead');

# --- conflicts -----------------------------------------------------------------------------------------------------------------

cut_link($n1, $n3);
cut_stream($n3, $n2, 1);
my @writes = (q{
	DELETE FROM person WHERE name IN ('p1', 'p2', 'p3', 'p4', 'p5', 'p6');
	DELETE FROM account WHERE id <= 6;
	DELETE FROM place WHERE x <= 6;
	DELETE FROM note WHERE id <= 6;
	INSERT INTO person SELECT 'p' || i, 'again' FROM generate_series(1, 3) i;
	INSERT INTO account SELECT i::numeric(9, 2), 7 FROM generate_series(1, 3) i;
	INSERT INTO place SELECT 'again', i, 'y' FROM generate_series(1, 3) i;
	INSERT INTO note SELECT i, 'again' FROM generate_series(1, 3) i;
	UPDATE person SET name = 'r' || name WHERE name BETWEEN 'p10' AND 'p19';
	UPDATE account SET id = id + 1000 WHERE id BETWEEN 10 AND 19;
	UPDATE place SET y = 'z' WHERE x BETWEEN 10 AND 19;
	UPDATE person SET v = 'n1'; UPDATE account SET balance = balance + 10;
	UPDATE seat SET guest = 'nobody' WHERE id = 1; UPDATE seat SET guest = 'guest 1' WHERE id = 2;
	DELETE FROM seat WHERE id = 3; UPDATE seat SET guest = 'guest 3' WHERE id = 4}, q{
	UPDATE person SET v = 'n3' WHERE name < 'p3'; UPDATE account SET balance = balance + 1;
	DELETE FROM person WHERE name > 'p55'; DELETE FROM account WHERE id > 55; DELETE FROM place WHERE x > 55; DELETE FROM note WHERE id > 55;
	UPDATE place SET v = 'n3'; UPDATE note SET v = 'n3', at = clock_timestamp() WHERE id % 2 = 0;
	UPDATE seat SET guest = 'guest of n3' WHERE id > 50 AND id < 52});
sql($n1, $writes[0]);
sql($n3, $writes[1]);
sql($n2, q{UPDATE account SET balance = balance + 100 WHERE id > 20; UPDATE person SET v = 'n2' WHERE name LIKE 'p4%'});
heal_link($n1, $n3);
heal_stream($n3, $n2, 1);
agree('conflicts');
is(sql($n3, q{SELECT balance FROM account WHERE id = 30}), 211, 'all additions count');
is(sql($n3, q{SELECT string_agg(guest, ', ' ORDER BY id) FROM seat WHERE id IN (1, 2, 4)}), 'nobody, guest 1, guest 3', 'unique values are passed on');

# Rows that look different and are equal, written without pause by two nodes.
foreach my $i (1 .. 5)
{
	sql($n1, "DELETE FROM account WHERE id = 40; INSERT INTO account VALUES ('40." . ('0' x $i) . "', $i)");
	sql($n3, "UPDATE account SET balance = balance + 1000 WHERE id IN (40, 41)");
}
agree('keys used again and again');

sql($n1, 'SET meridian.allow_truncate = on; TRUNCATE note');
agree('truncated');
is(sql($n3, 'SELECT count(*) FROM note'), 0, 'TRUNCATE reaches the rows of every stream');

# --- tables come and go ----------------------------------------------------------------------------------------------------------

on_all(\@nodes, 'CREATE TABLE later (id integer PRIMARY KEY, v text)');
sql($n1, q{INSERT INTO later SELECT i, 'n1' FROM generate_series(1, 30) i});
sql($n3, q{INSERT INTO later SELECT i, 'n3' FROM generate_series(31, 60) i});
sql($n2, q{SELECT meridian.replicate('later')});
sql($n1, q{UPDATE later SET v = v || ' changed'});
wait_converged(@nodes);
expect_everywhere(\@nodes, q{SELECT count(*) FROM later WHERE v LIKE '% changed'}, 60, 'a table that is replicated later comes through all streams');
is(sql($n3, q{SELECT count(*) FROM pg_subscription_rel WHERE srrelid = 'later'::regclass}), 6, 'as each of them knows');
sql($n3, q{SELECT meridian.unreplicate('later')});
expect_everywhere(\@nodes, q{SELECT count(*) FROM meridian.tables WHERE rel = 'later'::regclass}, 0, 'and goes from all');

# --- a node is lost --------------------------------------------------------------------------------------------------------------

# What n1 wrote last has reached n2, and n3 through two of three streams, which also told n3 how far n1 was.
told(@nodes);
cut_stream($n3, $n1, 3);
sql($n1, q{UPDATE person SET v = 'last words'; UPDATE account SET balance = balance + 5});
wait_until($n2, q{SELECT bool_and(v = 'last words') FROM person});
my $stamp = sql($n1, 'SELECT meridian.hlc_now()');
wait_until($n3, "SELECT count(*) = 2 FROM meridian.progress WHERE member = 1 AND safe >= $stamp");
is(sql($n3, q{SELECT bool_and(v = 'last words') FROM person}), 'f', 'a node is lost before all its streams have brought what it wrote');
$n1->stop;
sql($n2, q{SELECT meridian.drop_node('n1')});
agree('what the others have of it is sent', $n2, $n3);
is(sql($n3, q{SELECT bool_and(v = 'last words') FROM person}), 't', 'to the last word');
expect_everywhere([ $n2, $n3 ], q{SELECT (SELECT count(*) FROM pg_subscription WHERE subname ~ '^meridian_1') || ' ' ||
	(SELECT count(*) FROM pg_replication_slots WHERE slot_name ~ '^meridian_1') || ' ' || (SELECT count(*) FROM meridian.progress WHERE member = 1)}, '0 0 0',
	'subscriptions, slots and progress of every stream are gone');

# --- leaving, and joining with another number ---------------------------------------------------------------------------------------

sql($n3, q{SELECT meridian.leave()});
expect_everywhere([ $n2, $n3 ], q{SELECT (SELECT count(*) FROM pg_subscription) || ' ' || (SELECT count(*) FROM pg_replication_slots)}, '0 0', 'who leaves takes all streams along');
sql($n3, 'TRUNCATE ' . join(', ', @tables));
make_member($n3, $n2, streams => 2);
links_up($n2, $n3);
is(sql($n2, q{SELECT string_agg(slot_name, ' ' ORDER BY slot_name) FROM pg_replication_slots}), 'meridian_4_1of2 meridian_4_2of2', 'and joins with another number of them');
sql($n2, q{UPDATE account SET balance = balance + 1; DELETE FROM place});
agree('joined again', $n2, $n3);
sql($n2, q{SELECT meridian.drop_node('n3')});
expect_everywhere([ $n2, $n3 ], q{SELECT (SELECT count(*) FROM pg_subscription) || ' ' || (SELECT count(*) FROM pg_replication_slots)}, '0 0', 'drop_node() removes all of them, too');

no_crash(@nodes);
done_testing();
