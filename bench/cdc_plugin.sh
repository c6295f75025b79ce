#!/bin/bash
# Speed of the output plugin meridian_cdc: the same WAL decoded by it and by others, in one run, round-robin.
#
#   bench/cdc_plugin.sh     TX=3000 transactions of 100 rows, ROUNDS=5
#
# Gates: with the full envelope at least twice the speed of wal2json (format 2), and ahead of test_decoding, as a walsender
# whose client (pg_recvlogical) throws everything away: how plugins are used. The gates are for the options that sinks use (`sink`: frames with keys
# and tombstones, several in a message), beside it the same values a line each (`lines`), and one message for each value (`meridian_cdc`). Beside
# these the same by SQL, where every plugin pays for a result set. Measured is the processor time of the server's process, which other load of the machine changes least. Every round decodes the same:
# peeking does not consume, and a walsender gets a copy of the slot. work_mem is large enough that no result goes to disk.
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
TX=${TX:-3000}
ROUNDS=${ROUNDS:-5}

choose_server
# A server that was built before the rivals were installed lacks their libraries.
quietly 'installing packages' "$TOP/tools/install-deps.sh" bench
libraries=$("$BENCH_PG_CONFIG" --pkglibdir)
original=$("${PG_CONFIG:-pg_config}" --pkglibdir)
for rival in wal2json decoderbufs; do
  [ -e "$libraries/$rival.so" ] || as_owner ln -s "$original/$rival.so" "$libraries/"
done

make_directory
listed=
! server_knows output_plugin_libraries || listed="output_plugin_libraries = 'pgoutput, test_decoding, meridian_mesh, meridian_cdc, wal2json, decoderbufs'"
make_server db "$listed"
start_server db
plugins=(pgoutput test_decoding decoderbufs wal2json meridian_cdc)
sql db -c 'CREATE TABLE event (id bigint PRIMARY KEY, name text NOT NULL, mail varchar(80), balance numeric(12,2), active boolean, made timestamptz, note text)' \
  -c 'CREATE PUBLICATION bench FOR TABLE event'
for plugin in "${plugins[@]}"; do sql db -c "SELECT pg_create_logical_replication_slot('$plugin', '$plugin')" >/dev/null; done
# Of 100 changes 40 are inserts, 40 updates, 20 deletes.
sql db >/dev/null <<SQL
DO \$\$ BEGIN FOR i IN 0..$TX - 1 LOOP
  INSERT INTO event SELECT i * 40 + g, 'name ' || g, 'user' || g || '@example.com', g * 1.25, g % 2 = 0, now(), 'a note of some length, as rows have' FROM generate_series(1, 40) g;
  UPDATE event SET balance = balance + 1, note = 'changed ' || i WHERE id BETWEEN i * 40 + 1 AND i * 40 + 40;
  DELETE FROM event WHERE id BETWEEN i * 40 + 1 AND i * 40 + 20;
  COMMIT;
END LOOP; END \$\$;
CHECKPOINT;
SQL
END=$(sql db -c 'SELECT pg_current_wal_flush_lsn()')

slot_of() { case $1 in sink | lines) echo meridian_cdc ;; *) echo "$1" ;; esac; }

# options_of ARM: what pg_recvlogical is called with.
options_of() {
  case $1 in
    pgoutput) echo '-o proto_version=1 -o publication_names=bench' ;;
    wal2json) echo '-o format-version=2' ;;
    sink) echo '-o format=event -o message_bytes=32768' ;;
    lines) echo '-o message_bytes=32768' ;;
  esac
}

# stream ARM: prints processor seconds of the walsender until it has sent everything.
stream() {
  local pid client
  sql db -c "SELECT pg_copy_logical_replication_slot('$(slot_of "$1")', 'copy')" >"$DIR/copy.log" 2>&1 || { cat "$DIR/copy.log" >&2; die 'the slot cannot be copied'; }
  # shellcheck disable=SC2046  # words are wanted
  as_owner "$BIN/pg_recvlogical" -d "$(dsn_of db)" --slot copy --start --no-loop -f /dev/null -F 0 $(options_of "$1") >/dev/null 2>&1 &
  client=$!
  await db "SELECT count(*) = 1 FROM pg_stat_replication WHERE sent_lsn >= '$END'"
  pid=$(sql db -c 'SELECT pid FROM pg_stat_replication')
  awk '{ printf "%.3f\n", $1 / 1e9 }' "/proc/$pid/schedstat"
  sql db -c "SELECT pg_terminate_backend($pid, 10000)" >/dev/null
  wait "$client" || true
  sql db -c "SELECT pg_drop_replication_slot('copy')" >/dev/null
}

