# Streams and sinks through a promotion, and after their slots were lost. With failover slots (PostgreSQL 17 and later) nothing is
# missing; before, the loss is seen, an alarm names what mends it, and that also removes at the targets what was deleted meanwhile.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use File::Copy qw(copy);
use HTTP::Tiny;
use IPC::Run qw(start);
use JSON::PP;
use Meridian;
use Peers;
use PostgreSQL::Test::Utils;
use Test::More;

my $clients = "$FindBin::RealBin/../clients";
my $fails_over = server_knows('sync_replication_slots');
my $directory = PostgreSQL::Test::Utils::tempdir_short();
my $redis_socket = start_redis($directory);
my $kafka = start_peer("$clients/kafka_peer");
my $index = start_peer('node', "$clients/bulk_double.js");
my @sinks = qw(cache file index kafka);

sub redis { my ($out) = run_command([ 'redis-cli', '-s', $redis_socket, @_ ]); return $out; }
sub lines_of_file { return map { decode_json($_) } split /\n/, slurp_file("$directory/changes"); }
sub inner { return JSON::PP->new->decode($_[0]); }

# --- the pair ------------------------------------------------------------------------------------------------------------

my $old = new_node('old', conf => "meridian.sink_directory = '$directory'\nwal_log_hints = on\n");
make_member($old, $old);
sql($old, q{SELECT pg_create_physical_replication_slot('new', true)});
my $new = new_standby($old, 'new', conf => "primary_slot_name = 'new'\n");
sql($old, q{
	CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL DEFAULT 0, note text);
	ALTER TABLE account ALTER note SET STORAGE EXTERNAL;
	INSERT INTO account SELECT i, 0, CASE WHEN i <= 3 THEN repeat('x', 10000) END FROM generate_series(1, 1200) i});

sub create
{
	my ($statement) = @_;
	$old->psql('postgres', "SELECT meridian.$statement", stderr => \my $err);
	return $err;
}
my $told = create(q{create_stream('truth', ARRAY['public.account'])});
if ($fails_over)
{
	like($told, qr/promotion of a standby may lose.*synchronized_standby_slots = 'new'/s, 'create_stream() says what a promotion needs');
	is(sql($old, q{SELECT ok, fix FROM meridian.check_config('cdc') WHERE setting = 'synchronized_standby_slots'}), q{f|synchronized_standby_slots = 'new'}, 'check_config() too');
	is(sql($new, q{SELECT string_agg(setting, ' ' ORDER BY setting COLLATE "C") FROM meridian.check_config('cdc') WHERE NOT ok AND setting ~ 'sync_|feedback|primary_'}),
		'hot_standby_feedback primary_conninfo sync_replication_slots', 'and on the standby');
	$old->append_conf('postgresql.conf', "synchronized_standby_slots = 'new'\n");
	$old->reload;
	$new->append_conf('postgresql.conf', "sync_replication_slots = on\nhot_standby_feedback = on\nprimary_conninfo = '" . conninfo($old) . " application_name=new'\n");
	$new->restart;
	is(sql($new, q{SELECT count(*) FROM meridian.check_config('cdc') WHERE NOT ok AND setting ~ 'sync_|feedback|primary_'}), 0, 'with these lines nothing is missing');
	wait_until($old, q{SELECT ok FROM meridian.check_config('cdc') WHERE setting = 'synchronized_standby_slots'});
}
else
{
	is(sql($old, q{SELECT value, ok FROM meridian.check_config('cdc') WHERE setting = 'failover slots'}), 'none before PostgreSQL 17|t', 'check_config() says that a promotion loses streams');
}

sub create_sink
{
	my ($name, $kind, %options) = @_;
	return create("create_sink('$name', '$kind', '" . encode_json({ tables => ['public.account'], topic_prefix => 'shop', batch_events => 100, %options }) . "')");
}
unlike(create_sink('file', 'file', file => 'changes'), qr/ERROR|NOTICE/, 'sinks of every kind');
create_sink('cache', 'redis', host => $redis_socket, key => 'user:{id}', guard_ttl => 3600);
create_sink('kafka', 'kafka', brokers => $kafka->{address});
create_sink('index', 'elasticsearch', url => "http://127.0.0.1:$index->{address}");
eval { wait_until($old, q{SELECT count(*) = 4 AND bool_and(state = 'done') FROM meridian.sink_snapshots}); 1 }
  or die $@ . sql($old, 'SELECT name, state, error FROM meridian.sinks');
