# What leaves a server through meridian_mesh, and what does not.
#
# The first half looks at the bytes of a slot on one server, the second at the traffic between two.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $options = q{'proto_version', '1', 'publication_names', 'mesh_test'};

# The messages that wait in slot $slot as a list like "B I(1,a) C": message type and, for rows, the columns.
sub messages
{
	my ($node, %opt) = @_;
	my $hex = sql($node, "SELECT encode(data, 'hex') FROM pg_logical_slot_"
		  . ($opt{peek} ? 'peek' : 'get')
		  . "_binary_changes('mesh_test', NULL, NULL, $options)");
	return join ' ', map { describe(pack 'H*', $_) } split /\n/, $hex;
}

# Protocol version 1: https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
sub describe
{
	my ($message) = @_;
	my $type = substr $message, 0, 1;
	return () if $type eq 'R' || $type eq 'Y';
	return $type unless $type eq 'I' || $type eq 'U' || $type eq 'D';
	my ($columns, $rest) = unpack 'x5 x1 n a*', $message;
	my @values;
	foreach (1 .. $columns)
	{
		(my $kind, $rest) = unpack 'a1 a*', $rest;
		if ($kind eq 't')
		{
			(my $value, $rest) = unpack 'N/a a*', $rest;
			push @values, length $value > 20 ? substr($value, 0, 1) . '*' . length $value : $value;
		}
		else { push @values, $kind eq 'n' ? 'NULL' : 'unchanged'; }
	}
	return "$type(" . join(',', @values) . ')';
}

# --- one server ---------------------------------------------------------------------------------------------------

# The plugin needs nothing of the extension.
my $node = new_node('alone', preload => 0, extension => 0, conf => "autovacuum = off\n");
sql($node, q{
	CREATE TABLE item (id text PRIMARY KEY, n integer, large text);
	ALTER TABLE item ALTER id SET STORAGE EXTERNAL, ALTER large SET STORAGE EXTERNAL;
	CREATE TABLE whole (id integer PRIMARY KEY, large text);
	ALTER TABLE whole ALTER large SET STORAGE EXTERNAL, REPLICA IDENTITY FULL;
	CREATE PUBLICATION mesh_test FOR TABLE item, whole WITH (publish = 'insert');
	SELECT pg_create_logical_replication_slot('mesh_test', 'meridian_mesh')});

sql($node, "INSERT INTO item VALUES ('a', 1, 'x')");
is(messages($node), 'B I(a,1,x) C', 'an INSERT leaves as it is');

sql($node, "UPDATE item SET n = 2");
is(messages($node), 'B I(a,2,x) C', 'an UPDATE leaves as an INSERT of the whole new row');

sql($node, "UPDATE item SET id = 'b'");
is(messages($node), 'B I(b,2,x) C', 'so does an UPDATE of the key, without the old one');

sql($node, "BEGIN; INSERT INTO item VALUES ('c', 1); UPDATE item SET n = n + 10; UPDATE item SET n = n + 10 WHERE id = 'c'; COMMIT");
like(messages($node), qr/^B I\(c,1,NULL\) I\(b,12,x\) I\(c,11,NULL\) I\(c,21,NULL\) C$/, 'a transaction leaves as one, in its order');

sql($node, "BEGIN; UPDATE item SET n = 0; ROLLBACK");
sql($node, "BEGIN; UPDATE item SET n = 1 WHERE id = 'b'; SAVEPOINT s; UPDATE item SET n = 2 WHERE id = 'b'; ROLLBACK TO s; COMMIT");
is(messages($node), 'B I(b,1,x) C', 'what was rolled back does not leave');

sql($node, "DELETE FROM item WHERE id = 'c'");
sql($node, "BEGIN; DELETE FROM item WHERE id = 'b'; INSERT INTO item VALUES ('b', 5); COMMIT");
unlike(messages($node, peek => 1), qr/D/, 'a DELETE does not leave');
like(messages($node), qr/B I\(b,5,NULL\) C$/, 'but the INSERT beside it does');

