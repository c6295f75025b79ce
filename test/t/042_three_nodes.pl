# Three nodes, one link cut: what comes the short way overtakes what comes the long way. An update arrives before its insert, a delete
# before the row; the late ones change nothing, and all three agree.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my ($n1, $n2, $n3) = my @nodes = mesh(3);
# Tombstones are counted here, so none may be dropped meanwhile.
on_all(\@nodes, q{SELECT meridian.hold_removal('for a test')});

on_all(\@nodes, q{
	CREATE TABLE person (id integer PRIMARY KEY, name text, city text);
	CREATE TABLE account (id integer PRIMARY KEY, owner text, balance bigint);
	CREATE TABLE note (id integer PRIMARY KEY, v text, at timestamptz)});
sql($n1, q{SELECT meridian.replicate('person')});
sql($n2, q{SELECT meridian.replicate('account', 'balance=counter')});
sql($n3, q{SELECT meridian.replicate('note', 'row=lww(at)')});

sub agree
{
	my ($name) = @_;
	wait_converged(@nodes);
	wait_on_all(\@nodes, 'SELECT count(*) = 0 FROM meridian.tombstone WHERE NOT settled');
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	same_everywhere(\@nodes, "SELECT string_agg(t::text, chr(10) ORDER BY id) FROM $_ t", "$name: $_ agrees, with its states") foreach qw(person account note);
	return;
}

# --- an update overtakes its insert -----------------------------------------------------------------------------------------

cut_link($n1, $n3);
sql($n1, q{
	INSERT INTO person VALUES (1, 'n1', 'x'), (2, 'n1', 'x');
	INSERT INTO account VALUES (1, 'n1', 100), (2, 'n1', 100);
	INSERT INTO note VALUES (1, 'n1', '2026-01-01'), (2, 'n1', '2026-01-01')});
wait_until($n2, 'SELECT count(*) = 2 FROM note');
wait_until($n2, 'SELECT count(*) = 2 FROM account');
is(sql($n3, 'SELECT (SELECT count(*) FROM person) + (SELECT count(*) FROM account) + (SELECT count(*) FROM note)'), 0, 'the rows do not reach the third node');
sql($n2, q{
	UPDATE person SET city = 'n2' WHERE id = 1;
	UPDATE account SET balance = balance - 30 WHERE id = 1;
	UPDATE note SET v = 'n2' WHERE id = 1});
wait_until($n3, q{SELECT count(*) = 1 FROM note WHERE v = 'n2'});
is(sql($n3, q{SELECT name || ' ' || city FROM person}), 'n1 n2', 'the update brings the whole row');
is(sql($n3, q{SELECT owner || ' ' || balance FROM account}), 'n1 70', 'and what the first node had put into the counter');
sql($n3, q{UPDATE account SET balance = balance - 20 WHERE id = 1; UPDATE person SET name = 'n3' WHERE id = 1});
heal_link($n1, $n3);
agree('update before insert');
expect_everywhere(\@nodes, 'SELECT balance FROM account WHERE id = 1', 50, 'the insert that came late added nothing');
expect_everywhere(\@nodes, q{SELECT name || ' ' || city FROM person WHERE id = 1}, 'n3 n2', 'nor took anything back');
expect_everywhere(\@nodes, q{SELECT v FROM note WHERE id = 1}, 'n2', 'of lww() neither');
expect_everywhere(\@nodes, q{SELECT count(*) FROM meridian.conflicts}, 0, 'nobody calls that a conflict');

# --- a delete overtakes the row ---------------------------------------------------------------------------------------------

cut_link($n1, $n3);
sql($n1, q{
	INSERT INTO person VALUES (11, 'n1', 'x'), (12, 'n1', 'x'), (13, 'n1', 'x');
	INSERT INTO account VALUES (11, 'n1', 100), (12, 'n1', 100), (13, 'n1', 100);
	INSERT INTO note VALUES (11, 'n1', NULL), (12, 'n1', NULL), (13, 'n1', NULL);
	UPDATE account SET balance = balance + 1 WHERE id > 10});
wait_until($n2, 'SELECT count(*) = 3 FROM account WHERE balance = 101 AND id > 10');
sql($n2, q{
	DELETE FROM person WHERE id IN (11, 12);
	DELETE FROM account WHERE id IN (11, 12);
	DELETE FROM note WHERE id IN (11, 12);
	UPDATE person SET id = 113 WHERE id = 13;
	UPDATE account SET id = 113 WHERE id = 13;
	UPDATE note SET id = 113 WHERE id = 13});
