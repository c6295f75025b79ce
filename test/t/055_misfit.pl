# Rows that PostgreSQL's apply worker cannot even hand to the trigger of their table (the table, a column or a partition is missing, a
# type does not take a value) wait outside it, whole, and the stream goes on. Nodes converge when the cause is gone.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

# n1 is the node that lags behind; n2 and n3 write.
my @nodes = my ($n1, $n2, $n3) = mesh(3);
my @writers = ($n2, $n3);

sub replicate
{
	my ($name, $definition, @rules) = @_;
	on_all(\@nodes, $definition);
	sql($n2, "SELECT meridian.replicate('$name'" . join('', map { ", '$_'" } @rules) . ')');
	return;
}

sub misfits
{
	my ($name) = @_;
	return sql($n1, qq{SELECT key, images FROM meridian.parked WHERE sent_as = '$name' AND reason = 'misfit' ORDER BY key::text});
}

# Whatever else arrives: the stream goes on.
my $other = 0;
sub goes_on
{
	my ($name) = @_;
	++$other;
	sql($n2, "INSERT INTO other VALUES ($other, 'n2')");
	sql($n3, "INSERT INTO other VALUES (-$other, 'n3')");
	wait_until($n1, "SELECT count(*) = 2 FROM other WHERE id IN ($other, -$other)");
	pass($name);
	return;
}

sub agree
{
	my ($query, $name) = @_;
	wait_until($n1, q{SELECT count(*) = 0 FROM meridian.parked});
	wait_converged(@nodes);
	return same_everywhere(\@nodes, $query, $name);
}

sub failures
{
	my ($from) = @_;
	my $text = slurp_file($n1->logfile, $from);
	my @found = $text =~ /logical replication (?:apply )?worker.*exited with exit code 1/g;
	# One that is started before the failed one has left its origin fails, too, whatever the row is.
	my @early = $text =~ /ERROR:  replication origin with ID \d+ is already active for PID/g;
	return @found - @early;
}

replicate('other', 'CREATE TABLE other (id bigint PRIMARY KEY, v text)');

# --- a column that this node lacks -----------------------------------------------------------------------------------------------

replicate('doc', 'CREATE TABLE doc (id bigint PRIMARY KEY, body text, hits bigint DEFAULT 0)', 'hits=counter');
replicate('dated', 'CREATE TABLE dated (id bigint PRIMARY KEY, body text, updated_at timestamptz)', 'row=lww(updated_at)');
sql($n2, q{INSERT INTO doc VALUES (1, 'old', 1), (2, 'old', 1), (3, 'old', 1), (4, 'old', 1);
	INSERT INTO dated VALUES (1, 'old', '2026-01-01'), (2, 'old', '2026-01-01')});
wait_converged(@nodes);
my $log = -s $n1->logfile;
on_all(\@writers, q{ALTER TABLE doc ADD tags text[] DEFAULT '{}'});
on_all(\@writers, q{ALTER TABLE dated ADD note text});
sql($n2, q{INSERT INTO doc (id, body, hits, tags) VALUES (10, 'new', 5, '{a,b}')});
sql($n2, q{UPDATE doc SET tags = '{c}', hits = hits + 1 WHERE id = 1});
sql($n2, q{BEGIN; INSERT INTO other VALUES (100, 'before'); UPDATE doc SET tags = '{d}' WHERE id = 2; INSERT INTO other VALUES (101, 'after'); COMMIT});
sql($n2, q{UPDATE dated SET note = 'n', updated_at = '2026-01-02' WHERE id = 1});
wait_until($n1, q{SELECT string_agg(v, ' ' ORDER BY id) = 'before after' FROM other WHERE id >= 100});
is(misfits('public.doc'), qq({"id": "1"}|1\n{"id": "10"}|1\n{"id": "2"}|1), 'F.1: rows with a column that is missing here wait, and the rest of their transaction does not');
is(misfits('public.dated'), '{"id": "1"}|1', 'likewise those that are stamped by users');
goes_on('the stream goes on');
is(failures($log), 0, 'the worker has not failed at all');
is(sql($n1, 'SELECT id, body, hits FROM doc ORDER BY id'), "1|old|1\n2|old|1\n3|old|1\n4|old|1", 'rows stay as they were');
is(sql($n1, q{SELECT rel, reason, sqlstate, detail FROM meridian.parked WHERE key = '{"id": "10"}'}),
	'doc|misfit|42703|table "doc" lacks what the row has: "tags"', 'and it is said why');