# A standby takes a slot over when the slot has gone on since the standby first saw it; at a checkpoint's pace on a server at rest.
for (1 .. ($fails_over ? 10 * $PostgreSQL::Test::Utils::timeout_default : 0))
{
	last if sql($new, q{SELECT count(*) FROM pg_replication_slots WHERE synced AND NOT temporary AND invalidation_reason IS NULL}) == 5;
	sql($old, q{SELECT pg_log_standby_snapshot()});
	sql($old, q{SELECT count(*) FROM meridian.read_changes('truth')});
	select undef, undef, undef, 0.1;
}
is(sql($new, q{SELECT count(*) FROM pg_replication_slots WHERE synced AND NOT temporary AND invalidation_reason IS NULL}), 5, 'the standby takes the slots over') if $fails_over;
is(sql($old, q{SELECT string_agg(DISTINCT COALESCE(failover::text, 'unknown'), ' ') FROM meridian.sinks}), $fails_over ? 'true' : 'unknown', 'the view says whether they survive');

# --- a promotion under load ----------------------------------------------------------------------------------------------

append_to_file("$directory/load", q{
	\set id random(1, 1200)
	\set other random(2001, 2100)
	UPDATE account SET balance = balance + 1 WHERE id = :id;
	DELETE FROM account WHERE id = :other;
	INSERT INTO account VALUES (:other, 1) ON CONFLICT DO NOTHING;
	UPDATE account SET id = id + 1000 WHERE id = :other AND NOT EXISTS (SELECT FROM account WHERE id = :other + 1000);
});
my $load = start([ 'pgbench', '-n', '-c', 2, '-T', 600, '-R', 100, '-f', "$directory/load", $old->connstr('postgres') ], '>', \my $out, '2>', \my $err);
wait_until($old, q{SELECT sum(balance) > 50 FROM account WHERE id <= 1200});
# From here on the standby has nothing. What is written now is lost in the promotion.
$new->stop('fast');
sql($old, q{INSERT INTO account VALUES (9000); UPDATE account SET balance = 9000 WHERE id = 5});
if ($fails_over)
{
	wait_until($old, q{SELECT count(*) = 4 FROM pg_stat_activity WHERE wait_event = 'WaitForStandbyConfirmation' AND application_name LIKE 'meridian sink %'});
	is(redis('GET', 'user:9000'), '', 'no sink is ahead of the standby');
}
else
{
	my $position = sql($old, 'SELECT pg_current_wal_flush_lsn()');
	wait_until($old, "SELECT count(*) = 4 FROM pg_replication_slots WHERE confirmed_flush_lsn >= '$position' AND slot_name LIKE 'meridian_cdc_sink%'");
	isnt(redis('GET', 'user:9000'), '', 'a sink has what the standby lacks');
}
$old->stop('immediate');
$load->finish;
$new->start;
$new->promote;
# Sooner than what was lost, by the position in the WAL.
sql($new, q{UPDATE account SET balance = 500 WHERE id = 5});
sql($new, q{DELETE FROM account WHERE id BETWEEN 10 AND 20});

sub wait_delivered
{
	my $position = sql($new, 'SELECT pg_current_wal_flush_lsn()');
	eval { wait_until($new, "SELECT count(*) = 4 FROM pg_replication_slots WHERE confirmed_flush_lsn >= '$position' AND slot_name ~ '^meridian_cdc2?_sink'"); 1 }
	  or die $@ . sql($new, 'SELECT name, state, error, resnapshot, resnapshot_error FROM meridian.sinks');
	return;
}

