# What operators see: two regions, a standby, and a cascading standby below it. Links, lags, slots, alarms with remedies that
# are carried out as they are written, metrics, and the status page in a browser.
use strict;
use warnings;

use CPAN::Meta::YAML;
use FindBin;
use JSON::PP;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $docs = "$FindBin::RealBin/../../docs/monitoring";

# A server whose keeper has no database to work in: looked at late, because it takes some time until it has failed twice.
my $astray = new_node('astray', conf => "meridian.database = 'nowhere'\n");

my ($us, $eu) = map { new_node($_) } qw(us eu);
make_member($us, $us);
# A password that must not be seen anywhere. (Local connections do not ask for it.)
sql($eu, "SELECT meridian.join('eu', 'eu', '" . conninfo($eu) . " password=canary-1f', via => '" . conninfo($us) . "')");
links_up($us, $eu);
on_all([ $us, $eu ], 'CREATE TABLE note (id bigint PRIMARY KEY, t text)');
sql($us, q{SELECT meridian.replicate('note')});
my $standby = new_standby($us, 'us-2');
sql($standby, q{SELECT pg_create_physical_replication_slot('leaf', true)});
# A name that a page must not take for markup.
my $leaf = new_standby($standby, 'us-3', conf => "primary_slot_name = 'leaf'\nmeridian.node = '<i>leaf&'\n");
my @all = ($us, $eu, $standby, $leaf);
# Probed from everywhere; the leaf is not, and is known from its upstream's report alone.
sql($us, "SELECT meridian.add_standby('us-2', '" . conninfo($standby) . "')");

