# The explicit types on two nodes: the table "Explicit types" of docs/guarantees.md, one entry here for each numbered row there.
#
# Every case has a key of its own. The rows are prepared with the links up; then the links are cut, each node does its part of every case, and
# the links are healed. Both nodes must then hold the same states, byte for byte, and the right values.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my ($us, $eu) = my @nodes = mesh([ 'us', 'eu' ]);
my $path = 'SET search_path = public, meridian; ';

# number, column, prepared value, what us sets, what eu sets, value everywhere (as what it is cast to)
my %cast = (hits => 'numeric', tags => 'text[]', seen_by => 'text[]', open => 'boolean', closed => 'boolean', note => 'text[]');
my @cases = (
	[ 'T.1', 'hits', '10', 'hits + 5', 'hits - 2', '13' ],
	[ 'T.2', 'hits', '10', 'reset(hits)', 'hits + 5', '5' ],
	[ 'T.3', 'hits', '10', 'reset(hits)', 'reset(hits)', '0' ],
	[ 'T.4', 'hits', '10', '3', '4', '7' ],
	[ 'T.5', 'hits', q{'0'}, 'hits + 9223372036854775807', 'hits + 9223372036854775807', '18446744073709551614' ],
	[ 'T.6', 'tags', q{'{a}'::text[]}, q{tags + 'b'}, q{tags + 'c'}, '{a,b,c}' ],
	[ 'T.7', 'tags', q{'{a,b}'::text[]}, q{tags - 'a'}, q{tags + 'a'}, '{a,b}' ],
	[ 'T.8', 'tags', q{'{a,b}'::text[]}, q{tags - 'a'}, q{tags - 'b'}, '{}' ],
	[ 'T.9', 'tags', q{'{a,b}'::text[]}, q{'{b,c}'::text[]}, q{'{a,b,d}'::text[]}, '{b,c,d}' ],
	[ 'T.10', 'seen_by', q{'{a}'::text[]}, q{seen_by + 'b'}, q{seen_by + 'c'}, '{a,b,c}' ],
	[ 'T.11', 'open', 'true', 'disable(open)', 'enable(open)', 't' ],
	[ 'T.12', 'closed', 'flag_dw(true)', 'disable(closed)', 'enable(closed)', 'f' ],
	[ 'T.13', 'note', q{'old'::text}, q{set(note, 'us')}, q{'eu'::text}, '{eu,us}' ],
);

on_all(\@nodes, $path . q{
	CREATE TABLE page (id integer PRIMARY KEY, title text, hits counter, tags orset, seen_by gset, open flag, closed flag, note mvreg);
	INSERT INTO page (id, hits) VALUES (900, 100)});
sql($us, q{SELECT meridian.replicate('page')});
same_everywhere(\@nodes, q{SELECT rules FROM meridian.tables}, 'the rules come by themselves');

sub key { return $_[0]->[0] =~ s/^T\.//r }

sql($us, $path . join ';', map { "INSERT INTO page (id, $_->[1]) VALUES (" . key($_) . ", $_->[2])" } @cases);
# A row of a life of its own on both nodes, and one from before replication.
wait_converged(@nodes);
cut_link($us, $eu);
sql($us, $path . join ';', map { "UPDATE page SET $_->[1] = $_->[3] WHERE id = " . key($_) } @cases);
sql($eu, $path . join ';', map { "UPDATE page SET $_->[1] = $_->[4] WHERE id = " . key($_) } @cases);
sql($us, $path . q{INSERT INTO page (id, hits) VALUES (14, 1); UPDATE page SET hits = hits + 1 WHERE id = 900});
sql($eu, $path . q{INSERT INTO page (id, hits) VALUES (14, 2); UPDATE page SET hits = hits + 2 WHERE id = 900});
heal_link($us, $eu);
wait_converged(@nodes);

foreach my $case (@cases)
{
	my ($name, $column, undef, undef, undef, $expected) = @$case;
	expect_everywhere(\@nodes, "SELECT $column\::$cast{$column} FROM page WHERE id = " . key($case), $expected, "$name: $column");
}
expect_everywhere(\@nodes, 'SELECT hits::bigint FROM page WHERE id = 14', 2, 'T.14: of two concurrent INSERTs the later one');
expect_everywhere(\@nodes, 'SELECT hits::bigint FROM page WHERE id = 900', 103, 'T.15: a row from before replication');
same_everywhere(\@nodes, 'SELECT * FROM page ORDER BY id', 'values and states agree byte for byte');

# A write that has seen both resolves what was kept.
sql($eu, $path . q{UPDATE page SET note = set(note, 'one') WHERE id = 13});
wait_converged(@nodes);
expect_everywhere(\@nodes, q{SELECT note::text[] FROM page WHERE id = 13}, '{one}', 'a write that has seen both replaces both');

# A promoted or renamed node writes in another name; what it wrote before still counts.
sql($us, q{SELECT meridian.confirm_identity()});
sql($us, $path . q{UPDATE page SET hits = hits + 1 WHERE id = 1});
wait_converged(@nodes);
expect_everywhere(\@nodes, 'SELECT hits::bigint FROM page WHERE id = 1', 14, 'a new epoch adds to what the old one did');

my %documented = map { $_ => 1 } slurp_file("$FindBin::RealBin/../../docs/guarantees.md") =~ /^\| (T\.\d+) \|/mg;
my %tested = map { $_->[0] => 1 } @cases;
$tested{$_} = 1 foreach 'T.14', 'T.15';
is_deeply([ sort keys %tested ], [ sort keys %documented ], 'every row of the table is tested');
no_crash(@nodes);

done_testing();
