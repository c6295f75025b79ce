# Four nodes, of which each pair is slow in its own way: links are cut and healed in many orders, so that an update overtakes its insert,
# a delete its row, and a key is used again while its old life is still under way, over one and over two hops of knowledge.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my ($n1, $n2, $n3, $n4) = my @nodes = mesh(4);
my @tables = qw(person account note part);

on_all(\@nodes, q{
	CREATE TABLE person (id integer PRIMARY KEY, v text);
	CREATE TABLE account (id integer PRIMARY KEY, v text, n bigint);
	CREATE TABLE note (id integer PRIMARY KEY, v text, at timestamptz);
	CREATE TABLE part (id integer PRIMARY KEY, v text) PARTITION BY RANGE (id);
	CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (50);
	CREATE TABLE part_2 PARTITION OF part DEFAULT});
sql($n1, q{SELECT meridian.replicate('person'), meridian.replicate('account', 'n=counter'), meridian.replicate('note', 'row=lww(at)'), meridian.replicate('part')});

# Every table gets the same writes; the timestamp of note is stamped by the trigger, from the clock that all nodes of this machine share.
sub insert_row { my ($id, $v) = @_; return join ';', map { my $t = $_; "INSERT INTO $t (id, v" . ($t eq 'account' ? ', n' : '') . ") VALUES ($id, '$v'" . ($t eq 'account' ? ', 1' : '') . ')' } @tables }
sub update_row { my ($id, $v) = @_; return join ';', map { "UPDATE $_ SET v = '$v'" . ($_ eq 'account' ? ', n = n + 1' : $_ eq 'note' ? ', at = clock_timestamp()' : '') . " WHERE id = $id" } @tables }
sub delete_row { my ($id) = @_; return join ';', map { "DELETE FROM $_ WHERE id = $id" } @tables }
sub has { my ($node, $id, $v) = @_; wait_until($node, "SELECT count(*) = 1 FROM $_ WHERE id = $id AND v = '$v'") foreach @tables; return }
sub has_not { my ($node, $id) = @_; wait_until($node, "SELECT count(*) = 0 FROM $_ WHERE id = $id") foreach @tables; return }

sub agree
{
	my ($name) = @_;
	wait_converged(@nodes);
	wait_on_all(\@nodes, 'SELECT count(*) = 0 FROM meridian.tombstone WHERE NOT settled');
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	same_everywhere(\@nodes, "SELECT string_agg(t::text, chr(10) ORDER BY id) FROM $_ t", "$name: $_ agrees, with its states") foreach @tables;
	return;
}

my @links = ([ $n1, $n2 ], [ $n1, $n3 ], [ $n1, $n4 ], [ $n2, $n3 ], [ $n2, $n4 ], [ $n3, $n4 ]);

# --- a chain: what each node writes reaches the next one first ------------------------------------------------------------------

cut_link(@$_) foreach [ $n1, $n3 ], [ $n1, $n4 ], [ $n2, $n4 ];
sql($n1, insert_row(1, 'n1'));
has($n2, 1, 'n1');
sql($n2, update_row(1, 'n2'));
has($n3, 1, 'n2');
sql($n3, update_row(1, 'n3'));
has($n4, 1, 'n3');
sql($n4, update_row(1, 'n4'));
heal_link($n1, $n4);
has($n1, 1, 'n4');
heal_link($n2, $n4);
heal_link($n1, $n3);
agree('a chain of updates');
expect_everywhere(\@nodes, q{SELECT v || n FROM account WHERE id = 1}, 'n44', 'each addition counts once, whichever came first');

# --- deleted down the chain, and used again at its end ------------------------------------------------------------------------------

