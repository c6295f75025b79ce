#!/bin/bash
# What it costs to track sessions.
#
#   bench/sessions.sh                 all parts
#   bench/sessions.sh memory          shared memory for a million sessions; gate: 100 MB
#   bench/sessions.sh instructions    callgrind: INSERT and commit with meridian.session set, against without; gate: 1.02
#   bench/sessions.sh wall            pgbench, 16 clients that each write for a session of its own, against none; gate: no
#                                     slower than single runs of one arm differ
#
# INSERTS=2000 for the second part, SECONDS_EACH=5 and ROUNDS=5 for the third. Exit status 1 if a gate fails.
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=bench/callgrind.sh
. "$BENCH/callgrind.sh"

INSERTS=${INSERTS:-2000}
ROUNDS=${ROUNDS:-5}
SECONDS_EACH=${SECONDS_EACH:-5}
CLIENTS=16

make_tracking_server() {
  make_server "$1" "synchronous_commit = off
full_page_writes = off
${2:-}"
  start_server "$1"
  sql "$1" -c 'CREATE EXTENSION meridian' -c 'CREATE EXTENSION meridian_bench' -c 'CREATE TABLE t (a integer, b integer)'
}

memory() {
  local bytes
  make_tracking_server million 'meridian.max_sessions = 1000000'
  bytes=$(sql million -c "SELECT allocated_size FROM pg_shmem_allocations WHERE name = 'meridian sessions'")
  stop_server million
  printf '\nShared memory for a million sessions: %s bytes, %s each\n' "$bytes" "$((bytes / 1000000))"
  gate 'a million sessions in at most 100 MB' "$bytes <= 100000000"
}

instructions() {
  local without with
  make_tracking_server counted
  stop_server counted
  start_under_callgrind counted
  without=$(count_inserts counted "$INSERTS")
  with=$(count_inserts counted "$INSERTS" "SET meridian.session = 'user-42';")
  stop_server counted
  printf '\nInstructions per INSERT and commit: without session %s, with %s, ratio %s\n' "$without" "$with" "$(ratio "$with" "$without")"
  gate 'a commit of a session at most 1.02 times one without' "$with <= 1.02 * $without"
}

# transactions ARM: per second. Each client of pgbench has a connection of its own, and so a session.
transactions() {
  local script=$DIR/$1.sql
  as_owner "$BIN/pgbench" -n -h "$DIR" -p "$(port_of timed)" -U postgres -d postgres -c $CLIENTS -j 2 -T "$SECONDS_EACH" -f "$script" 2>/dev/null |
    awk '/^tps = / { print $3 }'
}

wall() {
  local round arm
  make_tracking_server timed
  # Both set something in each transaction, so that they differ by what the commit does.
  echo "SET application_name = 'user-:client_id'; INSERT INTO t VALUES (1, 2);" | as_owner tee "$DIR/none.sql" >/dev/null
  echo "SET meridian.session = 'user-:client_id'; INSERT INTO t VALUES (1, 2);" | as_owner tee "$DIR/session.sql" >/dev/null
  canary before
  transactions none >/dev/null
  for ((round = 0; round < ROUNDS; ++round)); do
    for arm in none session session none; do transactions $arm >>"$DIR/tps.$arm"; done
  done
  canary after
  stop_server timed
  local none session lowest
  none=$(median <"$DIR/tps.none")
  session=$(median <"$DIR/tps.session")
  lowest=$(sort -g "$DIR/tps.none" | head -n 1)
  printf '\nTransactions per second, %s clients: without session %s (%s), with %s (%s), ratio %s\n' $CLIENTS "$none" \
    "$(spread <"$DIR/tps.none")" "$session" "$(spread <"$DIR/tps.session")" "$(ratio "$session" "$none")"
  gate 'with sessions no slower than the slowest run without' "$session >= $lowest"
}

choose_server
make_directory
for part in "${@:-memory instructions wall}"; do
  for each in $part; do "$each"; done
done
exit $FAILED
