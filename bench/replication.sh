#!/bin/bash
# The two tables that every text on replication shows, for this machine.
#
#   bench/replication.sh [reads] [modes]      both by default
#
# reads  queries per second of clients that read through route_read() (docs/clients/meridian_client.py), with no standby, with one, two
#        and three; gate: with three standbys at least twice as many as with none
# modes  writes per second, commit latency, and the lag of each standby from commit to visibility (meridian.lag), for asynchronous
#        commits and for commits that wait for one and for two standbys; gate: no standby is ever more than 10 s behind
#
# Each server with all its processes is a control group that may use QUOTA percent of one processor (20), all servers the
# same; so what is measured is what another machine of that size adds, not what processors are left over on this one. The
# client has no quota. Commits are flushed (fsync = on). Needs root, for the groups. SECONDS_EACH=20, CLIENTS=12; RATE=100 writes
# per second while the lag is measured, which takes SPAN=65 seconds for each mode, as that is a histogram of the last minute.
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

QUOTA=${QUOTA:-20}
SECONDS_EACH=${SECONDS_EACH:-20}
CLIENTS=${CLIENTS:-12}
RATE=${RATE:-100}
SPAN=${SPAN:-65}
ROWS=20000
standbys=(one two three)
wanted=("${@:-reads modes}")
read -ra wanted <<< "${wanted[*]}"
period=10000  # us; short, so that a server out of quota is late by milliseconds

# group_of NODE: the node's control group, made if need be; of version 1 or 2, whichever this machine has.
group_of() {
  local group
  if [ -d /sys/fs/cgroup/cpu ]; then
    group=/sys/fs/cgroup/cpu/meridian-bench-$$-$1
    [ -d "$group" ] || { mkdir "$group" && echo $period > "$group/cpu.cfs_period_us" && echo $((period * QUOTA / 100)) > "$group/cpu.cfs_quota_us"; }
  else
    group=/sys/fs/cgroup/meridian-bench-$$-$1
    [ -d "$group" ] || { echo +cpu > /sys/fs/cgroup/cgroup.subtree_control && mkdir "$group" && echo "$((period * QUOTA / 100)) $period" > "$group/cpu.max"; }
  fi
  echo "$group"
}

# The server and whatever it starts, from now on.
restrict() {  # NODE
  local group pid
  group=$(group_of "$1")
  stop_server "$1"
  (
    echo "$BASHPID" > "$group/cgroup.procs"
    start_server "$1"
  )
  read -r pid < "$DIR/$1/postmaster.pid"
  grep -q "meridian-bench-$$-$1" "/proc/$pid/cgroup" || die "server $1 is not in its control group"
}

remove_groups() {
  local group
  for group in /sys/fs/cgroup/cpu/meridian-bench-$$-* /sys/fs/cgroup/meridian-bench-$$-*; do
    [ ! -d "$group" ] || rmdir "$group" || true
  done
}

make_servers() {
  local node
  make_server main "fsync = on
meridian.max_lag = '1h'"
  start_server main
  sql main -c 'CREATE EXTENSION meridian'
  sql main -c "SELECT meridian.create_node('main', 'main', '$(dsn_of main)')" > /dev/null
  make_table main account $ROWS
  sql main -c 'VACUUM ANALYZE account'
  for node in "${standbys[@]}"; do
    make_standby "$node" main "meridian.region = 'main'"
    sql main -c "SELECT meridian.add_standby('$node', '$(dsn_of "$node")')" > /dev/null
  done
  for node in main "${standbys[@]}"; do restrict "$node"; done
  everybody_up
}

everybody_up() { await main "SELECT count(*) = 1 + ${#standbys[@]} FROM meridian.nodes WHERE health IN ('up', 'drained')"; }

# The first N standbys take reads.
offer() {
  local i verb
  for i in "${!standbys[@]}"; do
    verb=drain
    [ "$i" -ge "$1" ] || verb=undrain
    sql main -c "SELECT meridian.${verb}_node('${standbys[$i]}')" > /dev/null
  done
  await main "SELECT count(*) = $1 FROM meridian.nodes WHERE role_expected = 'standby' AND health = 'up'"
}