# What a prober would have gathered.
sub gathered
{
	return '[' . join(',', map { '{"server": ' . encode_json([ $_->[0] ]) =~ s/^\[|\]$//gr . ', "sample_age": 0, "report": ' . $_->[1] . '}' }
		  map { my $report = sql($_, 'SELECT meridian.status_report()'); [ decode_json($report)->{server}, $report ] } @_) . ']';
}

sub links
{
	my ($columns, $where) = @_;
	my $reports = gathered(grep { -e $_->data_dir . '/postmaster.pid' } @all);
	return sql($us, "SELECT concat_ws('|', $columns) FROM meridian.assemble_links(\$r\$$reports\$r\$, '[]') WHERE " . ($where // 'true') . ' ORDER BY 1');
}

sub alarm_of
{
	my ($node, $alarm) = @_;
	wait_until($node, "SELECT count(*) > 0 FROM meridian.local_alarms WHERE alarm = '$alarm'");
	return map { sql($node, "SELECT $_ FROM meridian.local_alarms WHERE alarm = '$alarm' ORDER BY subject LIMIT 1") } qw(detail remedy);
}

sub calm
{
	my ($node, $alarm) = @_;
	wait_until($node, "SELECT count(*) = 0 FROM meridian.local_alarms WHERE alarm = '$alarm'");
	return pass("no more alarm: $alarm");
}

# --- links ------------------------------------------------------------------------------------------------------------

$us->wait_for_catchup('us-2');
is(links('upstream, downstream, kind, state'), join("\n",
		'eu|us|logical|streaming', 'us-2|<i>leaf&|cascading|streaming', 'us|eu|logical|streaming', 'us|us-2|streaming|streaming'),
	'every link is there, in both directions, with the names of the servers');
is(links('slot, retained_bytes IS NOT NULL', q{kind = 'cascading'}), 'leaf|t', 'with its slot');
# The standby may be some bytes behind at this moment.
is(sql($us, "SELECT string_agg(regexp_replace(drawing, ', [0-9]+ bytes behind', ''), ';') FROM meridian.assemble_topology(\$r\$" . gathered(@all) . "\$r\$, '[]')"),
	'eu (primary, up) -> us;us (primary, up) -> eu;+- us-2 (us, standby, up);   +- <i>leaf& (us, standby, up, cascading)', 'the tree')
  or diag(links('upstream, downstream, kind, state, replay_bytes'));

# Every server has been told by its prober.
wait_until($eu, q{SELECT string_agg(concat_ws(' ', node, depth, upstream, state), ',') FROM meridian.topology}, 'eu 0 up,us 0 up,us-2 1 us up,us-3 2 us-2 unknown');
pass('the tree as another member sees it, with a server that only its upstream knows');
wait_until($standby, q{SELECT count(*) = 2 FROM meridian.replication_status WHERE kind = 'logical' AND state = 'streaming'});
pass('a standby sees the links between members');
wait_until($eu, q{SELECT count(*) = 1 FROM meridian.slots WHERE server = 'us-2' AND slot = 'leaf' AND active});
pass('and slots of other servers are seen');

# --- lag --------------------------------------------------------------------------------------------------------------

sub lag { my ($node, $peer, $column) = @_; return sql($node, "SELECT $column FROM meridian.lag WHERE peer = '$peer' AND span = '1 min'"); }

sub wait_for_lag { my ($node, $peer, $condition) = @_; return wait_until($node, "SELECT bool_or($condition) FROM meridian.lag WHERE peer = '$peer' AND span = '1 min'"); }

$us->poll_query_until($Meridian::database, q{WITH w AS (INSERT INTO note VALUES ((random() * 1e15)::bigint))
	SELECT count(*) = 2 FROM meridian.lag WHERE peer IN ('eu', 'us-2') AND span = '1 min' AND samples > 0}) or die;
foreach my $peer ('eu', 'us-2')
{
	wait_for_lag($us, $peer, q{waiting = '0'});
	is(lag($us, $peer, q{p50 <= p95 AND p95 <= p99 AND p99 <= max AND max < '1h' AND connected}), 't', "lag of $peer: percentiles in order");
}
wait_for_lag($standby, 'us-3', 'samples > 0');
is(lag($standby, 'us-3', 'kind'), 'cascading', 'the standby measures the one below it');
is(sql($us, q{SELECT string_agg(span::text, ' ' ORDER BY span) FROM meridian.lag WHERE peer = 'eu'}), '00:01:00 00:15:00 24:00:00', 'over three spans');

# A cut link grows, and is told of with what mends it.
sql($eu, 'ALTER SUBSCRIPTION meridian_1 DISABLE');
wait_until($us, q{SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'meridian_2'});
sql($us, q{INSERT INTO note VALUES (1, 'not there yet')});
wait_for_lag($us, 'eu', q{waiting > '1200ms' AND max > '1s' AND NOT connected});
pass('a cut link shows in the lag while it is cut');
is(links('state', q{upstream = 'us' AND kind = 'logical'}), 'disabled', 'the link says why');
my ($detail, $remedy) = alarm_of($eu, 'subscription disabled');
is($remedy, 'ALTER SUBSCRIPTION meridian_1 ENABLE;', 'the alarm says what helps');
sql($eu, $remedy);
wait_for_lag($us, 'eu', q{waiting = '0' AND connected});
pass('and it does');
calm($eu, 'subscription disabled');

# --- alarms -----------------------------------------------------------------------------------------------------------

# A subscription that fails again and again.
my $directory = $us->host;
sql($eu, "ALTER SUBSCRIPTION meridian_1 CONNECTION 'host=$directory port=1 dbname=postgres password=canary-1f'");
($detail, $remedy) = alarm_of($eu, 'subscription fails');
like($detail, qr/^subscription meridian_1 has failed \d+ times, last at .*could not connect to the publisher/, 'the text of the error is in the alarm');
like($remedy, qr/reachable/, 'and what helps');
is(links(q{state, error ~ 'could not connect'}, q{upstream = 'us' AND kind = 'logical'}), 'failing|t', 'the link says so too');
sql($eu, "ALTER SUBSCRIPTION meridian_1 CONNECTION '" . conninfo($us) . " password=canary-1f'");
sql($us, q{INSERT INTO note VALUES (2, 'after the failure')});
wait_until($eu, 'SELECT count(*) = 1 FROM note WHERE id = 2');
calm($eu, 'subscription fails');

# Replay that was paused.
pause_replay($standby);
($detail, $remedy) = alarm_of($standby, 'replay paused');
is(links('paused', q{downstream = 'us-2'}), 't', 'the link is paused');
wait_until($eu, q{SELECT remedy FROM meridian.alarms WHERE server = 'us-2' AND alarm = 'replay paused'}, $remedy);
pass('another region hears of it');
sql($us, q{INSERT INTO note VALUES (3, 'not replayed')});
wait_for_lag($us, 'us-2', q{waiting > '1s'});
pass('and the lag of the standby grows');
sql($standby, $remedy);
calm($standby, 'replay paused');

# A slot that nobody uses, and that holds WAL.
$standby->append_conf('postgresql.conf', "meridian.slot_alarm_size = 0\nmax_slot_wal_keep_size = '64GB'\n");
$standby->reload;
$leaf->stop;
wait_until($standby, q{SELECT risk <> 'none' FROM meridian.slots WHERE slot = 'leaf' AND server = 'us-2'});
sql($us, q{SELECT pg_switch_wal(); INSERT INTO note VALUES (4, 'held')});
$us->wait_for_catchup('us-2', 'replay', $us->lsn('insert'));
($detail, $remedy) = alarm_of($standby, 'slot holds WAL');
like($detail, qr/^replication slot leaf is not in use, and holds/, 'a slot that is not used');
like($remedy, qr/pg_drop_replication_slot\('leaf'\)/, 'and how to let it go');
# Who looks at slots looks once a second: the alarm may be there before the time since when.
wait_until($standby, q{SELECT inactive_since IS NOT NULL AND retained_bytes > 0 AND risk = 'growing' FROM meridian.slots WHERE slot = 'leaf' AND server = 'us-2'});
pass('since when');
is(links('state', q{slot = 'leaf'}), 'disconnected', 'its link is cut');
$leaf->start;
calm($standby, 'slot holds WAL');

# --- synchronous commits ----------------------------------------------------------------------------------------------

is(sql($us, 'SELECT setting, standbys, may_fail, commit_p50 IS NOT NULL, commit_p50 <= commit_p95, is_set FROM meridian.synchronous_plan() ORDER BY choice'),
	qq{ANY 1 ("us-2")|{us-2}|0|t|t|f\nFIRST 1 ("us-2")|{us-2}|0|t|t|f\n|{}||t|t|t}, 'what can be chosen, and what it costs');
is(sql($us, q{SELECT is_set FROM meridian.synchronous_plan(1, 'first', apply => true) WHERE choice = 'FIRST'}), 't', 'one is set');
wait_until($us, q{SELECT sync_state = 'sync' FROM pg_stat_replication WHERE application_name = 'us-2'});
is(links('kind, sync_priority', q{downstream = 'us-2'}), 'synchronous|1', 'the link is synchronous');
is(sql($us, q{SELECT string_agg(setting || ' ' || ok, ';' ORDER BY setting) FROM meridian.check_config('sync')}),
	'connected standbys true;spare standbys false;synchronous_commit true;synchronous_standby_names true', 'check_config(sync) misses a spare');
$standby->stop;
($detail) = alarm_of($us, 'commits wait');
is($detail, 'commits wait for 1 synchronous standbys, and 0 are connected', 'commits wait, and that is told');
($detail) = alarm_of($us, 'synchronous standby missing');
like($detail, qr/standby "us-2"/, 'who is missing');
is(sql($us, q{SELECT since IS NOT NULL FROM meridian.local_alarms WHERE alarm = 'synchronous standby missing'}), 't', 'and since when');
sql($us, q{SELECT * FROM meridian.synchronous_plan(1, 'NONE', apply => true)});
calm($us, 'commits wait');
$standby->start;
is(sql($standby, q{SELECT coalesce(string_agg(setting, ',') FILTER (WHERE NOT ok), '-') FROM meridian.check_config('standby') WHERE setting NOT IN ('primary_slot_name', 'receiver')}),
	'-', 'check_config(standby) agrees with the standby');
wait_until($us, q{SELECT count(*) = 1 FROM pg_stat_replication WHERE application_name = 'us-2' AND state = 'streaming'});
wait_until($standby, q{SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'});

# --- metrics and the files for monitoring systems -----------------------------------------------------------------------

($detail) = alarm_of($astray, 'worker restarts');
like($detail, qr/^worker "meridian keeper" has failed \d+ times.*database "nowhere" does not exist/, 'a worker that is restarted again and again says why');


my %metrics;
foreach my $node ($us, $standby, $astray)
{
	my $text = sql($node, 'SELECT meridian.metrics()');
	foreach my $line (split /\n/, $text)
	{
		if ($line =~ /^# TYPE (\w+) (\w+)$/) { $metrics{$1} = $2; }
		elsif ($line !~ /^# HELP/) { my ($name) = $line =~ /^(\w+)/; fail("sample without a family: $line") unless $name && $metrics{$name}; }
	}
}
cmp_ok(scalar keys %metrics, '>=', 20, 'metrics of a primary and a standby');

sub unknown_metrics { my ($text) = @_; return join ', ', grep { !$metrics{$_} } $text =~ /\b(meridian_\w+)/g; }

my $rules = CPAN::Meta::YAML->read("$docs/alerts.yml")->[0];
my @rules = map { @{ $_->{rules} } } @{ $rules->{groups} };
cmp_ok(scalar @rules, '>', 5, 'alert rules');
is(unknown_metrics(join ' ', map { $_->{expr} } @rules), '', 'alerts use metrics that exist');
is(scalar(grep { !$_->{alert} || !$_->{annotations}{summary} || !$_->{labels}{severity} } @rules), 0, 'each has a name, a severity and a summary');

my $dashboard = decode_json(slurp_file("$docs/grafana.json"));
my @queries = map { $_->{expr} } map { @{ $_->{targets} // [] } } @{ $dashboard->{panels} };
cmp_ok(scalar @queries, '>', 5, 'a dashboard');
is(unknown_metrics("@queries"), '', 'which shows metrics that exist');

my $exporter = CPAN::Meta::YAML->read("$docs/queries.yml")->[0];
foreach my $namespace (sort keys %$exporter)
{
	my %usage = map { %$_ } @{ $exporter->{$namespace}{metrics} };
	my ($status, $out, $err) = $us->psql($Meridian::database, $exporter->{$namespace}{query} =~ s/;\s*$//r . ' \gdesc');
	my @columns = map { (split /\|/)[0] } split /\n/, $out;
	is_deeply([ sort @columns ], [ sort keys %usage ], "queries.yml: the columns of $namespace are declared") or diag($err);
	sql($us, $exporter->{$namespace}{query});
	my @wrong = grep { my $kind = $usage{$_}{usage}; $kind ne 'LABEL' && ($metrics{"${namespace}_$_"} // '') ne lc $kind } keys %usage;
	is("@wrong", '', "queries.yml: $namespace gives the metrics of meridian.metrics()");
}

# --- the page -----------------------------------------------------------------------------------------------------------

my $page = sql($us, 'SELECT meridian.status_page()');
unlike($page, qr/(?:src|href)=|https?:|<script|\@import|url\((?!#)/, 'the page names nothing outside of itself');
my $chromium = (grep { -x } map { "$_/chromium" } split /:/, $ENV{PATH})[0];
SKIP:
{
	skip 'chromium is not installed', 4 unless $chromium;
	# Everything that a server can bring into the page, with markup in it.
	my $reports = gathered(@all) =~ s/"detail": *"[^"]*"/"detail": "x"/gr;
	my $drawn = sql($us, "SELECT '<!DOCTYPE html><title>untouched</title>' || meridian.topology_svg(\$r\$$reports\$r\$, '[]') || meridian.lag_svg('<b>&\"', '[null, 5, 1e7]')
		|| meridian.html_table(ARRAY['<h>'], ARRAY[meridian.html_row('\"><script>document.title = 1</script>', '<script>document.title = 2</script>', '\"''&amp;<')])");
	my $directory = PostgreSQL::Test::Utils::tempdir();
	append_to_file("$directory/page.html", $page);
	append_to_file("$directory/drawn.html", $drawn);
	my %dom = map {
		my ($out) = run_command([ $chromium, '--headless', '--no-sandbox', '--disable-gpu', "--user-data-dir=$directory/profile", '--dump-dom', "file://$directory/$_.html" ]);
		$_ => $out;
	} qw(page drawn);
	like($dom{page}, qr{<title>Meridian: us</title>.*<section id="alarms">.*<section id="topology">.*<svg.*<section id="lag">.*<polyline points=.*</section>.*<section id="slots">}s,
		'a browser shows the page');
	my @nodes = $dom{drawn} =~ /<g class="node (\w+)"/g;
	is("@nodes", 'up up up up', 'a browser draws every server');
	like($dom{drawn}, qr{<title>untouched</title>.*<text[^>]*>&lt;i&gt;leaf&amp;</text>}s, 'markup in names is text');
	like($dom{drawn}, qr{<td>&lt;script&gt;document\.title = 2&lt;/script&gt;</td><td>"'&amp;amp;&lt;</td>}, 'and in cells');
}

# --- secrets ------------------------------------------------------------------------------------------------------------

foreach my $node ($us, $eu, $standby)
{
	my $seen = sql($node, q{SELECT meridian.status_report(); SELECT meridian.status_page(); SELECT meridian.metrics(); SELECT * FROM meridian.alarms;
		SELECT * FROM meridian.replication_status; SELECT * FROM meridian.standby_setup('another'); SELECT * FROM meridian.check_config('standby')});
	unlike($seen, qr/canary/, $node->name . ' shows no password');
}
no_crash(@all, $astray);
done_testing();
