# Streams: consumption by SQL and by the replication protocol, over crashes and within transactions.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('db', conf => "autovacuum = off\n");
sql($node, 'CREATE TABLE item (id integer PRIMARY KEY, v integer)');
sql($node, 'CREATE TABLE other (id integer)');
sql($node, q{SELECT meridian.create_stream('s', ARRAY['public.item'])});

# Positions and keys of the next events.
sub read_changes
{
	my ($max, $stream) = @_;
	$stream //= 's';
	return map { [ split /\|/ ] }
	  split /\n/, sql($node, "SELECT position, key->>'id' FROM meridian.read_changes('$stream', $max)");
}
sub ids { return join ' ', map { $_->[1] } @_; }
sub ack { my ($position, $stream) = @_; return sql($node, 'SELECT meridian.ack_changes(' . "'" . ($stream // 's') . "', '$position')"); }
sub slot { my ($column) = @_; return sql($node, "SELECT $column FROM pg_replication_slots WHERE slot_name = 'meridian_cdc_s'"); }

# --- reading and acknowledging ---

# Others' changes do not hold WAL back, also before anything was acknowledged.
sql($node, 'INSERT INTO other VALUES (0)');
my $begun = sql($node, 'SELECT pg_current_wal_insert_lsn()');
is(ids(read_changes(10)), '', 'nothing to read yet');
is(slot("confirmed_flush_lsn >= '$begun'"), 't', 'and nothing to keep');

sql($node, 'INSERT INTO item SELECT g, 0 FROM generate_series(1, 10) g');
sql($node, 'INSERT INTO item VALUES (11, 0)');
my @first = read_changes(4);
is(ids(@first), '1 2 3 4', 'no more than asked for, also of one transaction');
is(ids(read_changes(4)), '1 2 3 4', 'and again, while nothing is acknowledged');
ack($first[2][0]);
is(ids(read_changes(4)), '4 5 6 7', 'what was acknowledged inside of a transaction is not read again');
is(ids(read_changes(100)), '4 5 6 7 8 9 10 11', 'the rest, over the end of the transaction');
ack($first[0][0]);
is(ids(read_changes(1)), '4', 'an older acknowledgement does nothing');

# An acknowledgement is undone with its transaction, and the slot does not move before it is certain.
my @rest = read_changes(100);
sql($node, "BEGIN; SELECT meridian.ack_changes('s', '$rest[-1][0]'); SELECT count(*) FROM meridian.read_changes('s', 10); ROLLBACK");
is(ids(read_changes(2)), '4 5', 'an acknowledgement that is rolled back was none');

# Positions: the key by which a consumer knows repetitions.
my %seen = map { $_->[0] => 1 } @first, @rest;
is(scalar keys %seen, 11, 'each event has a position of its own, and always the same');
like($rest[-2][0], qr{^[0-9A-F]+/[0-9A-F]+,[0-9A-F]+/[0-9A-F]+,9,[0-9A-F]+/[0-9A-F]+$}, 'the last event of a transaction tells its end');
like($rest[0][0], qr{^[0-9A-F]+/[0-9A-F]+,[0-9A-F]+/[0-9A-F]+,3$}, 'the others do not');

ack($rest[-1][0]);
is(ids(read_changes(10)), '', 'nothing is left');
my $end = (split /,/, $rest[-1][0])[3];
is(slot("confirmed_flush_lsn >= '$end'"), 't', 'the slot has followed');

# Others' changes do not hold WAL back.
sql($node, 'INSERT INTO other SELECT g FROM generate_series(1, 1000) g');
my $here = sql($node, 'SELECT pg_current_wal_insert_lsn()');
is(ids(read_changes(10)), '', 'changes of other tables are not read');
is(slot("confirmed_flush_lsn >= '$here'"), 't', 'and not kept either');

# --- a crash ---

sql($node, 'INSERT INTO item SELECT g, 0 FROM generate_series(21, 25) g');
sql($node, 'INSERT INTO item VALUES (26, 0)');
my @before = read_changes(100);
ack($before[1][0]);
$node->stop('immediate');
$node->start;
is(ids(read_changes(100)), '23 24 25 26', 'after a crash: nothing is missing, and what was acknowledged does not come again');
is_deeply([ map { $_->[0] } read_changes(100) ], [ map { $_->[0] } @before[ 2 .. $#before ] ], 'and the positions are the same');
ack($before[-1][0]);

# --- states ---

is(sql($node, q{SELECT state, lag_bytes >= 0, wal_status, retained_wal > 0 FROM meridian.streams WHERE name = 's'}), 'idle|t|reserved|t', 'view streams');
sql($node, q{SELECT pg_drop_replication_slot('meridian_cdc_s')});
is(sql($node, q{SELECT state FROM meridian.streams WHERE name = 's'}), 'lost', 'a stream without its slot is lost');
like(sql_error($node, q{SELECT meridian.read_changes('s', 1)}), qr/55000.*has lost changes.*drop_stream/s, 'and says so');
sql($node, q{SELECT meridian.drop_stream('s')});
sql($node, q{SELECT meridian.create_stream('s', NULL)});

# A call that was rolled back leaves a slot, which the next one takes away.
sql($node, q{BEGIN; SELECT meridian.create_stream('half', NULL); ROLLBACK});
is(sql($node, q{SELECT count(*) FROM meridian.streams WHERE name = 'half'}), '0', 'an undone stream is not there');
sql($node, q{SELECT meridian.create_stream('half', NULL)});
sql($node, q{SELECT meridian.drop_stream('half')});
is(sql($node, q{SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'meridian_cdc_half'}), '0', 'drop_stream takes the slot away');

# --- messages without a transaction, beside commits ---

sql($node, q{SELECT pg_logical_emit_message(false, 'lone', 'x')});
sql($node, 'INSERT INTO item VALUES (31, 0)');
my @mixed = split /\n/, sql($node, q{SELECT position || '|' || topic FROM meridian.read_changes('s', 10)});
is(join(' ', map { (split /\|/)[1] } @mixed), 'postgres.message postgres.public.item', 'a message that belongs to no transaction');
ack((split /\|/, $mixed[0])[0]);
is(ids(read_changes(10)), '31', 'acknowledging it acknowledges nothing else');
ack((split /\|/, $mixed[1])[0]);

# --- changes of other origins ---

sql($node, q{SELECT meridian.create_stream('local', ARRAY['public.item'], '{"origin": "local"}')});
sql($node, q{SELECT pg_replication_origin_create('elsewhere')});
sql($node, q{SELECT pg_replication_origin_session_setup('elsewhere');
	BEGIN; SELECT pg_replication_origin_xact_setup('0/AB', now()); INSERT INTO item VALUES (41, 0); COMMIT});
sql($node, 'INSERT INTO item VALUES (42, 0)');
is(ids(read_changes(10)), '41 42', 'any origin');
is(ids(read_changes(10, 'local')), '42', 'local changes only');
is(sql($node, q{SELECT value#>>'{source,origin}', value#>>'{source,origin_lsn}' FROM meridian.read_changes('s', 1)}), 'elsewhere|171', 'the source names the origin');

# --- replicated tables ---

SKIP:
{
	sql($node, q{SELECT meridian.create_node('db', 'eu', '} . conninfo($node) . q{')});
	sql($node, 'CREATE TABLE account (id integer PRIMARY KEY, hits integer, total meridian.counter)');
	sql($node, q{SELECT meridian.replicate('account')});
	sql($node, q{SELECT meridian.create_stream('mesh', ARRAY['public.account'])});
	sql($node, q{SELECT meridian.create_stream('states', ARRAY['public.account'], '{"include_meridian": true}')});
	sql($node, 'INSERT INTO account VALUES (1, 1, 5)');
	is(sql($node, q{SELECT value->'after' FROM meridian.read_changes('mesh', 10)}), '{"id": 1, "hits": 1, "total": 5}', 'the hidden column is left out, a counter is a number');
	is(sql($node, q{SELECT value#>>'{after,_meridian}' = (SELECT _meridian::text FROM account) FROM meridian.read_changes('states', 10)}), 't', 'unless asked for');
}

# --- the replication protocol ---

sql($node, q{SELECT pg_create_logical_replication_slot('client', 'meridian_cdc')});
sql($node, 'INSERT INTO item VALUES (51, 7); DELETE FROM item WHERE id = 51');
my $until = sql($node, 'SELECT pg_current_wal_insert_lsn()');
my ($out, $err) = run_command(
	[ 'pg_recvlogical', '-d', $node->connstr('postgres'), '-S', 'client', '--start', '--no-loop', '--endpos', $until, '-f', '-', '-o', 'tables=public.item', '-o', 'envelope=flat' ]);
is($out, qq({"id":51,"v":7,"__deleted":"false","__op":"c"}\n{"id":51,"v":null,"__deleted":"true","__op":"d"}), 'pg_recvlogical: one value per line');
($out, $err) = run_command(
	[ 'pg_recvlogical', '-d', $node->connstr('postgres'), '-S', 'client', '--start', '--no-loop', '--endpos', $until, '-f', '-', '-o', 'decimal_mode=exact' ]);
like($err, qr/option decimal_mode cannot be "exact".*precise, string, double/s, 'and clear errors of options');

# Several events in one message, on request; never of two transactions.
sql($node, 'INSERT INTO item SELECT g, 0 FROM generate_series(61, 63) g');
sql($node, 'INSERT INTO item VALUES (64, 0)');
sub messages
{
	my (%options) = @_;
	my $arguments = join ', ', map { "'$_'" } envelope => 'flat', tables => 'public.item', %options;
	return split /;/, sql($node, "SELECT string_agg(replace(data, E'\\n', ' '), ';' ORDER BY n) FROM pg_logical_slot_peek_changes('client', NULL, NULL, $arguments) WITH ORDINALITY c(lsn, xid, data, n)");
}
sub row { return join ' ', map { qq({"id":$_,"v":0,"__deleted":"false","__op":"c"}) } @_; }
is_deeply([ messages() ], [ map { row($_) } 61 .. 64 ], 'an event in each message');
is_deeply([ messages(message_bytes => 1000) ], [ row(61 .. 63), row(64) ], 'those of a transaction in one');
is_deeply([ messages(message_bytes => 60) ], [ row(61, 62), row(63), row(64) ], 'that ends when it has so many bytes');
my @frames = messages(message_bytes => 1000, format => 'event');
is(join(' ', map { scalar(() = /E \S+,\S+,\d+ \S+ \d+ \d+ \d+ -1 /g) } @frames), '3 1', 'frames one behind the other');
like($frames[0], qr{^E \S+,0 0/0 .*E \S+,1 0/0 .*E \S+,2 \w+/[1-9A-F]\w* }, 'of which the last tells the end');

# --- memory ---

# A large transaction is decoded in the memory of one event, beside what PostgreSQL itself needs for it.
sql($node, 'CREATE TABLE many (id integer PRIMARY KEY, note text, payload jsonb)');
sql($node, q{SELECT pg_create_logical_replication_slot('many', 'meridian_cdc')});
sql($node, q{INSERT INTO many SELECT g, 'note ' || g, jsonb_build_object('n', g) FROM generate_series(1, 100000) g});
my $grown = sql($node, q{
	CREATE TEMP TABLE memory AS SELECT 0::bigint AS used;
	SELECT count(*) FROM pg_logical_slot_peek_changes('many', NULL, NULL, 'limit', '1');
	TRUNCATE memory; INSERT INTO memory SELECT sum(total_bytes) FROM pg_backend_memory_contexts;
	SELECT count(*) FROM pg_logical_slot_peek_changes('many', NULL, NULL, 'format', 'event');
	SELECT 'grown ' || (SELECT sum(total_bytes) FROM pg_backend_memory_contexts) - (SELECT used FROM memory)});
my ($bytes) = $grown =~ /grown (-?\d+)/;
cmp_ok($bytes, '<', 1_000_000, 'nothing is kept of a decoding');

# --- a plugin that the server may not load ---

SKIP:
{
	skip 'this server loads any plugin', 2 unless server_knows('output_plugin_libraries');
	my $error = sql_error($node, q{SET output_plugin_libraries = pgoutput, meridian_mesh; SELECT meridian.read_changes('s', 1)});
	like($error, qr/55000.*does not load the output plugin meridian_cdc/s, 'a server that does not list the plugin');
	like($error, qr/output_plugin_libraries = 'pgoutput, meridian_mesh, meridian_cdc'/, 'the hint has the line');
}

no_crash($node);
$node->stop;
done_testing();