sql($node, "ALTER PUBLICATION mesh_test SET (publish = 'insert, update, delete, truncate')");
sql($node, "DELETE FROM item; TRUNCATE item; INSERT INTO item VALUES ('d', 1, 'x')");
unlike(messages($node, peek => 1), qr/[DTU]/, 'neither do DELETE and TRUNCATE through a publication that has them');
like(messages($node), qr/I\(d,1,x\) C$/, 'and what follows leaves');
sql($node, "ALTER PUBLICATION mesh_test SET (publish = 'insert')");

# Large values.
sql($node, "UPDATE item SET large = repeat('L', 5000)");
is(messages($node), 'B I(d,1,L*5000) C', 'a new large value leaves');
sql($node, "INSERT INTO item VALUES (repeat('K', 2500), 1, 'x')");
messages($node);
sql($node, "UPDATE item SET n = 2 WHERE n = 1 AND large = 'x'");
is(messages($node), 'B I(K*2500,2,x) C', 'a large key that was not changed is taken from the old tuple');
sql($node, "INSERT INTO whole VALUES (1, repeat('W', 5000))");
messages($node);
sql($node, "UPDATE whole SET id = 2");
is(messages($node), 'B I(2,W*5000) C', 'and so is every large value under REPLICA IDENTITY FULL');

my $log_start = -s $node->logfile;
sql($node, "UPDATE item SET n = 7 WHERE id = 'd'");
sql($node, "UPDATE item SET n = 8 WHERE id = 'd'");
is(messages($node), 'B I(d,7,unchanged) C B I(d,8,unchanged) C', 'another unchanged large value is not there');
my $log = slurp_file($node->logfile, $log_start);
is(() = $log =~ /WARNING:.*table "item" leaves without an unchanged large value/g, 1, 'and the log says so, once');
like($log, qr/HINT:.*meridian\.replicate\('item'\)/, 'with the remedy');

sql($node, q{
	CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
	CREATE TRIGGER zz_meridian_stamp BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION nothing()});
$log_start = -s $node->logfile;
sql($node, "UPDATE item SET n = 9 WHERE id = 'd'");
messages($node);
unlike(slurp_file($node->logfile, $log_start), qr/unchanged large value/, 'a table with the trigger causes no warning');

# Origins: what another server made does not leave, whichever it was.
sql($node, q{
	SELECT pg_replication_origin_create('elsewhere');
	SELECT pg_replication_origin_session_setup('elsewhere');
	INSERT INTO item VALUES ('foreign', 1);
	UPDATE item SET n = 100 WHERE id = 'd';
	DELETE FROM item WHERE id = 'foreign'});
sql($node, "INSERT INTO item VALUES ('own', 1)");
is(messages($node), 'B I(own,1,NULL) C', 'only what was written here leaves');

# The same bytes through the replication protocol.
sql($node, "INSERT INTO item VALUES ('wire', 1)");
my $end = sql($node, 'SELECT pg_current_wal_insert_lsn()');
my ($out) = run_command([
	'pg_recvlogical', '-d', $node->connstr('postgres'), '--slot', 'mesh_test', '--start', '--no-loop', '-f', '-',
	'-o', 'proto_version=1', '-o', 'publication_names=mesh_test', '--endpos', $end ]);
like($out, qr/^I.*wire/ms, 'pg_recvlogical receives the changes');

# Wrong options.
sub peek_error
{
	my ($arguments, $function) = @_;
	$function //= 'pg_logical_slot_peek_binary_changes';
	return sql_error($node, "SELECT * FROM $function('mesh_test', NULL, NULL, $arguments)");
}
sql($node, "INSERT INTO item VALUES ('last', 1)");
like(peek_error("$options, 'colour', 'red'"), qr/unrecognized pgoutput option: colour/, 'an unknown option is refused');
like(peek_error(q{'proto_version', '1'}), qr/publication_names parameter missing|option "publication_names" missing/, 'no publication is refused');
like(peek_error(q{'proto_version', '0', 'publication_names', 'mesh_test'}), qr/0A000.*proto_version=0/s, 'protocol 0 is refused');
like(peek_error(q{'proto_version', '99', 'publication_names', 'mesh_test'}), qr/0A000.*proto_version=99/s, 'an unknown protocol is refused');
like(peek_error($options, 'pg_logical_slot_peek_changes'), qr/produces binary output/, 'text output is refused');
like(peek_error("'colour', 'red'"), qr/output plugin "meridian_mesh"/, 'the context names the plugin');
my ($status, $stdout, $err) = $node->psql('postgres', "SELECT pg_logical_slot_peek_binary_changes('mesh_test', NULL, NULL, 'proto_version', '1', 'publication_names', 'absent')");
like("$status $err", qr/publication "absent" does not exist|^0 .*absent/s, 'an absent publication is reported');

