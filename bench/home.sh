#!/bin/bash
# What home_region() and route_write() cost: a million calls in one query, against empty C functions of the same signature; and
# what enforce_home() adds to an INSERT.
#
#   bench/home.sh               gate: at most 2 us more per call
#   bench/home.sh instructions  callgrind instructions per call, which do not depend on how busy the machine is
#
#   empty    the empty function from text to text
#   home     home_region() of a key that the map gives to one of five regions
#   weights  the same with regions of different weights
#   pinned   a key of the directory, among 10,000
#   empty_row, route   route_write() of a key, against an empty function that returns such a row
#
# CALLS=1000000 ROUNDS=3 (instructions: CALLS=2000). Arms in ABBA order, medians. Exit status 1 if the gate fails.
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=bench/callgrind.sh
. "$BENCH/callgrind.sh"

MODE=${1:-wall}
ROUNDS=${ROUNDS:-3}
if [ "$MODE" = instructions ]; then CALLS=${CALLS:-2000}; else CALLS=${CALLS:-1000000}; fi
arms=(empty home weights pinned empty_row route)

expression() {
  case $1 in
    empty) echo "empty_text(k::text)" ;;
    home | weights) echo "meridian.home_region(k::text)" ;;
    pinned) echo "meridian.home_region((k % 10000)::text)" ;;
    empty_row) echo "empty_row(k::text)" ;;
    route) echo "meridian.route_write(k::text)" ;;
  esac
}

weights_of() { if [ "$1" = weights ]; then echo '{1,2,3,4,5}'; else echo '{1,1,1,1,1}'; fi; }

# The map and the directory are written by hand: five members would be five servers.
prepare_arm() {
  sql us >/dev/null <<SQL
DELETE FROM meridian.home_pin;
UPDATE meridian.home_map SET weights = '$(weights_of "$1")';
INSERT INTO meridian.home_pin SELECT k::text, 'us', 1 FROM generate_series(0, 9999) k WHERE '$1' = 'pinned';
SQL
}

query() { echo "SELECT count($(expression "$1")) FROM generate_series(1, $CALLS) k;"; }

time_of() { { printf '\\timing on\n'; query "$1"; } | sql us | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p'; }

make_servers() {
  make_server us
  start_server us
  sql us -c 'CREATE EXTENSION meridian' -c 'CREATE EXTENSION meridian_bench'
  sql us -c "SELECT meridian.create_node('us', 'us', '$(dsn_of us)')" >/dev/null
  sql us >/dev/null <<'SQL'
INSERT INTO meridian.home_map (epoch, rule, regions, weights) VALUES (1, 'hash', '{us,eu,ap,sa,af}', '{1,1,1,1,1}');
INSERT INTO meridian.member (id, name, region, dsn, system_id)
  SELECT 1 + n, r, r, format('host=%s.example port=5432 dbname=app', r), n::text FROM unnest('{eu,ap,sa,af}'::text[]) WITH ORDINALITY u(r, n);
SQL
}

count_instructions() {
  local arm=$1 pid
  pid=$({
    echo 'SELECT pg_backend_pid();'
    query "$arm"
    echo '\o /dev/null'
    echo 'SELECT mark();'
    query "$arm"
    echo 'SELECT mark();'
  } | sql us | sed -n 1p)
  counted us "$pid" "$CALLS"
}

base_of() { if [ "$1" = route ]; then echo empty_row; else echo empty; fi; }
more_than_empty() {
  awk -v n="$CALLS" -v a="$(median <"$DIR/ms.$1")" -v b="$(median <"$DIR/ms.$(base_of "$1")")" 'BEGIN { printf "%.3f\n", (a - b) * 1000 / n }'
}

wall() {
  local round arm
  canary before
  for ((round = 0; round < ROUNDS; ++round)); do
    for arm in "${arms[@]}" $(printf '%s\n' "${arms[@]}" | tac); do
      prepare_arm "$arm"
      time_of "$arm" >>"$DIR/ms.$arm"
    done
  done
  canary after
  printf '\n%d calls, microseconds per call (median of %d, lowest-highest), and more than the empty function\n' "$CALLS" $((2 * ROUNDS))
  for arm in "${arms[@]}"; do
    per_call() { awk -v n="$CALLS" '{ print $1 * 1000 / n }' "$DIR/ms.$arm"; }
    printf '%-10s %8s   %-10s %8s\n' "$arm" "$(per_call | median)" "$(per_call | spread)" "$(more_than_empty "$arm")"
  done
  for arm in home weights pinned route; do gate "$arm: at most 2 us more than an empty function" "$(more_than_empty "$arm") <= 2"; done
}

instructions() {
  local arm
  stop_server us
  start_under_callgrind us
  printf '\nInstructions per call\n'
  for arm in "${arms[@]}"; do
    prepare_arm "$arm"
    printf '%-10s %8s\n' "$arm" "$(count_instructions "$arm")"
  done
}

choose_server
make_directory
make_servers
if [ "$MODE" = instructions ]; then instructions; else wall; fi
exit $FAILED