# decode ARM: prints processor seconds, elapsed seconds, messages and bytes; by SQL, of the second time in a session, as in one that
# has decoded for a while: the first time also pays for caches, and for memory that the process did not have yet.
decode() {
  local call
  case $1 in
    pgoutput) call="pg_logical_slot_peek_binary_changes('pgoutput', NULL, NULL, 'proto_version', '1', 'publication_names', 'bench')" ;;
    decoderbufs) call="pg_logical_slot_peek_binary_changes('decoderbufs', NULL, NULL)" ;;
    wal2json) call="pg_logical_slot_peek_changes('wal2json', NULL, NULL, 'format-version', '2')" ;;
    sink) call="pg_logical_slot_peek_changes('meridian_cdc', NULL, NULL, 'format', 'event', 'message_bytes', '32768')" ;;
    lines) call="pg_logical_slot_peek_changes('meridian_cdc', NULL, NULL, 'message_bytes', '32768')" ;;
    *) call="pg_logical_slot_peek_changes('$1', NULL, NULL)" ;;
  esac
  sql db 2>&1 <<SQL | awk '/^!.*user,.*elapsed/ { cpu = $2 + $5; wall = $8 } /^[0-9]+\|/ { split($0, n, "|") } END { print cpu, wall, n[1], n[2] }'
SET work_mem = '2GB'; SET client_min_messages = log; SET log_statement_stats = on;
SELECT count(*), sum(octet_length(data)) FROM $call;
SELECT count(*), sum(octet_length(data)) FROM $call;
SQL
}

arms=("${plugins[@]}" lines sink)
declare -A streamed cpu wall messages bytes
canary before
for ((round = 0; round < ROUNDS; ++round)); do
  for ((i = 0; i < ${#arms[@]}; ++i)); do
    arm=${arms[(i + round) % ${#arms[@]}]}
    streamed[$arm]+="$(stream "$arm") "
    read -r c w n b < <(decode "$arm")
    cpu[$arm]+="$c "
    wall[$arm]+="$w "
    messages[$arm]=$n
    bytes[$arm]=$b
  done
done
canary after

middle() { tr ' ' '\n' <<<"$1" | sed '/^$/d' | median; }
printf '\n%s changes in transactions of 100, %s rounds; medians\n' $((TX * 100)) "$ROUNDS"
printf '%-15s %12s %9s %9s %12s %17s\n' plugin 'walsender s' 'SQL s' 'wall s' messages 'bytes per change'
declare -A sent spent
for arm in "${arms[@]}"; do
  sent[$arm]=$(middle "${streamed[$arm]}")
  spent[$arm]=$(middle "${cpu[$arm]}")
  printf '%-15s %12s %9s %9s %12s %17s\n' "$arm" "${sent[$arm]}" "${spent[$arm]}" "$(middle "${wall[$arm]}")" "${messages[$arm]}" $((bytes[$arm] / TX / 100))
done
for arm in sink lines meridian_cdc; do
  for rival in wal2json test_decoding decoderbufs pgoutput; do
    printf '%-12s to %-15s %s times the speed, %s by SQL\n' "$arm" "$rival" "$(ratio "${sent[$rival]}" "${sent[$arm]}")" "$(ratio "${spent[$rival]}" "${spent[$arm]}")"
  done
done
gate 'as sinks read: at least 2 times wal2json, format 2' "${sent[wal2json]} >= 2 * ${sent[sink]}"
gate 'as sinks read: ahead of test_decoding' "${sent[test_decoding]} > ${sent[sink]}"
exit $FAILED
