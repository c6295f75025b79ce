# replicate and unreplicate: rows that exist, keys, repetition, odd names, writers at work.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use IPC::Run;
use Meridian;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($n1, $n2, $n3) = my @nodes = mesh(3);

sub key_default
{
	my ($table) = @_;
	return qq{SELECT coalesce(pg_get_expr(d.adbin, d.adrelid), 'identity ' || nullif(a.attidentity::text, ''), 'none')
		FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		WHERE a.attrelid = '$table'::regclass AND a.attname = 'id'};
}
my $all = sub { my ($table) = @_; return qq{SELECT string_agg(format('%s=%s', id, v), ' ' ORDER BY id) FROM $table} };

# --- rows that exist ------------------------------------------------------------------------------------------------------

on_all(\@nodes, 'CREATE TABLE item (id integer PRIMARY KEY, v text, n bigint NOT NULL DEFAULT 0)');
sql($n1, q{INSERT INTO item VALUES (1, 'n1', 10), (2, 'same', 20)});
sql($n2, q{INSERT INTO item VALUES (2, 'same', 20), (3, 'n2', 30)});
sql($n3, q{INSERT INTO item VALUES (4, 'n3', 40), (2, 'same', 20)});
sql($n2, q{SELECT meridian.replicate('item', 'n=counter')});
expect_everywhere(\@nodes, q{SELECT string_agg(format('%s:%s:%s', id, v, n), ' ' ORDER BY id) FROM item}, '1:n1:10 2:same:20 3:n2:30 4:n3:40',
	'rows of every node are on all when replicate returns');
expect_everywhere(\@nodes, q{SELECT rel::text || rules::text || ids || exists || published || subscriptions FROM meridian.tables}, 'item{n=counter}keeptruetrue2',
	'the view tables says the same everywhere');
same_everywhere(\@nodes, 'SELECT id FROM meridian.replicated_table', 'the table has one number');
expect_everywhere(\@nodes, q{SELECT string_agg(format('%s %s', tgname, tgenabled), ', ' ORDER BY tgname COLLATE "C") FROM pg_trigger
	WHERE tgrelid = 'item'::regclass}, '00_meridian_apply A, zz_meridian_delete A, zz_meridian_insert A, zz_meridian_stamp A, zz_meridian_truncate A', 'triggers fire always');
sql($_, q{UPDATE item SET n = n - 1}) foreach @nodes;
wait_converged(@nodes);
expect_everywhere(\@nodes, q{SELECT sum(n) FROM item}, 100 - 12, 'and changes flow');

# --- repetition -----------------------------------------------------------------------------------------------------------

sql($n3, q{SELECT meridian.replicate('item', 'n=counter')});
pass('a repeat from another node is no error');
sql($n2, q{DROP TRIGGER zz_meridian_delete ON item});
is(sql($n2, q{SELECT setting || ': ' || value FROM meridian.check_config() WHERE NOT ok}), 'trigger zz_meridian_delete on public.item: missing', 'check_config misses a trigger');
sql($n1, q{SELECT meridian.replicate('item', 'n=counter')});
is(sql($n2, q{SELECT count(*) FROM meridian.check_config() WHERE NOT ok}), 0, 'a repeat brings it back');
like(sql_error($n1, q{SELECT meridian.replicate('item')}), qr/42710.*already replicated with other rules.*n=counter.*unreplicate/s, 'other rules are refused');
like(sql_error($n1, q{SELECT meridian.replicate('item', 'n=counter', 'ids=stepped')}), qr/42710.*other rules/s, 'so is another way to fill keys');
sql($n1, q{DELETE FROM item WHERE id = 1});
wait_converged(@nodes);
sql($n2, q{SELECT meridian.replicate('item', 'n=counter')});
expect_everywhere(\@nodes, q{SELECT count(*) || ' ' || sum(n) FROM item}, '3 ' . (90 - 9), 'a repeat neither doubles counters nor brings deleted rows back');

# --- unreplicate ------------------------------------------------------------------------------------------------------------

