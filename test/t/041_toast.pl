# Unchanged values out of line are not in the WAL, yet nodes never differ in them: the row that is written sends them again.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my ($n1, $n2) = my @nodes = mesh(2);

on_all(\@nodes, q{
	CREATE TABLE doc (id integer PRIMARY KEY, title text, body text, notes text, reads integer DEFAULT 0);
	CREATE TABLE page (id integer PRIMARY KEY, title text, body text, at timestamptz);
	CREATE TABLE whole (id integer PRIMARY KEY, title text, body text);
	CREATE TABLE bigkey (id text PRIMARY KEY, v integer);
	ALTER TABLE doc ALTER body SET STORAGE EXTERNAL, ALTER notes SET STORAGE EXTERNAL;
	ALTER TABLE page ALTER body SET STORAGE EXTERNAL;
	ALTER TABLE whole ALTER body SET STORAGE EXTERNAL;
	ALTER TABLE bigkey ALTER id SET STORAGE EXTERNAL});
# There before: a row without a state, with values out of line.
on_all(\@nodes, q{INSERT INTO doc VALUES (100, 'old', repeat('o', 9000), repeat('n', 9000))});
sql($n1, q{SELECT meridian.replicate('doc', 'body=lww', 'notes=lww', 'reads=counter')});
sql($n1, q{SELECT meridian.replicate('page', 'row=lww(at)')});
sql($n1, q{SELECT meridian.replicate('whole')});
sql($n1, q{SELECT meridian.replicate('bigkey')});

sub everything
{
	my ($name) = @_;
	wait_converged(@nodes);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	foreach my $table (qw(doc page whole bigkey))
	{
		is(table_digest($n2, $table), table_digest($n1, $table), "$name: $table agrees");
		is(sql($_, "SELECT count(*) FROM $table t WHERE t IS NULL"), 0, "$name: no empty row of $table on " . $_->name) foreach @nodes;
	}
	expect_everywhere(\@nodes, 'SELECT count(*) FROM doc WHERE body IS NULL OR notes IS NULL', 0, "$name: no value of doc is lost");
	expect_everywhere(\@nodes, 'SELECT count(*) FROM page WHERE body IS NULL', 0, "$name: no value of page is lost");
	expect_everywhere(\@nodes, 'SELECT count(*) FROM whole WHERE body IS NULL', 0, "$name: no value of whole is lost");
	return;
}

sql($n1, q{INSERT INTO doc SELECT id, 't', repeat('b', 9000), repeat('n', 9000) FROM generate_series(1, 20) id});
sql($n1, q{INSERT INTO page SELECT id, 't', repeat('b', 9000), NULL FROM generate_series(1, 20) id});
sql($n1, q{INSERT INTO whole SELECT id, 't', repeat('b', 9000) FROM generate_series(1, 20) id});
everything('inserted');
is(sql($n2, q{SELECT count(*) > 0 FROM pg_class c WHERE c.oid = 'doc'::regclass AND pg_relation_size(c.reltoastrelid) > 0}), 't', 'the values stand out of line');

# One after another: small changes beside large values.
sql($n1, q{UPDATE doc SET title = 'one', reads = reads + 1; UPDATE page SET title = 'one'; UPDATE whole SET title = 'one'});
everything('updated on one node');
sql($n2, q{UPDATE doc SET reads = reads + 1 WHERE id % 2 = 0; UPDATE page SET title = 'two' WHERE id % 2 = 0; UPDATE whole SET title = 'two' WHERE id % 2 = 0});
everything('updated on the other');
sql($n2, q{UPDATE doc SET title = title; UPDATE page SET title = title; UPDATE whole SET title = title});
everything('updated to the same');

# At once: the one changes the large value, the other something beside it. Rows 1 to 9: node 2 is later; 11 to 19: node 1 is.
cut_link(@nodes);
sql($n1, q{
	UPDATE doc SET body = repeat('1', 8000) WHERE id < 10;
	UPDATE whole SET body = repeat('1', 8000) WHERE id < 10;
	UPDATE page SET body = repeat('1', 8000), at = clock_timestamp() WHERE id < 10;
	UPDATE doc SET body = repeat('1', 8000), notes = repeat('1', 7000) WHERE id = 100});
