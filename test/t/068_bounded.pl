# Bounded columns: every node sells until its rights run out, with links cut; rights move to where they are asked for, by
# themselves and by hand; a promoted server has none.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my ($n1, $n2, $n3) = my @nodes = mesh(3);

on_all(\@nodes, q{
	CREATE TABLE show (id integer PRIMARY KEY, name text, stock integer NOT NULL CHECK (stock >= 0), price numeric(6,2));
	INSERT INTO show VALUES (100, 'old', 8, 10.00)});
sql($n3, q{INSERT INTO show VALUES (101, 'out of bounds', 5, 200)});
my $rules = q{'show', 'name=lww', 'stock=bounded(0)', 'price=bounded(0, 100)'};
like(sql_error($n2, "SELECT meridian.replicate($rules)"), qr/23514: .*column "price" of table "show" holds values outside its bounds/s,
	'rows out of bounds are found on every node');
sql($n3, q{UPDATE show SET price = 20 WHERE id = 101});
sql($n2, "SELECT meridian.replicate($rules)");
sql($n2, "SELECT meridian.replicate($rules)");
wait_converged(@nodes);

sub sell
{
	my ($node, $id, $amount) = @_;
	return sql($node, "UPDATE show SET stock = stock - $amount WHERE id = $id RETURNING stock");
}

sub refused
{
	my ($node, $id, $amount, $hint, $name) = @_;
	my $error = sql_error($node, "UPDATE show SET stock = stock - $amount WHERE id = $id");
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like($error, qr/ERROR:  MD040: .*column "stock" of table "show".*HINT:  $hint/s, $name);
	return;
}

# What a node may subtract from the stock of a row, as it knows itself.
sub may_sell
{
	my ($node, $id) = @_;
	return sql($node, "SELECT may_subtract FROM meridian.rights('show', '{$id}', 'stock') WHERE node = '" . $node->name . "' ORDER BY epoch DESC LIMIT 1");
}

