#!/bin/bash
# Runs the core's unit tests under the address and undefined-behaviour sanitizers, and a few thousand simulated histories.
#   tools/check-sanitizers.sh [BUILD_DIRECTORY]      default: build/sanitizers
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/sanitizers}

cmake -S . -B "$build" -DMERIDIAN_SANITIZE=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo > /dev/null
cmake --build "$build" -j "$(nproc)" > "$build/build.log" 2>&1 || { tail -n 100 "$build/build.log"; exit 1; }
# The simulator's own tests take too long here; fewer histories reach the same code.
ctest --test-dir "$build" --output-on-failure -j "$(nproc)" --label-exclude simulator
"$build/test/sim/meridian_sim" --histories 3000
