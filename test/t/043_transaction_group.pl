# A receiver that is behind applies several small transactions of a peer as one: what arrives is the same, in fewer transactions.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use Test::More;

my ($n1, $n2) = mesh([ 'n1', 'n2' ]);
my @nodes = ($n1, $n2);
on_all(\@nodes, 'CREATE TABLE account (id bigint PRIMARY KEY, balance bigint NOT NULL, note text)');
sql($n1, q{SELECT meridian.replicate('account', 'balance=counter')});
sql($n1, q{INSERT INTO account SELECT i, 0, '' FROM generate_series(1, 50) i});
sql($n1, q{CREATE PROCEDURE write(transactions integer, rows integer) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. transactions LOOP
		UPDATE account SET balance = balance + 1, note = 'n' || i WHERE id BETWEEN i % 50 + 1 AND i % 50 + rows;
		COMMIT;
	END LOOP;
END $$});
wait_converged(@nodes);

sub transaction_ids { return sql($n2, 'SELECT pg_snapshot_xmax(pg_current_snapshot())') }

sub set_group_size
{
	my ($size) = @_;
	sql($n2, "ALTER SYSTEM SET meridian.apply_group_size = $size");
	$n2->reload;
	wait_until($n2, "SELECT current_setting('meridian.apply_group_size') = '$size'");
	return;
}

# How many transactions of this node bring a backlog.
sub catch_up
{
	my ($transactions, $rows) = @_;
	cut_link($n1, $n2);
	sql($n1, "CALL write($transactions, $rows)");
	my $before = transaction_ids();
	heal_link($n1, $n2);
	wait_converged(@nodes);
	same_everywhere(\@nodes, 'SELECT * FROM account ORDER BY id', "$transactions transactions of $rows rows arrive whole");
	return transaction_ids() - $before;
}

is(sql($n2, 'SHOW meridian.apply_group_size'), '32', 'groups are made by default');
my $grouped = catch_up(2000, 1);
cmp_ok($grouped, '<', 1000, 'a backlog of small transactions is applied in fewer');
is(sql($n1, 'SELECT sum(balance) FROM account'), '2000', 'nothing is lost or counted twice');
like(sql($n2, 'SELECT reason, count(*) FROM meridian.parked GROUP BY 1'), qr/^$/, 'and nothing is parked');

set_group_size(1);
cmp_ok(catch_up(500, 1), '>=', 500, 'with a size of 1 each transaction is applied by itself');
set_group_size(32);

# 50 rows of one transaction, with a note of 1.6 kB each, are more than 64 kB of WAL.
sql($n1, q{CREATE OR REPLACE PROCEDURE write(transactions integer, rows integer) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. transactions LOOP
		UPDATE account SET balance = balance + 1, note = i || (SELECT string_agg(md5(i || ' ' || j), '') FROM generate_series(1, 50) j)
		WHERE id BETWEEN 1 AND rows;
		COMMIT;
	END LOOP;
END $$});
sql($n1, 'CALL write(1, 50)');
wait_converged(@nodes);
cmp_ok(catch_up(100, 50), '>=', 100, 'a large transaction is applied by itself');

# Somebody who writes here might have to wait for rows of a group, or a group for theirs.
my $writer = $n2->background_psql('postgres');
$writer->query_safe('BEGIN');
$writer->query_safe(q{CREATE TABLE other (id integer)});
cmp_ok(catch_up(200, 1), '>=', 200, 'while somebody writes here each transaction is applied by itself');
$writer->query_safe('ROLLBACK');
$writer->quit;

# A worker that ends within a group repeats all of it.
cut_link($n1, $n2);
sql($n1, 'CALL write(10000, 1)');
heal_link($n1, $n2);
my $kills = 0;
for (1 .. 5)
{
	my $seen = sql($n2, 'SELECT balance FROM account WHERE id = 1');
	$kills += sql($n2, q{SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_subscription WHERE pid IS NOT NULL AND relid IS NULL});
	wait_until($n2, "SELECT balance > $seen OR balance = @{[ sql($n1, 'SELECT balance FROM account WHERE id = 1') ]} FROM account WHERE id = 1");
}
cmp_ok($kills, '>', 0, 'workers were ended while they applied');
wait_converged(@nodes);
same_everywhere(\@nodes, 'SELECT * FROM account ORDER BY id', 'and nothing is lost or counted twice');

# A group that fails is repeated one by one: what the log names can be skipped.
cut_link($n1, $n2);
sql($n1, 'CALL write(200, 1)');
sql($n2, q{CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.note LIKE '150%' THEN
		RAISE 'no such notes' USING ERRCODE = 'XX001';
	END IF;
	RETURN NEW;
END $$});
sql($n2, 'CREATE TRIGGER fail BEFORE UPDATE ON account FOR EACH ROW EXECUTE FUNCTION fail()');
sql($n2, 'ALTER TABLE account ENABLE ALWAYS TRIGGER fail');
heal_link($n1, $n2);
wait_until($n2, q{SELECT note LIKE '149%' FROM account WHERE id = 1});
pass('an error stops at its own transaction');
sql($n2, 'DROP TRIGGER fail ON account');
wait_converged(@nodes);
same_everywhere(\@nodes, 'SELECT * FROM account ORDER BY id', 'and all arrives when the cause has gone');

no_crash(@nodes);
done_testing();
