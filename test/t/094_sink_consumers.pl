# Consumers as people have them, with the clients that they use, read what sinks deliver: kafkajs, ioredis and the official client of
# Elasticsearch, against librdkafka's mock cluster, redis-server and a double of _bulk. Skipped where these are not installed.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use JSON::PP;
use Meridian;
use Peers;
use PostgreSQL::Test::Utils;
use Test::More;

local $ENV{NODE_PATH} = '/var/tmp/meridian-node/npm/node_modules';
plan skip_all => 'kafkajs, ioredis and @elastic/elasticsearch are not installed (tools/install-deps.sh)'
  if system(q{node -e "require('kafkajs'), require('ioredis'), require('@elastic/elasticsearch')" > /dev/null 2>&1}) != 0;

my $clients = "$FindBin::RealBin/../clients";
my $directory = PostgreSQL::Test::Utils::tempdir_short();
my $broker = start_peer("$clients/kafka_peer")->{address};
my $url = 'http://127.0.0.1:' . start_peer('node', "$clients/bulk_double.js")->{address};
my $redis_socket = start_redis($directory);

my $node = new_node('shop');
sql($node, q{CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users VALUES (1, 'Ann'), (2, 'Bob')});
my %options = (tables => ['public.users'], envelope => 'payload', topic_prefix => 'shop');
sub create_sink { my ($name, $kind, %more) = @_; return sql($node, "SELECT meridian.create_sink('$name', '$kind', '" . encode_json({ %options, %more }) . "')"); }
create_sink('kafka', 'kafka', brokers => $broker);
create_sink('cache', 'redis', host => $redis_socket, key => 'user:{id}');
create_sink('search', 'elasticsearch', url => $url);
eval { wait_until($node, q{SELECT count(*) = 3 AND bool_and(state = 'done') FROM meridian.sink_snapshots}); 1 }
  or die $@ . sql($node, 'SELECT name, state, snapshot_rows, error FROM meridian.sinks');
sql($node, q{INSERT INTO users VALUES (3, 'Cy')});
sql($node, q{UPDATE users SET name = 'Anna' WHERE id = 1});
sql($node, q{DELETE FROM users WHERE id = 2});
my $position = sql($node, 'SELECT pg_current_wal_flush_lsn()');
wait_until($node, "SELECT bool_and(confirmed_flush_lsn >= '$position') FROM pg_replication_slots");

sub consume { my ($out, $err) = run_command([ 'node', "$clients/sink_consumer.js", @_ ]); note $err if $err; return $out; }
my @rows = ({ id => 1, name => 'Anna' }, { id => 3, name => 'Cy' });
# Two rows that were there, an insert, an update, a delete and its tombstone.
is_deeply(decode_json(consume('kafka', $broker, 'shop.public.users', 6)), \@rows, 'kafkajs: event.payload has op, before and after');
is_deeply(decode_json(consume('redis', $redis_socket, 'user:1')), $rows[0], 'ioredis: the row');
my ($document, $answer) = split /\n/, consume('elasticsearch', $url, 'users', '3');
is_deeply(decode_json($document), $rows[1], '@elastic/elasticsearch: the document');
is($answer, 'true 409', 'which an older version does not replace');

no_crash($node);
done_testing();
