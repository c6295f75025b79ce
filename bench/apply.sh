#!/bin/bash
# How fast a server catches up with single-row update transactions of another.
#
#   bench/apply.sh                  gate: time to catch up with 200,000 transactions, as ratio to stock in the same run;
#                                   in slices of 25,000, the arms taking turns, so that a busy minute of the machine
#                                   falls on all of them
#   bench/apply.sh instructions     callgrind counts of the apply worker per transaction; independent of other load
#
# Every arm is a table of the same columns, alone in its publication:
#   stock      pgoutput, no trigger
#   counter    meridian.replicate('t', 'balance=counter')
#   resolve    meridian.replicate('t'): the row as one group
#   max        meridian.replicate('t', 'balance=max')
#   set        meridian.replicate('t', 'tags=set'): each update also removes an element of an array and adds one
#   stock_set  those updates of that table, pgoutput, no trigger; what `set` is compared with
#   lww        meridian.replicate('t', 'row=lww(updated_at)')
#   plpgsql    pgoutput, and on the receiver IF NEW.updated_at > OLD.updated_at THEN RETURN NEW; ELSE RETURN NULL; END IF
#   pglogical  conflict resolution last_update_wins
#
# One measurement: a new slot, so that no arm decodes what was written for another; the backlog, written while nobody
# receives; CHECKPOINT on both servers; then the subscription is enabled, and the time taken from the first change of the
# backlog being visible until the last. Beside it the processor time of the apply worker, which other load disturbs less.
# Order ABBA: each round runs the arms forwards and backwards.
#
# TX=25000 ROUNDS=4 ARMS="stock counter resolve max lww stock_set set plpgsql pglogical". Exit status 1 if a gate fails.
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=bench/callgrind.sh
. "$BENCH/callgrind.sh"

METHOD=${1:-time}
ROUNDS=${ROUNDS:-4}
ROWS=10000
read -r -a arms <<<"${ARMS:-stock counter resolve max lww stock_set set plpgsql pglogical}"
if [ "$METHOD" = instructions ]; then TX=${TX:-1000}; else TX=${TX:-25000}; fi

has_arm() { [[ " ${arms[*]} " == *" $1 "* ]]; }
has_tags() { [[ $1 == *set ]]; }

# pglogical decides by commit time, so the receiver has to keep those; it does so for every arm.
make_servers() {
  local node libraries="shared_preload_libraries = 'meridian'"
  if has_arm pglogical; then
    libraries="shared_preload_libraries = 'meridian, pglogical'
track_commit_timestamp = on
pglogical.conflict_resolution = 'last_update_wins'
pglogical.conflict_log_level = debug1"
  fi
  for node in from to; do
    make_server "$node" "$libraries"
    start_server "$node"
    sql "$node" -c 'CREATE EXTENSION meridian' -c 'CREATE EXTENSION meridian_bench' -c "$(plpgsql_trigger)"
  done
}

procedures() {
  local arm tags
  for arm in "${arms[@]}"; do
    tags=
    if has_tags "$arm"; then tags=", tags = ARRAY['red', 'green', 'blue', 'tag ' || i % 3]"; fi
    cat <<SQL
CREATE PROCEDURE write_$arm(transactions integer) LANGUAGE plpgsql AS \$\$
BEGIN
  FOR i IN 1 .. transactions LOOP
    UPDATE $arm SET balance = balance + 1, updated_at = clock_timestamp()$tags WHERE id = i * 37 % $ROWS + 1;
    COMMIT;
  END LOOP;
END \$\$;
SQL
  done
}

