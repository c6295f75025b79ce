# Sinks deliver to real peers: redis-server, a broker of the Kafka protocol (librdkafka's mock cluster, not Apache Kafka), a strict double
# of Elasticsearch's _bulk, an HTTP server and a file. Peers fail, programs are killed, the database crashes: nothing is missing, the
# order of each key is kept, and what comes twice is within the bound and does no harm.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run qw(start);
use JSON::PP;
use Meridian;
use Peers;
use PostgreSQL::Test::Utils;
use Test::More;

my $clients = "$FindBin::RealBin/../clients";
my $limit = $PostgreSQL::Test::Utils::timeout_default;

# --- peers ---------------------------------------------------------------------------------------------------------------

my $directory = PostgreSQL::Test::Utils::tempdir_short();
my $redis_socket = start_redis($directory);
sub redis { my ($out) = run_command([ 'redis-cli', '-s', $redis_socket, @_ ]); return $out; }
my $kafka = start_peer("$clients/kafka_peer");
my $index = start_peer('node', "$clients/bulk_double.js");
my $web = start_peer('node', "$clients/bulk_double.js");
my %standalone;
END
{
	my $status = $?;
	$standalone{run}->kill_kill if $standalone{run};
	$? = $status;
}

sub documents { return decode_json(ask($index, 'dump', 1)); }
sub lines_of_file { return map { decode_json($_) } split /\n/, slurp_file($_[0] // "$directory/changes"); }
sub lines_of_web { return map { decode_json($_) } split /\n/, ask($web, 'lines'); }
# Keys and values of events are text that holds JSON, decoded once already.
sub events_of_kafka { my ($topic) = @_; return map { decode_json($_) } split /\n/, ask($kafka, "read $topic"); }
sub inner { return JSON::PP->new->decode($_[0]); }

# --- the database --------------------------------------------------------------------------------------------------------

my $node = new_node('shop', conf => "meridian.sink_directory = '$directory'\n");
sql($node, 'CREATE TABLE account (id int PRIMARY KEY, name text, balance int NOT NULL DEFAULT 0, note text)');
sql($node, 'ALTER TABLE account ALTER note SET STORAGE EXTERNAL');
# What the sinks have to deliver: the same events, read by SQL at the end.
sql($node, q{SELECT meridian.create_stream('truth', ARRAY['public.account'])});

sub create_sink
{
	my ($name, $kind, %options) = @_;
	$options{tables} = ['public.account'];
	$options{snapshot} = 'never';
	return sql($node, "SELECT meridian.create_sink('$name', '$kind', '" . encode_json(\%options) . "') IS NOT NULL");
}

# Until the sinks have everything that was committed before.
sub delivered
{
	my (@names) = @_;
	my $position = sql($node, 'SELECT pg_current_wal_flush_lsn()');
	foreach my $name (@names)
	{
		eval { wait_until($node, "SELECT confirmed_flush_lsn >= '$position' FROM pg_replication_slots WHERE slot_name = 'meridian_cdc_sink_$name'"); 1 }
		  or die $@ . sql($node, 'SELECT name, state, error FROM meridian.sinks');
	}
	return;
}

my $batch = 100;
is(create_sink('file', 'file', file => 'changes', batch_events => $batch), 't', 'a sink of kind file');
is(create_sink('cache', 'redis', host => $redis_socket, key => 'user:{id}', ttl => 1000, batch_events => $batch), 't', 'redis');
is(create_sink('kafka', 'kafka', brokers => $kafka->{address}, topic_prefix => 'shop', on_error => 'dead_letter', batch_events => $batch), 't', 'kafka');
is(create_sink('exact', 'kafka', brokers => $kafka->{address}, topic_prefix => 'exact', transactional_id => 'exact', batch_events => $batch), 't', 'kafka in transactions');
is(create_sink('index', 'elasticsearch', url => "http://127.0.0.1:$index->{address}", on_error => 'dead_letter', batch_events => $batch), 't', 'elasticsearch');
is(create_sink('web', 'http', url => "http://127.0.0.1:$web->{address}/lines", compress => 'true', batch_events => $batch), 't', 'http');
my @all = qw(file cache kafka exact index web);

# --- every kind of change ------------------------------------------------------------------------------------------------

sql($node, q{INSERT INTO account VALUES (1, 'Ann', 10, repeat('x', 10000)), (2, 'Bob "the" ü', 20, NULL), (3, 'Cy', 30, NULL)});
sql($node, q{UPDATE account SET balance = 11 WHERE id = 1});
sql($node, q{DELETE FROM account WHERE id = 3});
sql($node, q{UPDATE account SET id = 4 WHERE id = 2});
delivered(@all);

my @lines = lines_of_file();
is(join(' ', map { $_->{value} ? $_->{value}{op} : '-' } @lines), 'c c c u d - d - c', 'file: every event in order, with tombstones');
is_deeply($lines[4]{key}, { id => 3 }, 'with its key');
is((stat "$directory/changes")[2] & 0777, 0600, 'readable by the server only');
is(join(' ', map { $_->{position} } lines_of_web()), join(' ', map { $_->{position} } @lines), 'http: the same lines');

is(redis('GET', 'user:2'), '', 'redis: a row that changed its key is not under the old one');
is_deeply(decode_json(redis('GET', 'user:4')), { id => 4, name => "Bob \"the\" \x{fc}", balance => 20, note => undef }, 'but under the new one');
is(redis('GET', 'user:3'), '', 'a deleted row is gone');
is(redis('GET', 'user:1'), '', 'a row of which a large value was not sent is taken out');
cmp_ok(redis('TTL', 'user:4'), '>', 0, 'and lives as long as was asked for');

my $documents = documents();
is(join(' ', sort keys %$documents), 'account/1 account/4', 'elasticsearch: a document for each row');
is($documents->{'account/1'}{source}{balance}, 11, 'with the new value');
is(length $documents->{'account/1'}{source}{note}, 10000, 'and the large one that the update did not send');

my @events = events_of_kafka('shop.public.account');
my ($moved) = grep { $_->{key} eq '{"id":4}' } @events;
is(inner($moved->{value})->{after}{name}, "Bob \"the\" \x{fc}", 'kafka: the events');
is($moved->{headers}{'__debezium.oldkey'}, '{"id":2}', 'with the headers of a changed key');
is(scalar(grep { !defined $_->{value} } @events), 2, 'and tombstones');

# --- peers that fail -----------------------------------------------------------------------------------------------------

ask($kafka, 'down');
ask($index, 'fail 503 3');
ask($index, 'busy 2');
ask($web, 'fail 429 2');
redis('CLIENT', 'KILL', 'TYPE', 'normal');
sql($node, q{INSERT INTO account SELECT i, 'n' || i, 0 FROM generate_series(10, 209) i});
sql($node, q{UPDATE account SET balance = balance + 1 WHERE id >= 10});
delivered(qw(file cache index web));
is(decode_json(redis('GET', 'user:209'))->{balance}, 1, 'redis: after the connection was lost');
is(scalar(grep { $_->{source}{balance} == 1 } values %{ documents() }), 200, 'elasticsearch: after errors of requests and of items');
is(sql($node, q{SELECT string_agg(name, ' ' ORDER BY name) FROM meridian.sinks WHERE retries > 0 AND name IN ('index', 'web')}), 'index web', 'which are counted');
is(sql($node, q{SELECT lag_bytes > 0 FROM meridian.sinks WHERE name = 'kafka'}), 't', 'the broker that is down holds up no other sink');
wait_until($node, q{SELECT state = 'retrying' AND error IS NOT NULL FROM meridian.sinks WHERE name = 'kafka'});
ask($kafka, 'up');
delivered('kafka', 'exact');
ask($index, 'cut 1');
sql($node, q{UPDATE account SET balance = 7 WHERE id IN (1, 10)});
delivered('index');
is(documents()->{'account/10'}{source}{balance}, 7, 'an answer that breaks off is no success, and repeating does no harm');
is(join(' ', map { ref $_ ? $_->{balance} . ' ' . length $_->{note} : '-' } documents()->{'account/1'}{source}), '7 10000', 'nor to a row of which a part was not sent');

# --- what a target refuses -----------------------------------------------------------------------------------------------

is(create_sink('strict', 'elasticsearch', url => "http://127.0.0.1:$index->{address}", index => 'strict'), 't', 'a sink that stops at errors');
is(create_sink('easy', 'elasticsearch', url => "http://127.0.0.1:$index->{address}", index => 'account', on_error => 'skip'), 't', 'one that skips them');
ask($index, 'reject account strict');
sql($node, q{UPDATE account SET balance = 70 WHERE id = 10});
sql($node, q{UPDATE account SET balance = 80 WHERE id = 11});
delivered('index', 'easy');
wait_until($node, q{SELECT state = 'stopped' FROM meridian.sinks WHERE name = 'strict'});
like(sql($node, q{SELECT error FROM meridian.sinks WHERE name = 'strict'}), qr/status 400.*document_parsing_exception/, 'it says what stopped it');
is(sql($node, q{SELECT alarm, severity, subject FROM meridian.local_alarms WHERE subject = 'strict'}), 'sink stopped|error|strict', 'which is an alarm');
is(sql($node, q{SELECT skipped, dead_letters FROM meridian.sinks WHERE name = 'easy'}), '2|0', 'what is skipped is counted');
ask($index, 'reject');
sql($node, q{SELECT meridian.resume_sink('strict')});
delivered('strict');
is(documents()->{'strict/11'}{source}{balance}, 80, 'and after resume_sink() nothing is missing');
is(sql($node, q{SELECT count(*), count(*) FILTER (WHERE reason LIKE '%document_parsing_exception%') FROM meridian.dead_letters}), '2|2',
	'what is to be put aside is, with the reason');
sql($node, q{UPDATE account SET balance = 71 WHERE id = 10});
delivered('index');
is(sql($node, q{SELECT state FROM meridian.dead_letters ORDER BY id}), "superseded\nwaiting", 'a later event of the key replaces it');
like(sql_error($node, 'SELECT meridian.retry_dead_letter(min(id)) FROM meridian.dead_letters'), qr/42704.*no dead letter/s, 'so it cannot be tried again');
sql($node, q{SELECT meridian.retry_dead_letter(max(id)) FROM meridian.dead_letters});
wait_until($node, q{SELECT count(*) = 0 FROM meridian.dead_letters WHERE state <> 'superseded'});
$documents = documents();
is("$documents->{'account/10'}{source}{balance} $documents->{'account/11'}{source}{balance}", '71 80', 'the other is taken');
sql($node, "SELECT meridian.drop_sink('$_')") foreach qw(strict easy);

# --- killed and crashed --------------------------------------------------------------------------------------------------

sub pid_of { return sql($node, "SELECT pid FROM meridian.sinks WHERE name = '$_[0]'"); }

# A program that runs without the database's help, from a position that it keeps itself; killed most often.
sql($node, q{SELECT pg_create_logical_replication_slot('alone', 'meridian_cdc')});
append_to_file("$directory/alone.conf", join "\n", '# standalone', "name = al'one", 'kind = kafka', 'slot = alone', 'dsn = ' . conninfo($node),
	"position_file = $directory/alone.position", "brokers = $kafka->{address}", 'plugin.tables = public.account', 'plugin.topic_prefix = alone', "batch_events = $batch", '');
my $from = sql($node, q{SELECT count(*) FROM meridian.read_changes('truth', 1000000)});
sub start_alone { $standalone{run} = start([ 'meridian-sink', '--config', "$directory/alone.conf" ], '2>', "$directory/alone.log"); return; }
sub position_of_alone { return -e "$directory/alone.position" ? slurp_file("$directory/alone.position") : ''; }

append_to_file("$directory/load", join '', map { "UPDATE account SET balance = balance + $_ WHERE id % 8 = $_ AND id >= 10;\n" } 0 .. 7);
my $kills = 5;
for my $kill (1 .. $kills)
{
	my $before = position_of_alone();
	start_alone();
	my $load = start([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-f', "$directory/load" ]);
	for (1 .. 100 * $limit) { last if position_of_alone() ne $before; select undef, undef, undef, 0.01; }
	$standalone{run}->kill_kill;
	if ($kill == 2 || $kill == 4)
	{
		my %pid = map { $_ => pid_of($_) } @all;
		kill 'KILL', values %pid;
		$load->finish;
		wait_until($node, "SELECT pid <> $pid{$_} AND state = 'running' FROM meridian.sinks WHERE name = '$_'") foreach @all;
		next;
	}
	$load->finish;
}
is(sql($node, q{SELECT bool_and(error LIKE '%signal 9%') FROM meridian.sinks WHERE name NOT IN ('kafka', 'exact')}), 't', 'a program that was killed is started again, and the view says so');
sql($node, 'UPDATE account SET balance = balance + 1 WHERE id >= 10');
# The database crashes while programs wait for the broker.
ask($kafka, 'down');
start_alone();
sql($node, 'UPDATE account SET balance = balance + 1 WHERE id >= 10');
wait_until($node, q{SELECT state = 'retrying' FROM meridian.sinks WHERE name = 'kafka'});
for (1 .. 10 * $limit) { last if slurp_file("$directory/alone.log") =~ /retrying/; select undef, undef, undef, 0.1; }
$node->stop('immediate');
$standalone{run}->finish;
is($standalone{run}->full_result(0), 1 << 8, 'a program whose database is gone ends in order');
ask($kafka, 'up');
$node->start;
start_alone();
sql($node, 'UPDATE account SET balance = balance + 1 WHERE id >= 10');
delivered(@all);
my $end = sql($node, 'SELECT pg_current_wal_flush_lsn()');
wait_until($node, "SELECT confirmed_flush_lsn >= '$end' FROM pg_replication_slots WHERE slot_name = 'alone'");
$standalone{run}->signal('TERM');
$standalone{run}->finish;
is($standalone{run}->result(0), 0, 'a program ends when it is told to');

my %row = map { split /\|/, $_, 2 } split /\n/, sql($node, 'SELECT id, balance FROM account WHERE id >= 10');
is_deeply({ map { $_ => decode_json(redis('GET', "user:$_"))->{balance} } 10 .. 30 }, { map { $_ => $row{$_} } 10 .. 30 }, 'redis: every row as it is now');
$documents = documents();
is_deeply({ map { $_ => $documents->{"account/$_"}{source}{balance} } keys %row }, \%row, 'elasticsearch: too');

my @truth = map { decode_json($_) } split /\n/,
  sql($node, q{SELECT jsonb_build_object('position', regexp_replace(position, '^([^,]+,[^,]+,[0-9]+).*', '\1'), 'key', key, 'value', value) FROM meridian.read_changes('truth', 1000000)});
# Repeated events begin again at an earlier one and go on from there: without them it is the truth, in its order.
sub same_lines
{
	my ($what, @got) = @_;
	my %seen;
	my @first = grep { !$seen{$_}++ } map { $_->{position} } @got;
	is_deeply(\@first, [ map { $_->{position} } @truth ], "$what: nothing is missing, in the order of commits");
	cmp_ok(@got - @first, '<=', 3 * $batch, 'and after two kills and a crash no more than three batches came twice');
	return;
}
same_lines('file', lines_of_file());
same_lines('http', lines_of_web());

# Events of one key are in one partition. An event is named by its LSN and kind; a tombstone has the name of its delete.
sub same_by_key
{
	my ($what, $most, $truth, @got) = @_;
	my (%first, %partition, %seen, %last);
	my ($repeated, $spread) = (0, 0);
	foreach my $event (@got)
	{
		my $key = JSON::PP->new->canonical->encode(inner($event->{key}));
		++$spread if ($partition{$key} //= $event->{partition}) != $event->{partition};
		$last{$key} = inner($event->{value})->{source}{lsn} . inner($event->{value})->{op} if defined $event->{value};
		my $name = defined $event->{value} ? $last{$key} : "$last{$key}-";
		if ($seen{"$key $name"}++) { ++$repeated; next; }
		push @{ $first{$key} }, $name;
	}
	my (%wanted, %before);
	foreach my $event (@$truth)
	{
		my $key = JSON::PP->new->canonical->encode($event->{key});
		$before{$key} = $event->{value}{source}{lsn} . $event->{value}{op} if $event->{value};
		push @{ $wanted{$key} }, $event->{value} ? $before{$key} : "$before{$key}-";
	}
	is($spread, 0, "$what: each key has one partition");
	is_deeply(\%first, \%wanted, 'nothing is missing, and each key is in order');
	cmp_ok($repeated, '<=', $most, "and no more than $most events came twice");
	return;
}
same_by_key('kafka', 3 * $batch, \@truth, events_of_kafka('shop.public.account'));
# The broker shows what transactions that were aborted had sent, too: of those that a kill, the crash or the broker ended.
same_by_key('transactions', 5 * $batch, \@truth, events_of_kafka('exact.public.account'));
same_by_key('standalone', ($kills + 1) * $batch, [ @truth[ $from .. $#truth ] ], events_of_kafka('alone.public.account'));

# --- people --------------------------------------------------------------------------------------------------------------

sql($node, q{SELECT meridian.pause_sink('file')});
wait_until($node, q{SELECT state = 'paused' FROM meridian.sink_progress WHERE name = 'file'});
sql($node, q{INSERT INTO account VALUES (999)});
delivered('cache');
unlike(slurp_file("$directory/changes"), qr/"id":999/, 'a sink that is paused delivers nothing');
sql($node, q{SELECT meridian.resume_sink('file')});
delivered('file');
like(slurp_file("$directory/changes"), qr/"id":999/, 'until it is resumed');
like(sql($node, 'SELECT meridian.metrics()'), qr/^meridian_sink_running\{sink="file",kind="file"\} 1$/m, 'metrics tell of it');
my $pid = pid_of('file');
sql($node, q{SELECT meridian.drop_sink('file')});
is(sql($node, q{SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE '%sink_file'}), 0, 'drop_sink() takes the slot away');
ok((grep { !kill(0, $pid) || (select(undef, undef, undef, 0.1), 0) } 1 .. 10 * $limit)[0], 'and its program ends');
sql($node, q{SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'meridian_cdc_sink_web' AND pg_terminate_backend(active_pid, 10000)});
is(sql($node, q{SELECT state FROM meridian.sinks WHERE name = 'web'}), 'lost', 'a slot that is gone shows');
is(sql($node, q{SELECT alarm FROM meridian.local_alarms WHERE subject = 'web'}), 'sink lost changes', 'and is an alarm');

foreach (
	[ "create_sink('x', 'pigeon')", qr/22023.*no kind of sink "pigeon"/s ], [ "create_sink('X y', 'redis')", qr/42602.*not the name of a sink/s ],
	[ "create_sink('x', 'redis')", qr/22023.*needs the option "host"/s ], [ q{create_sink('x', 'redis', '{"host":"h","password":"s"}')}, qr/22023.*secret may not be/s ],
	[ q{create_sink('x', 'http', '{"url":"http://u:s@h/"}')}, qr/22023.*secret may not be/s ], [ q{create_sink('x', 'http', '{"url":"gopher://h/"}')}, qr/22023.*must begin with http/s ],
	[ q{create_sink('x', 'file', '{"file":"../x"}')}, qr/22023.*plain name/s ], [ q{create_sink('x', 'redis', '{"host":"h","no_such":1}')}, qr/22023.*no_such/s ],
	[ q{create_sink('x', 'redis', '{"host":"h","envelope":"flat"}')}, qr/22023.*envelope/s ], [ "drop_sink('x')", qr/42704.*does not exist/s ])
{
	like(sql_error($node, "SELECT meridian.$_->[0]"), $_->[1], $_->[0]);
}
sql($node, 'CREATE ROLE operator LOGIN IN ROLE meridian_admin');
like(sql_error($node, q{SET ROLE operator; SELECT meridian.create_sink('x', 'redis', '{"host":"169.254.169.254"}')}), qr/42501.*may not connect/s,
	'who is no superuser reaches only the hosts that are allowed');

# A sink that cannot deliver does not hold up a shutdown, though its server process waits for what was not confirmed.
ask($kafka, 'down');
sql($node, 'UPDATE account SET balance = balance + 1');
wait_until($node, q{SELECT state = 'retrying' FROM meridian.sinks WHERE name = 'kafka'});
$node->stop('fast');
pass('a server whose sink cannot deliver shuts down');

no_crash($node);
done_testing();
