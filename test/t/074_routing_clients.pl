# The reference clients of docs/clients, for node-postgres and psycopg 3: reads go to standbys that registered themselves, every client
# sees its own writes, a standby that fails costs no read, and writes follow a promotion.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run qw(start pump);
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my $clients = "$FindBin::RealBin/../clients";
my $user = getpwuid($<);
# Debian keeps its modules where only its own node looks for them.
local $ENV{NODE_PATH} = join ':', '/usr/share/nodejs', '/var/tmp/meridian-node/usr/share/nodejs';

my $primary = new_node('primary', conf => "meridian.probe_interval = '100ms'\n");
make_member($primary, $primary);
sub standby
{
	my ($name) = @_;
	my $standby = new_standby($primary, $name);
	$standby->append_conf('postgresql.conf', "meridian.advertise_dsn = '" . conninfo($standby) . "'\n");
	$standby->reload;
	return $standby;
}
my @standbys = map { standby($_) } qw(one two);
wait_until($primary, q{SELECT count(*) = 2 FROM meridian.server_probes() WHERE role = 'standby' AND state = 'up' AND lag IS NOT NULL});

my $entry = sprintf '[{"host":"%s","port":%d,"database":"%s","user":"%s"}]', $primary->host, $primary->port, $Meridian::database, $user;
my %client = (
	node => { command => [ 'node', "$clients/node_router.js", $entry, 'of_node' ], needs => [ 'node', '-e', q{require('pg')} ] },
	psycopg => { command => [ '/usr/bin/python3', "$clients/psycopg_router.py", conninfo($primary) . " user=$user", 'of_psycopg' ],
		needs => [ '/usr/bin/python3', '-c', 'import psycopg' ] });

# So many cycles of one write and one read: what was counted, by name.
sub cycles
{
	my ($client, $count) = @_;
	$client->{in} .= "$count\n";
	pump $client->{run} until $client->{out} =~ s/^(.*)\n//;
	return { split /[= ]/, $1 };
}

my @running;
foreach my $name (sort keys %client)
{
	my $client = $client{$name};
  SKIP:
	{
		skip "$name: the driver is not installed", 5 unless eval { run_log($client->{needs}) };
		sql($primary, "CREATE TABLE of_$name (n integer)");
		@$client{qw(in out)} = ('', '');
		$client->{run} = start $client->{command}, '<', \$client->{in}, '>', \$client->{out}, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);
		$client->{name} = $name;
		push @running, $client;
		my $count = cycles($client, 100);
		is("$count->{stale} $count->{failed}", '0 0', "$name: no read is stale, none fails");
		ok(!defined $count->{primary}, 'none goes to the primary');
		cmp_ok($count->{one} // 0, '>', 0, 'reads go to one standby');
		cmp_ok($count->{two} // 0, '>', 0, 'and to the other');
	}
}

$standbys[0]->stop('immediate');
foreach my $client (@running)
{
	my $count = cycles($client, 50);
	is("$count->{stale} $count->{failed}", '0 0', "$client->{name}: a standby that is gone costs no read");
	ok(!defined $count->{one}, 'the others are read from');
}

# A write may fail while nobody is the primary; it is not repeated by the client, and those after it succeed.
$primary->stop('fast');
$standbys[1]->promote;
foreach my $client (@running)
{
	my $count;
	my $tries = 0;
	do { $count = cycles($client, 1) } while ($count->{failed} && ++$tries < 10 * $PostgreSQL::Test::Utils::timeout_default);
	is($count->{failed}, 0, "$client->{name}: writes follow a promotion");
	is(cycles($client, 20)->{stale}, 0, 'and reads see them');
}

$_->{run}->kill_kill foreach @running;
no_crash(@standbys);
done_testing();