sql($n2, q{
	UPDATE doc SET title = 'small', reads = reads + 10;
	UPDATE whole SET title = 'small';
	UPDATE page SET title = 'small', at = clock_timestamp();
	UPDATE doc SET notes = repeat('2', 7000) WHERE id BETWEEN 5 AND 15});
sql($n1, q{
	UPDATE doc SET body = repeat('1', 6000) WHERE id > 10;
	UPDATE whole SET body = repeat('1', 6000) WHERE id > 10;
	UPDATE page SET body = repeat('1', 6000), at = clock_timestamp() WHERE id > 10});
heal_link(@nodes);
everything('changed at once');
expect_everywhere(\@nodes, q{SELECT string_agg(format('%s %s %s %s', title, length(body), length(notes), reads), ', ' ORDER BY id) FROM doc WHERE id IN (1, 5, 11, 16, 100)},
	'small 8000 9000 11, small 8000 7000 11, small 6000 7000 11, small 6000 9000 12, small 6000 7000 12', 'columns with rules of their own keep both changes');
expect_everywhere(\@nodes, q{SELECT string_agg(format('%s %s', title, length(body)), ', ' ORDER BY id) FROM whole WHERE id IN (1, 2, 11)},
	'small 9000, small 9000, one 6000', 'the row as a whole is that of the later writer');
expect_everywhere(\@nodes, q{SELECT string_agg(format('%s %s', title, length(body)), ', ' ORDER BY id) FROM page WHERE id IN (1, 2, 11)},
	'small 9000, small 9000, one 6000', 'and so is that of lww()');

# A large value that goes and comes, deletes beside updates, a row that is written and deleted in one transaction.
cut_link(@nodes);
sql($n1, q{UPDATE doc SET body = NULL WHERE id IN (1, 2); UPDATE doc SET body = 'short' WHERE id = 3; DELETE FROM whole WHERE id = 1;
	BEGIN; UPDATE doc SET title = 'gone' WHERE id = 4; DELETE FROM doc WHERE id = 4; COMMIT});
sql($n2, q{UPDATE doc SET title = 'again' WHERE id IN (1, 2, 3, 4); UPDATE whole SET title = 'again' WHERE id = 1});
sql($n1, q{UPDATE doc SET body = repeat('3', 5000) WHERE id IN (1, 2)});
heal_link(@nodes);
everything('deleted and updated at once');
expect_everywhere(\@nodes, q{SELECT string_agg(format('%s %s', id, length(body)), ', ' ORDER BY id) FROM doc WHERE id < 5}, '1 5000, 2 5000, 3 5', 'every change arrived');
expect_everywhere(\@nodes, q{SELECT title || length(body) FROM whole WHERE id = 1}, 'again9000', 'the row that outlives its delete has its large value');

# A key out of line.
my $key = join '', map { chr(97 + $_ * 7 % 26) } 1 .. 2500;
sql($n1, "INSERT INTO bigkey VALUES ('$key', 1)");
wait_converged(@nodes);
sql($n2, 'UPDATE bigkey SET v = v + 1');
everything('large key');
expect_everywhere(\@nodes, 'SELECT v || chr(32) || length(id) FROM bigkey', '2 2500', 'a large key finds its row');
sql($n1, q{UPDATE bigkey SET v = v + 1});
sql($n2, q{DELETE FROM bigkey WHERE v > 0});
wait_converged(@nodes);
expect_everywhere(\@nodes, 'SELECT count(*) <= 1 FROM bigkey', 't', 'and its tombstone finds it, too');
same_everywhere(\@nodes, 'SELECT string_agg(v::text, chr(32)) FROM bigkey', 'large keys agree');

no_crash(@nodes);
done_testing();
