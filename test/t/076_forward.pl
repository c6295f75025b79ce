# meridian.execute_at(), and rows that are written away from home with mode=forward: statements in another region, under the
# caller's own login there.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my ($us, $eu) = my @nodes = mesh([ 'us', 'eu' ], conf => "meridian.counted_keys = 100\nmeridian.probe_interval = 200ms\n");
on_all(\@nodes, q{
	SET password_encryption = 'scram-sha-256';
	CREATE TABLE account (id bigint PRIMARY KEY, note text, balance numeric, paid boolean);
	CREATE ROLE alice LOGIN PASSWORD 'secret of alice';
	CREATE ROLE bob LOGIN PASSWORD 'secret of bob';
	CREATE ROLE carol LOGIN;
	GRANT meridian_forward TO alice, bob;
	GRANT ALL ON account TO alice});
sql($us, q{SELECT meridian.replicate('account')});
# eu asks alice for her password, and lets everybody else in.
my $hba = $eu->data_dir . '/pg_hba.conf';
my $rules = slurp_file($hba);
unlink $hba;
append_to_file($hba, "local all alice scram-sha-256\n$rules");
$eu->reload;

sub as { my ($role, $statement) = @_; return "SET ROLE $role; $statement"; }

sub refused
{
	my ($role, $statement, $pattern, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like(sql_error($us, as($role, $statement)), $pattern, $name);
	return;
}

my $ask = q{SELECT rows, command FROM meridian.execute_at('eu', 'SELECT current_user, 1.50 AS n, true AS yes, NULL AS nothing, $1 || '' "quoted"'' AS text', 'some')};

# --- who may, and how one logs in ------------------------------------------------------------------------------------------------

refused('carol', $ask, qr/42501: .*permission denied/s, 'only roles that were granted meridian_forward');
refused('alice', $ask, qr/42704: .*no server for region "eu".*CREATE SERVER eu/s, 'a region without a server');
like(sql_error($us, q{CREATE SERVER eu FOREIGN DATA WRAPPER meridian_forward OPTIONS (service 'x')}), qr/HV00D: .*invalid option "service"/s, 'options that use the account of the server are refused');
sql($us, q{CREATE SERVER eu FOREIGN DATA WRAPPER meridian_forward; GRANT USAGE ON FOREIGN SERVER eu TO alice});
refused('alice', $ask, qr/42704: .*user mapping not found/s, 'a role without a login there');
refused('alice', q{CREATE USER MAPPING FOR alice SERVER eu OPTIONS (host 'elsewhere')}, qr/HV00D/, 'a login is no address');
sql($us, as('alice', q{CREATE USER MAPPING FOR alice SERVER eu OPTIONS (user 'alice')}));
refused('alice', $ask, qr/2F003: .*password is required/s, 'a login without a password');
sql($us, q{ALTER USER MAPPING FOR alice SERVER eu OPTIONS (ADD password 'wrong')});
refused('alice', $ask, qr/08001: .*could not connect to region "eu".*DETAIL: .*password authentication failed/s, 'a wrong password');
sql($us, q{ALTER USER MAPPING FOR alice SERVER eu OPTIONS (SET password 'secret of alice')});
sql($us, q{CREATE USER MAPPING FOR bob SERVER eu OPTIONS (user 'bob', password 'secret of bob')});
refused('bob', $ask, qr/2F003: .*let the login in without its password/s, 'a password that was not asked for');
is(sql($us, as('alice', $ask)), '[{"n": 1.50, "yes": true, "text": "some \"quoted\"", "nothing": null, "current_user": "alice"}]|SELECT 1', 'rows as JSON, as the caller');

# --- writes, and reading them -----------------------------------------------------------------------------------------------------

my $session = open_session($us);
$session->query_safe('SET ROLE alice');
is($session->query_safe(q{SELECT rows, command, token IS NOT NULL FROM meridian.execute_at('eu', 'INSERT INTO account VALUES ($1, $2, NULL, false) RETURNING id, note', '7', 'from afar')}),
	'[{"id": 7, "note": "from afar"}]|INSERT 0 1|t', 'a write with rows');
$session->query_safe(q{SELECT set_config('meridian.read_after', current_setting('meridian.last_write'), false)});
is($session->query_safe(q{SELECT note FROM account WHERE id = 7}), 'from afar', 'a read after the token sees it here');
my $elsewhere = $session->query_safe('SHOW meridian.last_write');
$session->query_safe(q{INSERT INTO account VALUES (8)});
my $both = $session->query_safe('SHOW meridian.last_write');
is(sql($us, "SELECT meridian.merge_tokens('$both', '$elsewhere') = '$both', '$both' <> '$elsewhere'"), 't|t', 'the token of a later write here speaks of both');
is($session->query_safe(q{SELECT command FROM meridian.execute_at('eu', 'UPDATE account SET note = note WHERE false')}), 'UPDATE 0', 'a write of nothing');
$session->quit;

# --- errors -----------------------------------------------------------------------------------------------------------------------

my $at = sub { my ($sql) = @_; return "SELECT command FROM meridian.execute_at('eu', \$\$ $sql \$\$)"; };
refused('alice', $at->('INSERT INTO account VALUES (7)'), qr/23505: .*duplicate key.*DETAIL: .*\(id\)=\(7\).*CONTEXT:  statement in region "eu"/s, 'an error is that of the other server');
refused('alice', $at->('SELECT 1; SELECT 2'), qr/42601/, 'one statement');
refused('alice', $at->('COPY account TO STDOUT'), qr/0A000/, 'no COPY');
refused('alice', $at->('BEGIN'), qr/25001: .*left a transaction open/s, 'no transaction');
refused('alice', "BEGIN; INSERT INTO account VALUES (9); " . $at->('SELECT 1'), qr/25001: .*transaction that has written/s, 'not in a transaction that has written');
is(sql($us, as('alice', "BEGIN; SET LOCAL meridian.forward_after_write = on; INSERT INTO account VALUES (9); " . $at->('SELECT 1') . '; COMMIT')), 'SELECT 1', 'unless asked for');
like(sql_error($us, q{SELECT meridian.execute_at('mars', 'SELECT 1')}), qr/42704: .*no server for region "mars"/s, 'an unknown region');

$session = open_session($us);
$session->query_safe('SET ROLE alice');
my $sleeping = q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'meridian forward' AND state = 'active'};
$session->query(q{SET meridian.forward_timeout = '300ms'});
$session->query($at->('SELECT pg_sleep(600)'));
like(errors_of($session), qr/region "eu" did not answer in time/, 'the time is limited');
wait_until($eu, $sleeping);
$session->query(q{RESET meridian.forward_timeout; SET statement_timeout = '300ms'});
$session->query($at->('SELECT pg_sleep(600)'));
like(errors_of($session), qr/canceling statement due to statement timeout/, 'and can be interrupted');
wait_until($eu, $sleeping);
is($session->query_safe('RESET statement_timeout; ' . $at->('SELECT 1')), 'SELECT 1', 'then the session goes on');
my $pid = sql($eu, q{SELECT pid FROM pg_stat_activity WHERE application_name = 'meridian forward' AND usename = 'alice'});
is($session->query_safe($at->('SELECT 1')) . sql($eu, q{SELECT pid FROM pg_stat_activity WHERE application_name = 'meridian forward' AND usename = 'alice'}), "SELECT 1$pid", 'over one connection');
sql($eu, "SELECT pg_terminate_backend($pid, 60000)");
is($session->query_safe($at->('SELECT 1')), 'SELECT 1', 'which is made anew when it was lost');
$session->quit;

