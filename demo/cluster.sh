#!/bin/bash
# Two regions on this machine, a primary and a streaming standby each, in a directory of their own.
#
#   cluster.sh up          start the four servers (make them first, if there are none)
#   cluster.sh status      what each server is, and how far behind
#   cluster.sh psql NODE   a psql session; NODE is us, us-standby, eu or eu-standby
#   cluster.sh page [FILE] write the status page, for a browser (by default into the servers' directory)
#   cluster.sh break       cut the links between the two regions
#   cluster.sh heal        let the links run again
#   cluster.sh down        stop the servers and remove the directory
# shellcheck source=demo/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
}

# The setting exists in minor releases from August 2026 on; older servers refuse to start with it.
server_knows() {
  # Not grep -q: that would close the pipe early, and pipefail take the writer's complaint for a no.
  as_owner "$BIN/postgres" --describe-config | grep "^$1"$'\t' >/dev/null
}

write_config() {
  local node=$1
  cat <<CONF
# --- meridian demo ---
listen_addresses = ''
unix_socket_directories = '$DEMO_DIR'
port = $(port_of "$node")
wal_level = logical
max_worker_processes = 16
wal_retrieve_retry_interval = '100ms'
shared_preload_libraries = 'meridian'
meridian.node = '$node'
meridian.region = '$node'
meridian.database = '$DATABASE'
CONF
  if server_knows output_plugin_libraries; then
    echo "output_plugin_libraries = 'pgoutput, test_decoding, meridian_mesh, meridian_cdc'"
  fi
}

make_primary() {
  local node=$1
  as_owner "$BIN/initdb" -D "$DEMO_DIR/$node" -A peer -E UTF8 --locale=C >"$DEMO_DIR/initdb.$node.log" 2>&1 ||
    die "initdb failed: see $DEMO_DIR/initdb.$node.log"
  write_config "$node" | as_owner tee -a "$DEMO_DIR/$node/postgresql.conf" >/dev/null
  start_server "$node"
  as_owner "$BIN/createdb" -h "$DEMO_DIR" -p "$(port_of "$node")" "$DATABASE"
  psql_at "$node" "$DATABASE" -c 'CREATE EXTENSION meridian'
}

make_standby() {
  local primary=$1 node=$1-standby
  as_owner "$BIN/pg_basebackup" -d "$(dsn_of "$primary") application_name=$node" -D "$DEMO_DIR/$node" -R -X stream -c fast -C -S standby
  as_owner tee -a "$DEMO_DIR/$node/postgresql.conf" >/dev/null <<CONF
port = $(port_of "$node")
meridian.node = '$node'
meridian.advertise_dsn = '$(dsn_of "$node")'
CONF
  start_server "$node"
}

start_server() {
  local node=$1
  is_up "$node" && return
  as_owner "$BIN/pg_ctl" -s -w -t 60 -D "$DEMO_DIR/$node" -l "$DEMO_DIR/$node.log" start ||
    die "server $node did not start: see $DEMO_DIR/$node.log"
}

# Prints a statement the way a reader would type it, and runs it.
show_and_run() {
  printf '  %s=# %s\n' "$1" "$2"
  value "$1" "$DATABASE" "$2" | sed 's/^/         /'
}

make_mesh() {
  echo "One mesh of both:"
  show_and_run us "SELECT meridian.create_node('us', 'us', '$(dsn_of us)');"
  show_and_run eu "SELECT meridian.join('eu', 'eu', '$(dsn_of eu)', via => '$(dsn_of us)');"
  wait_links up
}

require_extension() {
  [ -e "$("$PG_CONFIG" --sharedir)/extension/meridian.control" ] ||
    die "Meridian is not installed for $("$PG_CONFIG" --version): run make demo, or make install"
}

make_directory() {
  as_owner mkdir -p "$(dirname "$DEMO_DIR")"
  as_owner mkdir -m 0700 "$DEMO_DIR"
  echo "$FIRST_PORT" | as_owner tee "$DEMO_DIR/.meridian-demo" >/dev/null
}

up() {
  local node
  if [ -e "$DEMO_DIR/.complete" ]; then
    for node in "${NODES[@]}"; do start_server "$node"; done
    echo "The four servers are up: cluster.sh status"
    return
  fi
  require_extension
  [ ! -e "$DEMO_DIR" ] || die "$DEMO_DIR exists but holds no complete cluster: run cluster.sh down, or set MERIDIAN_DEMO_DIR"
  make_directory
  echo "Four servers of $("$PG_CONFIG" --version) in $DEMO_DIR, ports $FIRST_PORT to $((FIRST_PORT + 3)):"
  for node in "${PRIMARIES[@]}"; do
    make_primary "$node"
    echo "  $node: primary of region $node"
  done
  make_mesh
  for node in "${PRIMARIES[@]}"; do
    make_standby "$node"
    echo "  $node-standby: streams from $node"
  done
  as_owner touch "$DEMO_DIR/.complete"
}

down() {
  local node
  if [ ! -e "$DEMO_DIR" ]; then
    echo "nothing to stop: $DEMO_DIR does not exist"
    return
  fi
  [ -e "$DEMO_DIR/.meridian-demo" ] || die "$DEMO_DIR was not made by this script; not touching it"
  for node in us-standby eu-standby us eu; do
    if [ -e "$DEMO_DIR/$node/postmaster.pid" ]; then
      as_owner "$BIN/pg_ctl" -s -w -m fast -D "$DEMO_DIR/$node" stop || die "server $node did not stop"
    fi
  done
  rm -rf "$DEMO_DIR"
  echo "stopped and removed $DEMO_DIR"
}

