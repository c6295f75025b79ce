# The truth tables of docs/guarantees.md: one entry here for each numbered row there.
#
# Every case has a key of its own. All rows are prepared with the links up; then the links are cut, the first node does its part of every
# case, then the second (so its stamps are later), and the links are healed.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my ($us, $eu) = mesh([ 'us', 'eu' ]);
my @nodes = ($us, $eu);

# name, prepared rows, what us does, what eu does, rows afterwards, kinds in the history of (us; eu)
my @cases = (
	# Table 1: the row as a whole.
	[ '1.1', q{INSERT INTO person VALUES (101, 'a', 'x')}, q{UPDATE person SET name = 'us' WHERE id = 101},
		q{UPDATE person SET city = 'eu' WHERE id = 101}, 'person', 101, '101|a|eu', 'update_update; update_update' ],
	[ '1.2', '', q{INSERT INTO person VALUES (102, 'us', 'us')}, q{INSERT INTO person VALUES (102, 'eu', 'eu')},
		'person', 102, '102|eu|eu', 'insert_insert; insert_insert' ],
	[ '1.3', q{INSERT INTO person VALUES (103, 'a', 'x')}, q{DELETE FROM person WHERE id = 103},
		q{UPDATE person SET name = 'eu' WHERE id = 103}, 'person', 103, '103|eu|x', 'delete_update; update_delete' ],
	[ '1.4', q{INSERT INTO person VALUES (104, 'a', 'x')}, q{UPDATE person SET name = 'us' WHERE id = 104},
		q{DELETE FROM person WHERE id = 104}, 'person', 104, '', 'update_delete; delete_update' ],
	[ '1.5', q{INSERT INTO person VALUES (105, 'a', 'x')}, q{DELETE FROM person WHERE id = 105},
		q{DELETE FROM person WHERE id = 105}, 'person', 105, '', '; ' ],
	[ '1.6', q{INSERT INTO person VALUES (106, 'a', 'x')},
		q{DELETE FROM person WHERE id = 106; INSERT INTO person VALUES (106, 'us', 'us')},
		q{UPDATE person SET name = 'eu' WHERE id = 106}, 'person', 106, '106|eu|x', undef ],
	[ '1.7', q{INSERT INTO person VALUES (107, 'a', 'x')}, q{UPDATE person SET name = 'same' WHERE id = 107},
		q{UPDATE person SET name = 'same' WHERE id = 107}, 'person', 107, '107|same|x', 'update_update; update_update' ],
	[ '1.8', q{INSERT INTO person VALUES (108, 'a', 'x')}, q{UPDATE person SET id = 1080 WHERE id = 108},
		q{UPDATE person SET name = 'eu' WHERE id = 108}, 'person', 108, "108|eu|x\n1080|a|x", 'delete_update; update_delete' ],

	# Table 2: rules per column, deletes by birth.
	[ '2.1', q{INSERT INTO account VALUES (201, 'a', 'e', 's', 'c', 100)}, q{UPDATE account SET email = 'us' WHERE id = 201},
		q{UPDATE account SET name = 'eu' WHERE id = 201}, 'account', 201, '201|eu|us|s|c|100', undef ],
	[ '2.2', q{INSERT INTO account VALUES (202, 'a', 'e', 's', 'c', 100)}, q{UPDATE account SET email = 'us' WHERE id = 202},
		q{UPDATE account SET email = 'eu' WHERE id = 202}, 'account', 202, '202|a|eu|s|c|100', 'update_update; update_update' ],
	[ '2.3', q{INSERT INTO account VALUES (203, 'a', 'e', 's', 'c', 100)}, q{UPDATE account SET street = 'us' WHERE id = 203},
		q{UPDATE account SET city = 'eu' WHERE id = 203}, 'account', 203, '203|a|e|s|eu|100', 'update_update; update_update' ],
	[ '2.4', q{INSERT INTO account VALUES (204, 'a', 'e', 's', 'c', 100)},
		q{UPDATE account SET balance = balance - 50 WHERE id = 204}, q{UPDATE account SET balance = balance - 30 WHERE id = 204},
		'account', 204, '204|a|e|s|c|20', undef ],
	[ '2.5', q{INSERT INTO account VALUES (205, 'a', 'e', 's', 'c', 100)}, q{UPDATE account SET balance = 10 WHERE id = 205},
		q{UPDATE account SET balance = balance + 5 WHERE id = 205}, 'account', 205, '205|a|e|s|c|15', undef ],
	[ '2.6', q{INSERT INTO account VALUES (206, 'a', 'e', 's', 'c', 100)},
		q{UPDATE account SET balance = balance + 1 WHERE id = 206}, q{UPDATE account SET name = 'eu' WHERE id = 206},
		'account', 206, '206|eu|e|s|c|101', undef ],
	[ '2.7', q{INSERT INTO account VALUES (207, 'a', 'e', 's', 'c', 100)}, q{DELETE FROM account WHERE id = 207},
		q{UPDATE account SET name = 'eu' WHERE id = 207}, 'account', 207, '', 'delete_update; update_delete' ],
	[ '2.8', q{INSERT INTO account VALUES (208, 'a', 'e', 's', 'c', 100)}, q{UPDATE account SET name = 'us' WHERE id = 208},
		q{DELETE FROM account WHERE id = 208}, 'account', 208, '', 'update_delete; delete_update' ],
	[ '2.9', q{INSERT INTO account VALUES (209, 'a', 'e', 's', 'c', 100)},
		q{DELETE FROM account WHERE id = 209; INSERT INTO account VALUES (209, 'us', 'us', 'us', 'us', 7)},
		q{UPDATE account SET name = 'eu', balance = balance + 1 WHERE id = 209}, 'account', 209, '209|us|us|us|us|7', undef ],
	[ '2.10', q{INSERT INTO account VALUES (210, 'a', 'e', 's', 'c', 100)},
		q{DELETE FROM account WHERE id = 210; INSERT INTO account VALUES (210, 'us', 'us', 'us', 'us', 7)},
		q{DELETE FROM account WHERE id = 210}, 'account', 210, '210|us|us|us|us|7', undef ],
	[ '2.11', '', q{INSERT INTO account VALUES (211, 'us', 'us', 'us', 'us', 100)},
		q{INSERT INTO account VALUES (211, 'eu', 'eu', 'eu', 'eu', 50)}, 'account', 211, '211|eu|eu|eu|eu|150',
		'insert_insert; insert_insert' ],
	[ '2.12', '', q{UPDATE account SET balance = balance + 1 WHERE id = 212},
		q{UPDATE account SET balance = balance + 2 WHERE id = 212}, 'account', 212, '212|old|e|s|c|1003', undef ],
	[ '2.13', q{INSERT INTO account VALUES (213, 'a', 'e', 's', 'c', 100)}, q{DELETE FROM account WHERE id = 213},
		q{DELETE FROM account WHERE id = 213}, 'account', 213, '', '; ' ],

	[ '2.14', q{INSERT INTO item VALUES (214, 'a', '{}')}, q{UPDATE item SET tags = array_append(tags, 'a') WHERE id = 214},
		q{UPDATE item SET tags = tags || '{b}' WHERE id = 214}, 'item', 214, '214|a|{a,b}|', undef ],
	[ '2.15', q{INSERT INTO item VALUES (215, 'a', '{x}')}, q{UPDATE item SET tags = array_remove(tags, 'x') WHERE id = 215},
		q{UPDATE item SET tags = tags || '{y}' WHERE id = 215}, 'item', 215, '215|a|{y}|', undef ],
	[ '2.16', q{INSERT INTO item VALUES (216, 'a', '{x}')},
		q{UPDATE item SET tags = '{}' WHERE id = 216; UPDATE item SET tags = '{x}' WHERE id = 216},
		q{UPDATE item SET tags = '{}' WHERE id = 216}, 'item', 216, '216|a|{x}|', undef ],
	[ '2.17', q{INSERT INTO item VALUES (217, 'a', '{}')}, q{UPDATE item SET tags = '{x}' WHERE id = 217},
		q{UPDATE item SET tags = '{x}' WHERE id = 217; UPDATE item SET tags = '{}' WHERE id = 217}, 'item', 217, '217|a|{x}|', undef ],
	[ '2.18', q{INSERT INTO item VALUES (218, 'a', NULL, '{"k": 0}')}, q{UPDATE item SET attributes = '{"k": 1}' WHERE id = 218},
		q{UPDATE item SET attributes = '{"k": 2, "m": 3}' WHERE id = 218}, 'item', 218, '218|a||{"k": 2, "m": 3}', undef ],
	[ '2.19', q{INSERT INTO item VALUES (219, 'a', NULL, '{"k": 0}')}, q{UPDATE item SET attributes = attributes - 'k' WHERE id = 219},
		q{UPDATE item SET attributes = '{"k": 2}' WHERE id = 219}, 'item', 219, '219|a||{"k": 2}', undef ],
	[ '2.20', '', q{INSERT INTO item VALUES (220, 'us', '{a}')}, q{INSERT INTO item VALUES (220, 'eu', '{b}')}, 'item', 220,
		'220|eu|{a,b}|', 'insert_insert; insert_insert' ],
	[ '2.21', q{INSERT INTO item VALUES (221, 'a', '{x}')}, q{UPDATE item SET tags = NULL WHERE id = 221},
		q{UPDATE item SET tags = tags || '{b}' WHERE id = 221}, 'item', 221, '221|a|{b}|', undef ],
	# Columns that a function merges.
	[ '4.1', q{INSERT INTO post VALUES (401, 'a', '{x}')}, q{UPDATE post SET tags = '{a}' WHERE id = 401},
		q{UPDATE post SET tags = '{b}' WHERE id = 401}, 'post', 401, '401|a|{a,b,x}', 'update_update; update_update' ],
	[ '4.2', q{INSERT INTO post VALUES (402, 'a', '{x}')}, q{UPDATE post SET tags = '{}' WHERE id = 402},
		q{UPDATE post SET name = 'eu' WHERE id = 402}, 'post', 402, '402|eu|{x}', undef ],
	[ '4.3', '', q{INSERT INTO post VALUES (403, 'us', '{a}')}, q{INSERT INTO post VALUES (403, 'eu', '{b}')},
		'post', 403, '403|eu|{b}', 'insert_insert; insert_insert' ],
	[ '4.4', q{INSERT INTO post VALUES (404, 'a', '{x}')},
		q{DELETE FROM post WHERE id = 404; INSERT INTO post VALUES (404, 'us', '{a}')},
		q{UPDATE post SET tags = '{b}' WHERE id = 404}, 'post', 404, '404|us|{a}', undef ],
	[ '4.5', '', '', '', 'post', 405, '405|old|{a,b}', '; ' ],

	# Table 3: an ordinary timestamp column.
	[ '3.1', q{INSERT INTO note VALUES (301, 'a', '2026-01-01')}, q{UPDATE note SET v = 'us', updated_at = '2026-01-02' WHERE id = 301},
		q{UPDATE note SET v = 'eu', updated_at = '2026-01-03' WHERE id = 301}, 'note', 301, '301|eu|2026-01-03 00:00:00+00', '; ' ],
	[ '3.1 the other way', q{INSERT INTO note VALUES (3011, 'a', '2026-01-01')},
		q{UPDATE note SET v = 'us', updated_at = '2026-01-03' WHERE id = 3011},
		q{UPDATE note SET v = 'eu', updated_at = '2026-01-02' WHERE id = 3011}, 'note', 3011, '3011|us|2026-01-03 00:00:00+00', '; ' ],
	[ '3.2', q{INSERT INTO note VALUES (302, 'a', '2026-01-01')}, q{UPDATE note SET v = 'us', updated_at = '2026-01-02' WHERE id = 302},
		q{UPDATE note SET v = 'eu', updated_at = '2026-01-02' WHERE id = 302}, 'note', 302, undef, '; ' ],
	[ '3.3', q{INSERT INTO note VALUES (303, 'a', '2026-01-01')}, q{UPDATE note SET v = 'us' WHERE id = 303}, '',
		'note', 303, '303|us|2026-01-01 00:00:00.000001+00', '; ' ],
	[ '3.5', q{INSERT INTO note VALUES (305, 'a', '2026-01-01')}, q{DELETE FROM note WHERE id = 305},
		q{UPDATE note SET v = 'eu', updated_at = '2026-01-02' WHERE id = 305}, 'note', 305, '', undef ],
	[ '3.6', q{INSERT INTO note VALUES (306, 'a', '2026-01-01')}, q{DELETE FROM note WHERE id = 306},
		q{UPDATE note SET v = 'eu', updated_at = '2126-01-02' WHERE id = 306}, 'note', 306, '306|eu|2126-01-02 00:00:00+00', undef ],
);

