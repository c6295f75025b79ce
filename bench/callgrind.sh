# shellcheck shell=bash
#
# Instructions of a connected backend or worker, counted by callgrind. Sourced after lib.sh by the scripts that need it.
# postgres --single would not do: it reports no settings.

# The server NODE has been made and is stopped; it has extension meridian_bench. callgrind writes the counts of a process to
# a new file whenever it calls mark(), and starts again from zero.
start_under_callgrind() {
  local node=$1 deadline=$((SECONDS + 120))
  as_owner mkdir -p "$DIR/profile.$node"
  as_owner valgrind --tool=callgrind --callgrind-out-file="$DIR/profile.$node/out.%p" --dump-before='meridian_bench_mark*' \
    "$BIN/postgres" -D "$DIR/$node" >"$DIR/$node.log" 2>&1 &
  until as_owner "$BIN/pg_isready" -q -h "$DIR" -p "$(port_of "$node")"; do
    [ "$SECONDS" -lt "$deadline" ] || die "the server did not start under callgrind: see $DIR/$node.log"
    sleep 0.2
  done
}

# counted NODE PID COUNT: instructions of a process between its first two marks, divided by COUNT.
counted() { awk -v n="$3" '/^totals:/ { printf "%.0f\n", $2 / n }' "$DIR/profile.$1/out.$2.2"; }

inserts() { awk -v count="$1" 'BEGIN { for (i = 0; i < count; ++i) print "INSERT INTO t VALUES (1, 2);" }'; }

# count_inserts NODE COUNT [STATEMENT]: per INSERT into table t and its commit, in a connection that begins with the statement.
count_inserts() {
  local node=$1 count=$2 pid
  pid=$({
    echo 'SELECT pg_backend_pid();'
    echo "${3:-}"
    inserts 100
    echo '\o /dev/null'
    echo 'SELECT mark();'
    inserts "$count"
    echo 'SELECT mark();'
  } | sql "$node")
  counted "$node" "$pid" "$count"
}
