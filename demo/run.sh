#!/bin/bash
# `make demo`: installs what is missing, builds and installs Meridian, starts two regions and tells the story.
# Leaves the servers running, to be played with through demo/cluster.sh. Exit status 0 only if every figure was right.
set -euo pipefail
started=$SECONDS
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")
log=$(mktemp /tmp/meridian-demo-build.XXXXXX)
trap 'echo "demo: failed after $((SECONDS - started)) s; output of the build: $log" >&2' ERR

# quietly WHAT COMMAND...: one line on the terminal, all output in the log, which is shown if the command fails.
quietly() {
  local what=$1 begun=$SECONDS
  shift
  printf '%-46s' "$what ..."
  if ! "$@" >>"$log" 2>&1; then
    echo
    tail -n 40 "$log" >&2
    return 1
  fi
  printf '%4d s\n' $((SECONDS - begun))
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

quietly "Installing what is missing" as_root "$top/tools/install-deps.sh"
export PG_CONFIG=${PG_CONFIG:-pg_config}
# `make demo` hands its own goals and flags on through these.
unset MAKEFLAGS MAKELEVEL MFLAGS MAKECMDGOALS
quietly "Building" make -C "$top" -j "$(nproc)" PG_CONFIG="$PG_CONFIG"
quietly "Installing into $("$PG_CONFIG" --pkglibdir)" as_root make -C "$top" install PG_CONFIG="$PG_CONFIG"

"$here/cluster.sh" down
"$here/cluster.sh" up
"$here/story.sh"

cat <<END

Told in $((SECONDS - started)) s. The four servers are still there to play with:

  demo/cluster.sh psql us       (or us-standby, eu, eu-standby)
  demo/cluster.sh status
  demo/cluster.sh break         and  demo/cluster.sh heal
  demo/cluster.sh down          stops and removes them
END
rm -f "$log"
