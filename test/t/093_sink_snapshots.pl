# Rows that sinks deliver beside changes: of a new sink, and of one table on request, while the rows change. No row overwrites a newer
# change, none is missing, and a program that is killed goes on where it was.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run qw(start);
use JSON::PP;
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my $directory = PostgreSQL::Test::Utils::tempdir_short();
my $node = new_node('shop', conf => "meridian.sink_directory = '$directory'\n");

sub create_sink
{
	my ($name, %options) = @_;
	return sql($node, "SELECT meridian.create_sink('$name', 'file', '" . encode_json({ file => $name, %options }) . "') IS NOT NULL");
}

sub delivered
{
	my ($name) = @_;
	wait_until($node, "SELECT bool_and(state = 'done') FROM meridian.sink_snapshots WHERE sink = '$name'");
	my $position = sql($node, 'SELECT pg_current_wal_flush_lsn()');
	eval { wait_until($node, "SELECT confirmed_flush_lsn >= '$position' FROM pg_replication_slots WHERE slot_name = 'meridian_cdc_sink_$name'"); 1 }
	  or die $@ . sql($node, 'SELECT name, state, error FROM meridian.sinks');
	return map { decode_json($_) } split /\n/, slurp_file("$directory/$name");
}

# What somebody holds who has applied the events of a table in turn, by key.
sub applied
{
	my ($table, @events) = @_;
	my %rows;
	foreach my $event (grep { $_->{topic} =~ /\.\Q$table\E$/ } @events)
	{
		my $key = JSON::PP->new->canonical->encode($event->{key});
		my $after = $event->{value} && $event->{value}{after};
		if (!$after) { delete $rows{$key}; next; }
		# A large value that a change left alone is the one from before.
		$after->{note} = $rows{$key}{note} if ($after->{note} // '') eq '__debezium_unavailable_value';
		$after->{note} = 'long' if length($after->{note} // '') == 10000;
		$rows{$key} = $after;
	}
	return \%rows;
}

sub rows_of
{
	my ($table, $key) = @_;
	my %rows;
	foreach my $row (map { decode_json($_) } split /\n/, sql($node, "SELECT to_json(t) FROM $table t"))
	{
		$row->{note} = 'long' if length($row->{note} // '') == 10000;
		$rows{ JSON::PP->new->canonical->encode({ map { $_ => $row->{$_} } split / /, $key }) } = $row;
	}
	return \%rows;
}

# --- a new sink ----------------------------------------------------------------------------------------------------------

# Keys of one and of several columns, in the order of a language, with dropped columns before; a large value; partitions; no key; filtered rows.
sql($node, q{
	CREATE TABLE item (gone int, id int PRIMARY KEY, v int, note text);
	ALTER TABLE item DROP COLUMN gone;
	ALTER TABLE item ALTER note SET STORAGE EXTERNAL;
	INSERT INTO item SELECT i, 0, CASE i WHEN 7 THEN repeat('x', 10000) END FROM generate_series(1, 2500) i;
	CREATE TABLE pair (b text COLLATE "C", a int, v int, PRIMARY KEY (a, b));
	INSERT INTO pair SELECT chr(97 + i % 26), i / 26, i FROM generate_series(1, 1200) i;
	CREATE TABLE part (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
	CREATE TABLE part_low PARTITION OF part FOR VALUES FROM (0) TO (10);
	CREATE TABLE part_high PARTITION OF part FOR VALUES FROM (10) TO (100);
	INSERT INTO part SELECT i, i FROM generate_series(1, 20) i;
	CREATE TABLE keyless (v int);
	INSERT INTO keyless VALUES (1);
	CREATE TABLE "odd ""name" (id uuid PRIMARY KEY DEFAULT gen_random_uuid());
	INSERT INTO "odd ""name" SELECT FROM generate_series(1, 3);
	ANALYZE;
});
is(create_sink('all', tables => [ 'public.item', 'public.pair', 'public.part*', 'public."odd ""name"' ], row_filter => 'public.pair: v > 100', decimal_mode => 'string'), 't', 'a sink of tables with rows');
my @events = delivered('all');
is_deeply(applied('item', @events), rows_of('item', 'id'), 'it gets every row, large values and all');
is_deeply(applied('pair', @events), rows_of('(SELECT * FROM pair WHERE v > 100)', 'a b'), 'by keys of several columns, less those that are filtered out');
is_deeply({ %{ applied('part_low', @events) }, %{ applied('part_high', @events) } }, rows_of('part', 'id'), 'of partitions');
is(scalar(grep { $_->{topic} =~ /odd__name$/ } @events), 3, 'of tables with any name');
is(join(' ', sort keys %{ { map { $_->{value}{op} . ' ' . $_->{value}{source}{snapshot} => 1 } @events } }), 'r true', 'all as rows of a snapshot');
is(sql($node, q{SELECT snapshot_rows, snapshot_percent FROM meridian.sinks WHERE name = 'all'}), '3723|100', 'and the view says how many');
is(create_sink('later', tables => ['public.item'], snapshot => 'never'), 't', 'a sink that wants none');
is(create_sink('bad', tables => ['public.keyless']), 't', 'a table without a key');
wait_until($node, q{SELECT state = 'failed' FROM meridian.sink_snapshots WHERE sink = 'bad'});
like(sql($node, q{SELECT error FROM meridian.sink_snapshots WHERE sink = 'bad'}), qr/public\.keyless cannot be read in chunks: it has no key/, 'fails, and says why');
like(sql($node, q{SELECT meridian.drop_sink('bad'), meridian.drop_sink('all')}), qr/^\|$/, 'and holds up nobody');

# --- while rows change ---------------------------------------------------------------------------------------------------

# Writers change rows until the snapshots are done: inserts, deletes and changes of keys among them. The value only grows.
append_to_file("$directory/load", q{
	\set id random(1, 2500)
	\set new random(3000, 3200)
	UPDATE item SET v = v + 1 WHERE id BETWEEN :id AND :id + 4;
	DELETE FROM item WHERE id = :new;
	INSERT INTO item VALUES (:new, 0) ON CONFLICT (id) DO UPDATE SET v = item.v + 1;
	UPDATE item SET id = id + 1000 WHERE id = :new AND NOT EXISTS (SELECT FROM item WHERE id = :new + 1000);
});
my $load = start([ 'pgbench', '-n', '-c', 3, '-T', 600, '-R', 150, '-f', "$directory/load", $node->connstr('postgres') ], '>', \my $out, '2>', \my $err);
is(create_sink('busy', tables => ['public.item']), 't', 'a sink of a table that is being written');
wait_until($node, q{SELECT state = 'done' FROM meridian.sink_snapshots WHERE sink = 'busy'});
sql($node, q{SELECT meridian.snapshot_table('later', 'item'), meridian.snapshot_table('busy', 'item')});
# Killed when it has a part of the rows.
wait_until($node, q{SELECT state = 'done' OR rows > 0 FROM meridian.sink_snapshots WHERE sink = 'later'});
my $pid = sql($node, q{SELECT pid FROM meridian.sinks WHERE name = 'later'});
kill 'KILL', $pid;
wait_until($node, q{SELECT bool_and(state = 'done') FROM meridian.sink_snapshots});
$load->signal('TERM');
$load->finish;
foreach my $sink (qw(busy later))
{
	@events = delivered($sink);
	is_deeply(applied('item', @events), rows_of('item', 'id'), "$sink: who applies the events in turn has the table");
	my (%highest, %seen);
	my $older = 0;
	foreach my $event (grep { $_->{value} } @events)
	{
		my ($id, $after) = ($event->{key}{id}, $event->{value}{after});
		next if $seen{ $event->{position} }++ && $sink eq 'later';    # a repetition after the kill
		if (!$after) { delete $highest{$id}; next; }
		++$older if $event->{value}{op} eq 'r' && defined $highest{$id} && $after->{v} < $highest{$id};
		$highest{$id} = $after->{v};
	}
	is($older, 0, "$sink: no row was older than what had been delivered") if $sink eq 'busy';
	ok((grep { $_->{value} && $_->{value}{op} eq 'r' && $_->{value}{source}{snapshot} eq 'incremental' } @events), "$sink: rows were read again");
	ok((grep { $_->{value} && $_->{value}{op} eq 'u' } @events), "$sink: between changes");
}

# --- watermarks are nobody else's ----------------------------------------------------------------------------------------

sql($node, q{SELECT pg_create_logical_replication_slot('other', 'meridian_cdc')});
sql($node, q{SELECT meridian.snapshot_table('later', 'item')});
delivered('later');
is(sql($node, q{SELECT count(*) FROM pg_logical_slot_peek_changes('other', NULL, NULL) WHERE data LIKE '%watermark%'}), 0, 'other streams have no watermarks');
like(sql_error($node, q{SELECT meridian.create_stream('w', NULL, '{"watermarks":"later"}')}), qr/22023.*cannot be given to a stream/s, 'and cannot ask for them');
like(sql_error($node, q{SELECT meridian.snapshot_table('none', 'item')}), qr/42704.*does not exist/s, 'snapshot_table() of a sink that there is not');
like(sql_error($node, q{SELECT meridian.snapshot_table('later', 'item_pkey')}), qr/42809.*is not a table/s, 'of what is no table');
like(sql_error($node, q{SELECT meridian.create_sink('x', 'file', '{"file":"x","snapshot":"often"}')}), qr/22023.*initial or never/s, 'a wrong option');

no_crash($node);
done_testing();
