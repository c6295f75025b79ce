#!/bin/bash
# What the token of a commit costs: callgrind instructions of a connected backend per single-row INSERT, autocommit.
#
#   bench/commit.sh
#
#   stock     shared_preload_libraries is empty
#   meridian  it is not: every commit makes a token, and reports it to the client
#   signed    the same with meridian.token_secret_file
#
# A real connection is needed: postgres --single reports no settings. INSERTS=2000. Exit status 1 if the gate fails.
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

INSERTS=${INSERTS:-2000}
ARMS=(stock meridian signed)

libraries_of() {
  case $1 in
    stock) echo "shared_preload_libraries = ''" ;;
    meridian) echo '' ;;
    signed) echo "meridian.token_secret_file = '$DIR/secret'" ;;
  esac
}

start_under_callgrind() {
  local arm=$1 deadline=$((SECONDS + 120))
  as_owner mkdir "$DIR/profile.$arm"
  as_owner valgrind --tool=callgrind --callgrind-out-file="$DIR/profile.$arm/out.%p" --dump-before='meridian_bench_mark*' \
    "$BIN/postgres" -D "$DIR/$arm" >"$DIR/$arm.log" 2>&1 &
  until as_owner "$BIN/pg_isready" -q -h "$DIR" -p "$(port_of "$arm")"; do
    [ "$SECONDS" -lt "$deadline" ] || die "the server did not start under callgrind: see $DIR/$arm.log"
    sleep 0.2
  done
}

inserts() { awk -v count="$1" 'BEGIN { for (i = 0; i < count; ++i) print "INSERT INTO t VALUES (1, 2);" }'; }

# One connection; callgrind writes the counts of its backend to a new file at every mark, and starts again from zero.
count_instructions() {
  local arm=$1 pid
  pid=$({
    echo 'SELECT pg_backend_pid();'
    inserts 100
    echo '\o /dev/null'
    echo 'SELECT mark();'
    inserts "$INSERTS"
    echo 'SELECT mark();'
  } | sql "$arm")
  echo "$arm $(awk -v n="$INSERTS" '/^totals:/ { printf "%.0f\n", $2 / n }' "$DIR/profile.$arm/out.$pid.2")"
}

instructions_of() { awk -v arm="$1" '$1 == arm { print $2 }' "$DIR/instructions"; }

choose_server
make_directory
head -c 32 /dev/urandom | base64 | as_owner tee "$DIR/secret" >/dev/null
as_owner chmod 600 "$DIR/secret"
for arm in "${ARMS[@]}"; do
  make_server "$arm" "synchronous_commit = off
full_page_writes = off
$(libraries_of "$arm")"
  start_server "$arm"
  sql "$arm" -c 'CREATE EXTENSION meridian_bench' -c 'CREATE TABLE t (a integer, b integer)'
  stop_server "$arm"
  start_under_callgrind "$arm"
  count_instructions "$arm" >>"$DIR/instructions"
  stop_server "$arm"
done
printf '\nInstructions per INSERT and commit, and as ratio to stock\n'
for arm in "${ARMS[@]}"; do
  printf '%-10s %10s %8s\n' "$arm" "$(instructions_of "$arm")" "$(ratio "$(instructions_of "$arm")" "$(instructions_of stock)")"
done
gate 'a commit with its token at most 1.05 times one without' "$(instructions_of meridian) <= 1.05 * $(instructions_of stock)"
exit $FAILED
