# What a node takes over when it joins, besides rows: the clock, and what is parked at its source.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use Test::More;

my ($n1, $n2) = mesh(2);
my $n3 = new_node('n3');
on_all([ $n1, $n2, $n3 ], 'CREATE TABLE person (id bigint PRIMARY KEY, name text, tags text[], extra jsonb)');
sql($n1, q{SELECT meridian.replicate('person')});

sub set_skew
{
	my ($node, $skew) = @_;
	$node->append_conf('postgresql.conf', "meridian.max_clock_skew = '$skew'\n");
	$node->reload;
	wait_until($node, "SELECT current_setting('meridian.max_clock_skew') = '$skew'");
	return;
}

# Clocks of the mesh are ahead of physical time by 5 minutes.
set_skew($_, '8min') foreach $n1, $n2, $n3;
my $clock = sql($n1, 'SELECT meridian.advance_clock(meridian.hlc_now() + (300000::bigint << 16))');
sql($n1, q{INSERT INTO person VALUES (1, 'ahead')});
wait_until($n2, 'SELECT count(*) = 1 FROM person');

# What n2 writes now is parked at n1 and reaches nobody else.
set_skew($n2, '1h');
sql($n2, 'SELECT meridian.advance_clock(meridian.hlc_now() + (600000::bigint << 16))');
sql($n2, q{INSERT INTO person VALUES (2, 'far "ahead"', '{a,"b c"}', '{"k": [1, "x"]}'), (3, NULL, NULL, NULL)});
sql($n2, q{DELETE FROM person WHERE id = 1});
wait_until($n1, 'SELECT count(*) = 3 FROM meridian.parked');
wait_until($n1, q{SELECT parked = 3 FROM meridian.progress WHERE member = 1});
wait_until($n2, q{SELECT parked = 3 FROM meridian.tombstone_progress WHERE node = 'n1'});
pass('how much is parked at a node is known to the others');

sql($n3, 'SELECT meridian.join(' . join(', ', map { "'$_'" } 'n3', 'n3', conninfo($n3), conninfo($n1)) . ')');
is(sql($n3, "SELECT now >= $clock FROM meridian.clock_status()"), 't', 'a node that joins takes over the clock');
is(sql($n3, 'SELECT name FROM person'), 'ahead', 'it has the rows of its source');
is(sql($n3, q{SELECT string_agg(rel::text || ' ' || reason, ', ' ORDER BY rel::text) FROM meridian.parked}),
	'meridian.tombstone clock_skew, person clock_skew, person clock_skew', 'and what is parked there');

# The time has come.
foreach my $node ($n1, $n3)
{
	set_skew($node, '1h');
	# The node that joined has sent what it had to everybody, so its source may park the same twice.
	like(sql($node, q{SELECT string_agg(meridian.retry_parked(id), ' ') FROM meridian.parked}), qr/^applied( applied){2,}$/, 'it is applied on ' . $node->name);
	is(sql($node, 'SELECT count(*) FROM meridian.parked'), 0, 'and waits no more');
}
wait_converged($n1, $n2, $n3);
same_everywhere([ $n1, $n2, $n3 ], q{SELECT string_agg(t::text, ' ' ORDER BY id) FROM person t}, 'and all have the same');
wait_until($_, 'SELECT count(*) = 0 FROM meridian.tombstone') foreach $n1, $n2, $n3;
pass('tombstones go once nobody parks one');

no_crash($n1, $n2, $n3);
done_testing();
