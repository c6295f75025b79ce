# shellcheck shell=bash
#
# Shared by cluster.sh, story.sh and run.sh: where the four servers are and how to talk to them.
#
# The scripts may be run by root: every PostgreSQL command then runs as user postgres, from "/", so the source tree may
# be somewhere that postgres cannot read. Run by anybody else, the servers belong to that user.
#
# MERIDIAN_DEMO_DIR    where the servers live      (default /var/tmp/meridian-demo)
# MERIDIAN_DEMO_BUILD  where `make demo` built     (default /var/tmp/meridian-demo-build)
# MERIDIAN_DEMO_PORT   the first of four ports     (default 54801; on unix sockets only)
# PG_CONFIG            which PostgreSQL            (default: the one that `make demo` made, else that in PATH)

set -euo pipefail

OWNER=$(id -un)
[ "$OWNER" != root ] || OWNER=postgres
SUFFIX=
[ "$OWNER" = postgres ] || SUFFIX=-$OWNER
DEMO_DIR=${MERIDIAN_DEMO_DIR:-/var/tmp/meridian-demo$SUFFIX}
BUILD_DIR=${MERIDIAN_DEMO_BUILD:-/var/tmp/meridian-demo-build$SUFFIX}
FIRST_PORT=${MERIDIAN_DEMO_PORT:-54801}
DATABASE=shop

NODES=(us us-standby eu eu-standby)
# shellcheck disable=SC2034  # used by the scripts that read this file
PRIMARIES=(us eu)

# No setting of the caller's shell may lead a client to another server.
unset PGHOST PGPORT PGDATABASE PGUSER PGPASSWORD PGSERVICE PGOPTIONS PGHOSTADDR PGSSLMODE PGTARGETSESSIONATTRS PGDATA PGAPPNAME
export PSQL_PAGER='' PAGER=cat

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Directories below /var/tmp have names that anybody can take first.
require_owner() {
  [ "$(stat -c %U "$1")" = "$OWNER" ] || die "$1 exists and does not belong to user $OWNER"
}

# Runs a command as the owner of the servers.
as_owner() {
  if [ "$(id -u)" = 0 ]; then
    (cd / && exec runuser -u postgres -- "$@")
  else
    (cd / && exec "$@")
  fi
}

port_of() {
  local i
  for i in "${!NODES[@]}"; do
    if [ "${NODES[$i]}" = "$1" ]; then
      echo $((FIRST_PORT + i))
      return
    fi
  done
  die "no server \"$1\"; there are: ${NODES[*]}"
}

dsn_of() {
  echo "host=$DEMO_DIR port=$(port_of "$1") dbname=${2:-$DATABASE}"
}

is_up() {
  as_owner "$BIN/pg_isready" -q -h "$DEMO_DIR" -p "$(port_of "$1")"
}

# psql_at NODE DATABASE [psql arguments]: SQL from -c or standard input.
psql_at() {
  local node=$1 database=$2
  shift 2
  as_owner "$BIN/psql" -X -q -v ON_ERROR_STOP=1 -d "$(dsn_of "$node" "$database")" "$@"
}

# value NODE DATABASE QUERY: its answer, unaligned, without decoration.
value() {
  psql_at "$1" "$2" -A -t -c "$3"
}

# wait_for NODE DATABASE QUERY: polls until the query says t; gives up after a minute.
wait_for() {
  local deadline=$((SECONDS + 60))
  until [ "$(value "$1" "$2" "$3")" = t ]; do
    [ "$SECONDS" -lt "$deadline" ] || die "$1 did not reach within a minute: $3"
    sleep 0.05
  done
}

# Sets BIN, the directory of the server's programs.
choose_server() {
  if [ -z "${PG_CONFIG:-}" ] && [ -e "$BUILD_DIR/pg_config.path" ]; then
    require_owner "$BUILD_DIR"
    PG_CONFIG=$(cat "$BUILD_DIR/pg_config.path")
  fi
  PG_CONFIG=${PG_CONFIG:-pg_config}
  BIN=$("$PG_CONFIG" --bindir) || die "cannot run \"$PG_CONFIG\": run make demo, or set PG_CONFIG"
}

# If there is a cluster, its ports are those that it was made with.
find_cluster() {
  [ -e "$DEMO_DIR" ] || return 0
  require_owner "$DEMO_DIR"
  [ ! -s "$DEMO_DIR/.meridian-demo" ] || FIRST_PORT=$(cat "$DEMO_DIR/.meridian-demo")
}
