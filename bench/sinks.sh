#!/bin/bash
# What a sink adds to decoding: events per second from the WAL to a broker of the Kafka protocol, how late a consumer has an event
# of an idle server, and the memory of the program when one transaction has a million rows.
#
#   bench/sinks.sh     TX=600 transactions of 100 changes in each of ROUNDS=5 slices, COMMITS=500, ROWS=1000000
#
# Gates: 60,000 events a second delivered, or 0.7 of what a client decodes in the same run that throws them away, whichever is
# less; 99 of 100 commits are with a consumer within 50 ms on an idle server; the program takes less than 64 MB more during the large transaction
# than before.
#
# The broker is librdkafka's mock cluster (test/clients/kafka_peer): it acknowledges what it has in memory, and is not Apache Kafka. The
# program is stopped (SIGSTOP) while a slice is written, so it finds all of it. Decoding alone is pg_recvlogical to /dev/null with the
# same options, each slice once before and once after the delivery. Processor time of each process is printed per event: other
# load changes it least.
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
TX=${TX:-600}
ROUNDS=${ROUNDS:-5}
COMMITS=${COMMITS:-500}
ROWS=${ROWS:-1000000}

choose_server
make_directory
make_server db
start_server db
sql db -c 'CREATE EXTENSION meridian' \
  -c 'CREATE TABLE event (id bigint PRIMARY KEY, name text NOT NULL, mail varchar(80), balance numeric(12,2), active boolean, made timestamptz, note text)' \
  -c 'CREATE TABLE big (id bigint PRIMARY KEY, note text)' -c 'CREATE TABLE late (id bigint PRIMARY KEY)' >/dev/null

mkfifo "$DIR/questions" "$DIR/answers"
chmod 0666 "$DIR/questions" "$DIR/answers"
exec {QUESTIONS}<>"$DIR/questions" {ANSWERS}<>"$DIR/answers"
as_owner "$(dirname "$READ_YOUR_WRITES")/kafka_peer" <"$DIR/questions" >"$DIR/answers" 2>"$DIR/broker.log" &
trap 'kill "${broker:-}" 2>/dev/null || true; clean_up' EXIT
broker_says() { read -r -t 600 -u "$ANSWERS" "$@" || die 'the broker does not answer'; }
broker_says address

sql db -c "SELECT meridian.create_sink('kafka', 'kafka', '{\"tables\": [\"public.event\", \"public.big\", \"public.late\"], \"brokers\": \"$address\", \"snapshot\": \"never\"}')" \
  -c "SELECT pg_create_logical_replication_slot(s, 'meridian_cdc') FROM unnest('{before,after}'::name[]) s" >/dev/null
await db "SELECT state = 'running' FROM meridian.sinks"
await db "SELECT count(*) = 1 FROM pg_stat_replication WHERE application_name = 'meridian sink kafka'"
program=$(sql db -c 'SELECT pid FROM meridian.sinks')
sender=$(sql db -c "SELECT pid FROM pg_stat_replication WHERE application_name = 'meridian sink kafka'")
ledger=$(sql db -c "SELECT pid FROM pg_stat_activity WHERE application_name = 'meridian sink'")
broker=$(pgrep -n -x kafka_peer)

