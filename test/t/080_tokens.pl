# A client that passes tokens reads its own writes on every server: primary, standby, cascaded standby. The token comes with
# the reply to the commit (ParameterStatus), through libpq's psycopg.
#
# CYCLES=10000 prove ... runs the loops as long as the README's figures.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my $cycles = $ENV{CYCLES} // 200;
my $driver = "$FindBin::RealBin/../drivers/read_your_writes.py";

my $primary = new_node('primary', conf => "autovacuum_naptime = 1s\nautovacuum_vacuum_threshold = 20\nautovacuum_vacuum_scale_factor = 0\nwal_writer_delay = 10ms\n");
my $standby = new_standby($primary, 'standby');
my $leaf = new_standby($standby, 'leaf');

sub cycles_of
{
	my ($reader, @options) = @_;
	my ($out, $err) = run_command(
		[ '/usr/bin/python3', $driver, '--write', conninfo($primary), '--read', conninfo($reader), '--cycles', $cycles, @options ]);
	note "$out $err";
	my %figures = $out =~ /(\w+)=(\S+)/g;
	return \%figures;
}

sql($primary, 'CREATE TABLE read_your_writes (id integer PRIMARY KEY, v bigint NOT NULL)');
sql($primary, 'INSERT INTO read_your_writes VALUES (1, 0)');
my $token = sql($primary, "UPDATE read_your_writes SET v = 1;\nSHOW meridian.last_write");
is(sql($leaf, "SET meridian.read_after_timeout = '1min'; SET meridian.read_after = '$token'; SELECT v FROM read_your_writes"), 1,
	'a cascaded standby waits for the token');
is(sql($_, "SELECT meridian.check_token('$token')"), 'yes', 'check_token() on ' . $_->name) foreach ($primary, $standby, $leaf);

# Every connection of psycopg sees its own parameter.
my ($out) = run_command([ '/usr/bin/python3', '-c', q{
import psycopg2, sys
a, b = psycopg2.connect(sys.argv[1]), psycopg2.connect(sys.argv[1])
a.autocommit = b.autocommit = True
before = a.get_parameter_status('meridian.last_write')
a.cursor().execute('UPDATE read_your_writes SET v = v + 1')
first = a.get_parameter_status('meridian.last_write')
a.cursor().execute('SELECT 1')
print(repr(before), first.startswith('m1.'), a.get_parameter_status('meridian.last_write') == first,
      repr(b.get_parameter_status('meridian.last_write')), psycopg2.connect(sys.argv[1]).get_parameter_status('meridian.last_write') == '')
}, conninfo($primary) ]);
is($out, "'' True True '' True", 'the token is reported to the client that wrote, and to no other');

foreach my $case (
	[ 'SET', [] ],
	[ 'BEGIN in REPEATABLE READ', [ '--mode', 'begin' ] ],
	[ 'asynchronous commit', ['--async'] ],
	[ 'generic plan', ['--prepared'] ],
	[ 'DDL in the gap', [ '--ddl', '20' ] ])
{
	my ($name, $options) = @$case;
	foreach my $reader ($standby, $leaf)
	{
		my $figures = cycles_of($reader, @$options);
		is("stale $figures->{stale}, errors $figures->{errors}", 'stale 0, errors 0', "$name, read on " . $reader->name);
	}
}

# The loop is worth something only if it can see a stale read: replay that is held back makes them certain.
$leaf->append_conf('postgresql.conf', "recovery_min_apply_delay = '100ms'\n");
$leaf->reload;
my $plain = cycles_of($leaf, '--mode', 'none', '--cycles', '20');
cmp_ok($plain->{stale}, '>', 0, 'without a token the same loop reads stale rows');
my $delayed = cycles_of($leaf, '--cycles', '20');
is("stale $delayed->{stale}, errors $delayed->{errors}", 'stale 0, errors 0', 'with the token it does not');

is(sql($standby, 'SELECT polled FROM meridian.wait_status'), 0, 'nobody had to poll');
no_crash($primary, $standby, $leaf);
done_testing();
