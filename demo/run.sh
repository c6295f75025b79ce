#!/bin/bash
# `make demo`: installs the packages that are missing, builds Meridian, starts two regions and tells the story.
#
# Works in a copy of the source tree and on a private copy of the server (MERIDIAN_DEMO_BUILD, kept, so that the next run
# compiles only what changed): neither this machine's PostgreSQL nor the source tree is written to. The servers are left
# running, to be played with through demo/cluster.sh. Exit status 0 only if every figure of the story was right.
# shellcheck source=demo/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")
started=$SECONDS
log=$(mktemp /tmp/meridian-demo.XXXXXX)
trap 'rm -f "$log"' EXIT

# quietly WHAT COMMAND...: one line on the terminal; the command's output only if it fails.
quietly() {
  local begun=$SECONDS
  printf '%-40s' "$1 ..."
  shift
  if ! "$@" >"$log" 2>&1 </dev/null; then
    echo ' failed'
    tail -n 60 "$log" >&2
    exit 1
  fi
  printf '%4d s\n' $((SECONDS - begun))
}

copy_tree() {
  as_owner mkdir -p -m 0755 "$BUILD_DIR" && require_owner "$BUILD_DIR" || return 1
  rsync -a --delete --exclude=.git --exclude='*.o' --exclude='*.d' --exclude='*.so' --exclude='*.a' --exclude='*.gch' --exclude='/build*' \
    --exclude='/meridian--*.sql' --exclude=results --exclude=tmp_check "$top/" "$BUILD_DIR/tree/" || return 1
  [ "$(id -u)" != 0 ] || chown -R "$OWNER:" "$BUILD_DIR/tree"
}

# A private copy of the server, with Meridian in it.
build() {
  local original pg_config
  original=$(command -v "${PG_CONFIG:-pg_config}") || return 1
  pg_config=$(as_owner env PG_CONFIG="$original" "$BUILD_DIR/tree/tools/private-server.sh" "$BUILD_DIR/server") || return 1
  as_owner make -s -C "$BUILD_DIR/tree" -j "$(nproc)" PG_CONFIG="$pg_config" WITHOUT_SINK=1 all || return 1
  as_owner make -s -C "$BUILD_DIR/tree" PG_CONFIG="$pg_config" WITHOUT_SINK=1 install || return 1
  echo "$pg_config" | as_owner tee "$BUILD_DIR/pg_config.path"
}

# make passes its own goals and flags on through these.
unset MAKEFLAGS MFLAGS MAKELEVEL

quietly 'Installing packages that are missing' "$top/tools/install-deps.sh" demo
if [ -e "$DEMO_DIR" ]; then
  quietly "Stopping the servers of an earlier run" env -u PG_CONFIG "$here/cluster.sh" down
fi
quietly 'Copying the source tree' copy_tree
quietly 'Building Meridian' build
unset PG_CONFIG
"$here/cluster.sh" up
"$here/story.sh"
page=$("$here/cluster.sh" page)

cat <<END

Told in $((SECONDS - started)) s. The four servers are still there to play with:

  demo/cluster.sh psql us      (or us-standby, eu, eu-standby)
  demo/cluster.sh status
  demo/cluster.sh page FILE   the same drawn for a browser; as it was just now: $page
  demo/cluster.sh break        and demo/cluster.sh heal
  demo/cluster.sh down         stops and removes them
END
