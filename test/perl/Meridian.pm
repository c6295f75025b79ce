# Helpers for tests with several servers, on top of PostgreSQL::Test::Cluster.
#
#   use FindBin;
#   use lib "$FindBin::RealBin/../perl";
#   use Meridian;
#
#   my ($us, $eu) = mesh([ 'us', 'eu' ]);
#   on_all([ $us, $eu ], 'CREATE TABLE account (id bigint PRIMARY KEY, balance bigint)');
#   sql($us, q{SELECT meridian.replicate('account', 'balance=counter')});
#   cut_link($us, $eu);
#   ...
#   heal_link($us, $eu);
#   wait_converged($us, $eu);
#   same_everywhere([ $us, $eu ], 'SELECT * FROM account ORDER BY id', 'accounts agree');
#
# Nothing here sleeps for a fixed time: every wait polls a state that the server publishes and dies, saying what it waited
# for, when PG_TEST_TIMEOUT_DEFAULT seconds (180) have passed. All servers listen on unix sockets only.
package Meridian;

use strict;
use warnings;

use Asker;
use Carp;
use Exporter qw(import);
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(
  new_node new_standby new_pooler mesh join_mesh make_member conninfo member_id server_knows
  sql sql_error on_all
  cut_link heal_link cut_stream heal_stream streams_to links_up
  wait_until wait_converged wait_on_all
  table_digest same_everywhere expect_everywhere no_crash
  open_session send_to errors_of pause_replay resume_replay
  verdict reached wait_on is_told_of_loss
  read_your_writes
);

# The database that is replicated on every node.
our $database = 'postgres';

# Does this server know the setting? Minor releases from August 2026 on know output_plugin_libraries, older ones refuse
# to start with it.
my %known_settings;

sub server_knows
{
	my ($setting) = @_;
	if (!%known_settings)
	{
		my ($out, $err) = run_command([ 'postgres', '--describe-config' ]);
		$known_settings{ (split /\t/)[0] } = 1 foreach split /\n/, $out;
		croak "postgres --describe-config said nothing: $err" unless %known_settings;
	}
	return exists $known_settings{$setting};
}

# Starts a server and creates the extension in it.
#   region    => 'eu'   (default: the name)
#   conf      => "...\n" more lines for postgresql.conf; they win over ours
#   preload   => 0      leaves shared_preload_libraries empty
#   extension => 0      does not run CREATE EXTENSION
#   start     => 0      leaves the server stopped (implies extension => 0)
sub new_node
{
	my ($name, %opt) = @_;
	my $region = $opt{region} // $name;
	my $node = PostgreSQL::Test::Cluster->new($name);

	# A fixed encoding: names and values of the tests are UTF-8 whatever the locale of the machine is.
	$node->init(allows_streaming => 'logical', extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ]);
	$node->append_conf(
		'postgresql.conf', qq{
shared_buffers = 16MB
max_connections = 60
max_wal_senders = 20
max_replication_slots = 20
max_worker_processes = 24
max_logical_replication_workers = 12
wal_retrieve_retry_interval = '100ms'
log_statement = none
jit = off
meridian.node = '$name'
meridian.region = '$region'
meridian.database = '$database'
});
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'meridian'\n")
	  if $opt{preload} // 1;
	$node->append_conf('postgresql.conf', "output_plugin_libraries = 'pgoutput, test_decoding, meridian_mesh, meridian_cdc'\n")
	  if server_knows('output_plugin_libraries');
	$node->append_conf('postgresql.conf', $opt{conf}) if defined $opt{conf};
	return $node unless $opt{start} // 1;
	$node->start;
	sql($node, 'CREATE EXTENSION meridian') if $opt{extension} // 1;
	return $node;
}

# A streaming standby of $primary, which may be a standby itself; caught up when this returns.
sub new_standby
{
	my ($primary, $name, %opt) = @_;
	my $backup = "backup_of_$name";
	$primary->backup($backup);
	my $standby = PostgreSQL::Test::Cluster->new($name);
	$standby->init_from_backup($primary, $backup, has_streaming => 1);
	$standby->append_conf('postgresql.conf', "meridian.node = '$name'\n");
	$standby->append_conf('postgresql.conf', $opt{conf}) if defined $opt{conf};
	$standby->start;
	my $position = sql($primary, 'SELECT pg_is_in_recovery()') eq 't' ? 'replay' : 'insert';
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn($position));
	return $standby;
}

