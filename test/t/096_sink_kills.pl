# A sink under load whose program is killed again and again, and whose database crashes: no change of a row is missing at the consumer, those
# of each row come in order, and what comes twice is at most one batch for each kill.
#
#   SINK_KILLS=50         how often the program is killed (default 4)
#   SINK_CHANGES=100000   changes, of 1000 rows (default 4000); `make check-sinks` does both
#
# The consumer reads from a broker of the Kafka protocol (librdkafka's mock cluster) while events come. Every change counts its row up, so
# the consumer sees 1, 2, 3, ... of each row.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run qw(start pump);
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my $kills = $ENV{SINK_KILLS} || 4;
my $changes = $ENV{SINK_CHANGES} || 4000;
my $rows = 1000;
my $batch = 100;
my $limit = $PostgreSQL::Test::Utils::timeout_default;
my $directory = PostgreSQL::Test::Utils::tempdir_short();

my ($in, $out) = ('', '');
my $timer = IPC::Run::timeout($limit);
my $broker = start [ "$FindBin::RealBin/../clients/kafka_peer" ], '<', \$in, '>', \$out, $timer;
my $program;
END { my $status = $?; $_ && $_->kill_kill foreach $broker, $program; $? = $status; }

sub answer { my ($pattern) = @_; $timer->start($limit); pump $broker until $out =~ s/^(.*)\n//; return $1; }
sub ask { my ($command) = @_; $in .= "$command\n"; return answer(); }
my $address = answer();

# The database's changes are durable: a crash of it, not of the machine, loses none that was committed.
my $node = new_node('shop');
sql($node, "CREATE TABLE account (id int PRIMARY KEY, n int NOT NULL); INSERT INTO account SELECT i, 0 FROM generate_series(1, $rows) i");
sql($node, q{SELECT pg_create_logical_replication_slot('alone', 'meridian_cdc')});
append_to_file("$directory/sink.conf", join "\n", 'name = alone', 'kind = kafka', 'slot = alone', 'dsn = ' . conninfo($node),
	"position_file = $directory/position", "brokers = $address", 'plugin.tables = public.account', 'plugin.topic_prefix = shop', "batch_events = $batch", '');
append_to_file("$directory/load", "\\set id random(1, $rows)\nUPDATE account SET n = n + 1 WHERE id = :id;\n");
ask("follow shop.public.account $directory/events");

sub start_program { $program = start([ 'meridian-sink', '--config', "$directory/sink.conf" ], '2>', "$directory/log"); return; }
sub position { return -e "$directory/position" ? slurp_file("$directory/position") : ''; }
# Until it has delivered something since then; it cannot be killed in the midst of a batch before it has begun.
sub delivers
{
	my ($before) = @_;
	for (1 .. 200 * $limit) { return 1 if position() ne $before; select undef, undef, undef, 0.005; }
	die 'the program delivers nothing: ' . slurp_file("$directory/log");
}

my $clients = 4;
my $each = int($changes / $clients / ($kills + 1));
sub start_load { return start([ 'pgbench', '-n', '-c', $clients, '-t', $each, '-f', "$directory/load", $node->connstr('postgres') ], '>', '/dev/null', '2>', "$directory/load.log"); }

for my $kill (1 .. $kills)
{
	my $before = position();
	my $load = start_load();
	start_program();
	delivers($before);
	# At another moment of a batch each time.
	select undef, undef, undef, 0.001 * ($kill * 7 % 40);
	$program->kill_kill;
	undef $program;
	$load->finish;
}

my $before = position();
my $load = start_load();
start_program();
delivers($before);
$node->stop('immediate');
$load->finish;
$program->finish;
is($program->full_result(0), 1 << 8, 'a program whose database has crashed ends in order');
$node->start;
start_program();
my $end = sql($node, 'SELECT pg_current_wal_flush_lsn()');
wait_until($node, "SELECT confirmed_flush_lsn >= '$end' FROM pg_replication_slots WHERE slot_name = 'alone'");
$program->signal('TERM');
$program->finish;
is($program->result(0), 0, 'and the next one has delivered the rest');
ask('followed shop.public.account');

my %row = map { split /\|/ } split /\n/, sql($node, 'SELECT id, n FROM account WHERE n > 0');
my (%next, %partition, %wrong);
my ($events, $repeated) = (0, 0);
open my $file, '<', "$directory/events" or die $!;
while (<$file>)
{
	my ($partition, $id, $n) = /^(\d+) .*?"after":\{"id":(\d+),"n":(\d+)\}/ or die "not an event: $_";
	++$events;
	++$wrong{partition} if ($partition{$id} //= $partition) != $partition;
	if ($n <= ($next{$id} // 0)) { ++$repeated; next; }
	++$wrong{order} if $n != ($next{$id} // 0) + 1;
	$next{$id} = $n;
}
my $total = 0;
$total += $_ foreach values %row;
is_deeply(\%wrong, {}, 'each row has one partition, and its changes come in order');
is_deeply(\%next, \%row, 'nothing is missing');
cmp_ok($total, '>=', $changes / 2, 'of what was written');
cmp_ok($repeated, '<=', ($kills + 1) * $batch, 'and no more came twice than a batch for each kill');
note("$total changes of " . keys(%row) . " rows, $kills kills and a crash: $events events, $repeated repeated");

no_crash($node);
done_testing();