is(sql($n1, q{SELECT alarm, severity, subject FROM meridian.alarms WHERE subject = 'public.doc'}), 'rows parked|error|public.doc', 'there is an alarm');
is(sql($n1, q{SELECT meridian.wait_converged('1 s')}), 'f', 'nodes have not converged');
wait_until($n3, q{SELECT NOT meridian.wait_converged('0 s')});

# More of the same rows, from both nodes at once, and deletes.
cut_link($n2, $n3);
sql($n2, q{UPDATE doc SET hits = hits + 10 WHERE id = 1}) for 1 .. 5;
sql($n3, q{UPDATE doc SET hits = hits + 100, body = 'n3' WHERE id = 1}) for 1 .. 5;
sql($n3, q{UPDATE doc SET hits = hits + 1 WHERE id = 3});
sql($n2, q{UPDATE doc SET tags = '{e}' WHERE id = 4});
heal_link($n2, $n3);
sql($n2, q{DELETE FROM doc WHERE id = 10});
sql($n3, q{DELETE FROM doc WHERE id = 2});
sql($n1, q{UPDATE doc SET hits = hits + 1000 WHERE id = 1});
wait_until($n1, q{SELECT count(*) = 0 FROM meridian.parked WHERE key IN ('{"id": "10"}', '{"id": "2"}')});
is(sql($n1, 'SELECT count(*) FROM doc WHERE id = 2'), '0', 'F.2: a delete takes the row, and what of it waits');
wait_until($n1, q{SELECT count(*) BETWEEN 1 AND 2 AND sum(images) = 11 FROM meridian.parked WHERE sent_as = 'public.doc' AND key = '{"id": "1"}'});
pass('images of one row that contain each other are joined');
like(sql($n1, q{SELECT meridian.retry_parked(min(id)) FROM meridian.parked WHERE sent_as = 'public.doc'}), qr/^table "doc" lacks what the row has: "tags"$/,
	'retry_parked says why a row waits');
sql($n1, q{ALTER TABLE doc ADD tags text[] DEFAULT '{}'; ALTER TABLE dated ADD note text});
agree('SELECT id, body, hits, tags, _meridian FROM doc ORDER BY id', 'F.3: when the column is there the rows arrive, no value lost');
is(sql($n1, 'SELECT hits FROM doc WHERE id = 1'), '1552', 'counters included');
same_everywhere(\@nodes, 'SELECT id, body, note, updated_at FROM dated ORDER BY id', 'likewise those that are stamped by users');
sql($n2, q{UPDATE doc SET tags = '{z}'});
agree('SELECT id, body, hits, tags, _meridian FROM doc ORDER BY id', 'and the stream takes them again');
is(failures($log), 0, 'without one failure of the worker');

# A column that goes while rows come.
sql($n1, q{ALTER TABLE doc DROP tags});
sql($n2, q{UPDATE doc SET tags = '{y}' WHERE id = 4});
wait_until($n1, q{SELECT count(*) = 1 FROM meridian.parked});
sql($n1, q{ALTER TABLE doc ADD tags text[] DEFAULT '{}'});
is(sql($n1, q{SELECT meridian.retry_parked(id) FROM meridian.parked}), 'applied', 'retry_parked brings it when the column is back');
is(sql($n1, 'SELECT tags FROM doc WHERE id = 4'), '{y}', 'with its value');
like(sql_error($n1, 'SELECT meridian.drop_parked(0)'), qr/42704.*no parked change has id 0/s, 'an id that is not there');

# --- a table that is not here ----------------------------------------------------------------------------------------------------

sql($n1, 'ALTER TABLE doc RENAME TO doc_away');
sql($n2, q{INSERT INTO doc (id, body, hits, tags) VALUES (20, 'renamed', 1, '{r}')});
sql($n3, q{UPDATE doc SET body = 'renamed' WHERE id = 3; DELETE FROM doc WHERE id = 4});
goes_on('F.4: a table that is not here does not stop the stream');
is(sql($n1, q{SELECT rel IS NULL, key IS NULL, sent_as, sqlstate, detail FROM meridian.parked ORDER BY id LIMIT 1}), 't|t|public.doc|42P01|table public.doc does not exist',
	'its rows wait under the name that the sender gave');
