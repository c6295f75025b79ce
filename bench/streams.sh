#!/bin/bash
# How fast a server catches up when applying is the bottleneck: through two streams, and through one of stock PostgreSQL.
#
#   bench/streams.sh     gate: two streams faster than stock, on two processors
#
#   stock     pgoutput, no trigger
#   streams   meridian.replicate('t'), read by a member that joined with streams => 2
#   plain     the same table through one stream
#
# The tables have six more indexes, and columns of five of them change, so that an apply worker has more to do than a sender. Sender
# and receiver share the processors, as the two senders and two apply workers of `streams` do: on a machine with more than
# two the servers are bound to two of them.
#
# One measurement: new slots; the backlog, written while nobody receives; CHECKPOINT on both servers; then the
# subscriptions are enabled, and the time taken from the first change of the backlog being visible until all are. The first
# and the last transaction of the backlog change the same rows, enough of them to be in every stream. Order ABBA: each
# round runs the arms forwards and backwards.
#
# TX=40000 ROUNDS=2 ROWS_PER_TX=5. Exit status 1 if the gate fails.
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

TX=${TX:-40000}
ROUNDS=${ROUNDS:-2}
ROWS_PER_TX=${ROWS_PER_TX:-5}
ROWS=10000
MARKS=20
arms=(stock streams plain)
slots=(meridian_2_1of2 meridian_2_2of2)

# On two processors, whatever the machine has.
if [ "$(nproc)" -gt 2 ]; then taskset -cp 0,1 $$ >/dev/null; fi

make_servers() {
  local node arm
  for node in from to; do
    make_server "$node"
    start_server "$node"
    sql "$node" -c 'CREATE EXTENSION meridian'
    for arm in "${arms[@]}"; do
      make_table "$node" "$arm" "$ROWS"
      sql "$node" -c "CREATE INDEX ON $arm (balance)" -c "CREATE INDEX ON $arm (updated_at)" -c "CREATE INDEX ON $arm (note, balance)" \
        -c "CREATE INDEX ON $arm (name, updated_at)" -c "CREATE INDEX ON $arm (balance, updated_at)" -c "CREATE INDEX ON $arm (name, note)"
      procedures "$arm" | sql "$node"
    done
  done
}

procedures() {
  cat <<SQL
CREATE PROCEDURE write_$1(transactions integer) LANGUAGE plpgsql AS \$\$
BEGIN
  UPDATE $1 SET balance = balance + 1, updated_at = clock_timestamp() WHERE id <= $MARKS;
  COMMIT;
  FOR i IN 1 .. transactions LOOP
    UPDATE $1 SET balance = balance + 1, updated_at = clock_timestamp()
      WHERE id = ANY (ARRAY(SELECT $MARKS + 1 + (i * $ROWS_PER_TX + k) * 37 % ($ROWS - $MARKS) FROM generate_series(1, $ROWS_PER_TX) k));
    COMMIT;
  END LOOP;
  UPDATE $1 SET balance = balance + 1, updated_at = clock_timestamp() WHERE id <= $MARKS;
  COMMIT;
END \$\$;
SQL
}

# Changes are measured in one direction; the other streams would compete for the processors. `plain` is read by a
# subscription made by hand: the slot's name says that it is the only one, the subscription's that it is of the mesh.
make_streams() {
  sql from -c "SELECT meridian.create_node('from', 'from', '$(dsn_of from)')" >/dev/null
  sql to -c "SELECT meridian.join('to', 'to', '$(dsn_of to)', via => '$(dsn_of from)', streams => 2)" >/dev/null
  sql from -c "SELECT meridian.replicate('streams'), meridian.replicate('plain')" >/dev/null
  [ "$(sql from -c "SELECT meridian.wait_converged('120s')")" = t ] || die "the mesh did not converge"
  sql from -c 'ALTER SUBSCRIPTION meridian_2 DISABLE'
  drop_slot to meridian_1
  sql to -c "$(switch streams DISABLE)"
  sql from -c 'CREATE PUBLICATION stock FOR TABLE stock'
  sql to -c "CREATE SUBSCRIPTION stock CONNECTION '$(dsn_of from)' PUBLICATION stock
             WITH (create_slot = false, slot_name = 'stock', copy_data = false, enabled = false)" \
    -c "CREATE SUBSCRIPTION meridian_1_plain CONNECTION '$(dsn_of from)' PUBLICATION meridian
             WITH (create_slot = false, slot_name = 'plain', copy_data = false, binary = true, enabled = false)"
}

subscriptions_of() {
  case $1 in
    streams) echo meridian_1_1of2 meridian_1_2of2 ;;
    plain) echo meridian_1_plain ;;
    *) echo "$1" ;;
  esac
}