sql($n1, q{SELECT meridian.unreplicate('item')});
expect_everywhere(\@nodes, q{SELECT (SELECT count(*) FROM meridian.replicated_table) || ' ' || (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'item'::regclass) || ' '
	|| (SELECT count(*) FROM pg_attribute WHERE attrelid = 'item'::regclass AND attname = '_meridian' AND NOT attisdropped) || ' '
	|| (SELECT count(*) FROM meridian.tombstone) || ' ' || (SELECT count(*) FROM pg_publication_tables WHERE tablename = 'item') || ' '
	|| (SELECT count(*) FROM pg_subscription_rel WHERE srrelid = 'item'::regclass) || ' ' || (SELECT count(*) FROM item)}, '0 0 0 0 0 0 3',
	'unreplicate leaves the rows and nothing else, on every node');
sql($n1, q{INSERT INTO item VALUES (9, 'local')});
wait_converged(@nodes);
is(sql($n2, q{SELECT count(*) FROM item WHERE id = 9}), 0, 'rows are local again');
like(sql_error($n1, q{SELECT meridian.unreplicate('item')}), qr/42704.*is not replicated/s, 'once is enough');
sql($n1, q{TRUNCATE item});
pass('TRUNCATE works again');

# --- keys -------------------------------------------------------------------------------------------------------------------

on_all(\@nodes, q{
	CREATE TABLE serial_key (id bigserial PRIMARY KEY, v text);
	CREATE TABLE identity_key (id bigint GENERATED ALWAYS AS IDENTITY (INCREMENT BY 3) PRIMARY KEY, v text);
	CREATE TABLE stepped_key (id serial PRIMARY KEY, v text);
	CREATE TABLE stepped_identity (id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v text);
	CREATE TABLE kept_key (id serial PRIMARY KEY, v text);
	CREATE TABLE uuid_key (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), v text);
	CREATE TABLE pair_key (region text DEFAULT 'x', id bigserial, v text, PRIMARY KEY (region, id));
	CREATE TABLE plain_key (id bigint PRIMARY KEY, v text)});
sql($n1, q{INSERT INTO serial_key (v) SELECT 'old' FROM generate_series(1, 3); INSERT INTO identity_key (v) SELECT 'old' FROM generate_series(1, 3);
	INSERT INTO stepped_key (v) SELECT 'old' FROM generate_series(1, 100)});
sql($n2, q{INSERT INTO stepped_key VALUES (500, 'ahead')});
sql($n3, q{SELECT setval('stepped_key_id_seq', 700)});

sql($n1, qq{SELECT meridian.replicate('$_')}) foreach qw(serial_key identity_key uuid_key pair_key);
expect_everywhere(\@nodes, key_default($_), 'meridian.next_id()', "$_: next_id() without being asked") foreach qw(serial_key identity_key pair_key);
expect_everywhere(\@nodes, key_default('uuid_key'), 'gen_random_uuid()', 'other keys are left alone');
sql($n1, q{SELECT meridian.replicate('plain_key', 'ids=global')});
expect_everywhere(\@nodes, key_default('plain_key'), 'meridian.next_id()', 'ids=global gives a key without default one');
like(sql_error($n1, q{SELECT meridian.replicate('stepped_key')}), qr/42804.*key column "id" of public.stepped_key is integer.*ids=stepped/s, 'an integer key cannot hold next_id()');
sql($n2, qq{SELECT meridian.replicate('$_', 'ids=stepped')}) foreach qw(stepped_key stepped_identity);
sql($n1, q{SELECT meridian.replicate('kept_key', 'ids=keep')});
like(sql($n1, key_default('kept_key')), qr/nextval/, 'ids=keep leaves the sequence');

foreach my $table (qw(serial_key identity_key stepped_key stepped_identity uuid_key pair_key plain_key))
{
	foreach my $round (1 .. 3)
	{
		sql($_, "INSERT INTO $table (v) VALUES ('" . $_->name . "')") foreach @nodes;
	}
	wait_converged(@nodes);
	expect_everywhere(\@nodes, qq{SELECT count(*) FROM $table WHERE v <> 'old' AND v <> 'ahead'}, 9, "$table: nobody's row was merged with another's");
	same_everywhere(\@nodes, $all->($table), "$table: the same everywhere");
}
expect_everywhere(\@nodes, q{SELECT bool_and(id % 64 = substr(v, 2)::integer AND id > 700) AND max(id) < 1200 FROM stepped_key WHERE v LIKE 'n_'}, 't',
	'each node counts in its own residue, above what any node had used');

