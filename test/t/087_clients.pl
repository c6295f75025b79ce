# libpq, psycopg 3 and node-postgres have the token of each commit without asking, directly and through PgBouncer in transaction
# mode, and read their own writes with it. The code in docs/tokens.md is what runs here.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my $clients = "$FindBin::RealBin/../clients";
my $cycles = 20;
# Debian keeps its modules where only its own node looks for them.
local $ENV{NODE_PATH} = join ':', '/usr/share/nodejs', '/var/tmp/meridian-node/usr/share/nodejs';
my %client = (
	'libpq' => { source => 'libpq_client.cpp', command => ["$clients/libpq_client"] },
	'psycopg' => { source => 'psycopg_client.py', command => [ '/usr/bin/python3', "$clients/psycopg_client.py" ], needs => [ '/usr/bin/python3', '-c', 'import psycopg' ] },
	'node-postgres' => { source => 'node_client.js', command => [ 'node', "$clients/node_client.js" ], needs => [ 'node', '-e', q{require('pg')} ] });

my $primary = new_node('primary');
# Without the wait every read would be stale.
my $standby = new_standby($primary, 'standby', conf => "recovery_min_apply_delay = '20ms'\nmeridian.read_after_action = proceed\n");
my $pooler = new_pooler(databases => { writer => $primary, reader => $standby });
sql($primary, 'CREATE TABLE note (client text, n integer)');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));

sub dsn_of
{
	my ($name, %part) = @_;
	return join ' ', map { "$_=$part{$_}" } sort keys %part unless $name eq 'node-postgres';
	$part{database} = delete $part{dbname};
	return '{' . join(',', map { $_ eq 'port' ? qq{"$_":$part{$_}} : qq{"$_":"$part{$_}"} } sort keys %part) . '}';
}

sub directly { my ($node) = @_; return (host => $node->host, port => $node->port, dbname => $Meridian::database, user => scalar getpwuid($<)); }
sub pooled { my ($database) = @_; return ((map { $_ => $pooler->{$_} } qw(host port user)), dbname => $database); }

foreach my $name (sort keys %client)
{
	my $client = $client{$name};
	# What the documentation shows is the part between the marks.
	my ($shown) = slurp_file("$clients/$client->{source}") =~ m{docs: begin\n(.*?)\n\S+ docs: end}s;
	ok(index(slurp_file("$FindBin::RealBin/../../docs/tokens.md"), $shown) >= 0, "$name: the code in docs/tokens.md is the code that is tested");

  SKIP:
	{
		skip "$name is not installed", 3 if $client->{needs} && !eval { run_log($client->{needs}) };
		my $try = sub {
			my ($write, $read, $way) = @_;
			sql($primary, "DELETE FROM note WHERE client = '$name'");
			my ($out, $err) = run_command([ @{ $client->{command} }, dsn_of($name, @$write), dsn_of($name, @$read), $way, $cycles ]);
			note $err if $err;
			return $out;
		};
		my $right = 'quiet=1 own=1 silent=1 apart=1 stale=0';
		is($try->([ directly($primary) ], [ directly($standby) ], 'session'), $right, "$name: tokens and reads after them");
		skip 'pgbouncer is not installed', 2 unless $pooler;
		is($try->([ pooled('writer') ], [ pooled('reader') ], 'transaction'), $right, "$name: the same through PgBouncer");
		skip 'this PgBouncer cannot track meridian.read_after', 1 unless $pooler->{tracks};
		is($try->([ pooled('writer') ], [ pooled('reader') ], 'session'), $right, "$name: the same with track_extra_parameters");
	}
}

no_crash($primary, $standby);
done_testing();