sql($n1, 'ALTER TABLE doc_away RENAME TO doc');
agree('SELECT id, body, hits, _meridian FROM doc ORDER BY id', 'when it is renamed back they arrive');

sql($n1, 'DROP TABLE doc');
sql($n2, q{INSERT INTO doc (id, body, hits, tags) VALUES (30, 'dropped', 1, '{}'); UPDATE doc SET hits = hits + 1});
sql($n3, q{DELETE FROM doc WHERE id = 20});
goes_on('a table that was dropped does not stop the stream');
sql($n1, q{CREATE TABLE doc (id bigint PRIMARY KEY, body text, hits bigint DEFAULT 0, tags text[] DEFAULT '{}')});
sql($n2, q{UPDATE doc SET hits = hits + 1 WHERE id = 1});
wait_until($n1, q{SELECT count(*) > 0 FROM meridian.parked WHERE detail = 'public.doc is not a replicated table here'});
sql($n2, q{SELECT meridian.replicate('doc', 'hits=counter')});
agree('SELECT id, body, hits, tags, _meridian FROM doc ORDER BY id', 'F.5: made again and replicated again, it has all rows');

# --- values that a type does not take --------------------------------------------------------------------------------------------

on_all(\@nodes, $_) foreach q{CREATE TYPE mood AS ENUM ('sad', 'happy')}, q{CREATE DOMAIN short AS text CHECK (length(VALUE) < 20)};
replicate('person', 'CREATE TABLE person (id bigint PRIMARY KEY, feels mood, name short)');
on_all(\@writers, q{ALTER TYPE mood ADD VALUE 'angry'});
$log = -s $n1->logfile;
sql($n2, q{INSERT INTO person VALUES (1, 'happy', 'fits'), (2, 'angry', 'does not'), (3, 'sad', 'fits')});
goes_on('F.6: a value that an enum does not have here does not stop the stream');
is(misfits('public.person'), '{"id": "2"}|1', 'the row waits');
is(sql($n1, 'SELECT id FROM person ORDER BY id'), "1\n3", 'the others of its statement do not');
is(failures($log), 1, 'the worker has failed once');
sql($n3, q{UPDATE person SET feels = 'angry' WHERE id = 1});
sql($n3, q{UPDATE person SET name = 'still fits' WHERE id = 3});
goes_on('and it goes on');
is(failures($log), 1, 'and does not fail again, whoever sends');
is(misfits('public.person'), qq({"id": "1"}|1\n{"id": "2"}|1), 'the next such row waits as well');
sql($n1, q{ALTER TYPE mood ADD VALUE 'angry'});
agree('SELECT id, feels, name, _meridian FROM person ORDER BY id', 'when the enum has the value, the rows arrive');

sql($n1, q{ALTER DOMAIN short DROP CONSTRAINT short_check; ALTER DOMAIN short ADD CONSTRAINT shorter CHECK (length(VALUE) < 11)});
sql($n2, q{UPDATE person SET name = 'much too long' WHERE id = 3});
sql($n2, q{INSERT INTO person VALUES (4, 'sad', 'short')});
goes_on('F.7: nor does a value that a domain refuses');
is(sql($n1, q{SELECT key, sqlstate FROM meridian.parked}), '{"id": "3"}|23514', 'it waits');
sql($n3, q{DELETE FROM person WHERE id = 3});
agree('SELECT id, feels, name, _meridian FROM person ORDER BY id', 'until it is deleted');