# A new node gets a residue of its own, unreplicate gives back what was there.
sql($n1, qq{SELECT meridian.unreplicate('$_')}) foreach qw(serial_key identity_key stepped_key plain_key);
like(sql($n2, key_default('serial_key')), qr/^nextval\('(public\.)?serial_key_id_seq'::regclass\)$/, 'unreplicate: the sequence is back');
expect_everywhere(\@nodes, key_default('identity_key'), 'identity a', 'and so is the identity');
expect_everywhere(\@nodes, key_default('plain_key'), 'none', 'and so is no default at all');
expect_everywhere(\@nodes, q{SELECT seqincrement FROM pg_sequence WHERE seqrelid = pg_get_serial_sequence('identity_key', 'id')::regclass}, 3, 'with its increment');
expect_everywhere(\@nodes, q{SELECT seqincrement FROM pg_sequence WHERE seqrelid = 'stepped_key_id_seq'::regclass}, 1, 'stepped sequences too');
on_all(\@nodes, qq{INSERT INTO $_ (v) VALUES ('after')}) foreach qw(serial_key identity_key stepped_key);
pass('and they give numbers that are free');

# --- timestamps -------------------------------------------------------------------------------------------------------------

on_all(\@nodes, q{CREATE TABLE profile (id integer PRIMARY KEY, v text, "changed ""at""" timestamptz)});
sql($n1, q{INSERT INTO profile VALUES (1, 'old', '2020-01-01')});
sql($n2, q{INSERT INTO profile VALUES (1, 'newer', '2021-01-01')});
sql($n1, q{SELECT meridian.replicate('profile', 'row=lww("changed ""at""")')});
expect_everywhere(\@nodes, $all->('profile'), '1=newer', 'row=lww: the newer row wins when tables meet');
expect_everywhere(\@nodes, q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'profile'::regclass AND attname = '_meridian'}, 0, 'without an extra column');
sql($n3, q{UPDATE profile SET v = 'newest'});
wait_converged(@nodes);
expect_everywhere(\@nodes, $all->('profile'), '1=newest', 'and changes flow');

# --- odd names ----------------------------------------------------------------------------------------------------------------

my $long = 'é' x 31;
my $odd = qq{"we ""ird'; DROP"."a""b'c; \\ \x{25}s $long"};
utf8::encode($odd) if utf8::is_utf8($odd);
on_all(\@nodes, qq{CREATE SCHEMA "we ""ird'; DROP"; CREATE TABLE $odd ("k'; ""1" integer, "K" text, "select" numeric DEFAULT 0, "a=b" text, PRIMARY KEY ("k'; ""1", "K"))})
  if eval { sql($n1, qq{SELECT length('$long')}) };
my $quoted = $odd =~ s/'/''/gr;
sql($n1, qq{INSERT INTO $odd VALUES (1, E'tab\\t\\\\', 1.50, 'x')});
sql($n1, qq{SELECT meridian.replicate('$quoted', '"a=b"=lww', 'select=counter')});
sql($n2, qq{UPDATE $odd SET "select" = "select" + 1});
wait_converged(@nodes);
expect_everywhere(\@nodes, qq{SELECT * FROM (SELECT "K" || "select" || "a=b" FROM $odd) r}, "tab\t\\2.50x", 'names are quoted wherever they go');
sql($n3, qq{SELECT meridian.unreplicate('$quoted')});
is(sql($n1, qq{SELECT count(*) FROM meridian.tables WHERE rel = '$quoted'::regclass}), 0, 'on the way back too');

# --- while everybody writes -----------------------------------------------------------------------------------------------------

