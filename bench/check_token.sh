#!/bin/bash
# What check_token() costs when the token is fresh (the answer is yes): a million calls in one query, against an empty C function
# of the same signature.
#
#   bench/check_token.sh               gate: at most 2 us more per call, without signature
#   bench/check_token.sh instructions  callgrind instructions per call, which do not depend on how busy the machine is
#
#   empty    the empty function
#   own      check_token() on the server that wrote
#   signed   the same with meridian.token_secret_file
#   standby  on a standby of it
#   region   in another region: the position of a peer
#
# CALLS=1000000 ROUNDS=3 (instructions: CALLS=2000). Arms in ABBA order, medians. Exit status 1 if the gate fails.
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=bench/callgrind.sh
. "$BENCH/callgrind.sh"

MODE=${1:-wall}
ROUNDS=${ROUNDS:-3}
if [ "$MODE" = instructions ]; then CALLS=${CALLS:-2000}; else CALLS=${CALLS:-1000000}; fi
arms=(empty own signed standby region)

node_of() {
  case $1 in
    empty | own) echo us ;;
    signed) echo us_signed ;;
    standby) echo us_standby ;;
    region) echo eu ;;
  esac
}

function_of() { if [ "$1" = empty ]; then echo empty_text; else echo meridian.check_token; fi; }

# Fresh: everything else that this server did comes after it.
token_of() {
  local node=us
  [ "$1" != signed ] || node=us_signed
  sql "$node" -c 'INSERT INTO written VALUES (1)' -c 'SHOW meridian.last_write'
}

query() { echo "SELECT count($(function_of "$1")('$2')) FROM generate_series(1, $CALLS);"; }

make_servers() {
  local node
  for node in us eu us_signed; do
    make_server "$node" "$([ "$node" != us_signed ] || echo "meridian.token_secret_file = '$DIR/secret'")"
    start_server "$node"
    sql "$node" -c 'CREATE EXTENSION meridian' -c 'CREATE EXTENSION meridian_bench' -c 'CREATE TABLE written (a integer)'
  done
  sql us -c "SELECT meridian.create_node('us', 'us', '$(dsn_of us)')" >/dev/null
  sql eu -c "SELECT meridian.join('eu', 'eu', '$(dsn_of eu)', via => '$(dsn_of us)')" >/dev/null
  make_standby us_standby us
}

# Seconds of the query, as psql measures them.
time_of() {
  local arm=$1 token=$2
  { printf '\\timing on\n'; query "$arm" "$token"; } | sql "$(node_of "$arm")" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p'
}

# The token of each arm, waited for, so that the answer is yes.
make_tokens() {
  local arm
  for arm in "${arms[@]}"; do
    token_of "$arm" >"$DIR/token.$arm"
    await "$(node_of "$arm")" "SELECT meridian.check_token('$(cat "$DIR/token.$arm")') = 'yes'"
  done
}

# A backend that runs under callgrind from its first query on: the postmaster is started so, and backends inherit it.
count_instructions() {
  local arm=$1 node token pid
  node=$(node_of "$arm")
  token=$(cat "$DIR/token.$arm")
  pid=$({
    echo 'SELECT pg_backend_pid();'
    query "$arm" "$token"
    echo '\o /dev/null'
    echo 'SELECT mark();'
    query "$arm" "$token"
    echo 'SELECT mark();'
  } | sql "$node" | sed -n 1p)
  counted "$node" "$pid" "$CALLS"
}

wall() {
  local round arm
  canary before
  for ((round = 0; round < ROUNDS; ++round)); do
    for arm in "${arms[@]}" $(printf '%s\n' "${arms[@]}" | tac); do
      time_of "$arm" "$(cat "$DIR/token.$arm")" >>"$DIR/ms.$arm"
    done
  done
  canary after
  printf '\n%d calls, microseconds per call (median of %d, lowest-highest), and more than the empty function\n' "$CALLS" $((2 * ROUNDS))
  for arm in "${arms[@]}"; do
    per_call() { awk -v n="$CALLS" '{ print $1 * 1000 / n }' "$DIR/ms.$arm"; }
    printf '%-10s %8s   %-10s %8s\n' "$arm" "$(per_call | median)" "$(per_call | spread)" "$(more_than_empty "$arm")"
  done
  for arm in own standby region; do gate "$arm: at most 2 us more than an empty function" "$(more_than_empty "$arm") <= 2"; done
}

more_than_empty() {
  awk -v n="$CALLS" -v a="$(median <"$DIR/ms.$1")" -v b="$(median <"$DIR/ms.empty")" 'BEGIN { printf "%.3f\n", (a - b) * 1000 / n }'
}

instructions() {
  local node arm
  for node in us us_signed us_standby eu; do
    stop_server "$node"
  done
  for node in us us_signed us_standby eu; do start_under_callgrind "$node"; done
  make_tokens
  printf '\nInstructions per call\n'
  for arm in "${arms[@]}"; do printf '%-10s %8s\n' "$arm" "$(count_instructions "$arm")"; done
}

choose_server
make_directory
head -c 32 /dev/urandom | base64 | as_owner tee "$DIR/secret" >/dev/null
as_owner chmod 600 "$DIR/secret"
make_servers
make_tokens
if [ "$MODE" = instructions ]; then instructions; else wall; fi
exit $FAILED