cut_link(@$_) foreach [ $n1, $n3 ], [ $n1, $n4 ], [ $n2, $n4 ];
sql($n1, insert_row(2, 'first'));
has($n2, 2, 'first');
sql($n2, delete_row(2));
has_not($n1, 2);
sql($n2, insert_row(2, 'second'));
has($n3, 2, 'second');
sql($n3, delete_row(2));
# The tombstones of lww() tables name no actor; that of the last table comes last.
wait_until($n4, q{SELECT count(*) = 3 FROM meridian.tombstone WHERE key = '{2}' AND actor & 65535 = 3});
sql($n4, insert_row(2, 'third'));
# Now the older lives arrive, from the nodes that had them, in the order least fit.
heal_link($n1, $n4);
has($n1, 2, 'third');
heal_link($n2, $n4);
heal_link($n1, $n3);
agree('a key used three times');
expect_everywhere(\@nodes, "SELECT v FROM $_ WHERE id = 2", 'third', "of $_ the last life is left") foreach @tables;
expect_everywhere(\@nodes, 'SELECT n FROM account WHERE id = 2', 1, 'and nothing of the older ones');

# --- a delete that overtakes, beside an update that it had not seen -------------------------------------------------------------------

sql($n1, insert_row(3, 'old') . ';' . insert_row(4, 'old'));
agree('two rows');
cut_link(@$_) foreach [ $n1, $n2 ], [ $n1, $n3 ], [ $n2, $n3 ];
sql($n1, update_row(3, 'n1'));
has($n4, 3, 'n1');
sql($n4, delete_row(3));
has_not($n2, 3);
# The second node deletes what it has of 4; the third updates it, later; the fourth hears of the update first.
sql($n2, delete_row(4));
sql($n3, update_row(4, 'n3'));
heal_link($n1, $n3);
heal_link($n1, $n2);
heal_link($n2, $n3);
agree('deletes by different nodes');
expect_everywhere(\@nodes, "SELECT count(*) FROM $_ WHERE id = 3", 0, "$_: the update that the deleter had seen brings nothing back") foreach @tables;
expect_everywhere(\@nodes, "SELECT v FROM $_ WHERE id = 4", 'n3', "$_: a later update outlives the delete") foreach qw(person note part);
expect_everywhere(\@nodes, 'SELECT count(*) FROM account WHERE id = 4', 0, 'by birth it does not');

# --- everybody alone, then healed in every order ------------------------------------------------------------------------------------

my $round = 0;
foreach my $order ([ 0 .. 5 ], [ 5, 0, 4, 1, 3, 2 ], [ 2, 3, 1, 4, 0, 5 ])
{
	++$round;
	my $base = 10 * $round;
	sql($n1, join ';', map { insert_row($base + $_, 'base') } 1 .. 6);
	agree("round $round, begun");
	cut_link(@$_) foreach @links;
	foreach my $i (0 .. 3)
	{
		my $name = $nodes[$i]->name;
		sql($nodes[$i], join ';',
			update_row($base + 1, $name), insert_row($base + 7, $name),
			$i % 2 ? delete_row($base + 2) : update_row($base + 2, $name),
			$i < 2 ? delete_row($base + 3) . ';' . insert_row($base + 3, $name) : update_row($base + 3, $name),
			$i == $round ? delete_row($base + 4) : update_row($base + 4, $name),
			(map { "UPDATE $_ SET id = id + 50 + $i WHERE id = $base + 5" } @tables),
			delete_row($base + 6));
	}
	foreach my $link (@$order)
	{
		heal_link(@{ $links[$link] });
		# Both ends pass something on that the others do not know yet.
		sql($_, update_row($base + 1, $_->name . $link) . ';' . update_row($base + 7, $_->name . $link)) foreach @{ $links[$link] };
	}
	agree("round $round");
	expect_everywhere(\@nodes, "SELECT n FROM account WHERE id = $base + 1", 1 + 4 + 12, "round $round: every addition counts");
	expect_everywhere(\@nodes, "SELECT n FROM account WHERE id = $base + 7", 4 + 12, "round $round: also those to a row that four nodes inserted");
	expect_everywhere(\@nodes, "SELECT count(*) FROM person WHERE id = $base + 6", 0, "round $round: deleted by all");
	expect_everywhere(\@nodes, "SELECT count(*) FROM part WHERE id BETWEEN $base + 55 AND $base + 58", 4, "round $round: four new keys of one row, moved to another partition");
}

no_crash(@nodes);
done_testing();
