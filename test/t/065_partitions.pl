# Partitioned tables: one table to the mesh, partitioned differently on the nodes. Rows move between partitions, partitions come and go,
# tombstones find the partition of their key.
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

# By month on the first, by hash on the second, in two levels and with another column order on the third.
on_all(\@nodes, q{CREATE ROLE app NOLOGIN; CREATE TABLE plain_parent (id integer)});
my %partitions = (
	event => [
		q{CREATE TABLE event (id integer, at date, v text, n bigint, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
			CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
			CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')},
		q{CREATE TABLE event (id integer, at date, v text, n bigint, PRIMARY KEY (id, at)) PARTITION BY HASH (id);
			CREATE TABLE event_1 PARTITION OF event FOR VALUES WITH (MODULUS 2, REMAINDER 0);
			CREATE TABLE event_2 PARTITION OF event FOR VALUES WITH (MODULUS 2, REMAINDER 1)},
		q{CREATE TABLE event (v text, at date, gone text, n bigint, id integer, PRIMARY KEY (id, at)) PARTITION BY LIST (id);
			CREATE TABLE event_1 PARTITION OF event FOR VALUES IN (1, 2, 3, 4, 5) PARTITION BY RANGE (at);
			CREATE TABLE event_11 PARTITION OF event_1 FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
			CREATE TABLE event_1x PARTITION OF event_1 DEFAULT;
			CREATE TABLE event_2 (id integer NOT NULL, n bigint, v text, gone text, at date NOT NULL);
			ALTER TABLE event ATTACH PARTITION event_2 DEFAULT;
			ALTER TABLE event DROP COLUMN gone}
	],
	page => [
		(q{CREATE TABLE page (id integer PRIMARY KEY, v text, body text) PARTITION BY RANGE (id);
			ALTER TABLE page ALTER body SET STORAGE EXTERNAL;
			CREATE TABLE page_1 PARTITION OF page FOR VALUES FROM (0) TO (10);
			CREATE TABLE page_2 PARTITION OF page FOR VALUES FROM (10) TO (1000)}) x 2,
		q{CREATE TABLE page (id integer PRIMARY KEY, v text, body text); ALTER TABLE page ALTER body SET STORAGE EXTERNAL}
	],
	note => [
		(q{CREATE TABLE note (id numeric PRIMARY KEY, v text, at timestamptz) PARTITION BY LIST (id);
			CREATE TABLE note_1 PARTITION OF note FOR VALUES IN (1, 2);
			CREATE TABLE note_x PARTITION OF note DEFAULT}) x 3
	]);
foreach my $i (0 .. 2)
{
	sql($nodes[$i], $partitions{$_}[$i]) foreach sort keys %partitions;
}

# --- what is refused --------------------------------------------------------------------------------------------------------

like(sql_error($n1, q{SELECT meridian.replicate('event_1')}), qr/0A000.*event_1 is a partition.*Replicate the table that it is part of: public.event/s, 'a partition alone');
like(sql_error($n3, q{SELECT meridian.replicate('event_1')}), qr/0A000.*event_1 is a partition.*part of: public.event/s, 'a partition with partitions');
sql($n1, q{CREATE UNLOGGED TABLE event_3 PARTITION OF event FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')});
like(sql_error($n1, q{SELECT meridian.replicate('event')}), qr/0A000.*partition public.event_3 of public.event is unlogged.*SET LOGGED/s, 'an unlogged partition');
sql($n1, q{DROP TABLE event_3; ALTER TABLE event_1 ADD CHECK (n < 100)});
like(sql_error($n1, q{SELECT meridian.replicate('event', 'n=counter')}), qr/0A000.*column "n" is in a CHECK constraint and cannot be a counter/s, 'a counter that a partition checks');
sql($n1, q{ALTER TABLE event_1 DROP CONSTRAINT event_1_n_check});

# --- replicate, with rows -----------------------------------------------------------------------------------------------------

sql($n1, q{INSERT INTO event VALUES (1, '2026-01-10', 'n1', 10), (2, '2026-02-10', 'n1', 20)});
sql($n2, q{INSERT INTO event VALUES (2, '2026-02-10', 'n1', 20), (3, '2026-01-11', 'n2', 30)});
sql($n3, q{INSERT INTO event (id, at, v, n) VALUES (9, '2026-02-12', 'n3', 40)});
sql($n2, q{SELECT meridian.replicate('event', 'n=counter')});
sql($n1, q{SELECT meridian.replicate('page'), meridian.replicate('note', 'row=lww(at)')});

my %order = (event => 'id, at', page => 'id', note => 'id');
my %columns = (event => 'id, at, v, n, _meridian', page => 'id, v, md5(body), _meridian', note => 'id, v, at');

sub agree
{
	my ($name) = @_;
	wait_converged(@nodes);
	wait_on_all(\@nodes, 'SELECT count(*) = 0 FROM meridian.tombstone WHERE NOT settled');
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	same_everywhere(\@nodes, "SELECT $columns{$_} FROM $_ ORDER BY $order{$_}", "$name: $_ agrees, with its states") foreach sort keys %order;
	return;
}

agree('copied');
expect_everywhere(\@nodes, q{SELECT string_agg(id || v || n, ' ' ORDER BY id) FROM event}, '1n110 2n120 3n230 9n340', 'rows of all nodes are on all');
expect_everywhere(\@nodes, q{SELECT rel::text || exists || published || subscriptions FROM meridian.tables WHERE rel = 'event'::regclass}, 'eventtruetrue2', 'one table in the view');
expect_everywhere(\@nodes, q{SELECT count(*) FROM meridian.check_config() WHERE NOT ok}, 0, 'check_config finds every trigger');
sql($n3, q{SELECT meridian.replicate('event', 'n=counter')});
pass('a repeat is no error');

# --- insert, update, delete, by the root and by the partition -----------------------------------------------------------------

cut_link($n1, $n2);
sql($n1, q{
	UPDATE event SET n = n - 1 WHERE id = 1; UPDATE event_2 SET v = 'one', n = n - 2 WHERE id = 2;
	INSERT INTO event_1 VALUES (4, '2026-01-20', 'n1', 1);
	INSERT INTO note VALUES (1.0, 'n1', '2026-01-01'), (7, 'n1', '2026-01-01')});
sql($n2, q{
	UPDATE event SET n = n - 10 WHERE id = 1; DELETE FROM event WHERE id = 3;
	INSERT INTO event VALUES (4, '2026-01-20', 'n2', 2);
	INSERT INTO note VALUES (1, 'n2', '2026-01-02'), (7.00, 'n2', '2025-01-02')});
heal_link($n1, $n2);
agree('inserts, updates, deletes');
expect_everywhere(\@nodes, q{SELECT string_agg(id || v || n, ' ' ORDER BY id) FROM event}, '1n1-1 2one18 4n23 9n340', 'counters add up, the deleted row is gone');
expect_everywhere(\@nodes, q{SELECT string_agg(id || v, ' ' ORDER BY id) FROM note}, '1n2 7n1', 'keys that are equal meet in one partition');
is(sql($n3, q{SELECT string_agg(DISTINCT rel::text, ' ') FROM meridian.conflicts}), 'event', 'the history names the root');
is(sql($n3, q{SELECT string_agg(rel::text, ' ' ORDER BY rel::text) FROM meridian.stat_tables WHERE rel <> 'meridian.tombstone'::regclass}), 'event note', 'so do the counters');

# --- rows move between partitions -----------------------------------------------------------------------------------------------

sql($n1, q{INSERT INTO event VALUES (5, '2026-01-05', 'home', 50), (6, '2026-01-06', 'home', 60);
	INSERT INTO page SELECT i, 'old', repeat(chr(64 + i), 5000) FROM generate_series(1, 6) i});
wait_converged(@nodes);
my $before = sql($n1, 'SELECT count(*) FROM meridian.tombstone');
sql($n1, q{UPDATE event SET at = '2026-02-05' WHERE id = 5; UPDATE page SET id = id + 10, v = 'moved' WHERE id = 1});
is(sql($n1, 'SELECT count(*) FROM meridian.tombstone') - $before, 2, 'a row that moves leaves one tombstone');
is(sql($n1, q{SELECT tableoid::regclass || ' ' || (SELECT count(*) FROM regexp_matches(_meridian::text, '@', 'g')) FROM event WHERE id = 5}), 'event_2 2', 'and begins one life');
cut_link($n1, $n2);
sql($n1, q{UPDATE event SET at = '2026-02-06' WHERE id = 6; UPDATE page SET id = 12 WHERE id = 2});
sql($n2, q{UPDATE event SET v = 'stays', n = n + 1 WHERE id = 6; UPDATE page SET v = 'stays' WHERE id = 2; DELETE FROM page WHERE id = 3});
sql($n1, q{UPDATE page SET id = 13 WHERE id = 3});
heal_link($n1, $n2);
agree('moved');
expect_everywhere(\@nodes, q{SELECT string_agg(id || ' ' || at || v || n, ', ' ORDER BY id, at) FROM event WHERE id IN (5, 6)},
	'5 2026-02-05home50, 6 2026-02-06home60', 'by birth the moved row is the row');
expect_everywhere(\@nodes, q{SELECT string_agg(id || v || length(body), ' ' ORDER BY id) FROM page}, '2stays5000 4old5000 5old5000 6old5000 11moved5000 12old5000 13old5000',
	'a later update keeps the old key, and large values move along');

# Keys that follow each other through a boundary in one statement: the new life of a key is later than the delete of the old.
sql($n1, q{UPDATE page SET id = 9 WHERE id = 6; UPDATE page SET id = 10 WHERE id = 11});
sql($n1, q{WITH gone AS (DELETE FROM page WHERE id IN (9, 10) RETURNING *), swapped AS MATERIALIZED (SELECT 19 - id AS id, v, body FROM gone ORDER BY id)
	INSERT INTO page SELECT * FROM swapped});
agree('swapped');
expect_everywhere(\@nodes, q{SELECT string_agg(id || v || left(body, 1), ' ' ORDER BY id) FROM page WHERE id IN (9, 10)}, '9movedA 10oldF', 'two keys swapped through a boundary');

# --- partitions come and go --------------------------------------------------------------------------------------------------------

sql($n1, q{CREATE TABLE event_3 PARTITION OF event FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
	CREATE TABLE event_4 (LIKE event INCLUDING ALL); ALTER TABLE event ATTACH PARTITION event_4 FOR VALUES FROM ('2026-04-01') TO ('2026-05-01')});
expect_everywhere([$n1], q{SELECT count(*) FROM meridian.check_config() WHERE NOT ok}, 0, 'new partitions have every trigger');
like(sql_error($n1, 'TRUNCATE event_3'), qr/0A000.*cannot be truncated/s, 'that against TRUNCATE, too');
like(sql_error($n1, q{CREATE UNLOGGED TABLE event_5 PARTITION OF event FOR VALUES FROM ('2026-05-01') TO ('2026-06-01')}),
	qr/0A000.*partition public.event_5 of public.event is unlogged/s, 'one that cannot be replicated is refused');
sql($n1, q{INSERT INTO event VALUES (20, '2026-03-20', 'march', 1), (21, '2026-04-20', 'april', 1)});
agree('new partitions');
sql($n2, q{DELETE FROM event WHERE id = 20; UPDATE event SET n = n + 5 WHERE id = 21});
agree('new partitions, the other way');
expect_everywhere(\@nodes, q{SELECT string_agg(id || v || n, ' ' ORDER BY id) FROM event WHERE id >= 20}, '21april6', 'both ways');
sql($n1, q{ALTER TABLE event DETACH PARTITION event_4; TRUNCATE event_4});
is(sql($n1, q{SELECT count(*) FROM pg_trigger WHERE tgrelid = 'event_4'::regclass}), 0, 'a detached partition has no trigger left');
sql($n2, q{DELETE FROM event WHERE id = 21});
wait_converged(@nodes);
wait_on_all(\@nodes, 'SELECT count(*) = 0 FROM meridian.tombstone WHERE NOT settled');
is(sql($n1, q{SELECT count(*) FROM meridian.tombstone WHERE key = '{21,2026-04-20}'}), 1, 'a tombstone whose key no partition takes is kept');
sql($n1, q{ALTER TABLE event ATTACH PARTITION event_4 FOR VALUES FROM ('2026-04-01') TO ('2026-05-01')});
sql($n1, q{INSERT INTO event VALUES (21, '2026-04-20', 'again', 3)});
agree('attached again');
expect_everywhere(\@nodes, q{SELECT v || n FROM event WHERE id = 21}, 'again3', 'and the key can be used again');

# --- TRUNCATE, owner, end -----------------------------------------------------------------------------------------------------------

like(sql_error($n1, 'TRUNCATE event'), qr/0A000.*cannot be truncated.*allow_truncate/s, 'TRUNCATE of the whole');
cut_link($n1, $n2);
sql($n1, q{SET meridian.allow_truncate = on; TRUNCATE event_2});
sql($n2, q{INSERT INTO event VALUES (30, '2026-02-28', 'n2', 1)});
heal_link($n1, $n2);
agree('a partition truncated');
expect_everywhere(\@nodes, q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM event}, '1 4 21 30', 'its rows are gone everywhere, and only they');
sql($n1, q{SET meridian.allow_truncate = on; TRUNCATE event});
agree('truncated');
expect_everywhere(\@nodes, q{SELECT count(*) FROM event}, 0, 'then all');

# --- what a partition refuses, and what none takes -------------------------------------------------------------------------------------

sql($n1, q{ALTER TABLE event_1 ADD CONSTRAINT short CHECK (length(v) < 10)});
sql($n2, q{INSERT INTO event VALUES (50, '2026-01-15', 'much too long', 1)});
wait_until($n1, q{SELECT count(*) = 1 FROM meridian.parked WHERE rel = 'event'::regclass});
sql($n2, q{UPDATE event SET n = n + 1 WHERE id = 50; INSERT INTO event VALUES (51, '2026-02-15', 'short', 1)});
wait_until($n1, q{SELECT count(*) = 1 FROM event WHERE id = 51});
# When it is tried again its partition is another one.
sql($n1, q{ALTER TABLE event DETACH PARTITION event_1;
	CREATE TABLE event_0 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')});
wait_until($n1, q{SELECT count(*) = 0 FROM meridian.parked});
agree('parked');
is(sql($n1, q{SELECT tableoid::regclass || v || n FROM event WHERE id = 50}), 'event_0much too long2', 'a parked row goes to the partition that takes it now');

sql($n2, q{INSERT INTO event VALUES (60, '2026-09-01', 'autumn', 1)});
wait_until($n1, q{SELECT count(*) = 1 FROM meridian.parked WHERE rel = 'event'::regclass AND reason = 'misfit'});
sql($n1, q{CREATE TABLE event_9 PARTITION OF event FOR VALUES FROM ('2026-09-01') TO ('2026-10-01')});
wait_until($n1, q{SELECT count(*) = 0 FROM meridian.parked});
agree('a partition that came late');
expect_everywhere(\@nodes, q{SELECT v FROM event WHERE id = 60}, 'autumn', 'a row waits for a partition that takes it');
sql($n3, q{DELETE FROM event});
agree('emptied');

# From 16 on the stock apply worker acts as the owner of the root before it reaches our trigger, and wants its rights on
# every partition; so the rest is for 15.
sql($n1, q{ALTER TABLE event OWNER TO app; GRANT ALL ON SCHEMA public TO app}) if $n1->pg_version < 16;
sql($n2, q{INSERT INTO event VALUES (40, '2026-01-28', 'n2', 1)});
agree('another owner');
is(sql($n1, q{SELECT count(*) FROM event}), 1, 'the owner of the root writes');

sql($n2, q{SELECT meridian.unreplicate('event')});
expect_everywhere(\@nodes, q{SELECT (SELECT count(*) FROM pg_trigger WHERE tgname ~ 'meridian' AND tgrelid IN (SELECT relid FROM pg_partition_tree('event'))) || ' '
	|| (SELECT count(*) FROM pg_attribute WHERE attname = '_meridian' AND NOT attisdropped AND attrelid IN (SELECT relid FROM pg_partition_tree('event'))) || ' '
	|| (SELECT count(*) FROM event)}, '0 0 1', 'unreplicate leaves the rows and nothing else');

no_crash(@nodes);
done_testing();