wait_until($n3, q{SELECT count(*) = 1 FROM note WHERE id = 113});
is(sql($n3, q{SELECT count(*) FROM meridian.tombstone}), 9, 'the deletes are at the third node, and no row that they are about');
# One of the keys is taken again there, by somebody who has seen the delete.
sql($n3, q{
	INSERT INTO person VALUES (12, 'n3', 'new');
	INSERT INTO account VALUES (12, 'n3', 5);
	INSERT INTO note VALUES (12, 'n3', '2001-01-01')});
heal_link($n1, $n3);
agree('delete before insert');
expect_everywhere(\@nodes, q{SELECT string_agg(id || name, ' ' ORDER BY id) FROM person WHERE id > 10}, '12n3 113n1', 'what is dead stays dead, what is new lives');
expect_everywhere(\@nodes, q{SELECT string_agg(id || owner || balance, ' ' ORDER BY id) FROM account WHERE id > 10}, '12n35 113n1101', 'counters begin anew with the new row');
expect_everywhere(\@nodes, q{SELECT string_agg(id || v, ' ' ORDER BY id) FROM note WHERE id > 10}, '12n3 113n1', 'of lww() too');

# --- a delete overtakes an update of a third --------------------------------------------------------------------------------

cut_link($n1, $n3);
sql($n1, q{UPDATE person SET city = 'n1' WHERE id = 2; UPDATE account SET balance = balance + 7 WHERE id = 2; UPDATE note SET v = 'late' WHERE id = 2});
wait_until($n2, q{SELECT count(*) = 1 FROM note WHERE v = 'late'});
sql($n2, q{DELETE FROM person WHERE id = 2; DELETE FROM account WHERE id = 2; DELETE FROM note WHERE id = 2});
wait_until($n3, q{SELECT count(*) = 0 FROM note WHERE id = 2});
heal_link($n1, $n3);
agree('delete before update');
expect_everywhere(\@nodes, q{SELECT (SELECT count(*) FROM person WHERE id = 2) + (SELECT count(*) FROM account WHERE id = 2) + (SELECT count(*) FROM note WHERE id = 2)}, 0,
	'the update that the deleter had seen brings nothing back');

# --- all three at once, by every path -----------------------------------------------------------------------------------------

cut_link($n1, $n2);
cut_link($n2, $n3);
cut_link($n1, $n3);
foreach my $i (0 .. 2)
{
	my $node = $nodes[$i];
	my $name = $node->name;
	sql($node, qq{
		UPDATE account SET balance = balance - 10 WHERE id = 1;
		UPDATE person SET city = '$name' WHERE id = 1;
		INSERT INTO person VALUES (20, '$name', '$name');
		INSERT INTO account VALUES (20, '$name', 1);
		INSERT INTO note VALUES (20, '$name', '2026-01-01');
		DELETE FROM person WHERE id = 113 AND $i = 0;
		UPDATE person SET name = '$name' WHERE id = 113 AND $i > 0;
		DELETE FROM account WHERE id = 113 AND $i = 1;
		UPDATE account SET balance = balance + 1 WHERE id = 113 AND $i <> 1});
}
heal_link($n1, $n2);
wait_until($n2, 'SELECT balance = 2 FROM account WHERE id = 20');
heal_link($n2, $n3);
heal_link($n1, $n3);
agree('all at once');
expect_everywhere(\@nodes, 'SELECT balance FROM account WHERE id = 1', 20, 'three purchases count');
expect_everywhere(\@nodes, 'SELECT balance FROM account WHERE id = 20', 3, 'three inserts of one key add up');
expect_everywhere(\@nodes, 'SELECT name || city FROM person WHERE id = 20', 'n3n3', 'and the last of them has the row');
expect_everywhere(\@nodes, 'SELECT name FROM person WHERE id = 113', 'n3', 'a later update outlives the delete of the row as a whole');
expect_everywhere(\@nodes, 'SELECT count(*) FROM account WHERE id = 113', 0, 'and none the delete of a life');
cmp_ok(sql($n1, q{SELECT count(*) FROM meridian.conflicts}), '>', 0, 'the history tells of it');

no_crash(@nodes);
done_testing();
