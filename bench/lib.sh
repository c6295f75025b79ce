# shellcheck shell=bash
#
# Shared by the benchmark scripts: where the servers live, how they are built and asked, and how ratios are made.
#
# Run by root, servers run as user postgres; run by anybody else, as that user. Everything lives in a directory of its own
# under /tmp, which is removed at the end (MERIDIAN_KEEP=1 keeps it).
#
# BENCH_PG_CONFIG  a server in which Meridian and bench/probe are installed already; otherwise both are built, on a
#                  private copy of the server that PG_CONFIG names, in MERIDIAN_BENCH_BUILD (/var/tmp/meridian-bench)
# BENCH_CLIENTS    the folder with test/clients built; needed with BENCH_PG_CONFIG by the scripts that use it
# BENCH_PORT       the first of two ports (54600; the servers listen on unix sockets only)

set -euo pipefail

BENCH=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(dirname "$BENCH")
OWNER=$(id -un)
[ "$OWNER" != root ] || OWNER=postgres
SUFFIX=
[ "$OWNER" = postgres ] || SUFFIX=-$OWNER
BUILD=${MERIDIAN_BENCH_BUILD:-/var/tmp/meridian-bench$SUFFIX}
PORT=${BENCH_PORT:-54600}
NODES=()

# No setting of the caller's shell may lead a client to another server.
unset PGHOST PGPORT PGDATABASE PGUSER PGPASSWORD PGSERVICE PGOPTIONS PGHOSTADDR PGSSLMODE PGTARGETSESSIONATTRS PGDATA
unset MAKEFLAGS MFLAGS MAKELEVEL
export PSQL_PAGER='' PAGER=cat LC_ALL=C

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

as_owner() {
  if [ "$(id -u)" = 0 ]; then (cd / && exec runuser -u postgres -- "$@"); else (cd / && exec "$@"); fi
}

# quietly WHAT COMMAND...: the command's output only if it fails.
quietly() {
  local what=$1 log
  shift
  log=$(mktemp /tmp/meridian-bench.XXXXXX)
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 60 "$log" >&2
    rm -f "$log"
    die "$what failed"
  fi
  rm -f "$log"
}

build_in_copy() {
  local original pg_config
  as_owner mkdir -p -m 0755 "$BUILD"
  [ "$(stat -c %U "$BUILD")" = "$OWNER" ] || die "$BUILD exists and does not belong to user $OWNER"
  rsync -a --delete --exclude=.git --exclude='*.o' --exclude='*.d' --exclude='*.so' --exclude='*.a' --exclude='*.gch' --exclude='/build*' \
    --exclude='/meridian--*.sql' --exclude=results --exclude=tmp_check "$TOP/" "$BUILD/tree/"
  [ "$(id -u)" != 0 ] || chown -R "$OWNER:" "$BUILD/tree"
  original=$(command -v "${PG_CONFIG:-pg_config}")
  pg_config=$(as_owner env PG_CONFIG="$original" "$BUILD/tree/tools/private-server.sh" "$BUILD/server")
  as_owner make -s -C "$BUILD/tree" -j "$(nproc)" PG_CONFIG="$pg_config" all
  as_owner make -s -C "$BUILD/tree" PG_CONFIG="$pg_config" install
  as_owner make -s -C "$BUILD/tree/bench/probe" PG_CONFIG="$pg_config" all install
  as_owner make -s -C "$BUILD/tree/test/clients" PG_CONFIG="$pg_config"
  echo "$pg_config" | as_owner tee "$BUILD/pg_config.path"
}

# Sets BIN. Builds unless the caller brought a server.
choose_server() {
  if [ -z "${BENCH_PG_CONFIG:-}" ]; then
    quietly 'installing packages' "$TOP/tools/install-deps.sh" bench
    (
      flock 9
      quietly 'building Meridian' build_in_copy
    ) 9>"/tmp/meridian-bench$SUFFIX.lock"
    BENCH_PG_CONFIG=$(cat "$BUILD/pg_config.path")
    export BENCH_PG_CONFIG
  fi
  BIN=$("$BENCH_PG_CONFIG" --bindir)
  READ_YOUR_WRITES=${BENCH_CLIENTS:-$BUILD/tree/test/clients}/read_your_writes
}

# A directory for the servers. The name of a unix socket has at most 107 bytes, so the path is short.
make_directory() {
  DIR=$(as_owner mktemp -d /tmp/meridian-bench.XXXXXX)
  trap clean_up EXIT
}

clean_up() {
  local node
  for node in "${NODES[@]}"; do
    as_owner "$BIN/pg_ctl" -D "$DIR/$node" -m immediate -s stop >/dev/null 2>&1 || true
  done
  if [ -n "${MERIDIAN_KEEP:-}" ]; then echo "kept: $DIR"; else rm -rf "$DIR"; fi
}

# The setting exists in minor releases from August 2026 on; older servers refuse to start with it.
server_knows() {
  as_owner "$BIN/postgres" --describe-config | grep "^$1"$'\t' >/dev/null
}

port_of() {
  local i
  for i in "${!NODES[@]}"; do
    [ "${NODES[$i]}" != "$1" ] || echo $((PORT + i))
  done
}

dsn_of() { echo "host=$DIR port=$(port_of "$1") dbname=postgres user=postgres"; }

