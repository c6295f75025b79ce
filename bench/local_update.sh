#!/bin/bash
# What a single-row UPDATE by primary key costs on the node where it is made.
#
#   bench/local_update.sh                  both parts
#   bench/local_update.sh instructions     gate: callgrind counts, which do not depend on how busy the machine is
#   bench/local_update.sh wall             pgbench with 8 clients, as ratios to the table without trigger
#
# Every arm is a table of the same columns; all run the same statement,
#   UPDATE t SET balance = balance + 1, updated_at = clock_timestamp() WHERE id = ...
#   none      no trigger
#   empty     a BEFORE UPDATE trigger in C++ that returns NEW
#   counter   meridian.replicate('t', 'balance=counter'): the counter and the group of the other columns change
#   resolve   meridian.replicate('t'): the row as one group
#   lww       meridian.replicate('t', 'row=lww(updated_at)')
#   plpgsql   IF NEW.updated_at > OLD.updated_at THEN RETURN NEW; ELSE RETURN NULL; END IF
#
# UPDATES=2000 per arm and kind; SECONDS_EACH=3 and ROUNDS=5 for the second part. Exit status 1 if a gate fails.
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

UPDATES=${UPDATES:-2000}
ROUNDS=${ROUNDS:-5}
SECONDS_EACH=${SECONDS_EACH:-3}
ROWS=10000
ARMS=(none empty counter resolve lww plpgsql)
SET='balance = balance + 1, updated_at = clock_timestamp()'

make_arms() {
  local arm
  make_server local
  start_server local
  sql local -c 'CREATE EXTENSION meridian' -c 'CREATE EXTENSION meridian_bench' -c "$(plpgsql_trigger)"
  sql local -c "SELECT meridian.create_node('local', 'local', '$(dsn_of local)')" >/dev/null
  for arm in "${ARMS[@]}"; do make_table local "$arm" "$ROWS"; done
  sql local -c 'CREATE TRIGGER t BEFORE UPDATE ON empty FOR EACH ROW EXECUTE FUNCTION empty_trigger()' \
    -c 'CREATE TRIGGER t BEFORE UPDATE ON plpgsql FOR EACH ROW EXECUTE FUNCTION plpgsql_lww()'
  sql local -c "SELECT meridian.replicate('counter', 'balance=counter')" >/dev/null
  sql local -c "SELECT meridian.replicate('resolve')" >/dev/null
  sql local -c "SELECT meridian.replicate('lww', 'row=lww(updated_at)')" >/dev/null
  # Every row gets its state before anything is measured, and no page is full of dead versions.
  for arm in "${ARMS[@]}"; do sql local -c "UPDATE $arm SET balance = 1, updated_at = now()" -c "VACUUM (FULL, ANALYZE) $arm"; done
}

# --- instructions ---

updates() {  # ARM KIND COUNT: one statement a line
  local arm=$1 kind=$2 count=$3
  awk -v arm="$arm" -v kind="$kind" -v count="$count" -v set="$SET" -v rows="$ROWS" 'BEGIN {
    for (i = 0; i < count; ++i) {
      id = i * 37 % rows + 1
      if (kind == "plain") printf "UPDATE %s SET %s WHERE id = %d\n", arm, set, id
      else printf "EXECUTE update_%s(%d)\n", arm, id
    }
  }'
}

script() {
  local arm kind
  for arm in "${ARMS[@]}"; do
    echo "PREPARE update_$arm(integer) AS UPDATE $arm SET $SET WHERE id = \$1"
    for kind in plain prepared; do
      updates "$arm" "$kind" 50
      echo 'SELECT mark()'
      updates "$arm" "$kind" "$UPDATES"
      echo 'SELECT mark()'
    done
  done
}

