#!/bin/bash
# Runs every libFuzzer target of the core for a while, three times as many at a time as there are processors: the time of each is given
# by the clock.
#   tools/check-fuzz.sh [SECONDS_EACH [BUILD_DIRECTORY]]      default: 60 build/fuzz
# Inputs that crash a target are kept in the build directory, and a target's last lines are printed.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
build=${2:-build/fuzz}

cmake -S . -B "$build" -DMERIDIAN_FUZZ=ON -DBUILD_TESTING=OFF -DCMAKE_CXX_COMPILER=clang++-14 > /dev/null
cmake --build "$build" -j "$(nproc)" > "$build/build.log" 2>&1 || { tail -n 100 "$build/build.log"; exit 1; }

build=$(cd "$build" && pwd)
export build seconds
run_target() {
  topic=$(basename "$1" _fuzz)
  mkdir -p "$build/corpus/$topic" "$build/crashes"
  if "$1" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -artifact_prefix="$build/crashes/$topic-" -print_final_stats=1 \
    "$build/corpus/$topic" "test/fuzz/corpus/$topic" > "$build/$topic.log" 2>&1; then
    echo "fuzz: $topic: passed, $(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$topic.log") inputs"
  else
    echo "fuzz: $topic: FAILED"
    tail -n 40 "$build/$topic.log"
    return 1
  fi
}
export -f run_target

targets=$(find "$build" -name '*_fuzz' -type f -executable | sort)
[ -n "$targets" ] || { echo "fuzz: no targets were built" >&2; exit 1; }
xargs -P $((3 * $(nproc))) -I{} bash -c 'run_target {}' <<< "$targets"