# --- rows that are written away from home ---------------------------------------------------------------------------------------------

on_all(\@nodes, q{
	CREATE TABLE item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "odd ""name" text DEFAULT 'from the default', n bigint NOT NULL DEFAULT 0, price numeric(8,2),
		span interval, tags text[], code char(4), twice bigint GENERATED ALWAYS AS (n * 2) STORED);
	CREATE TABLE part (id bigint PRIMARY KEY, item bigint NOT NULL, note text);
	CREATE TABLE log (note text);
	CREATE TRIGGER home BEFORE INSERT OR UPDATE OR DELETE ON item FOR EACH ROW EXECUTE FUNCTION meridian.enforce_home('id', 'mode=forward');
	CREATE TRIGGER home BEFORE INSERT OR UPDATE OR DELETE ON part FOR EACH ROW EXECUTE FUNCTION meridian.enforce_home('item', 'item.id', 'mode=forward');
	GRANT ALL ON item, part, log TO alice, carol});
sql($us, q{SELECT meridian.replicate('item', 'n=counter', 'ids=keep'), meridian.replicate('part')});
wait_on_all(\@nodes, 'SELECT meridian.homes_confirmed()');
sql($us, "SELECT meridian.add_region('$_')") foreach qw(us eu);
sql($us, "SELECT meridian.pin_home('$_', '" . ($_ < 10 ? 'us' : 'eu') . "')") foreach 1, 2, 11, 12, 13;