# One process runs everything; callgrind writes its counts to a new file at every mark, and starts again from zero.
count_instructions() {
  local profile=$DIR/profile
  script | as_owner tee "$DIR/statements" >/dev/null
  as_owner mkdir "$profile"
  as_owner valgrind --tool=callgrind --callgrind-out-file="$profile/out" --dump-before='meridian_bench_mark*' \
    "$BIN/postgres" --single -D "$DIR/local" -c plan_cache_mode=force_generic_plan -c client_min_messages=warning \
    -c synchronous_commit=off -c full_page_writes=off postgres <"$DIR/statements" >"$DIR/single.log" 2>&1 ||
    { tail -n 20 "$DIR/single.log" >&2; die "postgres --single failed"; }
  if grep -q ERROR "$DIR/single.log"; then grep -m 5 ERROR "$DIR/single.log" >&2; die "a statement failed"; fi
  local part=0 arm kind
  for arm in "${ARMS[@]}"; do
    for kind in plain prepared; do
      part=$((part + 2))
      echo "$arm $kind $(awk -v n="$UPDATES" '/^(summary|totals):/ { printf "%.0f\n", $2 / n; exit }' "$profile/out.$part")"
    done
  done >"$DIR/instructions"
}

instructions_of() { awk -v arm="$1" -v kind="$2" '$1 == arm && $2 == kind { print $3 }' "$DIR/instructions"; }

report_instructions() {
  local arm kind empty plpgsql
  printf '\nInstructions per UPDATE, and as ratio to the empty C++ trigger\n'
  printf '%-10s %10s %8s   %10s %8s\n' table plain ratio prepared ratio
  for arm in "${ARMS[@]}"; do
    printf '%-10s' "$arm"
    for kind in plain prepared; do
      printf ' %10s %8s  ' "$(instructions_of "$arm" $kind)" "$(ratio "$(instructions_of "$arm" $kind)" "$(instructions_of empty $kind)")"
    done
    echo
  done
  for kind in plain prepared; do
    empty=$(instructions_of empty $kind)
    plpgsql=$(instructions_of plpgsql $kind)
    for arm in counter resolve; do
      gate "$kind: $arm at most 1.5 times the empty trigger" "$(instructions_of $arm $kind) <= 1.5 * $empty"
    done
    for arm in counter resolve lww; do
      gate "$kind: $arm cheaper than plpgsql" "$(instructions_of $arm $kind) < $plpgsql"
    done
  done
}

# --- wall clock ---

transactions_per_second() {
  as_owner tee "$DIR/$1.pgbench" >/dev/null <<SQL
\set id random(1, $ROWS)
UPDATE $1 SET $SET WHERE id = :id;
SQL
  as_owner "$BIN/pgbench" -n -M prepared -c 8 -j 2 -T "$SECONDS_EACH" -f "$DIR/$1.pgbench" -h "$DIR" -p "$(port_of local)" -U postgres postgres |
    sed -n 's/^tps = \([0-9.]*\).*/\1/p'
}

# One sweep over the arms, in the order given; ratios are taken within the sweep.
sweep() {
  local arm none
  : >"$DIR/sweep"
  for arm in "$@"; do echo "$arm $(transactions_per_second "$arm")" >>"$DIR/sweep"; done
  none=$(awk '$1 == "none" { print $2 }' "$DIR/sweep")
  while read -r arm tps; do ratio "$tps" "$none" >>"$DIR/ratios.$arm"; done <"$DIR/sweep"
}

run_wall() {
  local round arm backwards=()
  for arm in "${ARMS[@]}"; do backwards=("$arm" "${backwards[@]}"); done
  start_server local
  canary before
  for ((round = 0; round < ROUNDS; ++round)); do
    sweep "${ARMS[@]}"
    sweep "${backwards[@]}"
  done
  canary after
  stop_server local
}

report_wall() {
  local arm
  printf '\nTransactions per second with 8 clients, as ratio to no trigger (median of %d sweeps, lowest-highest)\n' $((2 * ROUNDS))
  for arm in "${ARMS[@]}"; do
    printf '%-10s %8s   %s\n' "$arm" "$(median <"$DIR/ratios.$arm")" "$(spread <"$DIR/ratios.$arm")"
  done
  echo 'aim: 0.95 for counter, resolve and lww (no gate: it depends on the machine)'
}

part=${1:-both}
choose_server
make_directory
make_arms
stop_server local
if [ "$part" != wall ]; then
  count_instructions
  report_instructions
fi
if [ "$part" != instructions ]; then
  run_wall
  report_wall
fi
exit $FAILED
