# One psql that is asked again and again, for polling: beginning one for each question takes most of a busy machine's time.
# Each question is a transaction of its own. The process ends with the object.
package Asker;

use strict;
use warnings;

use IO::Handle;
use IPC::Open3;
use List::Util qw(max);
use PostgreSQL::Test::Cluster;

sub new
{
	my ($class, $node, $database) = @_;
	my $pid = open3(my $to, my $from, undef, $node->installed_command('psql'), qw(-X -A -t -q -f - -d), $node->connstr($database));
	return bless { pid => $pid, to => $to, from => $from }, $class;
}

# What the query prints, errors included; nothing if the server has gone away, or has not answered at the deadline (as time() tells).
sub ask
{
	my ($self, $query, $deadline) = @_;
	local $SIG{PIPE} = 'IGNORE';
	$self->{to}->printflush("$query\n;\n\\echo asked\n") or return;
	my $answer = '';
	while ($answer !~ s/^asked\n\z//m)
	{
		my $ready = '';
		vec($ready, fileno($self->{from}), 1) = 1;
		return unless select($ready, undef, undef, max($deadline - time, 0)) > 0;
		return unless sysread($self->{from}, $answer, 65536, length $answer);
	}
	chomp $answer;
	return $answer;
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $!);
	close $self->{to};
	close $self->{from};
	kill 'TERM', $self->{pid};
	waitpid $self->{pid}, 0;
	return;
}

1;
