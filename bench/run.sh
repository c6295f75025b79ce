#!/bin/bash
# `make bench`: every measurement that has a gate, in one run; exit status 1 if a gate fails.
#
# TX, ROUNDS, MERGES, UPDATES, SECONDS_EACH, CALLS, CYCLES, RECORDS make it shorter or longer, see the scripts.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1

failed=0
for script in row_size.sh commit.sh sessions.sh check_token.sh home.sh route_read.sh waits.sh read_your_writes.sh local_update.sh apply.sh streams.sh memory.sh compare.sh status.sh cdc_plugin.sh sinks.sh replication.sh; do
  printf '\n=== %s\n' "$script"
  "./$script" || failed=1
done
printf '\n=== %s\n' "apply.sh instructions"
./apply.sh instructions || failed=1
exit $failed