on_all(\@nodes, 'CREATE TABLE busy (id bigserial PRIMARY KEY, v text)');
my $script = PostgreSQL::Test::Utils::tempdir() . '/busy.sql';
append_to_file($script, q{INSERT INTO busy (v) VALUES (current_setting('meridian.node'));
UPDATE busy SET v = v || '.' WHERE id = (SELECT min(id) FROM busy WHERE v NOT LIKE '%.');
DELETE FROM busy WHERE id = (SELECT max(id) FROM busy WHERE v LIKE '%.') AND random() < 0.1;
});
# Numbers that are in use on one node only.
sql($nodes[$_], q{SELECT setval('busy_id_seq', } . 1_000_000 * ($_ + 1) . ')') foreach 0 .. 2;
my @load = map { IPC::Run::start([ 'pgbench', '-n', '-c', '2', '-t', '300', '-f', $script, $_->connstr('postgres') ], '>', '/dev/null', '2>', '/dev/null') } @nodes;
wait_until($_, 'SELECT count(*) > 20 FROM busy') foreach @nodes;
sql($n1, q{SELECT meridian.replicate('busy')});
ok($_->finish, 'and no writer was disturbed') foreach @load;
wait_converged(@nodes);
same_everywhere(\@nodes, q{SELECT count(*) || md5(string_agg(format('%s=%s', id, v), ' ' ORDER BY id)) FROM busy}, 'replicate under load loses and revives nothing');

my $before = sql($n1, 'SELECT count(*) FROM busy');
@load = map { IPC::Run::start([ 'pgbench', '-n', '-c', '2', '-t', '300', '-f', $script, $_->connstr('postgres') ], '>', '/dev/null', '2>', '/dev/null') } @nodes;
wait_until($n1, "SELECT count(*) > $before + 20 FROM busy");
sql($n2, q{SELECT meridian.unreplicate('busy')});
ok($_->finish, 'and no writer was disturbed') foreach @load;
wait_converged(@nodes);
is(sql($_, q{SELECT count(*) FROM pg_stat_subscription WHERE pid IS NULL}), 0, 'unreplicate under load leaves every stream running: ' . $_->name) foreach @nodes;
unlike(slurp_file($_->logfile), qr/missing replicated column/, 'and no image found a table without its column: ' . $_->name) foreach @nodes;

# --- an owner who is no superuser -----------------------------------------------------------------------------------------------

sql($_, q{CREATE ROLE app; CREATE ROLE other; GRANT meridian_admin TO app, other; GRANT CREATE ON SCHEMA public TO app;
	SET ROLE app; CREATE TABLE owned (id integer PRIMARY KEY, v text)}) foreach @nodes;
like(sql_error($n1, q{SET ROLE other; SELECT meridian.replicate('owned')}), qr/42501.*must be owner of table public.owned/s, 'only its owner may have a table replicated');
sql($n1, q{SET ROLE app; SELECT meridian.replicate('owned')});
sql($n2, q{SET ROLE app; INSERT INTO owned VALUES (1, 'by the owner')});
wait_converged(@nodes);
is(sql($n3, $all->('owned')), '1=by the owner', 'an owner with meridian_admin may');
like(sql_error($n1, q{SET ROLE other; SELECT meridian.unreplicate('owned')}), qr/42501.*must be owner/s, 'and only the owner may end it');

# --- check_config and the order of triggers ----------------------------------------------------------------------------------------

sql($n1, q{CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
	CREATE TRIGGER zzz_audit BEFORE UPDATE ON profile FOR EACH ROW EXECUTE FUNCTION nothing();
	CREATE TRIGGER "!first" BEFORE INSERT ON profile FOR EACH ROW EXECUTE FUNCTION nothing();
	CREATE TRIGGER audit BEFORE INSERT ON profile FOR EACH ROW EXECUTE FUNCTION nothing();
	ALTER TABLE profile DISABLE TRIGGER "zz_meridian_stamp"});
is(sql($n1, q{SELECT string_agg(format('%s: %s', setting, value), ', ' ORDER BY setting COLLATE "C") FROM meridian.check_config() WHERE NOT ok}),
	'trigger "!first" on public.profile: fires before ours, trigger zz_meridian_stamp on public.profile: disabled, trigger zzz_audit on public.profile: fires after ours',
	'check_config sees triggers that fire before and after ours, and ours disabled');
sql($n1, $_) foreach split /\n/, sql($n1, q{SELECT fix FROM meridian.check_config() WHERE NOT ok});
is(sql($n1, q{SELECT count(*) FROM meridian.check_config() WHERE NOT ok}), 0, 'what it says to do helps');

no_crash(@nodes);
done_testing();
