# Tokens through PgBouncer in transaction mode: a token reaches the client that wrote and no other; with
# track_extra_parameters (1.20 and later) a client's meridian.read_after, and its meridian.session, follow it to whatever
# server connection it gets.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_node('primary');
my $standby = new_standby($primary, 'standby',
	conf => "meridian.read_after_action = proceed\nmeridian.read_after_timeout = '1min'\nrecovery_min_apply_delay = '100ms'\n");
my $pooler = new_pooler(databases => { writer => $primary, reader => $standby }, size => 1) or plan skip_all => 'pgbouncer is not installed';
my $crowded = new_pooler(databases => { writer => $primary }, size => 2);
sql($primary, 'CREATE TABLE note (t text)');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));

sub python
{
	my ($script, @arguments) = @_;
	my ($out, $err) = run_command([ '/usr/bin/python3', '-c', <<'COMMON' . $script, @arguments ]);
import psycopg, sys, threading
def connect(database, options=''):
    return psycopg.connect(sys.argv[1] + ' dbname=' + database, autocommit=True, prepare_threshold=None, options=options)
def run(connection, statement, *values):
    cursor = connection.execute(statement, values or None)
    return cursor.fetchone()[0] if cursor.description else None
def token(connection):
    return connection.info.parameter_status('meridian.last_write') or ''
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
}, $pooler->{dsn}), "True True True True\nTrue True True", 'two clients share a server connection, and each has its own token');

# Every token is that of a commit, and no two commits have one. So a token that two clients saw reached the wrong one.
is(python(q{
seen, servers, lock, wrong = {}, set(), threading.Lock(), []
def client(number):
    connection = connect('writer')
    for i in range(200):
        before = token(connection)
        if i % 3 == 0:
            pid, after = run(connection, 'SELECT pg_backend_pid()'), token(connection)
            with lock: servers.add(pid)
            if after != before: wrong.append('a SELECT brought a token')
            continue
        run(connection, 'INSERT INTO note VALUES (%s)', 'crowd')
        after = token(connection)
        with lock:
            if after == before or after in seen: wrong.append(f'{after} of {number} was seen by {seen.get(after)}')
            seen[after] = number
threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
for t in threads: t.start()
for t in threads: t.join()
print(len(seen), len(servers), *wrong[:3])
}, $crowded->{dsn}), '1064 2', 'eight clients over two server connections: each commit gives its token to the client that made it');

is(python(q{
a, b = connect('writer'), connect('writer')
run(a, "BEGIN; SET LOCAL meridian.session = 'a'; INSERT INTO note VALUES ('a'); COMMIT")
of_a = token(a)
run(b, "INSERT INTO note VALUES ('b')")
print(run(b, "SELECT meridian.session_token('a')") == of_a, run(b, "SELECT current_setting('meridian.session')") == '')
}, $pooler->{dsn}), 'True True', 'a session that is named in the transaction is that of its client');

SKIP:
{
	skip 'this PgBouncer cannot track meridian.read_after', 3 unless $pooler->{tracks};
	is(python(q{
a, b = connect('writer', '-c meridian.session=c'), connect('writer', '-c meridian.session=d')
run(a, "INSERT INTO note VALUES ('a')")
run(b, "INSERT INTO note VALUES ('b')")
print(run(b, "SELECT meridian.session_token('c')") == token(a), run(a, "SELECT meridian.session_token('d')") == token(b))
}, $pooler->{dsn}), 'True True', 'a session that is named with the connection stays with its client');
	my $token = sql($primary, "INSERT INTO note VALUES ('c');\nSHOW meridian.last_write");
	is(python(q{
c = connect('reader', '-c meridian.read_after=' + sys.argv[2])
print(run(c, "SELECT count(*) FROM note WHERE t = 'c'"))
}, $pooler->{dsn}, $token), '1', 'a token that comes with the connection is waited for');
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
}, $pooler->{dsn}), '0 7', 'a client keeps its token while others use the same server connection, and a bad one does no harm');
}

no_crash($primary, $standby);
done_testing();