# 2.12 and 4.5 need rows that were there before replication, on both nodes.
on_all(\@nodes, q{
	SET timezone = 'UTC';
	CREATE TABLE person (id integer PRIMARY KEY, name text, city text);
	CREATE TABLE account (id integer PRIMARY KEY, name text, email text, street text, city text, balance bigint);
	CREATE TABLE item (id integer PRIMARY KEY, name text, tags text[], attributes jsonb);
	CREATE TABLE note (id integer PRIMARY KEY, v text, updated_at timestamptz);
	INSERT INTO account VALUES (212, 'old', 'e', 's', 'c', 1000);
	CREATE TABLE post (id integer PRIMARY KEY, name text, tags text[]);
	CREATE SCHEMA app;
	CREATE FUNCTION app.union_tags(a text[], b text[]) RETURNS text[] LANGUAGE sql IMMUTABLE AS
		$$ SELECT ARRAY(SELECT DISTINCT x FROM unnest(a || b) x ORDER BY x) $$});
sql($us, q{INSERT INTO post VALUES (405, 'old', '{a}')});
sql($eu, q{INSERT INTO post VALUES (405, 'old', '{b}')});
sql($us, q{SELECT meridian.replicate('person')});
sql($us, q{SELECT meridian.replicate('account', 'email=lww', 'street=group:a', 'city=group:a', 'balance=counter')});
sql($us, q{SELECT meridian.replicate('item', 'tags=set', 'attributes=set')});
sql($us, q{SELECT meridian.replicate('note', 'row=lww(updated_at)')});
sql($us, q{SELECT meridian.replicate('post', 'tags=merge:app.union_tags')});