SKIP:
{
	skip 'this server does not know output_plugin_libraries', 1 unless server_knows('output_plugin_libraries');
	sql($node, "ALTER SYSTEM SET output_plugin_libraries = 'pgoutput'");
	$node->reload;
	wait_until($node, "SELECT current_setting('output_plugin_libraries') = 'pgoutput'");
	like(sql_error($node, "SELECT pg_create_logical_replication_slot('refused', 'meridian_mesh')"),
		qr/output_plugin_libraries/, 'the server names the setting if the plugin is not listed');
}
no_crash($node);
$node->stop;

# --- two servers --------------------------------------------------------------------------------------------------

my ($us, $eu) = mesh([ 'us', 'eu' ], conf => "autovacuum = off\n");
on_all([ $us, $eu ], 'CREATE TABLE account (id integer PRIMARY KEY, note text, balance bigint)');
sql($us, q{SELECT meridian.replicate('account', 'balance=counter')});
sql($us, q{INSERT INTO account SELECT i, 'note ' || i, 100 FROM generate_series(1, 50) i});
wait_converged($us, $eu);
my $received = q{SELECT coalesce(sum(applied + merged + stale), 0) FROM meridian.stat_tables WHERE rel = 'account'::regclass};
is(sql($eu, $received), 50, 'every row arrives on the other server once');
is(sql($us, $received), 0, 'and none of them comes back');
sql($us, q{UPDATE account SET balance = balance - 1, note = 'us'});
sql($eu, q{UPDATE account SET balance = balance - 2 WHERE id % 2 = 0});
sql($eu, q{DELETE FROM account WHERE id > 45});
wait_converged($us, $eu);
expect_everywhere([ $us, $eu ], q{SELECT count(*), sum(balance), min(note) FROM account}, '45|4411|us', 'rows converge');

# No loops: row changes are counted by the server, whoever made them. When both ends are quiet, no count moves while
# a full round trip in each direction goes by.
my $counts = q{SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_all_tables
	WHERE relid IN (SELECT rel FROM meridian.replicated_table)};

# Statistics of a session are there once it has ended; those of an apply worker when it is idle or gone.
sub changes
{
	cut_link($us, $eu);
	my @sum = map { sql($_, $counts) } $us, $eu;
	heal_link($us, $eu);
	return @sum;
}
my @before = changes();
foreach my $round (1 .. 3)
{
	wait_converged($us, $eu);
}
is_deeply([ changes() ], \@before, 'nothing is written while nobody writes: changes do not loop');

# A transaction arrives whole: a reader on the other side never sees half of a transfer.
sql($us, q{
	CREATE PROCEDURE transfer(n integer) LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN 1 .. n LOOP
			UPDATE account SET balance = balance - 7 WHERE id = 1;
			UPDATE account SET balance = balance + 7 WHERE id = 2;
			COMMIT;
		END LOOP;
	END $$});
my $total = sql($eu, q{SELECT sum(balance) FROM account WHERE id IN (1, 2)});
my $writer = IPC::Run::start([ 'psql', '-X', '-q', '-d', $us->connstr('postgres'), '-c', 'CALL transfer(300)' ]);
my %seen;
my $start = sql($eu, q{SELECT balance FROM account WHERE id = 2});
my $target = $start + 300 * 7;
while (1)
{
	my ($sum, $second) = split /\|/, sql($eu, q{SELECT sum(balance), max(balance) FILTER (WHERE id = 2) FROM account WHERE id IN (1, 2)});
	$seen{$sum}++;
	last if $second == $target;
	last if !$writer->pumpable && sql($us, q{SELECT balance FROM account WHERE id = 2}) != $target;
}
$writer->finish;
is(join(',', sort keys %seen), $total, 'transactions arrive whole');

no_crash($us, $eu);
done_testing();
