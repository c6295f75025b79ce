# meridian.execute_at(): a statement in another region, under the caller's own login there.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my ($us, $eu) = my @nodes = mesh([ 'us', 'eu' ]);
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

unlike(slurp_file($us->logfile), qr/secret of alice/, 'no password in the log');
no_crash(@nodes);
done_testing;