sql($us, join ";\n", map { $_->[1] } grep { $_->[1] ne '' } @cases);
# 1.9 and 3.4, 3.7 need no cut link: they are about writes that had seen the other, and about one node alone.
sql($us, q{INSERT INTO person VALUES (109, 'a', 'x')});
sql($us, q{INSERT INTO note VALUES (304, 'a', NULL)});
sql($us, q{BEGIN; UPDATE note SET v = 'first', updated_at = now() WHERE id = 304;
	UPDATE note SET v = 'second', updated_at = now() WHERE id = 304; COMMIT});
sql($us, q{INSERT INTO note VALUES (307, 'a', NULL); DELETE FROM note WHERE id = 307;
	INSERT INTO note VALUES (307, 'again', '2001-01-01')});
wait_converged(@nodes);
sql($eu, q{UPDATE person SET name = 'eu' WHERE id = 109});

cut_link($us, $eu);
sql($us, join ";\n", map { $_->[2] } grep { $_->[2] ne '' } @cases);
sql($eu, join ";\n", map { $_->[3] } grep { $_->[3] ne '' } @cases);
heal_link($us, $eu);
wait_converged(@nodes);

my %columns = (person => 'id, name, city', post => 'id, name, tags', account => 'id, name, email, street, city, balance',
	item => 'id, name, tags, attributes', note => 'id, v, updated_at');

