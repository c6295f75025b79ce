#!/bin/bash
# How often a client that writes on one server and reads on another misses its own write: with tokens, and without.
#
#   bench/read_your_writes.sh      gate: with tokens no stale read, no timeout and no other error, no write later than a wait lasts
#
# Five servers: us with a standby and a standby of that, and eu, another region of the same mesh, with a standby. The client writes
# on us, and reads on each of the four others at the same time, from a table of its own, whose row is updated in every
# cycle while autovacuum looks every second. What is varied:
#
#   none       no token
#   set        SET meridian.read_after
#   begin      the wait is in BEGIN ISOLATION LEVEL REPEATABLE READ
#   async      as set, with synchronous_commit = off
#   generic    the wait is in a prepared statement with a generic plan
#   ddl        as set; between every 20th write and its read a column is added and dropped
#
# The figures are counts: they do not depend on how busy the machine is, except those without tokens, and writes that come
# later than a wait lasts (5 s), which are counted apart. CYCLES=10000.
# Exit status 1 if the gate fails.
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

CYCLES=${CYCLES:-10000}
readers=(standby cascaded eu eu_standby)
cases=(none set begin async generic ddl)
hot="autovacuum = on
autovacuum_naptime = 1s
autovacuum_vacuum_threshold = 20
autovacuum_vacuum_scale_factor = 0
wal_writer_delay = 10ms"

make_servers() {
  local node
  for node in us eu; do
    make_server "$node" "$hot"
    start_server "$node"
    sql "$node" -c 'CREATE EXTENSION meridian'
  done
  sql us -c "SELECT meridian.create_node('us', 'us', '$(dsn_of us)')" >/dev/null
  sql eu -c "SELECT meridian.join('eu', 'eu', '$(dsn_of eu)', via => '$(dsn_of us)')" >/dev/null
  make_standby standby us
  make_standby cascaded standby
  make_standby eu_standby eu
}

# The tables of the readers in eu are replicated; those of the standbys of us need not be.
make_tables() {
  local reader where
  for reader in "${readers[@]}"; do
    where=us
    [[ $reader != eu* ]] || where='us eu'
    for node in $where; do sql "$node" -c "CREATE TABLE of_$reader (id integer PRIMARY KEY, v bigint NOT NULL) WITH (fillfactor = 50)"; done
    [[ $reader != eu* ]] || sql us -c "SELECT meridian.replicate('of_$reader')" >/dev/null
    sql us -c "INSERT INTO of_$reader VALUES (1, 0)"
  done
  [ "$(sql us -c "SELECT meridian.wait_converged('120s')")" = t ] || die 'the mesh did not converge'
  for node in eu eu_standby; do await "$node" 'SELECT count(*) = 2 FROM meridian.heartbeat'; done
}

options_of() {  # CASE READER
  case $1 in
    none) echo --mode none ;;
    set) echo --mode set ;;
    begin) echo --mode begin ;;
    async) echo --mode set --async ;;
    generic) echo --mode statement --prepared ;;
    ddl) echo --mode set --ddl 20 ;;
  esac
}

run_case() {
  local case=$1 reader options pids=()
  for reader in "${readers[@]}"; do
    read -ra options <<<"$(options_of "$case")"
    if [ "$case" = ddl ] && [[ $reader == eu* ]]; then options+=(--ddl-on "$(dsn_of eu)"); fi
    as_owner "$READ_YOUR_WRITES" --write "$(dsn_of us)" --read "$(dsn_of "$reader")" --table "of_$reader" --cycles "$CYCLES" "${options[@]}" \
      >"$DIR/$case.$reader" 2>&1 &
    pids+=($!)
  done
  wait "${pids[@]}" || true
}

figure() { sed -n "s/.*\b$3=\([0-9]*\).*/\1/p" "$DIR/$1.$2"; }

choose_server
make_directory
make_servers
make_tables
for case in "${cases[@]}"; do run_case "$case"; done

printf '\nPostgreSQL %s, %d cycles for each figure: stale reads, timeouts of what could be read, other errors\n' "$(sql us -c 'SHOW server_version')" "$CYCLES"
printf '%-10s' ''
printf ' %16s' "${readers[@]}"
printf '\n'
bad=0
late=0
for case in "${cases[@]}"; do
  printf '%-10s' "$case"
  for reader in "${readers[@]}"; do
    stale=$(figure "$case" "$reader" stale)
    [ -n "$stale" ] || { cat "$DIR/$case.$reader" >&2; die "$case on $reader did not end"; }
    failures="$(figure "$case" "$reader" timeouts) $(figure "$case" "$reader" errors)"
    late=$((late + $(figure "$case" "$reader" late)))
    printf ' %16s' "$stale $failures"
    if [ "$failures" != '0 0' ] || { [ "$case" != none ] && [ "$stale" != 0 ]; }; then
      bad=$((bad + 1))
      cat "$DIR/$case.$reader" >&2
    fi
  done
  printf '\n'
done
gate 'no stale read, no timeout, no error' "$bad == 0"
gate "no write later than meridian.read_after_timeout ($late)" "$late == 0"
exit $FAILED