sub total_is
{
	my ($id, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	expect_everywhere(\@nodes, "SELECT sum(r.may_subtract) = min(s.stock) AND min(r.may_subtract) >= 0 FROM show s, meridian.rights('show', '{$id}', 'stock') r WHERE s.id = $id",
		't', $name);
	return;
}

# --- rows from before: their rights are those of the node that replicated the table -------------------------------------------

cut_link($n1, $n2);
cut_link($n1, $n3);
is(sell($n2, 100, 3), 5, 'the node that called replicate() sells old stock');
refused($n1, 100, 1, 'All nodes together may subtract 8\. Rights are being asked for', 'another one does not');
heal_link($n1, $n2);
heal_link($n1, $n3);
wait_until($n1, q{SELECT may_subtract = 2 FROM meridian.rights('show', '{100}', 'stock') WHERE node = 'n1'});
is(sell($n1, 100, 1), 4, 'until half of the rights have moved there by themselves');
wait_converged(@nodes);
total_is(100, 'no right is lost');

# --- both sell until their rights run out, apart ------------------------------------------------------------------------------

sql($n1, q{INSERT INTO show VALUES (1, 'a', 10, 50)});
wait_converged(@nodes);
refused($n2, 1, 2, 'All nodes together may subtract 10\. Rights are being asked for: try again', 'who has no rights yet');
wait_until($n2, q{SELECT may_subtract = 5 FROM meridian.rights('show', '{1}', 'stock') WHERE node = 'n2'});
cut_link(@$_) foreach [ $n1, $n2 ], [ $n2, $n3 ], [ $n1, $n3 ];
is(sell($_, 1, 1), 9, $_->name . ' sells on its own') foreach $n1, $n2;
is(join(' ', map { sell($_, 1, 4) } $n1, $n2), '5 5', 'and all that it may');
refused($_, 1, 1, 'All nodes together may subtract 5', $_->name . ' is sold out, though others may have stock') foreach $n1, $n2;
refused($n3, 1, 1, 'All nodes together may subtract 10', 'n3 never had any');
sql($n1, q{UPDATE show SET name = 'b' WHERE id = 1});
is(sql($n3, 'SELECT stock FROM show WHERE id = 1'), '10', 'n3 has seen nothing of it');
heal_link(@$_) foreach [ $n1, $n2 ], [ $n2, $n3 ], [ $n1, $n3 ];
wait_converged(@nodes);
expect_everywhere(\@nodes, 'SELECT stock, name FROM show WHERE id = 1', '0|b', 'all is sold, nothing twice');
refused($n1, 1, 1, 'All nodes together may subtract 0: more would leave the bounds', 'nobody has any left');
# In one transaction: the others still ask for rights.
is(sql($n3, q{BEGIN; UPDATE show SET stock = stock + 3 WHERE id = 1; UPDATE show SET stock = stock - 2 WHERE id = 1 RETURNING stock; COMMIT}), 1,
	'without a maximum anybody adds, and may take it back');
wait_converged(@nodes);
total_is(1, 'rights add up to the value');

# --- a wish is granted when it arrives where the rights are --------------------------------------------------------------------

sql($n1, q{INSERT INTO show VALUES (2, 'c', 6, 50)});
wait_converged(@nodes);
cut_link($n1, $n3);
refused($n3, 2, 4, 'All nodes together may subtract 6', 'n3 wants more than half');
wait_until($n3, q{SELECT _meridian::text ~ 'wants lower=4' FROM show WHERE id = 2});
wait_until($n2, q{SELECT _meridian::text ~ 'wants lower=4' FROM show WHERE id = 2});
is(may_sell($n3, 2), '0', 'n2, which hears it, has none');
heal_link($n1, $n3);
wait_until($n3, q{SELECT may_subtract = 4 FROM meridian.rights('show', '{2}', 'stock') WHERE node = 'n3'});
is(sell($n3, 2, 4), 2, 'n1 gives when it hears');
wait_converged(@nodes);
total_is(2, 'no right is lost on the way');

# --- by hand, and the upper bound ----------------------------------------------------------------------------------------------

sql($n1, q{INSERT INTO show VALUES (3, 'd', 9, 90)});
wait_converged(@nodes);
like(sql_error($n2, 'UPDATE show SET price = price + 1 WHERE id = 3'), qr/MD040: .*may add 0 .*column "price".*, not 1\.00.*All nodes together may add 10\.00/s, 'rights to add run out, too');
sql($n1, q{SELECT meridian.transfer_rights('show', '{3}', 'price', 'n2', 4, to_add => true), meridian.transfer_rights('show', '{3}', 'stock', 'n2', 3)});
wait_until($n2, q{SELECT may_add >= 4 FROM meridian.rights('show', '{3}', 'price') WHERE node = 'n2'});
sql($n2, 'UPDATE show SET price = price + 4, stock = stock - 3 WHERE id = 3');
wait_converged(@nodes);
expect_everywhere(\@nodes, 'SELECT stock, price FROM show WHERE id = 3', '6|94.00', 'transferred rights are used');
like(sql_error($n1, q{SELECT meridian.transfer_rights('show', '{3}', 'stock', 'n2', 7)}), qr/MD040: .*this node may subtract 6, not 7/s, 'nobody gives what he has not');
like(sql_error($n1, q{SELECT meridian.transfer_rights('show', '{3}', 'stock', 'n1', 1)}), qr/22023: /, 'or gives to himself');
like(sql_error($n1, q{SELECT meridian.transfer_rights('show', '{3}', 'stock', 'n9', 1)}), qr/42704: .*there is no member "n9"/s, 'or to a stranger');
like(sql_error($n1, q{SELECT meridian.seize_rights('show', '{3}', 'stock', 2)}), qr/55000: .*"n2" is a member/s, 'or takes what others use');

# --- lives ---------------------------------------------------------------------------------------------------------------------

cut_link($n1, $n2);
cut_link($n1, $n3);
sql($n1, q{INSERT INTO show VALUES (4, 'n1', 20, 0)});
sell($n1, 4, 15);
sql($n2, q{INSERT INTO show VALUES (4, 'n2', 7, 0)});
sql($n2, q{DELETE FROM show WHERE id = 3; INSERT INTO show VALUES (3, 'again', 1, 0)});
is(sell($n1, 3, 6), 0, 'the old life is sold');
heal_link($n1, $n2);
heal_link($n1, $n3);
wait_converged(@nodes);
expect_everywhere(\@nodes, 'SELECT stock FROM show WHERE id IN (3, 4) ORDER BY id', "1\n7", 'the later life counts, alone');
total_is($_, "and its rights: row $_") foreach 3, 4;
is(sell($n2, 3, 1), 0, 'they belong to who made it');

# --- a raised epoch --------------------------------------------------------------------------------------------------------------

sql($n2, q{INSERT INTO show VALUES (5, 'f', 10, 0)});
wait_converged(@nodes);
my $standby = new_standby($n2, 'n2b');
$n2->stop('immediate');
$standby->promote;
wait_until($standby, q{SELECT epoch > 1 FROM meridian.local_member});
refused($standby, 5, 1, 'All nodes together may subtract 10', 'a promoted server has no rights');
is(sql($standby, q{SELECT string_agg(may_subtract::text, ' ' ORDER BY r.epoch) FROM meridian.rights('show', '{5}', 'stock') r JOIN meridian.local_member USING (member)}),
	'10 0', 'whatever its primary had');
is(sql($standby, q{SELECT meridian.seize_rights('show', '{5}', 'stock', (SELECT member FROM meridian.local_member))}), '1', 'unless it takes them over');
is(sell($standby, 5, 10), '0', 'and then it may sell');
no_crash($n1, $n3, $standby);

done_testing();