sub rows
{
	my ($node, $table, $key) = @_;
	return sql($node, "SET timezone = 'UTC'; SELECT $columns{$table} FROM $table WHERE id IN ($key, $key * 10) AND id::text LIKE '$key%' ORDER BY id");
}

sub kinds
{
	my ($node, $table, $key) = @_;
	return sql($node, qq{SELECT string_agg(DISTINCT kind, ',' ORDER BY kind) FROM meridian.conflicts
		WHERE rel = '$table'::regclass AND key = '{"id": $key}'});
}

foreach my $case (@cases)
{
	my ($name, undef, undef, undef, $table, $key, $expected, $history) = @$case;
	my @got = map { rows($_, $table, $key) } @nodes;
	$expected //= $got[0];
	is_deeply(\@got, [ $expected, $expected ], "$name: rows");
	is(join('; ', map { kinds($_, $table, $key) } @nodes), $history, "$name: history") if defined $history;
}

expect_everywhere(\@nodes, q{SELECT name FROM person WHERE id = 109}, 'eu', '1.9: rows');
is(join('; ', map { kinds($_, 'person', 109) } @nodes), '; ', '1.9: history');
expect_everywhere(\@nodes, q{SELECT v FROM note WHERE id = 304}, 'second', '3.4: rows');
expect_everywhere(\@nodes, q{SELECT v FROM note WHERE id = 307}, 'again', '3.7: rows');
foreach my $table (sort keys %columns)
{
	same_everywhere(\@nodes, "SELECT * FROM $table ORDER BY id", "$table: rows and states agree byte for byte");
}

# The documentation lists the same cases.
my %documented = map { $_ => 1 } slurp_file("$FindBin::RealBin/../../docs/guarantees.md") =~ /^\| (\d\.\d+) \|/mg;
my %tested = map { ($_->[0] =~ /^(\S+)/) => 1 } @cases;
$tested{$_} = 1 foreach '1.9', '3.4', '3.7';
is_deeply([ sort keys %tested ], [ sort keys %documented ], 'every row of the tables is tested');
no_crash(@nodes);

done_testing();