# make_server NAME [EXTRA CONFIGURATION]: with Meridian, and no work that comes at times of its own choosing.
make_server() {
  local node=$1
  NODES+=("$node")
  as_owner "$BIN/initdb" -D "$DIR/$node" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$DIR/initdb.log" 2>&1 ||
    { cat "$DIR/initdb.log" >&2; die "initdb failed"; }
  {
    cat <<CONF
listen_addresses = ''
unix_socket_directories = '$DIR'
port = $(port_of "$node")
shared_preload_libraries = 'meridian'
meridian.node = '$node'
meridian.region = '$node'
wal_level = logical
shared_buffers = 256MB
max_wal_size = 8GB
checkpoint_timeout = 1h
autovacuum = off
fsync = off
max_connections = 50
max_worker_processes = 24
max_logical_replication_workers = 12
max_wal_senders = 12
max_replication_slots = 12
wal_retrieve_retry_interval = '100ms'
CONF
    if server_knows output_plugin_libraries; then
      echo "output_plugin_libraries = 'pgoutput, test_decoding, meridian_mesh, meridian_cdc, pglogical_output'"
    fi
    printf '%s\n' "${2:-}"
  } | as_owner tee -a "$DIR/$node/postgresql.conf" >/dev/null
}

# make_standby NODE OF [EXTRA CONFIGURATION]: a running streaming standby of a running server, which may be a standby.
make_standby() {
  local node=$1 of=$2
  NODES+=("$node")
  as_owner "$BIN/pg_basebackup" -d "$(dsn_of "$of") application_name=$node" -D "$DIR/$node" -R -X stream -c fast
  printf '%s\n' "port = $(port_of "$node")" "meridian.node = '$node'" "${3:-}" | as_owner tee -a "$DIR/$node/postgresql.conf" >/dev/null
  start_server "$node"
}

# await NODE QUERY: until the query says t.
await() {
  local deadline=$((SECONDS + 300))
  until [ "$(sql "$1" -c "$2")" = t ]; do
    [ "$SECONDS" -lt "$deadline" ] || die "timed out on $1 waiting for: $2"
    sleep 0.05
  done
}

start_server() { as_owner "$BIN/pg_ctl" -s -w -t 120 -D "$DIR/$1" -l "$DIR/$1.log" start || { tail -n 20 "$DIR/$1.log" >&2; die "server $1 did not start"; }; }
stop_server() { as_owner "$BIN/pg_ctl" -s -w -t 120 -D "$DIR/$1" -m fast stop; }

# sql NODE: statements from standard input, or -c; prints answers unaligned.
sql() {
  local node=$1
  shift
  as_owner "$BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -d "$(dsn_of "$node")" "$@"
}

exec {PAUSE}<> <(:)  # reading it with a timeout is a pause without a process

# watch NODE: opens a session that until_true asks in. Between two questions it holds no snapshot: a procedure that waits
# would keep dead row versions from being removed, which spares an apply worker the pruning that it does in earnest.
watch() {
  coproc WATCH { sql "$1"; }
  WATCH_DEADLINE=$((SECONDS + 900))
}

# until_true QUERY: asks again and again until the answer is t.
until_true() {
  local answer
  while
    echo "$1;" >&"${WATCH[1]}"
    read -r answer <&"${WATCH[0]}" || die 'the server does not answer'
    [ "$answer" != t ]
  do
    [ "$SECONDS" -lt "$WATCH_DEADLINE" ] || die "not true after 900 s: $1"
    read -r -t 0.005 -u "$PAUSE" || true
  done
}

end_watch() {
  local pid=$WATCH_PID
  exec {WATCH[1]}>&-
  wait "$pid"
}

# The columns of every table that is measured. FUNCTION is that of a BEFORE UPDATE trigger, or empty.
make_table() {
  local node=$1 table=$2 rows=$3
  sql "$node" <<SQL
CREATE TABLE $table (id integer PRIMARY KEY, name text NOT NULL, note text NOT NULL, balance bigint NOT NULL,
                     updated_at timestamptz NOT NULL) WITH (fillfactor = 70);
INSERT INTO $table SELECT g, 'name ' || g, 'a note of some length, as rows have', 0, '2020-01-01' FROM generate_series(1, $rows) g;
SQL
}

plpgsql_trigger() {
  cat <<'SQL'
CREATE FUNCTION plpgsql_lww() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.updated_at > OLD.updated_at THEN RETURN NEW; ELSE RETURN NULL; END IF;
END $$;
SQL
}

# median LIST, and "lowest-highest", of numbers on standard input.
median() { sort -g | awk '{ v[NR] = $1 } END { printf "%.3f\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
spread() { sort -g | awk 'NR == 1 { low = $1 } { high = $1 } END { printf "%.2f-%.2f\n", low, high }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f\n", a / b }'; }
holds() { awk "BEGIN { exit !($1) }"; }

FAILED=0
# gate TEXT CONDITION: prints the verdict; the exit status of the script is that of its gates.
gate() {
  if holds "$2"; then
    echo "ok      $1"
  else
    echo "FAILED  $1"
    FAILED=1
  fi
}

# How busy and how even the machine is: a number that should be the same before and after.
canary() {
  local begun ended
  begun=$(date +%s%N)
  awk 'BEGIN { for (i = 0; i < 2000000; ++i) sum += i % 7 }'
  ended=$(date +%s%N)
  echo "$1: load $(cut -d' ' -f1-2 /proc/loadavg), canary $(((ended - begun) / 1000000)) ms"
}