make_tables() {
  local node arm
  for node in from to; do
    for arm in "${arms[@]}"; do
      make_table "$node" "$arm" "$ROWS"
      if has_tags "$arm"; then sql "$node" -c "ALTER TABLE $arm ADD tags text[] NOT NULL DEFAULT '{}'"; fi
    done
    procedures | sql "$node"
    sql "$node" -c 'CREATE TABLE mark (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)'
  done
  sql to -c 'CREATE TRIGGER t BEFORE INSERT ON mark FOR EACH ROW EXECUTE FUNCTION mark_trigger()' \
    -c 'ALTER TABLE mark ENABLE ALWAYS TRIGGER t'
  if has_arm plpgsql; then
    sql to -c 'CREATE TRIGGER t BEFORE UPDATE ON plpgsql FOR EACH ROW EXECUTE FUNCTION plpgsql_lww()' \
      -c 'ALTER TABLE plpgsql ENABLE ALWAYS TRIGGER t'
  fi
}

# Room in the pages as a table has it that has been in use: the first write of a row made it some bytes longer, which
# eats the room that the fillfactor leaves.
settle_tables() {
  local arm
  for arm in counter resolve max lww set; do
    has_arm "$arm" || continue
    sql from -c "VACUUM FULL $arm"
    sql to -c "VACUUM FULL $arm"
  done
}

make_mesh() {
  local arm
  has_arm counter || has_arm resolve || has_arm max || has_arm lww || has_arm set || return 0
  sql from -c "SELECT meridian.create_node('from', 'from', '$(dsn_of from)')" >/dev/null
  sql to -c "SELECT meridian.join('to', 'to', '$(dsn_of to)', via => '$(dsn_of from)')" >/dev/null
  if has_arm counter; then sql from -c "SELECT meridian.replicate('counter', 'balance=counter')" >/dev/null; fi
  if has_arm resolve; then sql from -c "SELECT meridian.replicate('resolve')" >/dev/null; fi
  if has_arm max; then sql from -c "SELECT meridian.replicate('max', 'balance=max')" >/dev/null; fi
  if has_arm set; then sql from -c "SELECT meridian.replicate('set', 'tags=set')" >/dev/null; fi
  if has_arm lww; then sql from -c "SELECT meridian.replicate('lww', 'row=lww(updated_at)')" >/dev/null; fi
  for arm in counter resolve max lww set; do
    if has_arm "$arm"; then sql from -c "UPDATE $arm SET updated_at = clock_timestamp()"; fi
  done
  [ "$(sql from -c "SELECT meridian.wait_converged('120s')")" = t ] || die "the mesh did not converge"
  settle_tables
  sql from -c 'ALTER PUBLICATION meridian ADD TABLE mark'
  sql to -c 'ALTER SUBSCRIPTION meridian_1 REFRESH PUBLICATION WITH (copy_data = false)'
  # Changes are measured in one direction; the other stream would compete for the processors.
  sql from -c 'ALTER SUBSCRIPTION meridian_2 DISABLE'
  drop_slot to meridian_1
  sql to -c 'ALTER SUBSCRIPTION meridian_1 DISABLE'
}

make_stock_streams() {
  local arm
  for arm in stock stock_set plpgsql; do
    has_arm "$arm" || continue
    sql from -c "CREATE PUBLICATION $arm FOR TABLE $arm, mark"
    sql to -c "CREATE SUBSCRIPTION $arm CONNECTION '$(dsn_of from)' PUBLICATION $arm
               WITH (create_slot = false, slot_name = '$arm', copy_data = false, enabled = false)"
  done
}

make_pglogical_stream() {
  has_arm pglogical || return 0
  sql from -c 'CREATE EXTENSION pglogical' -c "SELECT pglogical.create_node('from', '$(dsn_of from)')" \
    -c "SELECT pglogical.create_replication_set('bench')" \
    -c "SELECT pglogical.replication_set_add_table('bench', t) FROM unnest('{public.pglogical, public.mark}'::regclass[]) t" >/dev/null
  sql to -c 'CREATE EXTENSION pglogical' -c "SELECT pglogical.create_node('to', '$(dsn_of to)')" \
    -c "SELECT pglogical.create_subscription('bench', '$(dsn_of from)', '{bench}', false, false)" >/dev/null
  until [ "$(sql to -c "SELECT status FROM pglogical.show_subscription_status('bench')")" = replicating ]; do sleep 0.1; done
}

