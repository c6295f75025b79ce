# The registry of servers, what the prober makes of them, and where reads are routed: a primary with a standby and a
# standby of that, and a second region.
#
# Probes go on all the time, so every step waits until the probers show what it is about.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my $conf = "meridian.probe_interval = '100ms'\nmeridian.lag_dwell = '300ms'\n";
my ($us, $eu) = mesh([ 'us', 'eu' ], conf => $conf);

# A standby that registers itself; its connection string is known only when its port is.
sub add_replica
{
	my ($primary, $name, $region) = @_;
	my $standby = new_standby($primary, $name, conf => "meridian.region = '$region'\n");
	$standby->append_conf('postgresql.conf', "meridian.advertise_dsn = '" . conninfo($standby) . "'\n");
	$standby->reload;
	return $standby;
}

# What an observer's prober makes of a server.
sub sees
{
	my ($observer, $server, $what, $expected) = @_;
	wait_until($observer, "SELECT ($what)::text FROM meridian.server_probes() WHERE server = '$server'", $expected);
	return;
}
sub route { my ($node, $arguments, $what) = @_; $what //= 'node'; return sql($node, "SELECT $what FROM meridian.route_read($arguments)"); }
sub routes_to
{
	my ($node, $arguments, $expected, $name) = @_;
	wait_until($node, "SELECT node FROM meridian.route_read($arguments)", $expected);
	pass($name);
	return;
}

# --- the registry -----------------------------------------------------------------------------------------------------

my $near = add_replica($us, 'us_near', 'us');
my $leaf = add_replica($near, 'us_leaf', 'ap');
my @all = ($us, $eu, $near, $leaf);
foreach my $node (@all)
{
	sees($node, $_, 'state', 'up') foreach qw(us eu us_near us_leaf);
}
pass('every server knows every server: standbys have told their primary, and that the other region');
expect_everywhere(\@all, q{SELECT string_agg(format('%s %s %s %s', node, region, role, role_expected), ', ' ORDER BY node) FROM meridian.nodes},
	'eu eu primary primary, us us primary primary, us_leaf ap standby standby, us_near us standby standby', 'and shows it');
sees($eu, 'us_leaf', 'upstream', 'us_near');
sees($us, 'us_near', 'upstream', 'us');
pass('who streams from whom is known everywhere');
sees($eu, 'us_near', 'receiver_alive AND NOT paused AND lag IS NOT NULL AND replay_lsn IS NOT NULL AND last_seen IS NOT NULL', 'true');
is(sql($us, q{SELECT count(*) FROM meridian.probed_reports() WHERE report = '{}'}), 0, 'reports can be read');

# --- routing ----------------------------------------------------------------------------------------------------------

routes_to($us, '', 'us_near', 'a replica of the region');
routes_to($_, q{region => 'ap'}, 'us_leaf', 'every replica qualifies: ' . $_->name) foreach @all;
is(route($us, '', 'dsn'), sprintf('host=%s port=%d dbname=postgres', $near->host, $near->port), 'by an address without user');
is(route($us, q{region => 'eu'}, q{node || ': ' || reason}), 'eu: the primary: there is no replica', 'where there is none, the primary');
is(route($eu, q{region => 'us'}), 'us_near', 'another region routes there, too');
is(route($leaf, q{region => 'us'}), 'us_near', 'a standby routes');
is(sql($us, q{SELECT string_agg(node || ' ' || verdict, ', ' ORDER BY node) FROM meridian.explain_route_read()}),
	'eu qualifies, us qualifies, us_leaf qualifies, us_near qualifies', 'every candidate is explained');
like(sql($us, q{SELECT meridian.conninfo('write')}), qr/^host=\S+ port=@{[ $us->port ]},\d+,\d+ dbname=postgres target_session_attrs=read-write$/, 'who writes comes first');
like(sql($us, q{SELECT meridian.conninfo('read')}), qr/port=@{[ $near->port ]},@{[ $us->port ]},@{[ $leaf->port ]} .*target_session_attrs=prefer-standby$/, 'and for reads the nearest');
like(sql($us, q{SELECT meridian.conninfo('read:ap', balance => true)}), qr/port=@{[ $leaf->port ]},@{[ $us->port ]} .*load_balance_hosts=random$/, 'of a region, balanced');
like(sql($us, q{SELECT meridian.conninfo('write:eu')}), qr/port=@{[ $eu->port ]} /, 'the writer of another region');

# --- drain, weight ----------------------------------------------------------------------------------------------------

sql($us, q{SELECT meridian.drain_node('us_near')});
routes_to($us, '', 'us', 'a drained replica gets no reads');
sees($eu, 'us_near', 'state', 'drained');
like(sql($us, q{SELECT verdict FROM meridian.explain_route_read() WHERE node = 'us_near'}), qr/is drained/, 'which the explanation says');
sql($leaf, q{SELECT meridian.undrain_node('us_near')});
routes_to($us, '', 'us_near', 'undrained through a standby, it gets them again');
sql($eu, q{SELECT meridian.set_node('us_near', weight => 0)});
routes_to($leaf, q{region => 'us'}, 'us', 'weight 0 through the other region');
sql($us, q{SELECT meridian.set_node('us_near', weight => 1)});
sql($eu, q{SELECT meridian.drain_node('us')});
routes_to($us, '', 'us_near', 'a drained primary');
sees($us, 'us', 'drained', 'true');
is(sql($us, q{SELECT split_part(meridian.conninfo('write'), ' ', 2) LIKE 'port=' || current_setting('port') || ',%'}), 't', 'goes on taking writes');
sql($us, q{SELECT meridian.undrain_node('us')});
sees($us, 'us', 'drained', 'false');

# --- tokens and sessions ----------------------------------------------------------------------------------------------

sql($us, 'CREATE TABLE note (v text)');
$us->wait_for_catchup($_, 'replay', $us->lsn('flush')) foreach $near;
$near->wait_for_catchup($leaf, 'replay', $us->lsn('flush'));
pause_replay($near);
sees($us, 'us_near', 'paused', 'true');
is(route($us, ''), 'us', 'a replica that is paused gets no reads');
resume_replay($near);
routes_to($us, '', 'us_near', 'until it goes on');

my $blocker = open_session($near);
$blocker->query_safe('BEGIN; LOCK TABLE note IN ACCESS SHARE MODE');
my $token = sql($us, "SET meridian.session = 'reader'; ALTER TABLE note ADD w text; SET meridian.session = '';\nSHOW meridian.last_write");
is(route($us, "token => '$token'"), 'us', 'a replica that waits has not got the write');
is(route($us, q{session => 'reader'}, q{node || ': ' || reason}), 'us: the primary: the best replica does not have the write yet', 'nor that of the session');
is(route($near, q{session => 'reader'}, q{node || ': ' || reason}), 'us: the primary: a standby cannot tell where the session wrote last', 'a standby knows no session');
is(route($near, q{session => 'reader', token => } . "'$token'", 'node'), 'us', 'but tokens');
sees($us, 'us_near', q{lag > '0.3 s' AND lag_bytes > 0}, 'true');
pass('while it stands still and the primary goes on, the lag grows');
is(route($us, q{max_lag => '100 ms'}), 'us', 'whoever asks for less lag gets the primary');
$blocker->quit;
routes_to($us, "token => '$token'", 'us_near', 'a replica that has replayed the write');
routes_to($us, q{session => 'reader'}, 'us_near', 'also for the session');
routes_to($near, q{session => 'reader', token => } . "'$token'", 'us_near', 'a standby trusts the token of a session');
sees($us, 'us_near', q{lag}, '00:00:00');
is(route($us, q{token => 'm1.1-1-1'}), 'us', 'a token of strangers leads to the primary');
is(route($us, q{token => 'garbage'}, q{node || ': ' || reason}), 'us: the primary: the token is not valid', 'an invalid one, too');

# A write of one region, read in the other.
sql($eu, 'CREATE TABLE note (v text)');
my $far = sql($eu, "INSERT INTO note VALUES ('x');\nSHOW meridian.last_write");
routes_to($eu, "token => '$far'", 'eu', 'its own region has it');
routes_to($us, "token => '$far'", 'us_near', 'and the replicas of the other, when they say so');

# --- lag limits -------------------------------------------------------------------------------------------------------

$us->append_conf('postgresql.conf', "meridian.max_lag = '200ms'\n");
$us->reload;
$blocker = open_session($near);
$blocker->query_safe('BEGIN; LOCK TABLE note IN ACCESS SHARE MODE');
sql($us, 'ALTER TABLE note ADD x text');
routes_to($us, '', 'us', 'beyond meridian.max_lag');
is(sql($us, q{SELECT verdict FROM meridian.explain_route_read() WHERE node = 'us_near'}), 'is behind by more than the limit', 'which is the reason');
is(route($us, q{max_lag => '1 day'}), 'us_near', 'an argument stands in for the setting');
$blocker->quit;
routes_to($us, '', 'us_near', 'back within the limit, after a while');
$us->append_conf('postgresql.conf', "meridian.max_lag = '10s'\n");
$us->reload;

# --- a server goes, and comes back --------------------------------------------------------------------------------------

$near->stop('immediate');
sees($us, 'us_near', 'state', 'down');
is(route($us, ''), 'us', 'a replica that is down');
isnt(sql($us, q{SELECT error FROM meridian.server_probes() WHERE server = 'us_near'}), '', 'the reason is shown');
is(sql($us, q{SET ROLE pg_database_owner; SELECT count(error) FROM meridian.server_probes()}), 0, 'not to everybody');
$near->start;
sees($us, 'us_near', 'state', 'up');
sees($_, 'us_leaf', 'state', 'up') foreach @all;

# --- promotion ----------------------------------------------------------------------------------------------------------

$us->stop('immediate');
sees($eu, 'us', 'state', 'down');
sees($near, 'us', 'state', 'down');
is(route($near, q{region => 'us'}), 'us_near', 'while the primary is down reads go on');
is(route($near, q{region => 'us', max_lag => '1s'}), 'us', 'but not for who insists on a lag');
$near->promote;
sees($_, 'us_near', 'state', 'promoted') foreach $near, $leaf, $eu;
pass('a promotion is seen everywhere');
like(sql($leaf, q{SELECT meridian.conninfo('write')}), qr/^host=\S+ port=@{[ $near->port ]},/, 'writes follow');
like(sql($eu, q{SELECT meridian.conninfo('write:us')}), qr/^host=\S+ port=@{[ $near->port ]},/, 'in the other region, too');
is(route($leaf, q{session => 'reader'}), 'us_near', 'so does the last resort of reads');
routes_to($near, q{region => 'ap'}, 'us_leaf', 'the leaf follows the new timeline');

$us->start;
sees($_, 'us', 'state', 'diverged') foreach $near, $leaf, $eu, $us;
pass('the old primary, back on its timeline, is recognized; it knows it itself');
foreach my $alarm ("two primaries|error|us_near (timeline 2), us (timeline 1)", "server diverged|error|us")
{
	wait_until($eu, "SELECT count(*) FROM meridian.alarms a WHERE concat_ws('|', a.alarm, a.severity, a.subject) = '$alarm' AND a.since <= now()", 1);
	pass("and there is an alarm: $alarm");
}
foreach my $node ($near, $leaf, $eu, $us)
{
	my $port = $us->port;
	unlike(sql($node, q{SELECT meridian.conninfo('write:us')}), qr/[=,]$port\b/, $node->name . ': it is no target of writes');
	unlike(sql($node, q{SELECT meridian.conninfo('read:us')}), qr/[=,]$port\b/, 'nor of reads');
	like(route($node, q{session => 'x', region => 'us'}), qr/^(eu|us_near)$/, 'nor a last resort');
}
$near->stop('immediate');
sees($eu, 'us_near', 'state', 'down');
unlike(sql($eu, q{SELECT meridian.conninfo('write:us')}), qr/[=,]@{[ $us->port ]}\b/, 'nor while the new primary is down');
$eu->restart;
sees($eu, 'us', 'state', 'diverged');
pass('a server that starts meanwhile knows it, too');
$near->start;
sees($leaf, 'us_near', 'state', 'promoted');

# --- secrets ----------------------------------------------------------------------------------------------------------------

my $secret = 'hunter2secret';
sql($near, "SELECT meridian.add_standby('ghost', 'host=/nowhere port=1 dbname=x password=$secret', region => 'nowhere')");
foreach my $node ($near, $leaf)
{
	sees($node, 'ghost', 'error IS NOT NULL', 'true');
	unlike(join("\n", map { sql($node, "SELECT * FROM $_") } 'meridian.nodes', 'meridian.server_probes()', 'meridian.explain_route_read()', q{meridian.conninfo('write')}),
		qr/$secret/, $node->name . ': passwords are shown nowhere');
}
is(join("\n", grep { /$secret/ && !/STATEMENT:/ } split /\n/, slurp_file($near->logfile)), '', 'nor logged');
sql($near, q{SELECT meridian.drop_node('ghost')});

# --- leaving ------------------------------------------------------------------------------------------------------------

$leaf->append_conf('postgresql.conf', "meridian.advertise_dsn = ''\n");
$leaf->reload;
wait_until($leaf, q{SELECT current_setting('meridian.advertise_dsn') = ''});
sql($near, q{SELECT meridian.drop_node('us_leaf')});
wait_until($near, q{SELECT count(*) = 0 FROM meridian.server_probes() WHERE server = 'us_leaf'});
like(sql_error($near, q{SELECT meridian.drain_node('us_leaf')}), qr/42704.*not known.*HINT/s, 'it is forgotten');

no_crash($us, $eu, $near, $leaf);
done_testing();
