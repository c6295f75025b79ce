# What sinks deliver to in tests: programs of test/clients that are asked over a pipe, and redis-server. They end with the test.
package Peers;

use strict;
use warnings;

use Exporter qw(import);
use IPC::Run qw(start pump);
use PostgreSQL::Test::Utils;

our @EXPORT = qw(start_peer ask start_redis);

my $limit = $PostgreSQL::Test::Utils::timeout_default;
my @running;

# A program that prints its address (->{address}), and then answers lines with lines.
sub start_peer
{
	my (@command) = @_;
	my $peer = { in => '', out => '' };
	$peer->{timer} = IPC::Run::timeout($limit);
	$peer->{run} = start \@command, '<', \$peer->{in}, '>', \$peer->{out}, $peer->{timer};
	push @running, $peer->{run};
	pump $peer->{run} until $peer->{out} =~ s/^(.*)\n//;
	$peer->{address} = $1;
	return $peer;
}

# Its answer: what comes up to the line `end`, or one line.
sub ask
{
	my ($peer, $command, $one_line) = @_;
	$peer->{timer}->start($limit);
	$peer->{in} .= "$command\n";
	if ($one_line)
	{
		pump $peer->{run} until $peer->{out} =~ s/^(.*)\n//;
		return $1;
	}
	pump $peer->{run} until $peer->{out} =~ s/^((?:.*\n)*?)end\n//;
	return $1;
}

# redis-server on a socket in this directory; returns the path of the socket.
sub start_redis
{
	my ($directory) = @_;
	my $socket = "$directory/redis";
	push @running, start([ 'redis-server', '--port', 0, '--unixsocket', $socket, '--save', '', '--dir', $directory ], '>', "$directory/log");
	return $socket;
}

END
{
	my $status = $?;
	$_->kill_kill foreach @running;
	$? = $status;
}

1;