# A key that cannot be read here: the tombstone of such a row waits, too.
replicate('by_mood', 'CREATE TABLE by_mood (feels mood PRIMARY KEY, v text)');
on_all(\@writers, q{ALTER TYPE mood ADD VALUE 'calm'});
sql($n2, q{INSERT INTO by_mood VALUES ('calm', 'a'), ('sad', 'b')});
goes_on('a key that cannot be read does not stop the stream');
is(sql($n1, q{SELECT key IS NULL, sent_as FROM meridian.parked}), 't|public.by_mood', 'the row waits without its key');
sql($n3, q{DELETE FROM by_mood WHERE feels = 'calm'});
goes_on('nor does its delete');
wait_until($n1, q{SELECT count(*) = 1 FROM meridian.parked WHERE rel = 'meridian.tombstone'::regclass});
sql($n1, q{ALTER TYPE mood ADD VALUE 'calm'});
agree('SELECT feels, v FROM by_mood ORDER BY feels', 'F.8: when the key can be read, row and delete meet');
is(sql($n1, q{SELECT string_agg(feels::text, ' ') FROM by_mood}), 'sad', 'and the row stays deleted');

# --- a partition that is not here ------------------------------------------------------------------------------------------------

on_all(\@nodes, $_) foreach q{CREATE TABLE event (id bigint, day date, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)},
  q{CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')};
sql($n2, q{SELECT meridian.replicate('event')});
on_all(\@writers, q{CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')});
sql($n2, q{INSERT INTO event VALUES (1, '2026-01-01', 'jan'), (2, '2026-02-01', 'feb'), (3, '2026-02-01', 'feb')});
goes_on('F.9: a row that no partition takes does not stop the stream');
is(misfits('public.event'), qq({"id": "2", "day": "2026-02-01"}|1\n{"id": "3", "day": "2026-02-01"}|1), 'it waits');
sql($n3, q{DELETE FROM event WHERE id = 3});
wait_until($n1, q{SELECT count(*) = 1 FROM meridian.parked});
sql($n1, q{CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')});
agree('SELECT id, day, v, _meridian FROM event ORDER BY id', 'until one does');

# --- copies ----------------------------------------------------------------------------------------------------------------------

# What n1 cannot read and nobody else has received is not lost to the others.
cut_link($n2, $n3);
on_all(\@writers, 'ALTER TABLE event ADD place text');
sql($n2, q{INSERT INTO event (id, day, v, place) VALUES (5, '2026-01-05', 'jan', 'here')});
wait_until($n1, q{SELECT count(*) = 1 FROM meridian.parked});
sql($n1, q{SELECT meridian.resend('n3', '-infinity')});
wait_until($n3, q{SELECT place = 'here' FROM event WHERE id = 5});
pass('F.10: a copy contains the rows that wait, and who can read them does');
heal_link($n2, $n3);
sql($n1, 'ALTER TABLE event ADD place text');
agree('SELECT id, day, v, place, _meridian FROM event ORDER BY id', 'all agree');

# --- nobody else is concerned ----------------------------------------------------------------------------------------------------

my $standby = new_standby($n1, 'standby');
sql($_, 'CREATE TABLE plain (id bigint PRIMARY KEY)') foreach $n1, $n2;
sql($n2, 'ALTER TABLE plain ADD v text; CREATE PUBLICATION plain FOR TABLE plain');
sql($n1, "CREATE SUBSCRIPTION plain CONNECTION '" . conninfo($n2) . "' PUBLICATION plain WITH (copy_data = false)");
$log = -s $n1->logfile;
sql($n2, q{INSERT INTO plain VALUES (1, 'v')});
$n1->wait_for_log(qr/missing replicated column: "v"/, $log);
is(sql($n1, 'SELECT count(*) FROM meridian.parked'), '0', 'another subscription waits as PostgreSQL has it');
sql($n1, 'ALTER TABLE plain ADD v text');
wait_until($n1, q{SELECT v = 'v' FROM plain});
goes_on('and the mesh goes on');
$n1->wait_for_catchup($standby, 'replay', $n1->lsn('insert'));
is(sql($standby, 'SELECT count(*) FROM plain'), '1', 'a standby follows');
sql($n1, 'DROP SUBSCRIPTION plain');
my @documented = slurp_file("$FindBin::RealBin/../../docs/guarantees.md") =~ /^\| (F\.\d+) \|/mg;
my @tested = slurp_file(__FILE__) =~ /'(F\.\d+): /g;
is_deeply([ sort @tested ], [ sort @documented ], 'every row of table F is tested');
no_crash(@nodes, $standby);
done_testing();
