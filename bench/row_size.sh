#!/bin/bash
# What the visible column `_meridian` adds to a row.
#
#   bench/row_size.sh      gate: 24 bytes at most for a last-writer-wins row, as pg_column_size counts them on disk
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

choose_server
make_directory
make_server local
start_server local
sql local -c 'CREATE EXTENSION meridian' -c "SELECT meridian.create_node('local', 'local', '$(dsn_of local)')" >/dev/null
for table in quiet counted; do
  sql local -c "CREATE TABLE $table (id integer PRIMARY KEY, name text, balance bigint)"
done
sql local -c "SELECT meridian.replicate('quiet')" -c "SELECT meridian.replicate('counted', 'balance=counter')" >/dev/null
for table in quiet counted; do
  sql local -c "INSERT INTO $table SELECT g, 'name', 100 FROM generate_series(1, 1000) g"
done

size() { sql local -c "SELECT max(pg_column_size(_meridian)) FROM $1 WHERE $2"; }
inserted=$(size quiet true)
sql local -c "UPDATE quiet SET name = 'other' WHERE id <= 500" -c 'UPDATE counted SET balance = balance - 50 WHERE id <= 500'
written=$(size quiet 'id <= 500')
# The longer the time between first and latest write, the longer the number that stands for it.
sql local -c 'CREATE TABLE old (_meridian meridian.row_state)' -c "
  INSERT INTO old SELECT regexp_replace(_meridian::text, '@[0-9]+[.]', '@1500000000000.', 'g')::meridian.row_state
  FROM quiet WHERE id <= 500"
old=$(size old true)

printf '\nBytes of row state (pg_column_size, the largest of 500 rows)\n'
printf '%-48s %4s\n' 'row=lww, inserted' "$inserted" 'row=lww, inserted and updated' "$written" \
  'row=lww, updated years after it was inserted' "$old" \
  'one counter, inserted' "$(size counted 'id > 500')" 'one counter, inserted and updated' "$(size counted 'id <= 500')"
gate 'a last-writer-wins row at most 24 bytes' "$inserted <= 24 && $written <= 24 && $old <= 24"
exit $FAILED
