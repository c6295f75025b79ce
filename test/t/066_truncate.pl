# TRUNCATE of replicated tables: refused, or, with meridian.allow_truncate, the DELETE of every row.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my ($us, $eu) = my @nodes = mesh([ 'us', 'eu' ]);
# Tombstones are counted here, so none may be dropped meanwhile.
on_all(\@nodes, q{SELECT meridian.hold_removal('for a test')});

on_all(\@nodes, q{
	CREATE TABLE person (id integer PRIMARY KEY, v text);
	CREATE TABLE account (id integer PRIMARY KEY, v text, n bigint);
	CREATE TABLE note (id integer PRIMARY KEY, v text, at timestamptz);
	CREATE TABLE stepped (id serial PRIMARY KEY, v text);
	CREATE TABLE parent (id integer PRIMARY KEY);
	CREATE TABLE child (id integer PRIMARY KEY, ref integer REFERENCES parent);
	CREATE TABLE here_only (id integer REFERENCES parent);
	CREATE ROLE app LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO app});
sql($us, q{SELECT meridian.replicate('person'), meridian.replicate('account', 'n=counter'), meridian.replicate('note', 'row=lww(at)'),
	meridian.replicate('stepped', 'ids=stepped'), meridian.replicate('parent'), meridian.replicate('child')});

my @tables = qw(person account note);

sub agree
{
	my ($name) = @_;
	wait_converged(@nodes);
	wait_on_all(\@nodes, 'SELECT count(*) = 0 FROM meridian.tombstone WHERE NOT settled');
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	same_everywhere(\@nodes, "SELECT string_agg(t::text, chr(10) ORDER BY id) FROM $_ t", "$name: $_ agrees, with its states") foreach @tables, qw(stepped parent child);
	return;
}

sub ids { my ($table) = @_; return "SELECT string_agg(id || v, ' ' ORDER BY id) FROM $table" }

# --- refused ------------------------------------------------------------------------------------------------------------------

sql($us, qq{INSERT INTO $_ (id, v) SELECT i, 'old' FROM generate_series(1, 5) i}) foreach @tables;
like(sql_error($us, 'TRUNCATE person'), qr/0A000.*table "person" is replicated and cannot be truncated.*HINT:  Use DELETE/s, 'refused, with what to do instead');
like(sql_error($us, 'SET ROLE app; SET meridian.allow_truncate = on'), qr/42501.*permission denied/s, 'not every user may allow it');
sql($us, 'GRANT SET ON PARAMETER meridian.allow_truncate TO app');
is(sql($us, 'SET ROLE app; SET meridian.allow_truncate = on; SHOW meridian.allow_truncate'), 'on', 'but whom the administrator lets');
wait_converged(@nodes);

# --- a DELETE of every row ------------------------------------------------------------------------------------------------------

cut_link(@nodes);
sql($us, q{SET meridian.allow_truncate = on; TRUNCATE person, account, note});
sql($eu, qq{INSERT INTO $_ (id, v) VALUES (11, 'eu'); UPDATE $_ SET v = 'eu' WHERE id = 2}) foreach qw(person account);
sql($eu, q{INSERT INTO note VALUES (11, 'eu'); UPDATE note SET v = 'eu', at = clock_timestamp() WHERE id = 2});
sql($us, qq{INSERT INTO $_ (id, v) VALUES (1, 'again')}) foreach @tables;
is(sql($us, 'SELECT count(*) FROM meridian.tombstone'), 15, 'one tombstone for each row');
heal_link(@nodes);
agree('truncated');
expect_everywhere(\@nodes, ids('person'), '1again 2eu 11eu', 'last writer wins: a later update outlives it, a new row does, and the key can be used again');
expect_everywhere(\@nodes, ids('account'), '1again 11eu', 'by birth: what lived is dead');
expect_everywhere(\@nodes, ids('note'), '1again 2eu 11eu', 'lww(): by the timestamps');

# Rolled back; in the transaction that wrote the rows; with rows that the snapshot of the transaction does not show.
sql($us, q{SET meridian.allow_truncate = on; BEGIN; TRUNCATE person; ROLLBACK});
sql($us, q{SET meridian.allow_truncate = on; BEGIN; INSERT INTO person VALUES (21, 'mine'); SAVEPOINT s; TRUNCATE account; ROLLBACK TO s; TRUNCATE person;
	INSERT INTO person VALUES (22, 'mine'); COMMIT});
agree('in a transaction');
expect_everywhere(\@nodes, ids('person'), '22mine', 'rows of the same transaction go, later ones stay');
my $session = $us->background_psql('postgres');
$session->query_safe('SET meridian.allow_truncate = on; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
sql($us, q{INSERT INTO person VALUES (23, 'unseen')});
wait_converged(@nodes);
$session->query_safe('TRUNCATE person; COMMIT');
$session->quit;
agree('rows that the snapshot does not show');
expect_everywhere(\@nodes, 'SELECT count(*) FROM person', 0, 'TRUNCATE takes every row, and so does what travels');

# --- CASCADE, RESTART IDENTITY ----------------------------------------------------------------------------------------------------

sql($us, 'INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (1, 1); INSERT INTO here_only VALUES (1)');
wait_converged(@nodes);
like(sql_error($us, 'SET meridian.allow_truncate = on; TRUNCATE parent'), qr/0A000.*cannot truncate a table referenced in a foreign key/s, 'foreign keys refuse as ever');
sql($us, 'SET meridian.allow_truncate = on; TRUNCATE parent CASCADE');
agree('cascade');
expect_everywhere(\@nodes, 'SELECT (SELECT count(*) FROM parent) + (SELECT count(*) FROM child)', 0, 'CASCADE takes replicated tables along everywhere');
is(sql($us, 'SELECT count(*) FROM here_only'), 0, 'and others on this node');

sql($us, q{INSERT INTO stepped (v) VALUES ('us'), ('us')});
sql($eu, q{INSERT INTO stepped (v) VALUES ('eu')});
wait_converged(@nodes);
my $first = sql($us, q{SELECT min(id) FROM stepped WHERE v = 'us'});
sql($us, 'SET meridian.allow_truncate = on; TRUNCATE stepped RESTART IDENTITY');
sql($us, q{INSERT INTO stepped (v) VALUES ('us')});
sql($eu, q{INSERT INTO stepped (v) VALUES ('eu')});
agree('restart identity');
is(sql($us, q{SELECT id FROM stepped WHERE v = 'us'}), $first, 'RESTART IDENTITY begins again at a number of this member');
expect_everywhere(\@nodes, q{SELECT count(DISTINCT id % 64) || ' ' || count(*) FROM stepped}, '2 2', 'so no two members give one number');
sql($us, q{SELECT meridian.unreplicate('stepped')});
expect_everywhere(\@nodes, q{SELECT seqstart || ' ' || seqincrement FROM pg_sequence WHERE seqrelid = 'stepped_id_seq'::regclass}, '1 1', 'unreplicate gives the sequence back as it was');

no_crash(@nodes);
done_testing();
