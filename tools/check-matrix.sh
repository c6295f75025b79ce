#!/bin/bash
# Runs tools/check.sh on the PostgreSQL versions that this Debian does not have: 17 in trixie, 18 in forky.
#
#   tools/check-matrix.sh [SUITE...]
#
# Each suite lives in a root of its own (tools/debian-root.sh), with its own compiler: g++ 14 and 16. Both run at the same
# time, since much of a test is waiting; what each printed is shown when it has ended. Needs root.
# MERIDIAN_MATRIX_PARTS chooses the parts, as arguments of tools/check.sh; by default all. MERIDIAN_MATRIX_SHARE=N runs every
# Nth file of the TAP tests, on each suite others; which ones moves on with every commit, so that after N of them all ran on
# all suites.
set -euo pipefail

cd "$(dirname "$0")/.."
suites=("${@:-trixie forky}")
read -ra suites <<< "${suites[*]}"
read -ra parts <<< "${MERIDIAN_MATRIX_PARTS:-}"

if [ "$(id -u)" != 0 ]; then exec sudo --preserve-env=MERIDIAN_MATRIX_PARTS,MERIDIAN_MATRIX_SHARE,MERIDIAN_MATRIX_DIR "$0" "$@"; fi
tools/install-deps.sh ci

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

share=${MERIDIAN_MATRIX_SHARE:-1}
commits=$(git rev-list --count HEAD 2> /dev/null || echo 0)

# tests_of INDEX: the files of the suite with that number.
tests_of() {
  local tests=(test/t/*.pl) i
  for i in "${!tests[@]}"; do
    if (((i + commits + $1) % share == 0)); then printf '%s ' "${tests[i]}"; fi
  done
}

check_suite() {  # SUITE INDEX
  local root chosen=
  if [ "$share" -gt 1 ]; then chosen=$(tests_of "$2"); fi
  root=$(tools/debian-root.sh create "$1")
  mkdir -p "$root/meridian"
  rsync -a --delete --exclude=.git --exclude='*.o' --exclude='*.d' --exclude='*.so' --exclude='*.a' --exclude='*.gch' --exclude='/build*' \
    --exclude='/meridian--*.sql' --exclude=results --exclude='regression.*' --exclude=tmp_check ./ "$root/meridian/"
  # The simulator computes the same on every machine: once, in make check, is enough.
  tools/debian-root.sh run "$1" env MERIDIAN_DEPS=root MERIDIAN_CTEST='--exclude-regex ^sim_' PROVE_TESTS="$chosen" /meridian/tools/check.sh "${parts[@]}"
}

declare -A pids
for i in "${!suites[@]}"; do
  suite=${suites[i]}
  check_suite "$suite" "$i" > "$logs/$suite" 2>&1 < /dev/null &
  pids[$suite]=$!
done

failed=()
for suite in "${suites[@]}"; do
  wait "${pids[$suite]}" || failed+=("$suite")
  echo "##### $suite"
  cat "$logs/$suite"
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "matrix: FAILED: ${failed[*]}"
  exit 1
fi
echo "matrix: passed: ${suites[*]}"
