# merge:<function> over two nodes: concurrent updates of one column, its refusal where a node lacks the function, and what the
# conflict history says of it in plain words.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use Meridian;
use PostgreSQL::Test::Utils;
use Test::More;

my ($us, $eu) = mesh([ 'us', 'eu' ]);
my @nodes = ($us, $eu);

my $union = q{CREATE FUNCTION app.union_tags(a text[], b text[]) RETURNS text[] LANGUAGE sql IMMUTABLE AS
	$$ SELECT ARRAY(SELECT DISTINCT x FROM unnest(a || b) x ORDER BY x) $$};
on_all(\@nodes, q{
	CREATE SCHEMA app;
	CREATE TABLE post (id integer PRIMARY KEY, title text, tags text[], period int4range);
	INSERT INTO post VALUES (1, 'old', ARRAY['base'], '[5,6)')});
sql($us, $union);

# --- every node must have the function ---------------------------------------------------------------------------------

like(sql_error($us, q{SELECT meridian.replicate('post', 'tags=merge:app.union_tags')}),
	qr/42883: .*app\.union_tags\(text\[\], text\[\]\) does not exist/s, 'a node without the function is named');
is(sql($us, q{SELECT count(*) FROM meridian.tables}), 0, 'and nothing was attached');
sql($eu, $union);
sql($eu, q{UPDATE post SET tags = ARRAY['eu'] WHERE id = 1});
sql($us, q{SELECT meridian.replicate('post', 'tags=merge:app.union_tags', 'period=merge:pg_catalog.range_merge')});
wait_converged(@nodes);
expect_everywhere(\@nodes, q{SELECT tags FROM post WHERE id = 1}, '{base,eu}', 'values from before replication are merged');
sql($us, q{INSERT INTO post SELECT n, 'new', ARRAY['base'], int4range(n, n + 1) FROM generate_series(2, 20) n});
wait_converged(@nodes);

# --- concurrent writes ---------------------------------------------------------------------------------------------------

cut_link($us, $eu);
sql($us, q{UPDATE post SET tags = ARRAY['us'], period = int4range(0, 1)});
sql($us, q{UPDATE post SET tags = ARRAY['us2'], title = 'us' WHERE id % 2 = 0});
sql($eu, q{UPDATE post SET tags = tags || 'eu'::text, period = int4range(90, 91)});
is(sql($us, q{SELECT tags, period FROM post WHERE id = 2}), '{base,us,us2}|[0,3)', 'a local write adds to what was there');
heal_link($us, $eu);
wait_converged(@nodes);
expect_everywhere(\@nodes, q{SELECT DISTINCT tags FROM post WHERE id % 2 = 0}, '{base,eu,us,us2}', 'what both wrote is there');
expect_everywhere(\@nodes, q{SELECT DISTINCT tags FROM post WHERE id % 2 = 1}, '{base,eu,us}', 'in the other rows too');
expect_everywhere(\@nodes, q{SELECT DISTINCT period FROM post}, '[0,91)', 'and of a function of the server');
same_everywhere(\@nodes, q{SELECT string_agg(p::text, chr(10) ORDER BY id) FROM post p}, 'rows and states agree byte for byte');
like(sql($eu, q{SELECT meridian.explain_conflict(max(id)) FROM meridian.conflicts}),
	qr/^Row \{"id": \d+\} of public\.post: eu updated it at .* and us updated it at .*Neither row won as a whole/, 'explained in plain words');

# --- both write all the time -----------------------------------------------------------------------------------------------

foreach my $round (1 .. 20)
{
	sql($us, qq{UPDATE post SET tags = ARRAY['u$round'] WHERE id = 3});
	sql($eu, qq{UPDATE post SET tags = ARRAY['e$round'] WHERE id = 3});
}
wait_converged(@nodes);
expect_everywhere(\@nodes, q{SELECT cardinality(tags) FROM post WHERE id = 3}, 43, 'nothing is lost');

# --- delete and insert again -------------------------------------------------------------------------------------------------

cut_link($us, $eu);
sql($us, q{DELETE FROM post WHERE id = 4; INSERT INTO post VALUES (4, 'again', ARRAY['fresh'], '[1,2)')});
sql($eu, q{UPDATE post SET tags = ARRAY['late'] WHERE id = 4});
heal_link($us, $eu);
wait_converged(@nodes);
expect_everywhere(\@nodes, q{SELECT title, tags, period FROM post WHERE id = 4}, 'again|{fresh}|[1,2)', 'a new life begins with its own value');

no_crash(@nodes);
done_testing();