$session = open_session($us);
$session->query_safe('SET ROLE alice');
my $shown = q{SELECT id, "odd ""name", n, price, span, tags, code, twice FROM item ORDER BY id};
my $see_all = q{SELECT set_config('meridian.read_after', current_setting('meridian.last_write'), false)};
is($session->query_safe(q{SET datestyle = 'German'; SET intervalstyle = 'iso_8601';
	INSERT INTO item (id, price, span, tags, code) OVERRIDING SYSTEM VALUE VALUES (11, 1.50, '1 day 2 hours', '{a,"b c"}', 'x') RETURNING id}), '', 'a row that is written away from home is skipped here');
is(sql($eu, $shown), '11|from the default|0|1.50|1 day 02:00:00|{a,"b c"}|x   |0', 'and is in its home, with the defaults of here');
$session->query_safe($see_all);
is($session->query_safe('SELECT count(*) FROM item'), '1', 'a read after the token of this session sees it here');
$session->query_safe(q{UPDATE item SET n = n + 5, "odd ""name" = NULL WHERE id = 11});
$session->query_safe($see_all);
$session->query_safe(q{UPDATE item SET n = n + 2, tags = '{}', span = NULL WHERE id = 11; });
is(sql($eu, $shown), '11||7|1.50||{}|x   |14', 'so is an update');
sql($eu, q{UPDATE item SET n = n + 100 WHERE id = 11});
$session->query_safe($see_all);
wait_converged(@nodes);
is($session->query_safe('UPDATE item SET n = n WHERE id = 11; SELECT n FROM item WHERE id = 11'), '107', 'one that changes nothing');
# What it saw here is no longer what is there.
cut_stream($us, $eu, 1);
sql($eu, q{UPDATE item SET n = n + 1000 WHERE id = 11});
$session->query(q{UPDATE item SET n = n + 1 WHERE id = 11});
like(errors_of($session), qr/row of table "item" in region "eu" is not the one that is here/, 'an update of a row that has changed is refused');
$session->query(q{DELETE FROM item WHERE id = 11});
like(errors_of($session), qr/is not the one that is here/, 'and a delete');
heal_stream($us, $eu, 1);
wait_converged(@nodes);
is(sql($eu, 'SELECT n FROM item WHERE id = 11'), '1107', 'and not done');

# Several rows, keys of a parent, transactions.
$session->query(q{INSERT INTO item (id) OVERRIDING SYSTEM VALUE VALUES (12), (1), (13)});
like(errors_of($session), qr/by a transaction that has written or locked rows/, 'a row that is to be forwarded comes after one that was written here');
is(sql($eu, 'SELECT count(*) FROM item WHERE id IN (1, 12, 13)'), '1', 'then those before it are there all the same');
$session->query_safe(q{INSERT INTO item (id) OVERRIDING SYSTEM VALUE VALUES (13); INSERT INTO item (id) OVERRIDING SYSTEM VALUE VALUES (1)});
wait_converged(@nodes);
$session->query_safe(q{UPDATE item SET price = id WHERE id > 10; INSERT INTO part VALUES (7, 11, 'child'), (8, 12, 'child'), (9, 1, 'child')});
wait_converged(@nodes);
is(sql($eu, 'SELECT string_agg(price::text, $$ $$ ORDER BY id) FROM item WHERE id > 10'), '11.00 12.00 13.00', 'rows are sent one by one');
is(sql($us, 'SELECT string_agg(id::text, $$ $$ ORDER BY id) FROM part'), '7 8 9', 'children go where their parents are');
$session->query_safe(q{UPDATE part SET note = 'changed' WHERE id < 9});
wait_converged(@nodes);
is(sql($us, q{SELECT count(*) FROM part WHERE note = 'changed'}), '2', 'also changed ones');
refused('alice', q{BEGIN; INSERT INTO log VALUES ('x'); DELETE FROM item WHERE id = 13}, qr/25001: .*cannot be written in another region/s, 'not in a transaction that has written');
refused('alice', q{BEGIN; INSERT INTO log VALUES ('x'); INSERT INTO item (id) OVERRIDING SYSTEM VALUE VALUES (14)}, qr/25001/, 'whatever the row does');
sql($us, as('alice', q{BEGIN; SET LOCAL meridian.forward_after_write = on; INSERT INTO log VALUES ('x'); DELETE FROM item WHERE id = 13; ROLLBACK}));
is(sql($eu, 'SELECT count(*) FROM item WHERE id = 13'), '0', 'unless asked for; the other region commits whatever becomes of it');

