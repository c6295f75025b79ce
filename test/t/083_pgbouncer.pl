# Tokens through PgBouncer in transaction mode: a token reaches the client that wrote and no other; with
# track_extra_parameters (1.20 and later) a client's meridian.read_after, and its meridian.session, follow it to whatever
# server connection it gets.
#
# Needs pgbouncer: in PATH, or named by the environment variable PGBOUNCER.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($program) = grep { defined && -x } $ENV{PGBOUNCER}, map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin';
plan skip_all => 'pgbouncer is not installed' unless $program;
my ($version) = run_command([ $program, '--version' ]);
my ($minor) = $version =~ /PgBouncer 1\.(\d+)/;
note $version;

my $primary = new_node('primary');
my $standby = new_standby($primary, 'standby',
	conf => "meridian.read_after_action = proceed\nmeridian.read_after_timeout = '1min'\nrecovery_min_apply_delay = '100ms'\n");
sql($primary, 'CREATE TABLE note (t text)');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));

my $directory = PostgreSQL::Test::Utils::tempdir_short();
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $user = getpwuid($<);
append_to_file("$directory/users", qq{"$user" ""\n});
append_to_file("$directory/ini", "[databases]\n"
	  . "writer = " . conninfo($primary) . "\nreader = " . conninfo($standby) . "\n"
	  . "[pgbouncer]\nlisten_addr =\nlisten_port = $port\nunix_socket_dir = $directory\nauth_type = trust\nauth_file = $directory/users\n"
	  . "pool_mode = transaction\ndefault_pool_size = 1\nlogfile = $directory/log\npidfile = $directory/pid\n"
	  . ($minor >= 20 ? "track_extra_parameters = meridian.read_after, meridian.session\n" : ''));
system_or_bail($program, '-q', '-d', "$directory/ini");
END { my $status = $?; kill 'TERM', slurp_file("$directory/pid") if $directory && -e "$directory/pid"; $? = $status; }

sub python
{
	my ($script, @arguments) = @_;
	my ($out, $err) = run_command([ '/usr/bin/python3', '-c', <<'COMMON' . $script, "host=$directory port=$port user=$user", @arguments ]);
import psycopg2, sys
def connect(database, options=''):
    connection = psycopg2.connect(sys.argv[1] + ' dbname=' + database + (f" options='{options}'" if options else ''))
    connection.autocommit = True
    return connection
def run(connection, statement, *values):
    cursor = connection.cursor()
    cursor.execute(statement, values)
    return cursor.fetchone()[0] if cursor.description else None
def token(connection):
    return connection.get_parameter_status('meridian.last_write') or ''
COMMON
	note $err if $err;
	return $out;
}

is(python(q{
a, b = connect('writer'), connect('writer')
run(b, 'SELECT 1')
same = run(a, 'SELECT pg_backend_pid()') == run(b, 'SELECT pg_backend_pid()')
run(a, "INSERT INTO note VALUES ('a')")
of_a = token(a)
run(b, 'SELECT count(*) FROM note')
print(same, of_a.startswith('m1.'), token(b) == '', token(connect('writer')) == '')
run(b, "INSERT INTO note VALUES ('b')")
run(a, 'SELECT 1')
print(token(b).startswith('m1.'), token(b) != of_a, token(a) == of_a)
}), "True True True True\nTrue True True", 'two clients share a server connection, and each has its own token');

is(python(q{
a, b = connect('writer'), connect('writer')
run(a, "BEGIN; SET LOCAL meridian.session = 'a'; INSERT INTO note VALUES ('a'); COMMIT")
of_a = token(a)
run(b, "INSERT INTO note VALUES ('b')")
print(run(b, "SELECT meridian.session_token('a')") == of_a, run(b, "SELECT current_setting('meridian.session')") == '')
}), 'True True', 'a session that is named in the transaction is that of its client');

SKIP:
{
	skip "PgBouncer 1.$minor cannot track meridian.read_after", 3 if $minor < 20;
	is(python(q{
a, b = connect('writer', '-c meridian.session=c'), connect('writer', '-c meridian.session=d')
run(a, "INSERT INTO note VALUES ('a')")
run(b, "INSERT INTO note VALUES ('b')")
print(run(b, "SELECT meridian.session_token('c')") == token(a), run(a, "SELECT meridian.session_token('d')") == token(b))
}), 'True True', 'a session that is named with the connection stays with its client');
	my $token = sql($primary, "INSERT INTO note VALUES ('c');\nSHOW meridian.last_write");
	is(python(q{
c = connect('reader', '-c meridian.read_after=' + sys.argv[2])
print(run(c, "SELECT count(*) FROM note WHERE t = 'c'"))
}, $token), '1', 'a token that comes with the connection is waited for');
	is(python(q{
w, c, d = connect('writer'), connect('reader'), connect('reader')
stale = 0
for i in range(10):
    run(w, "INSERT INTO note VALUES ('d')")
    run(c, "SET meridian.read_after = '" + token(w) + "'")
    of_d = run(d, "SELECT current_setting('meridian.read_after')")
    stale += run(c, "SELECT count(*) FROM note WHERE t = 'd'") <= i
    stale += of_d != ''
    stale += run(c, "SELECT current_setting('meridian.read_after')") != token(w)
run(c, "SET meridian.read_after = 'garbage'")
print(stale, run(c, 'SELECT 7'))
}), '0 7', 'a client keeps its token while others use the same server connection, and a bad one does no harm');
}

no_crash($primary, $standby);
done_testing();
