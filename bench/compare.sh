#!/bin/bash
# compare(): what it takes to learn that two nodes hold the same rows, beside sending the rows.
#
#   bench/compare.sh      ROWS=1000000; gate: at most a hundredth of the bytes of the rows cross
#
# The second server is reached by TCP over the loopback interface, whose counter says how many bytes crossed; nothing else
# may use it meanwhile.
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
ROWS=${ROWS:-1000000}

choose_server
make_directory
for node in us eu; do
  make_server "$node" "listen_addresses = '127.0.0.1'"
  start_server "$node"
  sql "$node" -c 'CREATE EXTENSION meridian' -c 'CREATE TABLE item (id integer PRIMARY KEY, name text NOT NULL, note text NOT NULL, balance bigint NOT NULL)'
done
tcp() { echo "host=127.0.0.1 port=$(port_of "$1") dbname=postgres user=postgres"; }
sql us -c "SELECT meridian.create_node('us', 'us', '$(dsn_of us)')" >/dev/null
sql eu -c "SELECT meridian.join('eu', 'eu', '$(tcp eu)', '$(dsn_of us)')" >/dev/null
sql us -c "SELECT meridian.replicate('item', 'balance=counter')"
sql us -c "INSERT INTO item SELECT g, 'name ' || g, 'a note of some length, as rows have', g FROM generate_series(1, $ROWS) g" \
  -c "SELECT meridian.wait_converged('10 min')" >/dev/null
for node in us eu; do sql "$node" -c 'VACUUM ANALYZE item'; done

loopback() { awk '$1 == "lo:" { print $2 }' /proc/net/dev; }
# measure FUNCTION: sets SPENT (ms) and CROSSED (bytes).
measure() {
  local before begun
  before=$(loopback)
  begun=$(date +%s%N)
  "$@"
  SPENT=$((($(date +%s%N) - begun) / 1000000))
  CROSSED=$(($(loopback) - before))
}
compare() { sql us -c "SELECT count(*) FROM meridian.compare('item', 'eu')" | grep -qx "$1" || die 'compare() does not find what it should'; }
rows_of() { as_owner "$BIN/psql" -X -q -d "$(tcp "$1")" -c 'COPY (SELECT * FROM item ORDER BY id) TO STDOUT'; }
send_rows() { cmp <(rows_of us) <(rows_of eu); }

canary before
measure send_rows
rows_ms=$SPENT
rows_bytes=$((CROSSED / 2)) # only one side's rows would have to cross
measure compare 0
equal_ms=$SPENT
equal_bytes=$CROSSED
# Ten rows, behind the triggers' back, in ten buckets or fewer.
sql eu -c 'SELECT meridian.begin_apply()' -c 'ALTER TABLE item DISABLE TRIGGER USER' \
  -c "UPDATE item SET note = 'differs' WHERE id % ($ROWS / 10) = 0" \
  -c 'ALTER TABLE item ENABLE ALWAYS TRIGGER "00_meridian_apply"' -c 'ALTER TABLE item ENABLE ALWAYS TRIGGER zz_meridian_stamp' \
  -c 'ALTER TABLE item ENABLE ALWAYS TRIGGER zz_meridian_delete' -c 'ALTER TABLE item ENABLE ALWAYS TRIGGER zz_meridian_truncate' >/dev/null
measure compare 10
ten_ms=$SPENT
ten_bytes=$CROSSED
canary after

printf '\n%s rows on two servers of this machine\n' "$ROWS"
printf '%-44s %10s bytes %8s ms\n' 'all rows are sent (in the order of the key)' "$rows_bytes" "$rows_ms" \
  'compare(), nothing differs' "$equal_bytes" "$equal_ms" 'compare(), ten rows differ' "$ten_bytes" "$ten_ms"
printf 'bytes %s, time %s of sending the rows\n' "$(ratio "$equal_bytes" "$rows_bytes")" "$(ratio "$equal_ms" "$rows_ms")"
gate 'equal rows: at most a hundredth of the bytes' "$equal_bytes * 100 <= $rows_bytes"
gate 'ten differing rows: at most a hundredth of the bytes' "$ten_bytes * 100 <= $rows_bytes"
exit $FAILED