# What each target has: balance and length of the note, by id.
sub shape { my ($row) = @_; return $row->{balance} . ' ' . length($row->{note} // ''); }
sub of_database { return { map { my ($id, @row) = split /\|/; $id => "@row" } split /\n/, sql($new, q{SELECT id, balance, length(COALESCE(note, '')) FROM account}) }; }
sub of_redis
{
	my @names = grep { /^user:\d+$/ } split /\n/, redis('--scan', '--pattern', 'user:*');
	my @values = split /\n/, redis('MGET', @names);
	return { map { my $row = decode_json($_); $row->{id} => shape($row) } grep { /^\{/ } @values };
}
sub of_index
{
	my $documents = decode_json(ask($index, 'dump', 1));
	return { map { $_->{source}{id} => shape($_->{source}) } map { $documents->{$_} } grep { /^account\/\d+$/ } keys %$documents };
}
# A large value that a change left alone is the one from before.
sub apply
{
	my ($rows, $key, $after) = @_;
	if (!$after) { delete $rows->{ $key->{id} }; return; }
	$after->{note} = 'x' x (split / /, $rows->{ $key->{id} } // '0 0')[1] if ($after->{note} // '') eq '__debezium_unavailable_value';
	$rows->{ $key->{id} } = shape($after);
	return;
}
my @kafka_events;
sub of_kafka
{
	my %rows;
	@kafka_events = map { decode_json($_) } split /\n/, ask($kafka, 'read shop.public.account');
	foreach my $event (@kafka_events)
	{
		my $value = defined $event->{value} ? inner($event->{value}) : {};
		apply(\%rows, inner($event->{key}), $value->{after});
	}
	return \%rows;
}
sub of_file
{
	my %rows;
	foreach my $event (lines_of_file())
	{
		if ($event->{value} && $event->{value}{op} eq 't') { %rows = (); next; }
		apply(\%rows, $event->{key}, $event->{value} && $event->{value}{after});
	}
	return \%rows;
}
# Rows of which a large value was not sent may be missing in redis.
sub redis_agrees
{
	my ($when, $rows) = @_;
	my $found = of_redis();
	$found->{$_} //= $rows->{$_} foreach 1 .. 3;
	return is_deeply($found, $rows, "$when: redis has the rows of the database, and no others");
}
sub all_agree
{
	my ($when) = @_;
	my $rows = of_database();
	redis_agrees($when, $rows);
	is_deeply(of_index(), $rows, "$when: elasticsearch");
	is_deeply(of_kafka(), $rows, "$when: kafka");
	is_deeply(of_file(), $rows, "$when: the file");
	return;
}

if ($fails_over)
{
	wait_delivered();
	all_agree('promoted');
	my $position = q{regexp_replace(position, '^([^,]+,[^,]+,[0-9]+).*', '\1')};
	my @truth = split /\n/, sql($new, "SELECT $position FROM meridian.read_changes('truth', 1000000)");
	my %seen;
	my @first = grep { !$seen{$_}++ } map { $_->{position} } grep { !$_->{value} || $_->{value}{op} ne 'r' } lines_of_file();
	is_deeply(\@first, \@truth, 'nothing is missing, nothing was told that did not happen, and all is in order');
}
else
{
	wait_until($new, q{SELECT bool_and(state = 'lost') FROM meridian.sinks});
	is(sql($new, q{SELECT string_agg(subject || ': ' || remedy, E'\n' ORDER BY subject) FROM meridian.local_alarms WHERE alarm = 'sink lost changes'}),
		join("\n", map { "$_: SELECT meridian.resnapshot_sink('$_');" } @sinks), 'the promotion has lost the slots, and alarms say what to do');
	is(sql($new, q{SELECT alarm FROM meridian.local_alarms WHERE subject = 'truth'}), 'stream lost changes', 'of streams too');
}

# --- the old primary returns as a standby --------------------------------------------------------------------------------

copy($old->data_dir . '/postgresql.conf', "$directory/conf") or die $!;
sql($new, 'CHECKPOINT');    # else pg_rewind does not see the promotion
system_or_bail('pg_rewind', '--no-sync', '--target-pgdata', $old->data_dir, '--source-server', conninfo($new));
copy("$directory/conf", $old->data_dir . '/postgresql.conf') or die $!;
$old->append_conf('postgresql.conf', "primary_conninfo = '" . conninfo($new) . "'\nprimary_slot_name = ''\n");
$old->append_conf('postgresql.conf', "synchronized_standby_slots = ''\n") if $fails_over;
$old->set_standby_mode;
$old->start;
wait_until($old, q{SELECT status = 'streaming' FROM pg_stat_wal_receiver});
is(sql($old, q{SELECT count(*) FROM pg_replication_slots WHERE active}), 0, 'an old primary that returns as a standby runs no sinks');
is(sql($old, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'meridian keeper%'}), 0, 'since nobody is there to start them');
is(sql($old, q{SELECT count(*) FROM meridian.check_config('cdc') WHERE setting LIKE 'replication slot%'}), 0, 'and pg_rewind leaves no slots behind');
$old->stop('fast');

# --- lost slots ----------------------------------------------------------------------------------------------------------

# Slots that survived are lost now.
sql($new, q{SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
	WHERE slot_name LIKE 'meridian_cdc_sink%' AND CASE WHEN active THEN pg_terminate_backend(active_pid, 10000) ELSE true END});
wait_until($new, q{SELECT bool_and(state = 'lost') FROM meridian.sinks});
sql($new, q{DELETE FROM account WHERE id % 5 = 0; UPDATE account SET balance = balance + 7 WHERE id % 7 = 0; INSERT INTO account SELECT i, i FROM generate_series(5001, 5100) i});
sql($new, q{UPDATE account SET note = repeat('y', 20000) WHERE id = 1});
# What is nobody's of this sink stays.
redis('SET', 'user:17:lock', 'held');
redis('SET', 'user:18', 'not a row');
redis('DEL', 'user:19');
redis('SADD', 'user:19', 'member');
redis('SET', 'other:5', '{"id":5}');
my $foreign = qq({"index":{"_index":"account","_id":"mine","version":1,"version_type":"external_gte"}}\n{"id":77}\n);
HTTP::Tiny->new->post("http://127.0.0.1:$index->{address}/_bulk", { headers => { 'Content-Type' => 'application/x-ndjson' }, content => $foreign });

like(sql_error($new, q{BEGIN; CREATE TABLE x(); SELECT meridian.resnapshot_sink('cache')}), qr/25001/, 'resnapshot_sink() in a transaction that has written');
like(sql_error($new, q{SELECT meridian.resnapshot_sink('none')}), qr/42704/, 'of a sink that there is not');
sql($new, q{BEGIN; SELECT meridian.resnapshot_sink('cache'); ROLLBACK});
is(sql($new, q{SELECT state FROM meridian.sinks WHERE name = 'cache'}), 'lost', 'undone, the sink is as lost as before');
ask($index, 'fail 503 2');
# One after the other, as people do: a slot begins where no transaction is open.
sql($new, sql($new, "SELECT remedy FROM meridian.local_alarms WHERE alarm = 'sink lost changes' AND subject = '$_'")) foreach @sinks;
# Changes go on meanwhile: large values that they leave alone are not sent.
$load = start([ 'pgbench', '-n', '-c', 2, '-T', 600, '-R', 100, '-f', "$directory/load", $new->connstr('postgres') ], '>', \$out, '2>', \$err);
sql($new, q{UPDATE account SET balance = balance + 1 WHERE id <= 3});
wait_until($new, q{SELECT rows > 0 FROM meridian.sink_snapshots WHERE sink = 'index'});
kill 'KILL', sql($new, q{SELECT pid FROM meridian.sinks WHERE name = 'index'});
eval { wait_until($new, q{SELECT bool_and(resnapshot IN ('done', 'failed')) FROM meridian.sinks}); 1 }
  or die $@ . sql($new, 'SELECT name, state, error, resnapshot, resnapshot_error FROM meridian.sinks');
$load->signal('TERM');
$load->finish;
wait_delivered();
is(sql($new, q{SELECT string_agg(name || ' ' || resnapshot || ' ' || state, ', ' ORDER BY name) FROM meridian.sinks}), join(', ', map { "$_ done running" } @sinks), 'all is delivered again');
all_agree('mended');
is(sql($new, q{SELECT bool_and(resnapshot_removed > 100) FROM meridian.sinks WHERE name <> 'file'}), 't', 'the view says how many rows were gone');
is(sql($new, q{SELECT count(*) FROM meridian.local_alarms WHERE alarm LIKE 'sink%'}), 0, 'no alarm is left');
is(join(' ', redis('GET', 'user:17:lock'), redis('GET', 'user:18'), redis('TYPE', 'user:19'), redis('GET', 'other:5')), 'held not a row set {"id":5}', 'keys that are not rows of the sink are left alone');
ok(decode_json(ask($index, 'dump', 1))->{'account/mine'}, 'so are documents');
my ($removed) = grep { $_->{key} eq '{"id":25}' && defined $_->{value} && inner($_->{value})->{op} eq 'd' } @kafka_events;
is_deeply(inner($removed->{value})->{before}, { id => 25, balance => 0, note => undef }, 'kafka: the event of a delete, as Debezium fills it');
is(inner($removed->{value})->{source}{table}, 'account', 'with the source');
cmp_ok(redis('TTL', 'meridian:{user:5001}'), '<=', 3600, 'guards are kept no longer than before');

# --- again, without a loss -----------------------------------------------------------------------------------------------

# The target has lost rows, and got others.
redis('DEL', map { "user:$_" } 5001 .. 5050);
redis('SET', 'user:77777', '{"id":77777,"balance":1}');
sql($new, q{SELECT meridian.resnapshot_sink('cache')});
wait_until($new, q{SELECT resnapshot = 'done' AND resnapshot_removed = 1 FROM meridian.sinks WHERE name = 'cache'});
wait_delivered();
redis_agrees('again', of_database());
is(sql($new, q{SELECT string_agg(generation::text, ' ' ORDER BY sink) FROM meridian.sink_resnapshot}), '2 1 1 1', 'each time under a larger version');

# --- a server that was left behind ---------------------------------------------------------------------------------------

sql($new, q{SELECT meridian.put_reign(member, system_id, timeline + 1, epoch) FROM meridian.local_member});
wait_until($new, q{SELECT bool_and(state = 'paused') FROM meridian.sink_progress});
pass('a server that knows that it was left behind delivers nothing');

no_crash($old, $new);
done_testing();
