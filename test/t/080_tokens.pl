# A client that passes tokens reads its own writes on every server: primary, standby, cascaded standby. The token comes with
# the reply to the commit (ParameterStatus). bench/read_your_writes.sh runs the same loops as long as the README's figures.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my $cycles = $ENV{CYCLES} // 200;

my $primary = new_node('primary', conf => "autovacuum_naptime = 1s\nautovacuum_vacuum_threshold = 20\nautovacuum_vacuum_scale_factor = 0\nwal_writer_delay = 10ms\n");
my $standby = new_standby($primary, 'standby');
my $leaf = new_standby($standby, 'leaf');

sql($primary, 'CREATE TABLE read_your_writes (id integer PRIMARY KEY, v bigint NOT NULL)');
sql($primary, 'INSERT INTO read_your_writes VALUES (1, 0)');
my $token = sql($primary, "UPDATE read_your_writes SET v = 1;\nSHOW meridian.last_write");
is(sql($leaf, "SET meridian.read_after_timeout = '1min'; SET meridian.read_after = '$token'; SELECT v FROM read_your_writes"), 1,
	'a cascaded standby waits for the token');
is(sql($_, "SELECT meridian.check_token('$token')"), 'yes', 'check_token() on ' . $_->name) foreach ($primary, $standby, $leaf);

foreach my $case (
	[ 'SET', [] ],
	[ 'BEGIN in REPEATABLE READ', [ '--mode', 'begin' ] ],
	[ 'asynchronous commit', ['--async'] ],
	[ 'the statement waits', [ '--mode', 'statement' ] ],
	[ 'generic plan', [ '--mode', 'statement', '--prepared' ] ],
	[ 'DDL in the gap', [ '--ddl', '20' ] ])
{
	my ($name, $options) = @$case;
	foreach my $reader ($standby, $leaf)
	{
		my $figures = read_your_writes($primary, $reader, '--cycles', $cycles, @$options);
		is($figures->{verdict}, 'stale 0, timeouts 0, late 0, errors 0', "$name, read on " . $reader->name);
	}
}

# The loop is worth something only if it can see a stale read: replay that is held back makes them certain.
$leaf->append_conf('postgresql.conf', "recovery_min_apply_delay = '100ms'\n");
$leaf->reload;
my $plain = read_your_writes($primary, $leaf, '--mode', 'none', '--cycles', '20');
cmp_ok($plain->{stale}, '>', 0, 'without a token the same loop reads stale rows');
is(read_your_writes($primary, $leaf, '--cycles', '20')->{verdict}, 'stale 0, timeouts 0, late 0, errors 0', 'with the token it does not');

is(sql($standby, 'SELECT polled FROM meridian.wait_status'), 0, 'nobody had to poll');
no_crash($primary, $standby, $leaf);
done_testing();
