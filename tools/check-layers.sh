#!/bin/bash
# Do the layers src/core <- src/pg, src/plugin <- sql hold?
#
#   tools/check-layers.sh [ARCHIVE]      ARCHIVE: the built core library, whose symbols are checked as well
#
# Each finding prints the rule, the lines that break it, and what to do.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
shopt -s lastpipe  # none_of ends pipelines and sets `failed`
# RULE REMEDY: lines on standard input break the rule.
none_of() {
  local lines
  lines=$(cat)
  if [ -n "$lines" ]; then
    echo "check-layers: $1" >&2
    sed 's/^/    /' <<< "$lines" >&2
    echo "    -> $2" >&2
    failed=1
  fi
}

# grep that does not fail when nothing is found.
find_lines() { grep -rnIE "$@" || [ $? = 1 ]; }

find_lines '#include "' src/core | { grep -vE '#include "core/' || true; } |
  none_of 'src/core includes only its own headers' 'move what needs PostgreSQL to src/pg'
find_lines '#include <([^>]*\.h|[^>]*pq[^>]*|iostream|thread|filesystem|random)>' src/core |
  { grep -vE '#include <xxhash\.h>' || true; } |
  none_of 'src/core includes standard C++, Boost and xxHash headers only' 'use <cstdint> and the like; take time and randomness as arguments'
find_lines '(system_clock|steady_clock)::now|getenv|\btime\(|\brand\(|random_device' src/core |
  none_of 'src/core has no clock, environment or randomness' 'take the value as an argument'
find_lines '#include "' src/pg src/plugin --include='*.cpp' --include='*.hpp' |
  { grep -vE '#include "(core|pg)/|^src/plugin/[^:]*:[0-9]+:#include "plugin/' || true; } | { grep -v '^src/pg/support/postgres.hpp:' || true; } |
  none_of 'PostgreSQL headers are included by src/pg/support/postgres.hpp only' 'include that, and add the header there'
find_lines 'PG_VERSION_NUM' src test/module --include='*.cpp' --include='*.hpp' | { grep -v '^src/pg/support/compat.hpp:' || true; } |
  none_of 'version differences live in src/pg/support/compat.hpp only' 'add a function there'
find_lines '\bPG_TRY\b|\bPG_CATCH\b|<iostream>|^using namespace (std|meridian|meridian::pg);' src --include='*.cpp' --include='*.hpp' |
  { grep -vE '^[^:]*:[0-9]+: *//' || true; } |
  none_of 'no PG_TRY, <iostream> or using namespace' 'use pg::call (src/pg/support/guard.hpp); qualify names'
find_lines '(^|[^_a-z])(system|popen|execv[a-z]*)\(|std::thread' src/pg src/plugin --include='*.cpp' --include='*.hpp' |
  none_of 'no shell and no thread inside a server process' 'use a background worker'

# Symbols: nothing of the server, no clock, no mutable global.
if [ -n "${1:-}" ]; then
  server=$("${PG_CONFIG:-pg_config}" --bindir)/postgres
  undefined=$(nm -u "$1" 2> /dev/null | awk '$1 == "U" { print $2 }' | sort -u)
  offered=$(nm -D --defined-only "$server" | awk '{ print $NF }' | sed 's/@.*//' | sort -u)
  comm -12 <(echo "$undefined") <(echo "$offered") |
    none_of 'src/core refers to symbols of the server' 'move the code to src/pg'
  { grep -xE 'clock_gettime|gettimeofday|time|getenv|rand|random|socket|open|fopen|.*chrono.*now.*' || true; } <<< "$undefined" |
    none_of 'src/core calls the clock, the environment or the operating system' 'take the value as an argument'
  objdump -t "$1" | awk '$3 == "O" && $4 ~ /^\.(bss|data)(\.|$)/ && $4 !~ /^\.data\.rel\.ro/ { print $NF }
                         $2 == "O" && $3 ~ /^\.(bss|data)(\.|$)/ && $3 !~ /^\.data\.rel\.ro/ { print $NF }' | c++filt |
    { grep -vE '^DW\.ref\.' || true; } | none_of 'src/core has mutable globals' 'pass the state as an argument, or make it constexpr'
fi

if [ $failed = 0 ]; then echo "layers: kept"; fi
exit $failed
