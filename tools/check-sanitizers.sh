#!/bin/bash
# Runs the core's unit tests under the address and undefined-behaviour sanitizers, and simulated histories.
#   tools/check-sanitizers.sh [BUILD_DIRECTORY]      default: build/sanitizers
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/sanitizers}

cmake -S . -B "$build" -DMERIDIAN_SANITIZE=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo > /dev/null
cmake --build "$build" -j "$(nproc)" > "$build/build.log" 2>&1 || { tail -n 100 "$build/build.log"; exit 1; }
# That the simulator catches each wrong variant is shown without sanitizers (tools/check.sh core); here it would take long.
ctest --test-dir "$build" --output-on-failure -j "$(nproc)" --exclude-regex '^sim_catches_'