# PgBouncer in transaction mode, or nothing if it is not installed (in PATH, or named by the environment variable PGBOUNCER).
#   databases => { writer => $primary, reader => $standby }
#   size      => 2    server connections per database (default 1)
# Returns { dsn => what to add dbname= to, host, port, user, tracks => whether it tracks meridian.read_after }.
my @pooler_directories;

sub new_pooler
{
	my (%opt) = @_;
	my ($program) = grep { defined && -x } $ENV{PGBOUNCER}, map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin';
	return unless $program;
	my ($version) = run_command([ $program, '--version' ]);
	my ($minor) = $version =~ /PgBouncer 1\.(\d+)/ or croak "unknown version of PgBouncer: $version";
	my $tracks = $minor >= 20;
	my $directory = PostgreSQL::Test::Utils::tempdir_short();
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $user = getpwuid($<);
	my $size = $opt{size} // 1;
	append_to_file("$directory/users", qq{"$user" ""\n});
	append_to_file("$directory/ini", join "\n",
		'[databases]', (map { "$_ = " . conninfo($opt{databases}{$_}) } sort keys %{ $opt{databases} }),
		'[pgbouncer]', 'listen_addr =', "listen_port = $port", "unix_socket_dir = $directory", 'auth_type = trust', "auth_file = $directory/users",
		'pool_mode = transaction', "default_pool_size = $size", "logfile = $directory/log", "pidfile = $directory/pid",
		$tracks ? 'track_extra_parameters = meridian.read_after, meridian.session' : (), '');
	system_or_bail($program, '-q', '-d', "$directory/ini");
	push @pooler_directories, $directory;
	note $version;
	return { dsn => "host=$directory port=$port user=$user", host => $directory, port => $port, user => $user, tracks => $tracks };
}

END
{
	my $status = $?;
	kill 'TERM', slurp_file("$_/pid") foreach grep { -e "$_/pid" } @pooler_directories;
	$? = $status;
}

# A mesh of new nodes, all links up. mesh(3) names them n1 n2 n3, mesh(['us', 'eu']) as told. Options go to new_node.
sub mesh
{
	my ($names, %opt) = @_;
	$names = [ map { "n$_" } 1 .. $names ] unless ref $names;
	my @nodes = map { new_node($_, %opt) } @$names;
	join_mesh(@nodes);
	return @nodes;
}

# Makes one mesh of servers that are not in one yet: the first creates it, the others join through the first.
sub join_mesh
{
	my @nodes = @_;
	make_member($_, $nodes[0]) foreach @nodes;
	links_up(@nodes);
	return;
}

# Joins $node to the mesh of $via; if that is the node itself, it begins a mesh.
#   streams => 3   reads through so many streams
sub make_member
{
	my ($node, $via, %opt) = @_;
	my $call = $node == $via ? 'create_node' : 'join';
	my @args = map { quote($_) } $node->name, sql($node, 'SHOW meridian.region'), conninfo($node);
	push @args, 'via => ' . quote(conninfo($via)) unless $node == $via;
	push @args, "streams => $opt{streams}" if defined $opt{streams};
	sql($node, "SELECT meridian.$call(" . join(', ', @args) . ')');
	return;
}

sub quote
{
	my ($text) = @_;
	$text =~ s/'/''/g;
	return "'$text'";
}

# What another server needs to reach this one.
sub conninfo
{
	my ($node) = @_;
	return sprintf("host=%s port=%d dbname=%s", $node->host, $node->port, $database);
}

