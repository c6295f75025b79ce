#!/bin/bash
# What the status views cost: execution time of each query, asked again and again on one connection, in a mesh of two members with a
# standby each and a standby below one of these.
#
#   bench/status.sh      gates: each view under 10 ms, status_report() under 5 ms (medians of REPEAT=20)
#
# Times are those of EXPLAIN ANALYZE, planning included. Exit status 1 if a gate fails.
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

REPEAT=${REPEAT:-20}

make_servers() {
  local node
  for node in us eu; do
    make_server "$node"
    start_server "$node"
    sql "$node" -c 'CREATE EXTENSION meridian' -c 'CREATE TABLE note (id bigint PRIMARY KEY)'
  done
  sql us -c "SELECT meridian.create_node('us', 'us', '$(dsn_of us)')" >/dev/null
  sql eu -c "SELECT meridian.join('eu', 'eu', '$(dsn_of eu)', via => '$(dsn_of us)')" >/dev/null
  sql us -c "SELECT meridian.replicate('note')" >/dev/null
  make_standby us_standby us
  make_standby eu_standby eu
  make_standby leaf us_standby
  for node in us_standby eu_standby leaf; do
    sql "$(primary_of "$node")" -c "SELECT meridian.add_standby('$node', '$(dsn_of "$node")')" >/dev/null
  done
  await us "SELECT count(*) = 5 FROM meridian.topology WHERE state = 'up'"
}

primary_of() { if [ "$1" = eu_standby ]; then echo eu; else echo us; fi; }

# Milliseconds of each repetition, planning and execution together; the first ones, which compile and plan, are left out.
times_of() {
  local i
  {
    for ((i = 0; i < REPEAT + 3; ++i)); do echo "EXPLAIN (ANALYZE, SUMMARY, TIMING OFF) $1;"; done
  } | sql us | awk '/^ *Planning Time:/ { planning = $3 } /^ *Execution Time:/ { if (++n > 3) print planning + $3 }'
}

choose_server
make_directory
make_servers
canary before
printf '\n%-44s %8s   %s\n' 'milliseconds' median 'lowest-highest'
for query in 'SELECT meridian.status_report()' 'SELECT * FROM meridian.replication_status' 'SELECT * FROM meridian.topology' 'SELECT * FROM meridian.lag' \
  'SELECT * FROM meridian.slots' 'SELECT * FROM meridian.alarms' 'SELECT meridian.metrics()' 'SELECT meridian.status_page()'; do
  times_of "$query" >"$DIR/ms"
  printf '%-44s %8s   %s\n' "$query" "$(median <"$DIR/ms")" "$(spread <"$DIR/ms")"
  case $query in
    *status_report*) gate "$query: under 5 ms" "$(median <"$DIR/ms") < 5" ;;
    *FROM*) gate "$query: under 10 ms" "$(median <"$DIR/ms") < 10" ;;
  esac
done
canary after
exit $FAILED
