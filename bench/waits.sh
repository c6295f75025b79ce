#!/bin/bash
# Waiting for a token on a standby: how soon a client goes on after its write has been replayed, and what waiters cost replay.
#
#   bench/waits.sh            both parts
#   bench/waits.sh latency    gate: a median of at most 1 ms on 15 and 0.5 ms on 16 and later, from the reply to the commit
#                             to the reply that ends the wait; and less than clients that poll, where there is something to
#                             wait for, on a standby of the standby
#   bench/waits.sh replay     gate: 600,000 records replay in at most 1.2 times the time with 64 waiters for a later position
#
# Clients of the first part:
#   token     SET meridian.read_after
#   spin      asks pg_last_wal_replay_lsn() without a pause: as soon as one can know
#   1 ms      asks every millisecond
#   10 ms     asks every 10 milliseconds
#
# The second part pauses replay, writes the records, waits until the standby has received them, and times the replay.
# CYCLES=2000 ROUNDS=2 RECORDS=600000 WAITERS=64. Arms in ABBA order, medians. Exit status 1 if a gate fails.
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PART=${1:-both}
CYCLES=${CYCLES:-2000}
ROUNDS=${ROUNDS:-2}
RECORDS=${RECORDS:-600000}
WAITERS=${WAITERS:-64}

make_servers() {
  make_server primary "max_connections = 200"
  start_server primary
  sql primary -c 'CREATE EXTENSION meridian' \
    -c 'CREATE TABLE read_your_writes (id integer PRIMARY KEY, v bigint NOT NULL) WITH (fillfactor = 50)' \
    -c 'INSERT INTO read_your_writes VALUES (1, 0)' -c 'CREATE TABLE record (n integer)'
  sql primary <<'SQL'
CREATE FUNCTION replay_until(target pg_lsn) RETURNS float LANGUAGE plpgsql AS $$
DECLARE
  begun timestamptz := clock_timestamp();
BEGIN
  PERFORM pg_wal_replay_resume();
  WHILE pg_last_wal_replay_lsn() < target LOOP
    PERFORM pg_sleep(0.002);
  END LOOP;
  RETURN extract(epoch FROM clock_timestamp() - begun);
END $$;
SQL
  make_standby standby primary
  make_standby cascaded standby
  for node in standby cascaded; do await "$node" 'SELECT dispatcher_pid IS NOT NULL FROM meridian.wait_status'; done
}

# --- latency ---

mode_of() {
  case $1 in
    token) echo set ;;
    spin) echo poll:0 ;;
    '1 ms') echo poll:1000 ;;
    '10 ms') echo poll:10000 ;;
  esac
}

measure_latency() {
  local reader=$1 arm=$2 out cycles=$CYCLES
  [ "$arm" != '10 ms' ] || cycles=$((CYCLES / 4))
  out=$(as_owner "$READ_YOUR_WRITES" --write "$(dsn_of primary)" --read "$(dsn_of "$reader")" --cycles "$cycles" --mode "$(mode_of "$arm")")
  [[ $out == *'stale=0 timeouts=0 late=0 errors=0'* ]] || die "$arm: $out"
  sed -n 's/.*p50_us=\([0-9]*\).*/\1/p' <<<"$out" >>"$DIR/p50.$reader.$arm"
  sed -n 's/.*p95_us=\([0-9]*\).*/\1/p' <<<"$out" >>"$DIR/p95.$reader.$arm"
}

half_of() { median <"$DIR/p50.$1.$2"; }