# switch_links DISABLE|ENABLE: every subscription of either primary, whichever database it is in.
switch_links() {
  local node database subscription
  for node in "${PRIMARIES[@]}"; do
    while IFS='|' read -r database subscription; do
      [ -n "$subscription" ] || continue
      psql_at "$node" "$database" -c "ALTER SUBSCRIPTION $subscription $1"
    done < <(value "$node" "$DATABASE" \
      "SELECT datname, quote_ident(subname) FROM pg_subscription JOIN pg_database d ON d.oid = subdbid ORDER BY 1, 2")
  done
}

# wait_links up|down: until every apply worker runs and its slot is in use, or until none does.
wait_links() {
  local node workers slots
  if [ "$1" = up ]; then
    workers="count(*) > 0 AND bool_and(pid IS NOT NULL)"
    slots="bool_and(active)"
  else
    workers="bool_and(pid IS NULL) IS NOT FALSE"
    slots="NOT bool_or(active)"
  fi
  for node in "${PRIMARIES[@]}"; do
    wait_for "$node" "$DATABASE" "SELECT $workers FROM pg_stat_subscription"
    wait_for "$node" "$DATABASE" "SELECT $slots FROM pg_replication_slots WHERE slot_type = 'logical'"
  done
}

require_up() {
  local node
  for node in "${PRIMARIES[@]}"; do
    is_up "$node" || die "server $node is not running: cluster.sh up"
  done
}

status_of() {
  local node=$1
  if ! is_up "$node"; then
    echo "$node|-|-|-|stopped|-|-"
    return
  fi
  # meridian.region is inherited by the standby's configuration, so each server can say it of itself.
  value "$node" "$DATABASE" "
    SELECT current_setting('meridian.node'), current_setting('meridian.region'),
           CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE 'primary' END,
           CASE WHEN pg_is_in_recovery() THEN '${node%-standby}' ELSE '-' END,
           CASE WHEN pg_is_in_recovery() THEN coalesce((SELECT status FROM pg_stat_wal_receiver), 'waiting') ELSE 'running' END,
           CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END"
}

behind_of() {
  local node=$1 replayed=$2
  case $node in
    *-standby) value "${node%-standby}" "$DATABASE" \
      "SELECT greatest(0, pg_wal_lsn_diff(pg_current_wal_lsn(), '$replayed'))::bigint || ' bytes'" 2>/dev/null || echo '?' ;;
    *) echo '-' ;;
  esac
}

link_status() {
  local to=$1 from=$2 state
  if ! is_up "$to" || ! is_up "$from"; then
    echo '-|-'
    return
  fi
  state=$(value "$to" "$DATABASE" "
    SELECT CASE WHEN NOT bool_and(subenabled) THEN 'cut' WHEN bool_and(pid IS NOT NULL) THEN 'up' ELSE 'connecting' END
    FROM pg_subscription s JOIN pg_stat_subscription w ON w.subid = s.oid WHERE s.subname LIKE 'meridian\_%'")
  echo "$state|$(value "$from" "$DATABASE" "
    SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn))::bigint || ' bytes'
    FROM pg_replication_slots WHERE plugin = 'meridian_mesh'")"
}

status() {
  local node row format='%-11s %-7s %-8s %-9s %-10s %-12s %s\n'
  [ -e "$DEMO_DIR/.meridian-demo" ] || die "there is no cluster in $DEMO_DIR: cluster.sh up"
  # shellcheck disable=SC2059
  printf "$format" server region role upstream state position behind
  for node in "${NODES[@]}"; do
    IFS='|' read -r -a row < <(status_of "$node")
    # shellcheck disable=SC2059
    printf "$format" "${row[@]:0:6}" "$(behind_of "$node" "${row[5]}")"
  done
  echo
  printf '%-11s %-11s %s\n' link state 'not yet confirmed'
  IFS='|' read -r -a row < <(link_status eu us)
  printf '%-11s %-11s %s\n' 'us -> eu' "${row[@]}"
  IFS='|' read -r -a row < <(link_status us eu)
  printf '%-11s %-11s %s\n' 'eu -> us' "${row[@]}"
}

# The whole topology as one page, as the primary of us sees it once it has heard of all servers.
page() {
  local file=${1:-$DEMO_DIR/status.html}
  wait_for us "$DATABASE" "SELECT count(*) = ${#NODES[@]} FROM meridian.topology WHERE state = 'up'"
  if [ $# -gt 0 ]; then
    value us "$DATABASE" 'SELECT meridian.status_page()' >"$file"
  else
    value us "$DATABASE" 'SELECT meridian.status_page()' | as_owner tee "$file" >/dev/null
  fi
  echo "$file"
}

choose_server
find_cluster

case ${1:-} in
  up) up ;;
  status) status ;;
  down) down ;;
  page)
    require_up
    page "${@:2}"
    ;;
  break)
    require_up
    switch_links DISABLE
    wait_links down
    echo "the links between us and eu are cut"
    ;;
  heal)
    require_up
    switch_links ENABLE
    wait_links up
    echo "the links between us and eu are up"
    ;;
  psql)
    [ $# -ge 2 ] || usage
    node=$2
    shift 2
    port_of "$node" >/dev/null
    # Root's own home would not take the history of a session that runs as postgres.
    [ "$(id -u)" != 0 ] || export HOME=$DEMO_DIR
    as_owner "$BIN/psql" -d "$(dsn_of "$node")" -v "PROMPT1=$node=%# " "$@"
    ;;
  *) usage ;;
esac
