# docs/replicas.md, run as it stands: every block that is marked so, in one shell; what it prints must be what the document says.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my $document = slurp_file("$FindBin::RealBin/../../docs/replicas.md");
my (@blocks, $script);
while ($document =~ /^<!-- (run|prints) -->\n```\w*\n(.*?)^```$/gms)
{
	if ($1 eq 'run') { push @blocks, { script => $2 }; }
	else { $blocks[-1]{prints} = $2; }
}
cmp_ok(scalar @blocks, '>', 5, 'the document has blocks to run');

my $directory = PostgreSQL::Test::Utils::tempdir_short();
END
{
	my $status = $?;
	my ($bin) = run_command([ 'pg_config', '--bindir' ]);
	foreach my $server (grep { -e "$_/postmaster.pid" } $directory ? glob "$directory/*" : ())
	{
		system "$bin/pg_ctl", '-D', $server, '-m', 'immediate', '-s', 'stop';
	}
	$? = $status;
}

# The servers of this document are nobody else's.
delete @ENV{ grep { /^PG(?!_REGRESS|_TEST|_CONFIG|CTLTIMEOUT)/ } keys %ENV };
append_to_file("$directory/walk", join '', "set -euo pipefail\n", map { "echo '\@\@$_'\n$blocks[$_]{script}" } 0 .. $#blocks);
my ($out, $err) = run_command([ 'timeout', $PostgreSQL::Test::Utils::timeout_default, 'bash', '-c', "cd '$directory' && bash ./walk" ]);
my %printed = $out =~ /^\@\@(\d+)(?:\n|\z)(.*?)(?=^\@\@|\z)/gms;
foreach my $i (0 .. $#blocks)
{
	my ($first) = split /\n/, $blocks[$i]{script};
	is(($printed{$i} // 'was not reached') =~ s/\n?\z/\n/r, ($blocks[$i]{prints} // '') =~ s/\n?\z/\n/r, "block $i: $first") or diag($err);
}
done_testing();
