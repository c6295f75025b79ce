# Asynchronous commits that a crash takes with it. On the same timeline the positions are given out again, and a token cannot tell
# the two apart; a server that begins a new timeline when it comes back tells exactly what was lost.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

# Nobody writes WAL to disk for an asynchronous commit but the WAL writer, which comes every ten seconds.
my $node = new_node('node', conf => "wal_writer_delay = 10s\nautovacuum = off\nmeridian.database = 'another'\n");
sql($node, 'CREATE TABLE note (t text)');

sub rows { return sql($node, "SELECT count(*) FROM note WHERE t = '$_[0]'"); }

# Writes, crashes and starts again until the write is lost, which it is at once as a rule. Returns tokens of a write that was
# flushed, and of the lost one.
sub lose
{
	my ($name, $prepare) = @_;
	foreach my $try (1 .. 20)
	{
		my $kept = sql($node, "INSERT INTO note VALUES ('kept by $name');\nSHOW meridian.last_write");
		my $lost = sql($node, "SET synchronous_commit = off; INSERT INTO note VALUES ('$name');\nSHOW meridian.last_write");
		$node->stop('immediate');
		$prepare->() if $prepare;
		$node->start;
		return ($kept, $lost) unless rows($name);
		sql($node, "DELETE FROM note WHERE t = '$name'");
	}
	die 'the commit never got lost';
}

my ($kept, $lost) = lose('lost on timeline 1');
is(verdict($node, $kept), 'yes', 'what was flushed is there');
is(rows('lost on timeline 1'), 0, 'an asynchronous commit is not');
sql($node, q{INSERT INTO note SELECT 'filler' FROM generate_series(1, 100)});
is(verdict($node, $lost), 'yes', 'whose token cannot be told from that of a later commit of the same timeline');

($kept, $lost) = lose('lost on the way to timeline 2',
	sub { append_to_file($node->data_dir . '/recovery.signal', ''); $node->append_conf('postgresql.conf', "restore_command = 'false'\n"); });
sql($node, q{INSERT INTO note SELECT 'filler' FROM generate_series(1, 100)});
like(sql($node, "INSERT INTO note VALUES ('filler');\nSHOW meridian.last_write"), qr/^m1\.[0-9a-f]+-[2-9a-f]-/, 'with recovery.signal a start begins a timeline');
is(verdict($node, $kept), 'yes', 'what was flushed is there');
is(rows('lost on the way to timeline 2'), 0, 'an asynchronous commit is not');
is(verdict($node, $lost), 'lost', 'and its token says so');

no_crash($node);
done_testing();