latency() {
  local arms=(token spin '1 ms' '10 ms') round i arm reader limit=500
  [ "$(sql primary -c 'SHOW server_version_num')" -ge 160000 ] || limit=1000
  canary before
  for ((round = 0; round < ROUNDS; ++round)); do
    for reader in standby cascaded; do
      for arm in "${arms[@]}"; do measure_latency "$reader" "$arm"; done
      for ((i = ${#arms[@]} - 1; i >= 0; --i)); do measure_latency "$reader" "${arms[i]}"; done
    done
  done
  canary after
  for reader in standby cascaded; do
    printf '\nWait for a write on a %s, microseconds: half of the waits (median, lowest-highest), 95 %% of the waits\n' "$reader"
    for arm in "${arms[@]}"; do
      printf '%-8s %8.0f   %-18s %8.0f\n' "$arm" "$(half_of "$reader" "$arm")" "($(spread <"$DIR/p50.$reader.$arm"))" "$(median <"$DIR/p95.$reader.$arm")"
    done
  done
  gate "half of the waits for a token end within $limit us" "$(half_of standby token) <= $limit"
  for arm in '1 ms' '10 ms'; do
    gate "sooner than those of a client that asks every $arm" "$(half_of cascaded token) < $(half_of cascaded "$arm")"
  done
}

# --- replay ---

# A position that nobody reaches: a gigabyte on.
far_token() { sql primary -c 'INSERT INTO record VALUES (0)' -c 'SHOW meridian.last_write' | perl -pe 's/([0-9a-f]+)$/sprintf "%x", hex($1) + (1 << 30)/e'; }

start_waiters() {
  local i token
  token=$(far_token)
  for ((i = 0; i < WAITERS; ++i)); do
    as_owner env PGAPPNAME=waiter PGOPTIONS="-c meridian.read_after_timeout=10min" "$BIN/psql" -X -q -d "$(dsn_of standby)" \
      -c "SET meridian.read_after = '$token'" >/dev/null 2>&1 &
  done
  await standby "SELECT waiting = $WAITERS AND polled = 0 FROM meridian.wait_status"
}

stop_waiters() {
  sql standby -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'waiter'" >/dev/null
  await standby 'SELECT waiting = 0 FROM meridian.wait_status'
}

startup_seconds() { awk '{ print $1 / 1e9 }' "/proc/$(sql standby -c "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'")/schedstat"; }

measure_replay() {
  local arm=$1 target before seconds
  sql primary -c 'TRUNCATE record'
  sql standby -c 'SELECT pg_wal_replay_pause()' >/dev/null
  await standby "SELECT pg_get_wal_replay_pause_state() = 'paused'"
  [ "$arm" = none ] || start_waiters
  sql primary -c "INSERT INTO record SELECT generate_series(1, $RECORDS)"
  target=$(sql primary -c 'INSERT INTO read_your_writes SELECT max(id) + 1, 0 FROM read_your_writes' \
    -c "SELECT '0/0'::pg_lsn + ('x' || lpad(split_part(meridian.last_write_token(), '-', 3), 16, '0'))::bit(64)::bigint")
  await standby "SELECT pg_last_wal_receive_lsn() >= '$target'"
  before=$(startup_seconds)
  seconds=$(sql standby -c "SELECT replay_until('$target')")
  awk -v a="$(startup_seconds)" -v b="$before" 'BEGIN { print a - b }' >>"$DIR/cpu.$arm"
  echo "$seconds" >>"$DIR/seconds.$arm"
  [ "$arm" = none ] || stop_waiters
}

replay() {
  local round arm waiting
  canary before
  for ((round = 0; round < ROUNDS; ++round)); do
    for arm in none waiters waiters none; do measure_replay "$arm"; done
  done
  canary after
  printf '\nReplay of %d records: seconds (lowest-highest), and processor time of the replaying process\n' "$RECORDS"
  for arm in none waiters; do
    printf '%-8s %8s   %-12s %8s\n' "$arm" "$(median <"$DIR/seconds.$arm")" "($(spread <"$DIR/seconds.$arm"))" "$(median <"$DIR/cpu.$arm")"
  done
  waiting=$(ratio "$(median <"$DIR/seconds.waiters")" "$(median <"$DIR/seconds.none")")
  printf 'with %d waiters %s times as long, %s times the processor time\n' "$WAITERS" "$waiting" \
    "$(ratio "$(median <"$DIR/cpu.waiters")" "$(median <"$DIR/cpu.none")")"
  gate "with $WAITERS waiters at most 1.2 times as long" "$waiting <= 1.2"
}

choose_server
make_directory
make_servers
[ "$PART" = replay ] || latency
[ "$PART" = latency ] || replay
exit $FAILED
