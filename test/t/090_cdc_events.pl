# Events of the output plugin meridian_cdc: what statements become (test/events), and how streams are consumed by SQL.
use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;
use Text::ParseWords qw(shellwords);

# TimeZone of the server is not UTC, and nothing shows it but text of ranges.
my $node = new_node('db', conf => "autovacuum = off\ntimezone = 'UTC'\n");
my $version = sql($node, q{SELECT extversion FROM pg_extension WHERE extname = 'meridian'});

# --- expected events ----------------------------------------------------------------------------------------------

# What differs from run to run, written as 0.
sub masked
{
	my ($text) = @_;
	$text =~ s/"(ts_ms|ts_us|ts_ns|lsn|txId)":\d+/"$1":0/g;
	$text =~ s/"sequence":"\[[^]]*\]"/"sequence":"0"/g;
	$text =~ s/"id":"\d+:\d+"/"id":"0"/g;
	return $text;
}

# Fills in what files abbreviate.
sub expanded
{
	my ($text) = @_;
	return undef unless defined $text;
	$text =~ s/LONG\((\d+)\)/'0123456789' x ($1 \/ 10)/ge;
	$text =~ s/HASH\(([^)]*)\)/sha256_hex($1)/ge;
	$text =~ s/VERSION/$version/g;
	return $text;
}

sub expected_event
{
	my ($head, %part) = @_;
	my ($op, $table) = $head =~ /^(\S+) (\S+)$/;
	if (!defined $table)
	{
		return join "\n", map { $_ // '' } $head, @part{qw(key value headers)};
	}
	my ($schema, $name) = split /\./, $table;
	my $value = $op eq 'tombstone' ? undef
	  : qq({"before":$part{before},"after":$part{after},"source":{"version":"$version","connector":"postgresql","name":"app","ts_ms":0,)
	  . qq("snapshot":"false","db":"postgres","sequence":"0","ts_us":0,"ts_ns":0,"schema":"$schema","table":"$name","txId":0,"lsn":0,)
	  . qq("xmin":null,"origin":null,"origin_lsn":null},"transaction":null,"op":"$op","ts_ms":0,"ts_us":0,"ts_ns":0});
	return join "\n", map { $_ // '' } "app.$table", $part{key}, $value, $part{headers};
}

# Blocks of a file: { options, sql, setup, events }.
sub blocks_of
{
	my ($file) = @_;
	my (@blocks, %options);
	foreach my $text (split /\n\n+/, slurp_file($file))
	{
		my $block = { sql => '', events => [] };
		foreach my $line (grep { !/^#/ } split /\n/, $text)
		{
			if ($line =~ /^options\b(.*)/ && $block->{sql} eq '') { %options = map { split /=/, $_, 2 } shellwords($1); }
			elsif ($line eq 'setup') { $block->{setup} = 1; }
			elsif ($line =~ /^= (.*)/) { push @{ $block->{events} }, [$1]; }
			elsif (@{ $block->{events} } && $line =~ /^(\w+) (.*)/) { push @{ $block->{events}[-1] }, $1, expanded($2); }
			else { $block->{sql} .= "$line\n"; }
		}
		$block->{options} = {%options};
		push @blocks, $block if $block->{sql} ne '';
	}
	return @blocks;
}

# The events that the slot has got, as expected_event() writes them.
sub events_now
{
	my ($slot, %options) = @_;
	%options = (topic_prefix => 'app', %options, format => 'event');
	my $arguments = join ', ', map { my $o = $_; $o =~ s/'/''/g; "'$o'" } %options;
	my $out = sql($node, qq{SELECT concat_ws(E'\\x01', e.topic, coalesce(e.key, ''), coalesce(e.value, ''), coalesce(e.headers, ''))
		FROM pg_logical_slot_get_changes('$slot', NULL, NULL, $arguments) WITH ORDINALITY c(lsn, xid, data, n),
		LATERAL meridian.event_parts(c.data) e ORDER BY c.n});
	return map { s/\x01/\n/gr } map { masked($_) } split /\n/, $out;
}

foreach my $file (sort glob "$FindBin::RealBin/../events/*.events")
{
	my ($topic) = $file =~ m{([^/]+)\.events$};
	sql($node, "SELECT pg_create_logical_replication_slot('conformance', 'meridian_cdc')");
	foreach my $block (blocks_of($file))
	{
		sql($node, $block->{sql});
		my @got = events_now('conformance', %{ $block->{options} });
		next if $block->{setup};
		my @expected = map { expected_event(@$_) } @{ $block->{events} };
		my ($first) = $block->{sql} =~ /^(.{1,60})/;
		is_deeply(\@got, \@expected, "$topic: $first")
		  or diag("got:\n" . join("\n\n", @got));
	}
	sql($node, "SELECT pg_drop_replication_slot('conformance')");
}

$node->stop;
done_testing();