# Errors, rights, and what is not forwarded.
refused('alice', q{INSERT INTO item (id) OVERRIDING SYSTEM VALUE VALUES (12) ON CONFLICT DO NOTHING}, qr/23505: .*CONTEXT:  statement in region "eu"/s, 'errors are those of the home; ON CONFLICT does not go with the row');
refused('carol', 'DELETE FROM item WHERE id = 12', qr/42501: .*GRANT meridian_forward TO carol/s, 'roles need meridian_forward');
refused('alice', 'UPDATE part SET item = 1 WHERE id = 7', qr/MD050: .*home of key "11" is region "eu"/s, 'a row does not go from one home to another');
sql($eu, q{UPDATE meridian.home_pin SET region = 'us' WHERE key = '12'});
refused('alice', 'DELETE FROM item WHERE id = 12', qr/MD050: .*home of key "12" is region "us", and this is "eu".*CONTEXT:  statement in region "eu"/s, 'two servers that disagree do not send a row to and fro');
sql($eu, q{UPDATE meridian.home_pin SET region = 'eu' WHERE key = '12'});
wait_converged(@nodes);
$session->query_safe('DELETE FROM item WHERE id = 12');
is(sql($eu, 'SELECT count(*) FROM item WHERE id = 12'), '0', 'and go on when they agree');
is(errors_of($session), '', 'without errors');

# --- where requests come from ---------------------------------------------------------------------------------------------------------

on_all(\@nodes, 'SELECT meridian.reset_key_counts()');
sql($us, "SELECT meridian.pin_home('$_', 'eu')") foreach 21 .. 23;
my $touch = 'DO $$BEGIN FOR i IN 1..%d LOOP BEGIN INSERT INTO item (id) OVERRIDING SYSTEM VALUE VALUES (%d); EXCEPTION WHEN OTHERS THEN NULL; END; COMMIT; END LOOP; END$$';
sql($us, as('carol', sprintf($touch, 9, 21)));
sql($eu, sprintf($touch, 3, 21));
sql($us, as('carol', sprintf($touch, 3, 22)));
sql($eu, sprintf($touch, 9, 22));
sql($us, as('carol', sprintf($touch, 2, 23)));
my $counts = q{SELECT string_agg(format('%s: %s %s', key, written, away), ', ' ORDER BY key) FROM meridian.key_counts};
is(sql($us, $counts), '21: 0 9, 22: 0 3, 23: 0 2', 'each server counts what belongs elsewhere');
is(sql($eu, $counts), '21: 3 0, 22: 9 0', 'and what belongs to it');
wait_until($_, q{SELECT string_agg(concat_ws(' ', key, home, region, requests, share), ', ') FROM meridian.rehome_suggestions(10)}, '21 eu us 9 0.75') foreach @nodes;
is(sql($us, 'SELECT count(*) FROM meridian.rehome_suggestions(10, 0.8)'), '0', 'a share is asked for');
is(sql($us, 'SELECT count(*) FROM meridian.rehome_suggestions()'), '0', 'and a number of requests');
sql($us, 'SELECT meridian.rehome(key, region) FROM meridian.rehome_suggestions(1, 0.7)');
expect_everywhere(\@nodes, q{SELECT string_agg(meridian.home_region(k), ' ' ORDER BY k) FROM generate_series(21, 23) k}, 'us eu us', 'keys move to where they are requested');
$session->quit;

# --- the primary of a region fails ----------------------------------------------------------------------------------------------------

my $eu2 = new_standby($eu, 'eu2');
$eu2->append_conf('postgresql.conf', "meridian.advertise_dsn = '" . conninfo($eu2) . "'\n");
$eu2->reload;
wait_until($us, q{SELECT count(*) = 1 FROM meridian.server_probes() WHERE server = 'eu2' AND state = 'up'});
my $route = q{SELECT node, region, dsn LIKE '%port=} . $eu2->port . q{%' FROM meridian.route_write('22')};
is(sql($us, $route), 'eu|eu|f', 'writes of a region go to its primary');
wait_converged(@nodes);
$eu->wait_for_catchup($eu2);
$eu->stop('immediate');
$eu2->promote;
wait_until($us, $route, 'eu2|eu|t');
pass('and to the standby that was promoted');
wait_until($eu2, 'SELECT meridian.homes_confirmed()');
sql($us, as('alice', q{UPDATE item SET price = 22 WHERE id = 22}));
is(sql($eu2, 'SELECT price FROM item WHERE id = 22'), '22.00', 'rows are forwarded there, too');

unlike(slurp_file($us->logfile), qr/secret of alice/, 'no password in the log');
no_crash($us, $eu2);
done_testing;
