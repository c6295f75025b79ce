# Set columns on three nodes, written with links cut: what meets in any order ends the same everywhere.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my ($n1, $n2, $n3) = my @nodes = mesh(3);

on_all(\@nodes, q{
	CREATE TABLE item (id integer PRIMARY KEY, name text, tags text[], numbers bigint[], owners uuid[], attributes jsonb);
	INSERT INTO item VALUES (100, 'old', '{b,a,NULL,b}', '{3,1}', NULL, '{"k": 1}')});
sql($n1, q{INSERT INTO item VALUES (101, 'only here', '{y,x}', NULL, NULL, NULL)});
sql($n1, q{SELECT meridian.replicate('item', 'tags=set', 'numbers=set', 'owners=set', 'attributes=set')});
wait_converged(@nodes);

sub agree
{
	my ($name) = @_;
	wait_converged(@nodes);
	wait_on_all(\@nodes, 'SELECT count(*) = 0 FROM meridian.tombstone WHERE NOT settled');
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	same_everywhere(\@nodes, "SELECT string_agg(t::text, chr(10) ORDER BY id) FROM item t", "$name: rows agree, with their states");
	return;
}

# --- rows from before replication -------------------------------------------------------------------------------------------

sql($n2, q{UPDATE item SET tags = array_append(tags, 'c'), name = 'n2' WHERE id IN (100, 101)});
agree('rows from before replication');
expect_everywhere(\@nodes, 'SELECT tags, numbers, owners, attributes FROM item WHERE id = 100', '{a,b,c}|{1,3}||{"k": 1}', 'in one form');
expect_everywhere(\@nodes, 'SELECT tags FROM item WHERE id = 101', '{c,x,y}', 'also where the row came from');

# --- what comes the short way overtakes what comes the long way --------------------------------------------------------------

sql($n1, q{INSERT INTO item VALUES (1, 'n1', '{x,y}', '{1,2}', '{}', '{"color": "red", "size": 1}')});
wait_converged(@nodes);
cut_link($n1, $n3);
sql($n1, q{
	UPDATE item SET tags = tags || '{n1}', numbers = numbers || 10::bigint WHERE id = 1;
	UPDATE item SET attributes = attributes || '{"color": "blue", "n1": true}' WHERE id = 1});
wait_until($n2, q{SELECT attributes ? 'n1' FROM item WHERE id = 1});
sql($n2, q{
	UPDATE item SET tags = array_remove(tags, 'n1'), name = 'n2' WHERE id = 1;
	UPDATE item SET owners = owners || '00000000-0000-0000-0000-000000000002'::uuid WHERE id = 1});
wait_until($n3, q{SELECT name = 'n2' AND owners <> '{}' FROM item WHERE id = 1});
is(sql($n3, 'SELECT tags, numbers FROM item WHERE id = 1'), '{x,y}|{1,2,10}', 'the removal overtakes the add');
sql($n3, q{
	UPDATE item SET tags = '{n3,x}', numbers = array_remove(numbers, 10::bigint) WHERE id = 1;
	UPDATE item SET attributes = attributes - 'color' WHERE id = 1});
sql($n1, q{UPDATE item SET attributes = attributes || '{"color": "green"}', tags = array_append(tags, 'y') WHERE id = 1});
heal_link($n1, $n3);
agree('removals and adds');
expect_everywhere(\@nodes, 'SELECT tags, numbers, owners FROM item WHERE id = 1',
	'{n3,x}|{1,2}|{00000000-0000-0000-0000-000000000002}', 'seen elements are removed, a repeated one is not an add');
expect_everywhere(\@nodes, q{SELECT attributes FROM item WHERE id = 1}, '{"n1": true, "size": 1, "color": "green"}',
	'the color that the remover had not seen stays');

# --- many writers -------------------------------------------------------------------------------------------------------------

sql($n1, q{INSERT INTO item VALUES (2, 'many', '{}', '{}', NULL, '{}')});
wait_converged(@nodes);
cut_link(@$_) foreach [ $n1, $n2 ], [ $n2, $n3 ], [ $n1, $n3 ];
foreach my $n (0 .. 2)
{
	# Each adds 0..59, and removes what its own remainder by three is not.
	sql($nodes[$n], qq{
		UPDATE item SET numbers = ARRAY(SELECT g FROM generate_series(0, 59) g), attributes = (SELECT jsonb_object_agg(g, $n) FROM generate_series(0, 59) g) WHERE id = 2;
		UPDATE item SET numbers = ARRAY(SELECT g FROM generate_series(0, 59) g WHERE g % 3 = $n) WHERE id = 2});
}
heal_link(@$_) foreach [ $n1, $n2 ], [ $n2, $n3 ], [ $n1, $n3 ];
agree('many writers');
expect_everywhere(\@nodes, 'SELECT numbers = ARRAY(SELECT g FROM generate_series(0::bigint, 59) g) FROM item WHERE id = 2', 't',
	'each number is kept by the one that did not remove it');
expect_everywhere(\@nodes, q{SELECT count(*), count(DISTINCT value) FROM item, jsonb_each(attributes) WHERE id = 2}, '60|1', 'the latest writer gave all keys their values');
sql($n2, q{UPDATE item SET numbers = '{}', attributes = '{}' WHERE id = 2});
agree('all removed');
expect_everywhere(\@nodes, 'SELECT numbers, attributes FROM item WHERE id = 2', '{}|{}', 'nothing comes back');
expect_everywhere(\@nodes, q{SELECT _meridian::text !~ 'elements' FROM item WHERE id = 2}, 't', 'and nothing is left of it');

# --- lives --------------------------------------------------------------------------------------------------------------------

cut_link($n1, $n3);
cut_link($n1, $n2);
sql($n1, q{DELETE FROM item WHERE id = 1; INSERT INTO item VALUES (1, 'again', '{again}', NULL, NULL, NULL)});
sql($n3, q{UPDATE item SET tags = tags || '{late}', numbers = numbers || 77::bigint WHERE id = 1});
heal_link($n1, $n3);
heal_link($n1, $n2);
agree('a new life');
expect_everywhere(\@nodes, 'SELECT tags, numbers FROM item WHERE id = 1', '{again}|', 'elements die with the life that they were added in');
no_crash(@nodes);

done_testing();
