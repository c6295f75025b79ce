# Hot rows: local writers change indexed columns of few rows all the time, so that every version of a row stands somewhere else in every
# index, while thousands of updates of a peer arrive. Stock apply loses some of them; here none is lost, and counters are exact.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use Meridian;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($n1, $n2) = my @nodes = mesh(2);
my $rows = 4;
my ($local_clients, $local_each) = (8, 2000);
my ($remote_clients, $remote_each) = (4, 2000);

on_all(\@nodes, q{
	CREATE TABLE hot (id integer PRIMARY KEY, n bigint NOT NULL, here bigint NOT NULL, there bigint NOT NULL, seen numeric(20, 2) NOT NULL)
		WITH (fillfactor = 50);
	CREATE INDEX ON hot (n);
	CREATE INDEX ON hot (here);
	CREATE INDEX ON hot (there DESC, id)});
sql($n1, q{SELECT meridian.replicate('hot', 'n=counter', 'here=lww', 'there=lww', 'seen=counter')});
sql($n1, "INSERT INTO hot SELECT id, 0, 0, 0, 0 FROM generate_series(1, $rows) id");
wait_converged(@nodes);

# Each node counts in n, and in a column that it alone writes: `there` ends at the number of updates of node 2, if none of them is lost.
sub write_with
{
	my ($node, $clients, $each, $column, $amount) = @_;
	my $script = $node->basedir . "/$column.sql";
	append_to_file($script, "\\set id random(1, $rows)\nUPDATE hot SET n = n + 1, $column = $column + 1, seen = seen + $amount WHERE id = :id;\n");
	my ($out, $err) = ('', '');
	my $run = IPC::Run::start([ 'pgbench', '-n', '-c', $clients, '-j', 2, '-t', $each, '-f', $script, '-h', $node->host, '-p', $node->port, $Meridian::database ],
		'<', \undef, '>', \$out, '2>', \$err);
	return { run => $run, out => \$out, err => \$err, name => $node->name };
}

my @writers = (write_with($n2, $remote_clients, $remote_each, 'there', '0.25'), write_with($n1, $local_clients, $local_each, 'here', '-1.50'));
foreach my $writer (@writers)
{
	ok($writer->{run}->finish, "the writers of $writer->{name} end without an error") or diag(${ $writer->{err} });
}
wait_converged(@nodes);

my ($local, $remote) = ($local_clients * $local_each, $remote_clients * $remote_each);
expect_everywhere(\@nodes, 'SELECT sum(n) FROM hot', $local + $remote, 'the counter of both is exact');
expect_everywhere(\@nodes, 'SELECT sum(there) FROM hot', $remote, "no update of the peer was lost: $remote");
expect_everywhere(\@nodes, 'SELECT sum(here) FROM hot', $local, "nor one of the local writers: $local");
expect_everywhere(\@nodes, 'SELECT sum(seen) FROM hot', sprintf('%.2f', $remote / 4 - $local * 1.5), 'the numeric counter is exact');
expect_everywhere(\@nodes, 'SELECT count(*) FROM hot', $rows, 'no row was doubled');
same_everywhere(\@nodes, 'SELECT md5(string_agg(_meridian::text, chr(10) ORDER BY id)) FROM hot', 'the row states agree');
cmp_ok(sql($n1, q{SELECT merged FROM meridian.stat_tables WHERE rel = 'hot'::regclass}), '>', 0, 'the writes did meet');
# By every index there is one version of each row.
expect_everywhere(\@nodes, 'SET enable_seqscan = off; SELECT count(*) FROM hot WHERE n >= 0', $rows, 'the index has each row once');

# The same for a row as a whole: the last write of the one node that writes is what all have in the end, and inserts and deletes of one
# key chase each other.
on_all(\@nodes, 'CREATE TABLE churn (id integer PRIMARY KEY, v bigint NOT NULL); CREATE INDEX ON churn (v)');
sql($n1, q{SELECT meridian.replicate('churn')});
on_all(\@nodes, q{CREATE PROCEDURE churn(times integer, place text) LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN 1..times LOOP
			INSERT INTO churn VALUES (1 + i % 3, i) ON CONFLICT (id) DO UPDATE SET v = EXCLUDED.v;
			COMMIT;
			IF i % 5 = 0 THEN DELETE FROM churn WHERE id = 1 + i % 3; COMMIT; END IF;
		END LOOP;
	END $$});
my @churners = map {
	my ($node, $err) = ($_, '');
	{ run => IPC::Run::start([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($Meridian::database), '-c', q{CALL churn(1500, 'x')} ], '<', \undef, '>', \my $out, '2>', \$err),
		err => \$err, name => $node->name };
} @nodes;
foreach my $churner (@churners)
{
	ok($churner->{run}->finish, "inserting and deleting on $churner->{name} ends without an error") or diag(${ $churner->{err} });
}
wait_converged(@nodes);
wait_on_all(\@nodes, 'SELECT count(*) = 0 FROM meridian.tombstone WHERE NOT settled');
wait_converged(@nodes);
same_everywhere(\@nodes, 'SELECT string_agg(c::text, chr(10) ORDER BY id) FROM churn c', 'rows that come and go agree');

no_crash(@nodes);
done_testing();