measure_reads() {
  local n rate first='' last
  printf '\nreads: each server has %s %% of a processor; %s clients\n%-22s %10s %8s   %s\n' "$QUOTA" "$CLIENTS" servers 'per second' ratio 'answered by'
  for n in 0 1 2 3; do
    offer "$n"
    as_owner env PYTHONPATH="$TOP/docs/clients" /usr/bin/python3 "$BENCH/replication_reads.py" "$(dsn_of main)" "$CLIENTS" "$SECONDS_EACH" $ROWS > "$DIR/reads"
    rate=$(sed -n 's/^rate //p' "$DIR/reads")
    first=${first:-$rate}
    last=$(ratio "$rate" "$first")
    printf '%-22s %10s %8s   %s\n' "primary, $n standbys" "$rate" "$last" "$(sed -n 's/^servers //p' "$DIR/reads")"
  done
  gate 'reads with three standbys: at least twice those of the primary alone' "$last >= 2"
}

# One row at random is changed, and committed.
write_script() { printf '%s\n' "\\set id random(1, $ROWS)" 'UPDATE account SET balance = balance + 1, updated_at = now() WHERE id = :id;'; }

write_load() { as_owner "$BIN/pgbench" -n -M prepared -f "$DIR/write.sql" -c "$CLIENTS" -j 2 "$@" "$(dsn_of main)"; }

commit_percentiles() {  # of the logs of pgbench, milliseconds
  cat "$DIR"/log.* | awk '{ print $3 / 1000 }' | sort -g | awk '{ v[NR] = $1 } END { printf "%.1f %.1f %.1f", v[int(NR * 0.5) + 1], v[int(NR * 0.95) + 1], v[int(NR * 0.99) + 1] }'
  rm -f "$DIR"/log.*
}

measure_modes() {
  local mode n rate commits worst=0 asynchronous='' lag
  write_script | as_owner tee "$DIR/write.sql" > /dev/null
  printf '\nmodes: each server has %s %% of a processor; %s clients at full speed, then %s writes per second for the lag\n' "$QUOTA" "$CLIENTS" "$RATE"
  printf '%-30s %9s %6s   %-24s %s\n' commits 'per second' ratio 'commit ms P50 P95 P99' 'lag ms P50 P95 P99 max, of each standby'
  for n in 0 1 2; do
    mode="wait for $n standbys"
    if [ "$n" = 0 ]; then
      mode=asynchronous
      sql main -c "ALTER SYSTEM SET synchronous_standby_names = ''" -c 'SELECT pg_reload_conf()' > /dev/null
    else
      sql main -c "SELECT * FROM meridian.synchronous_plan($n, 'any', apply => true)" > /dev/null
      await main "SELECT count(*) = ${#standbys[@]} FROM pg_stat_replication WHERE sync_state = 'quorum'"
    fi
    rate=$(cd "$DIR" && write_load -T "$SECONDS_EACH" -l --log-prefix="$DIR/log" | sed -n 's/^tps = \([0-9.]*\).*/\1/p')
    asynchronous=${asynchronous:-$rate}
    commits=$(commit_percentiles)
    caught_up
    write_load -T "$SPAN" -R "$RATE" > /dev/null
    sql main -F ' ' -c "SELECT peer, round(1000 * extract(epoch FROM p50), 1), round(1000 * extract(epoch FROM p95), 1), round(1000 * extract(epoch FROM p99), 1), round(1000 * extract(epoch FROM max), 1)
                          FROM meridian.lag WHERE span = '1 min' AND samples > 0 ORDER BY peer" > "$DIR/lags"
    [ "$(wc -l < "$DIR/lags")" = ${#standbys[@]} ] || die 'not every standby has a lag'
    lag=$(paste -sd';' "$DIR/lags" | sed 's/;/; /g')
    printf '%-30s %9.0f %6s   %-24s %s\n' "$mode" "$rate" "$(ratio "$rate" "$asynchronous")" "$commits" "$lag"
    worst=$(awk -v w="$worst" '$5 > w { w = $5 } END { print w }' "$DIR/lags")
  done
  gate 'no standby is ever more than 10 s behind' "$worst < 10000"
}

caught_up() {
  await main "SELECT bool_and(replay_lsn >= '$(sql main -c 'SELECT pg_current_wal_lsn()')') FROM pg_stat_replication"
}

[ "$(id -u)" = 0 ] || die 'needs root, for the control groups of the servers'
choose_server
make_directory
trap 'clean_up; remove_groups' EXIT
canary before
make_servers
for part in "${wanted[@]}"; do "measure_$part"; done
canary after
exit $FAILED