# spent PID: nanoseconds of processor time of all threads.
spent() { cat /proc/"$1"/task/*/schedstat | awk '{ sum += $1 } END { printf "%.0f\n", sum }'; }
spent_by_all() { for pid in "$sender" "$program" "$ledger" "$broker"; do spent "$pid"; done | xargs; }
delivered() { sql db -c 'SELECT events FROM meridian.sink_progress'; }
memory() { awk -v name="$1:" '$1 == name { print $2 }' "/proc/$program/status"; }
since() { awk -v from="$1" -v to="$(date +%s%N)" -v n="$2" 'BEGIN { printf "%.0f\n", n * 1e9 / (to - from) }'; }

write_slice() {
  sql db >/dev/null <<SQL
DO \$\$ BEGIN FOR i IN $1 * $TX .. $1 * $TX + $TX - 1 LOOP
  INSERT INTO event SELECT i * 50 + g, 'name ' || g, 'user' || g || '@example.com', g * 1.25, g % 2 = 0, now(), 'a note of some length, as rows have' FROM generate_series(1, 50) g;
  UPDATE event SET balance = balance + 1, note = 'changed ' || i WHERE id BETWEEN i * 50 + 1 AND i * 50 + 50;
  COMMIT;
END LOOP; END \$\$;
CHECKPOINT;
SQL
}

# decode_alone SLOT END: what the slot has not sent yet.
decode_alone() {
  local begun
  begun=$(date +%s%N)
  as_owner "$BIN/pg_recvlogical" -d "$(dsn_of db)" --slot "$1" --start --endpos "$2" -f /dev/null --no-loop -F 0 \
    -o format=event -o message_bytes=32768 -o tables=public.event
  since "$begun" $((TX * 100))
}

throughput() {
  local round end begun before after
  local alone=() rates=() used=()
  for ((round = -1; round < ROUNDS; ++round)); do
    kill -STOP "$program"
    write_slice $((round + 1))
    end=$(sql db -c 'SELECT pg_current_wal_flush_lsn()')
    alone+=("$(decode_alone before "$end")")
    before=$(delivered)
    read -ra used < <(spent_by_all)
    watch db
    begun=$(date +%s%N)
    kill -CONT "$program"
    until_true "SELECT events >= $before + $TX * 100 FROM meridian.sink_progress"
    rates+=("$(since "$begun" $((TX * 100)))")
    end_watch
    read -ra after < <(spent_by_all)
    alone+=("$(decode_alone after "$end")")
    # The first slice fills caches.
    if [ "$round" -lt 0 ]; then alone=() rates=(); continue; fi
    for pid in 0 1 2 3; do echo $((after[pid] - used[pid])) >>"$DIR/used.$pid"; done
  done
  DECODED=$(printf '%s\n' "${alone[@]}" | median)
  DELIVERED=$(printf '%s\n' "${rates[@]}" | median)
  printf '%s slices of %s events; medians\n' "$ROUNDS" $((TX * 100))
  printf '  decoded and thrown away   %8.0f a second (%s)\n' "$DECODED" "$(printf '%s\n' "${alone[@]}" | spread)"
  printf '  delivered to the broker   %8.0f a second (%s): %s of it\n' "$DELIVERED" "$(printf '%s\n' "${rates[@]}" | spread)" "$(ratio "$DELIVERED" "$DECODED")"
  pid=0
  for what in 'the server, decoding' 'meridian-sink' 'the server, positions' 'the broker'; do
    printf '  processor time of %-24s %s us an event\n' "$what" "$(awk -v n=$((TX * 100)) '{ printf "%.3f\n", $1 / n / 1000 }' "$DIR/used.$pid" | median)"
    pid=$((pid + 1))
  done
}

# One commit after another, not in step with whatever looks at regular intervals.
lateness() {
  local line before
  before=$(delivered)
  # The first event of a topic waits for the broker to tell of the topic.
  sql db -c 'INSERT INTO late VALUES (-1)'
  await db "SELECT events > $before FROM meridian.sink_progress"
  echo "late postgres.public.late $COMMITS" >&"$QUESTIONS"
  broker_says line
  for ((i = 0; i < COMMITS; ++i)); do
    echo "INSERT INTO late VALUES ($i);"
    read -r -t "0.0$((20 + i % 7 * 3))" -u "$PAUSE" || true
  done | sql db
  broker_says P50 P95 P99 most
  broker_says line
  printf 'idle, %s commits: a consumer has the event after %s ms (P50), %s (P95), %s (P99), %s at most\n' "$COMMITS" "$P50" "$P95" "$P99" "$most"
}

large_transaction() {
  local before idle
  idle=$(memory VmRSS)
  before=$(delivered)
  sql db -c "INSERT INTO big SELECT g, 'a note of some length, as rows have' FROM generate_series(1, $ROWS) g"
  await db "SELECT events >= $before + $ROWS FROM meridian.sink_progress"
  GROWN=$(awk -v a="$(memory VmHWM)" -v b="$idle" 'BEGIN { printf "%.1f\n", (a - b) / 1024 }')
  printf 'a transaction of %s rows: the program has %s MB before, and at most %s MB more since it began\n' "$ROWS" $((idle / 1024)) "$GROWN"
}

canary before
throughput
lateness
large_transaction
canary after
gate '60,000 events a second delivered, or 0.7 of those decoded alone' "$DELIVERED >= 60000 || $DELIVERED >= 0.7 * $DECODED"
gate '99 of 100 commits within 50 ms' "$P99 < 50"
gate 'less than 64 MB more for a million rows' "$GROWN < 64"
exit $FAILED
