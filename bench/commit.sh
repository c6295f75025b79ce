#!/bin/bash
# What the token of a commit costs: callgrind instructions of a connected backend per single-row INSERT, autocommit.
#
#   bench/commit.sh
#
#   stock     shared_preload_libraries is empty
#   meridian  it is not: every commit makes a token, and reports it to the client
#   signed    the same with meridian.token_secret_file
#
# INSERTS=2000. Exit status 1 if the gate fails.
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=bench/callgrind.sh
. "$BENCH/callgrind.sh"

INSERTS=${INSERTS:-2000}
ARMS=(stock meridian signed)

libraries_of() {
  case $1 in
    stock) echo "shared_preload_libraries = ''" ;;
    meridian) echo '' ;;
    signed) echo "meridian.token_secret_file = '$DIR/secret'" ;;
  esac
}

instructions_of() { awk -v arm="$1" '$1 == arm { print $2 }' "$DIR/instructions"; }

choose_server
make_directory
head -c 32 /dev/urandom | base64 | as_owner tee "$DIR/secret" >/dev/null
as_owner chmod 600 "$DIR/secret"
for arm in "${ARMS[@]}"; do
  make_server "$arm" "synchronous_commit = off
full_page_writes = off
$(libraries_of "$arm")"
  start_server "$arm"
  sql "$arm" -c 'CREATE EXTENSION meridian_bench' -c 'CREATE TABLE t (a integer, b integer)'
  stop_server "$arm"
  start_under_callgrind "$arm"
  echo "$arm $(count_inserts "$arm" "$INSERTS")" >>"$DIR/instructions"
  stop_server "$arm"
done
printf '\nInstructions per INSERT and commit, and as ratio to stock\n'
for arm in "${ARMS[@]}"; do
  printf '%-10s %10s %8s\n' "$arm" "$(instructions_of "$arm")" "$(ratio "$(instructions_of "$arm")" "$(instructions_of stock)")"
done
gate 'a commit with its token at most 1.05 times one without' "$(instructions_of meridian) <= 1.05 * $(instructions_of stock)"
exit $FAILED
