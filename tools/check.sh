#!/bin/bash
# Builds Meridian and runs its tests on a temporary cluster.
#
#   tools/check.sh [PART...]     parts: core build regress isolation tap module; all of them by default
#
# Works in a copy of the source tree, kept between runs so that only what changed is compiled again, and on a private copy
# of the server: neither the source tree nor the machine's own PostgreSQL is written to. Run by root, builds and tests are
# run as user postgres, since a server refuses to run as root; run by anybody else, sudo is needed for missing packages only.
#
# Environment: PG_CONFIG (which server), MERIDIAN_BUILD_DIR (where to build), PROVE_TESTS (which TAP tests),
# MERIDIAN_CTEST (arguments for ctest), MERIDIAN_KEEP=1 (keep the cluster's data and log), MERIDIAN_DEPS (argument of install-deps.sh).
set -euo pipefail
export LC_ALL=C.UTF-8

cd "$(dirname "$0")/.."
source_dir=$PWD
all_parts=(core build regress isolation tap module)
parts=("${@:-${all_parts[@]}}")

tools/install-deps.sh "${MERIDIAN_DEPS:-}"

pg_config=${PG_CONFIG:-pg_config}
major=$("$pg_config" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
build_dir=${MERIDIAN_BUILD_DIR:-/var/tmp/meridian-build-$(id -un)/$(printf %s "$source_dir" | cksum | cut -d' ' -f1)-pg$major}
tree=$build_dir/tree
server=$build_dir/server
cluster=

as_tester() {
  if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

wanted() {
  local part
  for part in "${parts[@]}"; do [ "$part" != "$1" ] || return 0; done
  return 1
}

failed=()
run_part() {  # NAME COMMAND...: runs the part if it is wanted, and remembers whether it failed
  local name=$1 started=$SECONDS
  shift
  wanted "$name" || return 0
  echo "=== PostgreSQL $major: $name"
  if "$@"; then
    echo "--- $name: passed in $((SECONDS - started)) s"
  else
    echo "--- $name: FAILED after $((SECONDS - started)) s"
    failed+=("$name")
  fi
}

copy_tree() {
  mkdir -p "$tree"
  # Objects of the copy survive (excluded from deletion); those of the source tree belong to some other build.
  rsync -a --delete --exclude=.git --exclude='*.o' --exclude='*.d' --exclude='*.so' --exclude='*.a' --exclude='*.gch' --exclude='/build*' \
    --exclude='/meridian--*.sql' --exclude=results --exclude='regression.*' --exclude=tmp_check "$source_dir/" "$tree/"
  if [ "$(id -u)" = 0 ]; then chown -R postgres: "$build_dir"; fi
}

check_core() {
  as_tester cmake -S . -B build -DCMAKE_BUILD_TYPE=RelWithDebInfo > "$build_dir/cmake.log" 2>&1 \
    || { cat "$build_dir/cmake.log"; return 1; }
  as_tester cmake --build build -j "$(nproc)" > "$build_dir/cmake.log" 2>&1 || { tail -n 100 "$build_dir/cmake.log"; return 1; }
  PG_CONFIG=$pg_config tools/check-layers.sh build/libmeridian_core.a || return 1
  as_tester ctest --test-dir build --output-on-failure -j "$(nproc)" ${MERIDIAN_CTEST:-}
}

pgxs() { as_tester make -s --no-print-directory PG_CONFIG="$private_config" "$@"; }

build_extension() {
  private_config=$(as_tester tools/private-server.sh "$server") || return 1
  pgxs -k -j "$(nproc)" WERROR=1 all && pgxs install > /dev/null || return 1
  pgxs -C test/module WERROR=1 all && pgxs -C test/module install > /dev/null || return 1
  pgxs -C test/clients WERROR=1 || return 1
  tools/check-exports.sh meridian.so src/plugin/*.so
}

start_cluster() {
  local bin
  bin=$(dirname "$private_config")
  # A short path: the name of a unix socket has at most 107 bytes.
  cluster=$(as_tester mktemp -d /tmp/meridian-check.XXXXXX)
  as_tester "$bin/initdb" -D "$cluster/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync \
    > "$cluster.initdb" 2>&1 || { cat "$cluster.initdb"; return 1; }
  rm -f "$cluster.initdb"
  {
    echo "listen_addresses = ''"
    echo "unix_socket_directories = '$cluster'"
    cat test/postgresql.conf
    # Minor releases from August 2026 on load only the output plugins listed here; older ones do not know the setting.
    if as_tester "$bin/postgres" --describe-config | cut -f1 | grep -x output_plugin_libraries > /dev/null; then
      echo "output_plugin_libraries = 'pgoutput, test_decoding, meridian_mesh, meridian_cdc'"
    fi
  } | as_tester tee -a "$cluster/data/postgresql.conf" > /dev/null
  as_tester "$bin/pg_ctl" -D "$cluster/data" -l "$cluster/log" -o '-p 54100' -w -s start 9>&- || { cat "$cluster/log"; return 1; }
  export PGHOST=$cluster PGPORT=54100 PGUSER=postgres
  # pg_regress makes it anew; isolation specs run in it, also when they run alone.
  as_tester "$bin/createdb" contrib_regression
}

stop_cluster() {
  [ -n "$cluster" ] || return 0
  as_tester "$(dirname "$private_config")/pg_ctl" -D "$cluster/data" -m immediate -w -s stop 2> /dev/null || true
  if [ -n "${MERIDIAN_KEEP:-}" ]; then echo "kept: $cluster"; else rm -rf "$cluster"; fi
  cluster=
}

# One kind of installcheck at a time: PGXS stops at the first kind that fails.
regress() { pgxs installcheck ISOLATION= TAP_TESTS= || show_differences .; }
isolation() { pgxs installcheck REGRESS= TAP_TESTS= || show_differences .; }
# Servers wait more than they work, so more tests at a time than there are processors. (PROVE_FLAGS of the environment would
# be lost: PostgreSQL's makefiles empty it.)
tap() {
  pgxs installcheck REGRESS= ISOLATION= PROVE_FLAGS="--timer -j$(($(nproc) + 1))" ${PROVE_TESTS:+PROVE_TESTS="$PROVE_TESTS"} ||
    show_tap_logs
}
module() { pgxs -C test/module installcheck || show_differences test/module; }

show_differences() {
  head -n 200 "$1/regression.diffs" 2> /dev/null || true
  echo "last lines of the server's log:"
  tail -n 40 "$cluster/log"
  return 1
}

show_tap_logs() {
  local log
  for log in tmp_check/log/regress_log_*; do
    if grep -qE '(^|s\) )not ok' "$log" || ! grep -qE '(^|s\) )1\.\.' "$log"; then
      echo "last lines of $log:"
      tail -n 60 "$log"
    fi
  done
  echo "logs of the servers: $tree/tmp_check/log"
  return 1
}

main() {
  copy_tree
  cd "$tree"
  trap stop_cluster EXIT
  run_part core check_core
  if [ "${parts[*]}" != core ]; then
    parts+=(build)
    run_part build build_extension
    if [[ ! " ${failed[*]-} " == *" build "* ]]; then
      start_cluster
      run_part regress regress
      run_part isolation isolation
      run_part module module
      run_part tap tap
    fi
  fi
  stop_cluster
  if [ ${#failed[@]} -gt 0 ]; then
    echo "PostgreSQL $major: FAILED: ${failed[*]}"
    exit 1
  fi
  echo "PostgreSQL $major: all parts passed"
}

mkdir -p "$build_dir"
exec 9> "$build_dir/lock"
flock 9
main