slots_of() {
  case $1 in
    streams) echo "${slots[@]}" ;;
    *) echo "$1" ;;
  esac
}

# switch ARM ENABLE|DISABLE: statements for the receiver.
switch() {
  local name
  for name in $(subscriptions_of "$1"); do echo "ALTER SUBSCRIPTION $name $2;"; done
}

# drop_slot NODE SLOT: as soon as its sender has ended.
drop_slot() {
  until [ "$(sql "$1" -c "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '$2' AND active")" = 0 ]; do sleep 0.05; done
  sql "$1" -c "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '$2'" >/dev/null
}

marks() { sql to -c "SELECT sum(balance) FROM $1 WHERE id <= $MARKS"; }

# time_catching_up ARM OLD: prints the seconds from the first change of the backlog being visible on the receiver until all are.
time_catching_up() {
  local begun
  watch to
  until_true "SELECT sum(balance) <> $2 FROM $1 WHERE id <= $MARKS"
  begun=$EPOCHREALTIME
  until_true "SELECT sum(balance) >= $2 + 2 * $MARKS FROM $1 WHERE id <= $MARKS"
  awk -v begun="$begun" -v ended="$EPOCHREALTIME" 'BEGIN { print ended - begun }'
  end_watch
}

check_equal() {
  local query="SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM (SELECT id, name, note, balance, updated_at FROM $1) t"
  [ "$(sql from -c "$query")" = "$(sql to -c "$query")" ] || die "table $1 differs between the servers after catching up"
}

# Seconds of processor time that the processes have used.
cpu_of() {
  local pid
  for pid in "$@"; do cat "/proc/$pid/schedstat"; done | awk '{ sum += $1 / 1e9 } END { print sum }'
}

# Prints seconds until caught up, and seconds of processor time of the apply workers and of the senders.
measure() {
  local arm=$1 old slot plugin=meridian_mesh seconds names workers senders
  [ "$arm" != stock ] || plugin=pgoutput
  for slot in $(slots_of "$arm"); do
    drop_slot from "$slot"
    sql from -c "SELECT pg_create_logical_replication_slot('$slot', '$plugin')" >/dev/null
  done
  sql from -c "VACUUM $arm"
  sql to -c "VACUUM $arm"
  old=$(marks "$arm")
  sql from -c 'SET synchronous_commit = off' -c "CALL write_$arm($TX)" -c CHECKPOINT
  sql to -c CHECKPOINT
  switch "$arm" ENABLE | sql to
  seconds=$(time_catching_up "$arm" "$old")
  names=$(subscriptions_of "$arm")
  workers=$(sql to -c "SELECT pid FROM pg_stat_subscription WHERE subname = ANY (string_to_array('$names', ' ')) AND relid IS NULL")
  names=$(slots_of "$arm")
  senders=$(sql from -c "SELECT active_pid FROM pg_replication_slots WHERE slot_name = ANY (string_to_array('$names', ' '))")
  # shellcheck disable=SC2086  # lists of numbers
  echo "$seconds $(cpu_of $workers) $(cpu_of $senders)"
  switch "$arm" DISABLE | sql to
  check_equal "$arm"
}

sweep() {
  local arm stock stock_cpu seconds cpu
  : >"$DIR/sweep"
  for arm in "$@"; do echo "$arm $(measure "$arm")" >>"$DIR/sweep"; done
  awk '{ printf "  %s %.2f s (workers %.2f s, senders %.2f s)", $1, $2, $3, $4 } END { print "" }' "$DIR/sweep"
  read -r _ stock stock_cpu _ < <(grep '^stock ' "$DIR/sweep")
  while read -r arm seconds cpu _; do
    ratio "$stock" "$seconds" >>"$DIR/ratios.$arm"
    ratio "$stock_cpu" "$cpu" >>"$DIR/cpu.$arm"
  done <"$DIR/sweep"
}

choose_server
make_directory
make_servers
make_streams
canary before
for ((round = 0; round < ROUNDS; ++round)); do
  sweep stock streams plain
  sweep plain streams stock
done
canary after

printf '\nSpeed of catching up with %d transactions of %d rows, as ratio to stock (median of %d, lowest-highest)\n' \
  "$TX" "$ROWS_PER_TX" $((2 * ROUNDS))
printf '%-10s %8s   %-10s   %s\n' arm speed '' 'by processor time of the workers'
for arm in "${arms[@]}"; do
  printf '%-10s %8s   %-10s   %s   %s\n' "$arm" "$(median <"$DIR/ratios.$arm")" "$(spread <"$DIR/ratios.$arm")" \
    "$(median <"$DIR/cpu.$arm")" "$(spread <"$DIR/cpu.$arm")"
done
gate 'two streams faster than stock' "$(median <"$DIR/ratios.streams") > 1"
exit $FAILED
