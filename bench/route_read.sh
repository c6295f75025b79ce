#!/bin/bash
# What route_read() costs with 32 servers: a million calls in one query, against a C function of the same signature that returns
# a fixed row. And what the prober costs with 64 servers.
#
#   bench/route_read.sh               gates: at most 2 us more per call; the prober below 1 % of a core
#   bench/route_read.sh instructions  callgrind instructions per call, which do not depend on how busy the machine is
#
#   empty    the function that returns a fixed row
#   plain    route_read()
#   token    with a token of this server's system
#   session  with a session
#   standby  route_read() on a standby
#
# The servers are a primary and a standby; the standby is registered under many names, each of which is probed and routed to
# like a server of its own. CALLS=1000000 ROUNDS=3 SECONDS_OF_PROBING=20 (instructions: CALLS=2000). Arms in ABBA order,
# medians. Exit status 1 if a gate fails.
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=bench/callgrind.sh
. "$BENCH/callgrind.sh"

MODE=${1:-wall}
ROUNDS=${ROUNDS:-3}
if [ "$MODE" = instructions ]; then CALLS=${CALLS:-2000}; else CALLS=${CALLS:-1000000}; fi
SECONDS_OF_PROBING=${SECONDS_OF_PROBING:-20}
arms=(empty plain token session standby)

node_of() { if [ "$1" = standby ]; then echo us_standby; else echo us; fi; }

query() {
  local call
  case $1 in
    empty) call='empty_route()' ;;
    plain | standby) call='meridian.route_read()' ;;
    token) call="meridian.route_read(token => '$TOKEN')" ;;
    session) call="meridian.route_read(session => 'user-1')" ;;
  esac
  echo "SELECT count($call) FROM generate_series(1, $CALLS);"
}

# Registers the standby under names until there are so many servers, and waits until all are up.
make_names() {
  local servers=$1
  sql us -c "SELECT meridian.add_standby('s' || i, '$(dsn_of us_standby)') FROM generate_series(1, $servers - 2) i" >/dev/null
  sql us -c "SELECT meridian.add_standby('us_standby', '$(dsn_of us_standby)')" >/dev/null
  await us "SELECT count(*) = $servers AND bool_and(state = 'up') FROM meridian.server_probes()"
  await us_standby "SELECT count(*) = $servers AND bool_and(state = 'up') FROM meridian.server_probes()"
}

time_of() {
  local arm=$1
  { printf '\\timing on\n'; query "$arm"; } | sql "$(node_of "$arm")" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p'
}

more_than_empty() {
  awk -v n="$CALLS" -v a="$(median <"$DIR/ms.$1")" -v b="$(median <"$DIR/ms.empty")" 'BEGIN { printf "%.3f\n", (a - b) * 1000 / n }'
}

per_call() { awk -v n="$CALLS" '{ print $1 * 1000 / n }' "$DIR/ms.$1"; }

wall() {
  local round arm
  canary before
  for ((round = 0; round < ROUNDS; ++round)); do
    for arm in "${arms[@]}" $(printf '%s\n' "${arms[@]}" | tac); do time_of "$arm" >>"$DIR/ms.$arm"; done
  done
  canary after
  printf '\n%d calls with 32 servers, microseconds per call (median of %d, lowest-highest), and more than the empty function\n' "$CALLS" $((2 * ROUNDS))
  for arm in "${arms[@]}"; do
    printf '%-10s %8s   %-10s %8s\n' "$arm" "$(per_call "$arm" | median)" "$(per_call "$arm" | spread)" "$(more_than_empty "$arm")"
  done
  for arm in plain token session standby; do gate "$arm: at most 2 us more than an empty function" "$(more_than_empty "$arm") <= 2"; done
}

# Nanoseconds that a process has spent on a processor.
cpu_ns() { cut -d' ' -f1 "/proc/$1/schedstat"; }

probing() {
  local pid before after rounds
  pid=$(sql us -c 'SELECT pid FROM meridian.prober_status()')
  rounds=$(sql us -c 'SELECT rounds FROM meridian.prober_status()')
  before=$(cpu_ns "$pid")
  await us "SELECT rounds >= $rounds + $SECONDS_OF_PROBING FROM meridian.prober_status()"
  after=$(cpu_ns "$pid")
  awk -v ns=$((after - before)) -v s="$SECONDS_OF_PROBING" 'BEGIN { printf "%.3f\n", ns / s / 1e7 }' >"$DIR/percent"
  printf '\nThe prober with 64 servers, one round a second: %s %% of a core\n' "$(cat "$DIR/percent")"
  gate 'the prober takes less than 1 % of a core' "$(cat "$DIR/percent") < 1"
}

count_instructions() {
  local arm=$1 node pid
  node=$(node_of "$arm")
  pid=$({
    echo 'SELECT pg_backend_pid();'
    query "$arm"
    echo '\o /dev/null'
    echo 'SELECT mark();'
    query "$arm"
    echo 'SELECT mark();'
  } | sql "$node" | sed -n 1p)
  counted "$node" "$pid" "$CALLS"
}

instructions() {
  local node arm
  for node in us_standby us; do stop_server "$node"; done
  for node in us us_standby; do start_under_callgrind "$node"; done
  await us "SELECT count(*) = 32 AND bool_and(state = 'up') FROM meridian.server_probes()"
  await us_standby "SELECT count(*) = 32 AND bool_and(state = 'up') FROM meridian.server_probes()"
  printf '\nInstructions per call with 32 servers\n'
  for arm in "${arms[@]}"; do printf '%-10s %8s\n' "$arm" "$(count_instructions "$arm")"; done
}

choose_server
make_directory
# Its connections come from probers: one for each name.
make_server us "max_connections = 200"
start_server us
sql us -c 'CREATE EXTENSION meridian' -c 'CREATE EXTENSION meridian_bench' -c 'CREATE TABLE written (a integer)'
sql us -c "SELECT meridian.create_node('us', 'us', '$(dsn_of us)')" >/dev/null
make_standby us_standby us
make_names 32
TOKEN=$(sql us -c 'SET meridian.session = "user-1"' -c 'INSERT INTO written VALUES (1)' -c 'SHOW meridian.last_write')
if [ "$MODE" = instructions ]; then
  instructions
else
  wall
  make_names 64
  probing
fi
exit $FAILED