# The id that the mesh gave to $node, as seen by $observer (default: by itself).
sub member_id
{
	my ($node, $observer) = @_;
	return sql($observer // $node, 'SELECT id FROM meridian.member WHERE name = ' . quote($node->name));
}

# Runs SQL, dies if it fails, returns what it printed (unaligned, tuples only).
sub sql
{
	my ($node, $statement, %opt) = @_;
	return $node->safe_psql($opt{database} // $database, $statement);
}

# Runs SQL that must fail; returns its error text with the SQLSTATE, or '' (and a failed test) if it succeeded.
sub sql_error
{
	my ($node, $statement, %opt) = @_;
	my ($status, $out, $err) =
	  $node->psql($opt{database} // $database, "\\set VERBOSITY verbose\n$statement", on_error_stop => 1);
	fail("expected an error from: $statement") if $status == 0;
	return $status == 0 ? '' : $err;
}

sub on_all
{
	my ($nodes, $statement) = @_;
	sql($_, $statement) foreach @$nodes;
	return;
}

# Polls until $query returns $expected (default 't'); dies with the query when it does not in time. Asks through one psql,
# and through another when that has lost its server: beginning one for each question takes most of a busy machine's time.
sub wait_until
{
	my ($node, $query, $expected) = @_;
	$expected //= 't';
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	my ($asker, $answer);
	while (time < $deadline)
	{
		$asker //= Asker->new($node, $database);
		$answer = $asker->ask($query, $deadline);
		return if defined $answer && $answer eq $expected;
		undef $asker unless defined $answer;
		usleep(100_000);
	}
	croak 'timed out on ' . $node->name . " waiting for: $query\nexpected: $expected\nthe last answer: " . ($answer // 'none, no connection');
}

sub wait_on_all
{
	my ($nodes, $query, $expected) = @_;
	wait_until($_, $query, $expected) foreach @$nodes;
	return;
}

# Stops the stream between two nodes, both ways, and returns when no worker and no walsender of it runs any more.
sub cut_link
{
	my ($left, $right) = @_;
	_switch_subscription($left, $right, 'DISABLE');
	_switch_subscription($right, $left, 'DISABLE');
	_wait_link(0, $left, $right);
	_wait_link(0, $right, $left);
	return;
}

# Lets the stream between two nodes run again; returns when both apply workers are connected.
sub heal_link
{
	my ($left, $right) = @_;
	_switch_subscription($left, $right, 'ENABLE');
	_switch_subscription($right, $left, 'ENABLE');
	_wait_link(1, $left, $right);
	_wait_link(1, $right, $left);
	return;
}

# Waits until every node of the list applies from every other.
sub links_up
{
	my @nodes = @_;
	foreach my $to (@nodes)
	{
		foreach my $from (grep { $_ != $to } @nodes)
		{
			_wait_link(1, $to, $from);
		}
	}
	return;
}

# The names of the subscriptions by which $to reads from $from, one for each stream of $to.
sub streams_to
{
	my ($to, $from) = @_;
	return split ' ', sql($to, 'SELECT array_to_string(meridian.stream_names(' . member_id($from, $to)
		  . ", (SELECT streams FROM meridian.member m JOIN meridian.local_member l ON l.member = m.id)), ' ')");
}

# Stops one of them (1 is the first), in one direction.
sub cut_stream
{
	my ($to, $from, $number) = @_;
	my $name = (streams_to($to, $from))[ $number - 1 ];
	sql($to, "ALTER SUBSCRIPTION $name DISABLE");
	_wait_stream(0, $to, $from, $name);
	return;
}

sub heal_stream
{
	my ($to, $from, $number) = @_;
	my $name = (streams_to($to, $from))[ $number - 1 ];
	sql($to, "ALTER SUBSCRIPTION $name ENABLE");
	_wait_stream(1, $to, $from, $name);
	return;
}

sub _switch_subscription
{
	my ($to, $from, $action) = @_;
	sql($to, "ALTER SUBSCRIPTION $_ $action") foreach streams_to($to, $from);
	return;
}

# $up: the apply workers on $to run and their slots on $from are in use. Down: neither.
sub _wait_link
{
	my ($up, $to, $from) = @_;
	_wait_stream($up, $to, $from, $_) foreach streams_to($to, $from);
	return;
}

sub _wait_stream
{
	my ($up, $to, $from, $name) = @_;
	my $subscription = quote($name);
	my $slot = quote(sql($to, "SELECT subslotname FROM pg_subscription WHERE subname = $subscription"));
	my ($worker, $active) = $up ? ('IS NOT NULL', 'active') : ('IS NULL', 'NOT active');
	wait_until($to, "SELECT bool_and(pid $worker) FROM pg_stat_subscription WHERE subname = $subscription");
	wait_until($from, "SELECT $active FROM pg_replication_slots WHERE slot_name = $slot");
	return;
}

# All that any of the nodes committed so far is applied and visible on all others.
sub wait_converged
{
	my @nodes = @_;
	foreach my $node (@nodes)
	{
		next if sql($node, "SELECT meridian.wait_converged('120 s')") eq 't';
		diag("parked on " . $node->name . ":\n" . sql($node, 'TABLE meridian.parked'));
		croak 'no convergence: meridian.wait_converged returned false on ' . $node->name;
	}
	return;
}

# A quiet psql that goes on after errors; they are collected for errors_of().
sub open_session
{
	my ($node, %opt) = @_;
	return $node->background_psql($database, on_error_stop => 0, extra_params => ['-q'], %opt);
}

# Sends statements without waiting for their end; output is collected by the next query().
sub send_to
{
	my ($session, $statements) = @_;
	$session->query_until(qr/^sent$/m, "\\echo sent\n$statements\n");
	return;
}

# The errors of a session since the last call.
sub errors_of
{
	my ($session) = @_;
	my $errors = $session->{stderr};
	$session->{stderr} = '';
	return $errors;
}

# Returns when the standby replays nothing any more.
sub pause_replay
{
	my ($standby) = @_;
	sql($standby, 'SELECT pg_wal_replay_pause()');
	wait_until($standby, q{SELECT pg_get_wal_replay_pause_state() = 'paused'});
	return;
}

sub resume_replay
{
	my ($standby) = @_;
	sql($standby, 'SELECT pg_wal_replay_resume()');
	return;
}

# What a server says of a token, and of a wait for it.
sub verdict { my ($node, $token) = @_; return sql($node, "SELECT meridian.check_token('$token')"); }
sub reached { my ($node, $token) = @_; return sql($node, "SELECT meridian.wait_for('$token', '1min')"); }

# A session that waits for a token, the only one on the server to do so.
sub wait_on
{
	my ($node, $token) = @_;
	my $session = open_session($node);
	$session->query_safe(q{SET meridian.read_after_timeout = '10min'});
	send_to($session, "SET meridian.read_after = '$token';");
	wait_until($node, 'SELECT waiting = 1 FROM meridian.wait_status');
	return $session;
}

# The session of wait_on() wakes because its token was lost.
sub is_told_of_loss
{
	my ($node, $session) = @_;
	is($session->query('SELECT 7'), '7', 'the waiter on ' . $node->name . ' wakes');
	like(errors_of($session), qr/lost in a failover/, 'and is told the truth');
	$session->quit;
	wait_until($node, 'SELECT waiting = 0 FROM meridian.wait_status');
	return;
}

# Runs test/clients/read_your_writes with these options. Returns what it counted, and a verdict in words.
sub read_your_writes
{
	my ($writer, $reader, @options) = @_;
	my $program = "$FindBin::RealBin/../clients/read_your_writes";
	croak "build it first: make -C test/clients" unless -x $program;
	my ($out, $err) = run_command([ $program, '--write', conninfo($writer), '--read', conninfo($reader), @options ]);
	note "$out $err";
	my %figures = $out =~ /(\w+)=(\S+)/g;
	$figures{verdict} = join ', ', map { "$_ " . ($figures{$_} // 'unknown') } qw(stale timeouts late errors);
	return \%figures;
}

# MD5 over the rows of a table in an order that does not depend on the server. Leaves _meridian out, whose bytes also say
# what the last image changed; name the columns to have it otherwise.
sub table_digest
{
	my ($node, $table, $columns) = @_;
	$columns //= sql(
		$node, "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attname) FROM pg_attribute
		WHERE attrelid = " . quote($table) . "::regclass AND attnum > 0 AND NOT attisdropped AND attname <> '_meridian'");
	return sql($node,
		qq{SELECT count(*) || ':' || coalesce(md5(string_agg(r::text, E'\\n' ORDER BY r::text COLLATE "C")), '-')
		FROM (SELECT $columns FROM $table) r});
}

# One test: the query gives the same on every node. Returns what it gave on the first.
sub same_everywhere
{
	my ($nodes, $query, $name) = @_;
	return expect_everywhere($nodes, $query, sql($nodes->[0], $query), $name);
}

# One test: the query gives $expected on every node.
sub expect_everywhere
{
	my ($nodes, $query, $expected, $name) = @_;
	my %got = map { $_->name => sql($_, $query) } @$nodes;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is_deeply(\%got, { map { $_->name => $expected } @$nodes }, $name // $query);
	return $expected;
}

# One test: no process of these servers crashed or failed an assertion.
sub no_crash
{
	my @nodes = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @found = map { my $n = $_->name; map { "$n: $_" } grep { /TRAP:|PANIC:|terminated by signal/ } split /\n/, slurp_file($_->logfile) } @nodes;
	is(join("\n", @found), '', 'no server process crashed');
	return;
}

1;
