#!/bin/bash
# Does an apply worker grow? The private memory of one after the first tenth of its merges, and after all.
#
#   bench/memory.sh      gate: less than 1 MB of growth over the last 900,000 of a million merges
#
# The merges are single rows of four tables (counter, max, set, row=lww(updated_at)), ten rows a transaction: updates, and one
# delete with an insert of the same key in each. All of them meet the row that is there, so each is a merge.
#
# MERGES=1000000. Exit status 1 if the gate fails.
# shellcheck source=bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

MERGES=${MERGES:-1000000}
ROWS=10000
PER_TX=10
tables=(counted highest tagged stamped)

make_servers() {
  local node table
  for node in from to; do
    make_server "$node"
    start_server "$node"
    sql "$node" -c 'CREATE EXTENSION meridian'
    for table in "${tables[@]}"; do
      make_table "$node" "$table" "$ROWS"
      sql "$node" -c "ALTER TABLE $table ADD tags text[] NOT NULL DEFAULT '{red,green,blue}'"
    done
  done
  sql from -c "SELECT meridian.create_node('from', 'from', '$(dsn_of from)')" >/dev/null
  sql to -c "SELECT meridian.join('to', 'to', '$(dsn_of to)', via => '$(dsn_of from)')" >/dev/null
  sql from -c "SELECT meridian.replicate('counted', 'balance=counter'), meridian.replicate('highest', 'balance=max'),
                      meridian.replicate('tagged', 'tags=set'), meridian.replicate('stamped', 'row=lww(updated_at)')" >/dev/null
  sql from <<SQL
CREATE PROCEDURE write(first integer, last integer) LANGUAGE plpgsql AS \$\$
DECLARE
  t regclass;
BEGIN
  FOR i IN first .. last BY $PER_TX LOOP
    t := (ARRAY['counted', 'highest', 'tagged', 'stamped'])[i / $PER_TX % 4 + 1];
    EXECUTE format('UPDATE %s SET balance = balance + 1, updated_at = clock_timestamp(), tags = ARRAY[''red'', ''green'', ''tag '' || \$1 %% 5]
                     WHERE id = ANY (ARRAY(SELECT 1 + (\$1 + k) * 37 %% $ROWS FROM generate_series(2, $PER_TX) k))', t) USING i;
    EXECUTE format('WITH gone AS (DELETE FROM %s WHERE id = 1 + (\$1 + 1) * 37 %% $ROWS RETURNING id)
                    SELECT id FROM gone', t) USING i;
    EXECUTE format('INSERT INTO %s SELECT 1 + (\$1 + 1) * 37 %% $ROWS, ''name'', ''a note of some length'', 0, clock_timestamp()', t) USING i;
    COMMIT;
  END LOOP;
END \$\$;
SQL
}

worker() { sql to -c "SELECT pid FROM pg_stat_subscription WHERE subname = 'meridian_1' AND relid IS NULL"; }

# Kilobytes that belong to the process alone: anonymous pages of private mappings. Shared buffers are not among them.
private_kb() { awk '/^[0-9a-f]+-/ { private = ($2 ~ /p$/) } /^Anonymous:/ && private { sum += $2 } END { print sum }' "/proc/$1/smaps"; }

apply() {  # FIRST LAST: written, and applied on the other side
  sql from -c 'SET synchronous_commit = off' -c "CALL write($1, $2)"
  [ "$(sql from -c "SELECT meridian.wait_converged('1 h')")" = t ] || die "the mesh did not converge"
}

choose_server
make_directory
make_servers
apply 1 $((MERGES / 10))
pid=$(worker)
first=$(private_kb "$pid")
apply $((MERGES / 10 + 1)) "$MERGES"
[ "$(worker)" = "$pid" ] || die "the apply worker was started again: see $DIR/to.log"
last=$(private_kb "$pid")
printf 'Private memory of the apply worker: %d kB after %d merges, %d kB after %d\n' "$first" $((MERGES / 10)) "$last" "$MERGES"
gate 'less than 1 MB of growth' "$last - $first < 1024"
exit $FAILED