slot_of() {
  case $1 in
    stock | stock_set | plpgsql) echo "$1" ;;
    pglogical) sql to -c "SELECT slot_name FROM pglogical.show_subscription_status('bench')" ;;
    *) echo meridian_2 ;;
  esac
}

plugin_of() {
  case $1 in
    stock | stock_set | plpgsql) echo pgoutput ;;
    pglogical) echo pglogical_output ;;
    *) echo meridian_mesh ;;
  esac
}

# switch ARM enable|disable: a statement for the receiver.
switch() {
  case $1 in
    stock | stock_set | plpgsql) echo "ALTER SUBSCRIPTION $1 $2" ;;
    pglogical) echo "DO \$\$ BEGIN PERFORM pglogical.alter_subscription_$2('bench', true); END \$\$" ;;
    *) echo "ALTER SUBSCRIPTION meridian_1 $2" ;;
  esac
}

# drop_slot NODE SLOT: as soon as its sender has ended.
drop_slot() {
  until [ "$(sql "$1" -c "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '$2' AND active")" = 0 ]; do sleep 0.05; done
  sql "$1" -c "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '$2'" >/dev/null
}

first_row=38
last_row() { echo $((TX * 37 % ROWS + 1)); }
balance() { sql "$1" -c "SELECT balance FROM $2 WHERE id = $3"; }

# time_catching_up ARM OLD: prints the seconds from the first change of the backlog being visible on the receiver until the last.
time_catching_up() {
  local begun goal
  goal=$(balance from "$1" "$(last_row)")
  watch to
  until_true "SELECT balance <> $2 FROM $1 WHERE id = $first_row"
  begun=$EPOCHREALTIME
  until_true "SELECT balance = $goal FROM $1 WHERE id = $(last_row)"
  awk -v begun="$begun" -v ended="$EPOCHREALTIME" 'BEGIN { print ended - begun }'
  end_watch
}

check_equal() {
  local query="SELECT md5(string_agg((to_jsonb(t) - '_meridian')::text, ',' ORDER BY id)) FROM $1 t"
  [ "$(sql from -c "$query")" = "$(sql to -c "$query")" ] || die "table $1 differs between the servers after catching up"
}

prepare() {  # ARM: a new slot, and space without dead row versions
  drop_slot from "$(slot_of "$1")"
  sql from -c "VACUUM $1"
  sql to -c "VACUUM $1"
  sql from -c "SELECT pg_create_logical_replication_slot('$(slot_of "$1")', '$(plugin_of "$1")')" >/dev/null
}

worker_of() {
  case $1 in
    pglogical) echo "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'pglogical apply%'" ;;
    stock | stock_set | plpgsql) echo "SELECT pid FROM pg_stat_subscription WHERE subname = '$1' AND relid IS NULL" ;;
    *) echo "SELECT pid FROM pg_stat_subscription WHERE subname = 'meridian_1' AND relid IS NULL" ;;
  esac
}

# --- time ---

# Prints seconds until caught up, and seconds of processor time.
measure() {
  local arm=$1 old seconds pid
  prepare "$arm"
  old=$(balance to "$arm" "$first_row")
  sql from -c 'SET synchronous_commit = off' -c "CALL write_$arm($TX)" -c CHECKPOINT
  sql to -c CHECKPOINT
  sql to -c "$(switch "$arm" enable)" >/dev/null
  seconds=$(time_catching_up "$arm" "$old")
  pid=$(sql to -c "$(worker_of "$arm")")
  echo "$seconds $(awk '{ print $1 / 1e9 }' "/proc/$pid/schedstat")"
  sql to -c "$(switch "$arm" disable)"
  check_equal "$arm"
}

