# After a promotion a token tells whether its write survived, whatever the LSNs say.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $secret = PostgreSQL::Test::Utils::tempdir() . '/secret';
append_to_file($secret, "a secret of more than 16 bytes\n");
chmod 0600, $secret or die $!;
chmod 0755, PostgreSQL::Test::Utils::tempdir();

my $old = new_node('old');
my $new = new_standby($old, 'new');
my $leaf = new_standby($new, 'leaf');
sub write_on { return sql($_[0], "INSERT INTO note VALUES ('$_[1]');\nSHOW meridian.last_write"); }
sub rows { return sql($_[0], "SELECT count(*) FROM note WHERE t = '$_[1]'"); }

sql($old, 'CREATE TABLE note (t text)');
my $survives = write_on($old, 'survives');
is(sql($leaf, "SELECT meridian.wait_for('$survives', '1min')"), 'reached', 'the first write is everywhere');

# The standby stops receiving; then a write that only the old primary has.
$new->append_conf('postgresql.conf', "primary_conninfo = ''\n");
$new->reload;
wait_until($new, 'SELECT count(*) = 0 FROM pg_stat_wal_receiver');
my $dies = write_on($old, 'lost');
is(verdict($new, $dies), 'not_yet', 'a write that has not arrived');
is(verdict($leaf, $dies), 'not_yet', 'nor on the leaf');

# One waits on each for what will never come.
my %waiter = map { $_->name => wait_on($_, $dies) } ($new, $leaf);
$old->stop('immediate');
$new->promote;
is_told_of_loss($_, $waiter{ $_->name }) foreach ($new, $leaf);

# LSNs of the new timeline are soon larger than that of the lost write.
my $later = '';
$later = write_on($new, 'later') foreach 1 .. 200;
my ($lost_lsn) = $dies =~ /-([0-9a-f]+)$/;
my ($later_lsn) = $later =~ /-([0-9a-f]+)$/;
cmp_ok(hex $later_lsn, '>', hex $lost_lsn, 'the new timeline is past the LSN of the lost write');
is(sql($leaf, "SELECT meridian.wait_for('$later', '1min')"), 'reached', 'the leaf follows');
foreach my $node ($new, $leaf)
{
	my $name = $node->name;
	is(verdict($node, $dies), 'lost', "$name: the lost write is lost");
	is(rows($node, 'lost'), 0, "$name: indeed");
	is(verdict($node, $survives), 'yes', "$name: the other is there");
	is(rows($node, 'survives'), 1, "$name: indeed");
	is(verdict($node, $later), 'yes', "$name: a write of the new timeline");
	is(sql($node, "SELECT meridian.wait_for('$dies', '1min')"), 'lost', "$name: waiting for it ends at once");
	like(sql_error($node, "SET meridian.read_after = '$dies'"), qr/MD031: .*lost in a failover/, "$name: with an error of its own");
	is(verdict($node, sql($node, "SELECT meridian.merge_tokens('$dies', '$later')")), 'lost', "$name: also as part of a newer token");
	is(verdict($node, sql($node, "SELECT meridian.merge_tokens('$survives', '$later')")), 'yes', "$name: and if it survived it is no harm");
}

# The old primary, back as it was, knows nothing of the new timeline.
$old->start;
is(verdict($old, $later), 'future', 'the old primary has not written what the new one has');
is(verdict($old, $dies), 'yes', 'what it wrote it has');
$old->stop;

# A standby that was down during the promotion and has yet to learn of it.
my $paused = new_standby($new, 'paused');
pause_replay($paused);
my $newest = write_on($new, 'newest');
is(verdict($paused, $newest), 'not_yet', 'a standby that is behind');
is(verdict($paused, $dies), 'lost', 'knows all the same what is lost');

# --- signed tokens ----------------------------------------------------------------------------------------------------

foreach my $node ($new, $leaf)
{
	$node->append_conf('postgresql.conf', "meridian.token_secret_file = '$secret'\n");
	$node->reload;
	wait_until($node, "SELECT current_setting('meridian.token_secret_file') <> ''");
}
my $signed = write_on($new, 'signed');
like($signed, qr/^m1\.[0-9a-f]+-2-[0-9a-f]+_[0-9a-f]{32}$/, 'a token carries a signature');
is(sql($leaf, "SELECT meridian.wait_for('$signed', '1min')"), 'reached', 'a server with the secret accepts it');
my ($unsigned) = $signed =~ /^(.*)_/;
is(verdict($leaf, $unsigned), 'invalid', 'without the signature it is invalid');
(my $forged = $signed) =~ s/-2-[0-9a-f]+_/-2-1_/;
is(verdict($leaf, $forged), 'invalid', 'a changed one is invalid');
is(verdict($paused, $signed), 'not_yet', 'a server without secret ignores the signature');
my $both = sql($new, "SELECT meridian.merge_tokens('$signed', '$signed')");
is($both, $signed, 'a merged token is signed');
like(sql_error($leaf, "SELECT meridian.merge_tokens('$unsigned', '$signed')"), qr/22023/, 'nothing unsigned is merged');
chmod 0644, $secret or die $!;
like(sql_error($new, "ALTER SYSTEM SET meridian.token_secret_file = '$secret'"), qr/no secret for tokens.*may read or write it/s,
	'a file that everybody reads is refused');

no_crash($old, $new, $leaf, $paused);
done_testing();