sweep() {
  local arm seconds cpu rival
  local -A took=() cpu_took=()
  : >"$DIR/sweep"
  for arm in "$@"; do echo "$arm $(measure "$arm")" >>"$DIR/sweep"; done
  awk '{ printf "  %s %.2f s", $1, $2 } END { print "" }' "$DIR/sweep"
  while read -r arm seconds cpu; do
    took[$arm]=$seconds
    cpu_took[$arm]=$cpu
  done <"$DIR/sweep"
  # As speed: 0.9 means that catching up takes 1 / 0.9 of stock's time.
  for arm in "$@"; do
    rival=stock
    if has_tags "$arm"; then rival=stock_set; fi
    ratio "${took[$rival]}" "${took[$arm]}" >>"$DIR/ratios.$arm"
    ratio "${cpu_took[$rival]}" "${cpu_took[$arm]}" >>"$DIR/cpu.$arm"
  done
}

run_time() {
  local round arm backwards=()
  for arm in "${arms[@]}"; do backwards=("$arm" "${backwards[@]}"); done
  canary before
  for ((round = 0; round < ROUNDS; ++round)); do
    sweep "${arms[@]}"
    sweep "${backwards[@]}"
  done
  canary after
}

report_time() {
  local arm ours rival
  local -A least=([counter]=0.85 [resolve]=0.85 [max]=0.8 [lww]=0.9 [set]=0.8)
  printf '\nSpeed of catching up with %d transactions, as ratio to stock (median of %d slices, lowest-highest)\n' $((2 * ROUNDS * TX)) $((2 * ROUNDS))
  printf '%-10s %8s   %-10s   %s\n' table speed '' 'by processor time of the worker'
  for arm in "${arms[@]}"; do
    printf '%-10s %8s   %-10s   %s   %s\n' "$arm" "$(median <"$DIR/ratios.$arm")" "$(spread <"$DIR/ratios.$arm")" \
      "$(median <"$DIR/cpu.$arm")" "$(spread <"$DIR/cpu.$arm")"
  done
  for arm in counter resolve max lww set; do
    has_arm "$arm" || continue
    ours=$(median <"$DIR/ratios.$arm")
    gate "$arm at ${least[$arm]} of stock or more" "$ours >= ${least[$arm]}"
    if [ "$arm" = set ]; then continue; fi  # the rivals have no such column
    for rival in plpgsql pglogical; do
      if has_arm "$rival"; then gate "$arm ahead of $rival" "$ours > $(median <"$DIR/ratios.$rival")"; fi
    done
  done
}

# --- instructions ---

# The rows of table mark divide what the worker does: up to the first it warms up, up to the second it is counted.
count_instructions() {
  local arm=$1 old pid
  prepare "$arm"
  old=$(balance to "$arm" "$first_row")
  sql from -c "CALL write_$arm($TX)" -c 'INSERT INTO mark DEFAULT VALUES' -c "CALL write_$arm($TX)" -c 'INSERT INTO mark DEFAULT VALUES'
  sql to -c "$(switch "$arm" enable)" >/dev/null
  until [ "$(sql to -c 'SELECT max(id) FROM mark')" = "$(sql from -c 'SELECT max(id) FROM mark')" ]; do sleep 0.1; done
  pid=$(sql to -c "$(worker_of "$arm")")
  echo "$arm $(counted to "$pid" "$TX") $pid"
  sql to -c "$(switch "$arm" disable)"
}

run_instructions() {
  local arm
  stop_server to
  start_under_callgrind to
  for arm in "${arms[@]}"; do count_instructions "$arm"; done >"$DIR/instructions"
}

report_instructions() {
  local stock
  stock=$(awk '$1 == "stock" { print $2 }' "$DIR/instructions")
  printf '\nInstructions of the apply worker per transaction, and as ratio to stock\n'
  awk -v stock="$stock" '{ printf "%-10s %10d %8.3f\n", $1, $2, (stock > 0 ? $2 / stock : 0) }' "$DIR/instructions"
}

choose_server
make_directory
make_servers
make_tables
make_mesh
make_stock_streams
make_pglogical_stream
if has_arm pglogical; then sql to -c "$(switch pglogical disable)"; fi
if [ "$METHOD" = instructions ]; then
  run_instructions
  report_instructions
else
  run_time
  report_time
fi
exit $FAILED
