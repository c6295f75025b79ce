#!/bin/bash
# What happens when two regions write to the same row: told with real SQL on the servers of cluster.sh.
#
# Everything after a prompt can be typed: `us=#` into `cluster.sh psql us`, `us/plain=#` into the same after `\c plain`.
# Lines that end in [ok] are figures that were checked; the exit status is 0 only if all of them are what the story says.
# To be run once on fresh servers.
# shellcheck source=demo/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

CLUSTER=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/cluster.sh
PLAIN=plain
checked=0
wrong=0

chapter() {
  printf '\n%s\n' "------------------------------------------------------------------------------"
  printf '%s\n\n' "$*"
}

say() {
  printf '%s\n' "$*" | fold -s -w 78 | sed 's, *$,,'
}

# Prints SQL as it would be typed at the node's prompt, which names the database where it is not the replicated one.
show() {
  local prompt=$1 sign='=' line
  [ "$2" = "$DATABASE" ] || prompt="$1/$2"
  while IFS= read -r line; do
    printf '  %s%s# %s\n' "$prompt" "$sign" "$line"
    sign='-'
  done <<<"$3"
}

# in_db NODE DATABASE SQL: shows and runs what has no answer worth showing.
in_db() {
  show "$1" "$2" "$3"
  psql_at "$1" "$2" -c "$3" >/dev/null
}

at() { in_db "$1" "$DATABASE" "$2"; }

# answer NODE QUERY: shows and runs it; prints the answer as a table.
answer() {
  show "$1" "$DATABASE" "$2"
  psql_at "$1" "$DATABASE" -P footer=off -c "$2" | sed -e '/^$/d' -e 's/^/        /'
}

# on_both DATABASE SQL: shows it once, with both names in the prompt, and runs it on both primaries.
on_both() {
  local node
  show 'us,eu' "$1" "$2"
  for node in "${PRIMARIES[@]}"; do
    psql_at "$node" "$1" -c "$2"
  done
}

# figure NODE DATABASE QUERY EXPECTED: shows the query and its answer and checks that.
figure() {
  local got text verdict=ok
  got=$(value "$1" "$2" "$3")
  checked=$((checked + 1))
  if [ "$got" != "$4" ]; then
    wrong=$((wrong + 1))
    verdict="WRONG: the story says ${4//$'\n'/, }"
  fi
  show "$1" "$2" "$3"
  text=$(sed -e 's/|/ | /g' -e 's/^/        /' <<<"$got")
  [[ $text != *$'\n'* ]] || printf '%s\n' "${text%$'\n'*}"
  printf '%-66s [%s]\n' "${text##*$'\n'}" "$verdict"
}

both() {
  figure us "$1" "$2" "$3"
  figure eu "$1" "$2" "$3"
}

converged() {
  figure us "$DATABASE" "SELECT meridian.wait_converged();" t
  figure eu "$DATABASE" "SELECT meridian.wait_converged();" t
}

cluster() {
  printf '  $ demo/cluster.sh %s\n' "$1"
  "$CLUSTER" "$1" | sed 's/^/        /'
}

# All that either side wrote in the plain database has reached the other.
plain_caught_up() {
  local node lsn
  for node in us eu; do
    lsn=$(value "$node" "$PLAIN" "SELECT pg_current_wal_insert_lsn()")
    wait_for "$node" "$PLAIN" "SELECT bool_and(confirmed_flush_lsn >= '$lsn') FROM pg_replication_slots WHERE database = '$PLAIN'"
  done
}

set_up_plain() {
  local node
  for node in us eu; do
    as_owner "$BIN/createdb" -h "$DEMO_DIR" -p "$(port_of "$node")" "$PLAIN"
  done
  say "A table in a database of its own, the trigger that such articles recommend, and PostgreSQL's logical replication in both directions:"
  on_both $PLAIN "CREATE TABLE account (id integer PRIMARY KEY, balance integer, updated_at timestamptz);
CREATE FUNCTION newer_wins() RETURNS trigger LANGUAGE plpgsql AS \$\$
BEGIN
  IF NEW.updated_at > OLD.updated_at THEN RETURN NEW; END IF;
  RETURN NULL;
END \$\$;
CREATE TRIGGER newer_wins BEFORE UPDATE ON account
  FOR EACH ROW EXECUTE FUNCTION newer_wins();
ALTER TABLE account ENABLE ALWAYS TRIGGER newer_wins;
INSERT INTO account VALUES (1, 100, '2026-01-01');
CREATE PUBLICATION plain FOR TABLE account;"
  in_db us $PLAIN "CREATE SUBSCRIPTION plain_from_eu CONNECTION '$(dsn_of eu $PLAIN)'
  PUBLICATION plain WITH (copy_data = false);" 2>&1 | grep -v NOTICE
  in_db eu $PLAIN "CREATE SUBSCRIPTION plain_from_us CONNECTION '$(dsn_of us $PLAIN)'
  PUBLICATION plain WITH (copy_data = false);" 2>&1 | grep -v NOTICE
}

lost_purchase() {
  chapter "1. Newer wins, in plpgsql: a purchase is lost"
  set_up_plain
  echo
  say "The account holds 100. The link breaks, and both regions sell at the same moment:"
  cluster break
  in_db us $PLAIN "UPDATE account SET balance = balance - 50, updated_at = clock_timestamp() WHERE id = 1;"
  in_db eu $PLAIN "UPDATE account SET balance = balance - 30, updated_at = clock_timestamp() WHERE id = 1;"
  figure us $PLAIN "SELECT balance FROM account WHERE id = 1;" 50
  figure eu $PLAIN "SELECT balance FROM account WHERE id = 1;" 70
  cluster heal
  plain_caught_up
  both $PLAIN "SELECT balance FROM account WHERE id = 1;" 70
  say "100 - 50 - 30 is 20, but both regions say 70: the 50 were spent and are not in the books. Nobody was told."
}

counter() {
  chapter "2. The same with a counter: both purchases count"
  say "DDL is run on every node; rows that are there travel with replicate(), which is called once, anywhere:"
  on_both "$DATABASE" "CREATE TABLE account (id integer PRIMARY KEY, owner text, balance integer);"
  at us "INSERT INTO account VALUES (1, 'Ada', 100), (2, 'Bob', 100);"
  at us "SELECT meridian.replicate('account', 'balance=counter');"
  figure us "$DATABASE" "SELECT meridian.wait_converged();" t
  both "$DATABASE" "SELECT owner, balance FROM account WHERE id = 1;" 'Ada|100'
  echo
  say "The link breaks; 50 are spent in the US and 30 in Europe, with the same UPDATE as ever:"
  cluster break
  at us "UPDATE account SET balance = balance - 50 WHERE id = 1;"
  at eu "UPDATE account SET balance = balance - 30 WHERE id = 1;"
  figure us "$DATABASE" "SELECT balance FROM account WHERE id = 1;" 50
  figure eu "$DATABASE" "SELECT balance FROM account WHERE id = 1;" 70
  cluster heal
  converged
  both "$DATABASE" "SELECT balance FROM account WHERE id = 1;" 20
}

profile() {
  chapter "3. A profile edited in both regions: the later edit wins, the other is kept on record"
  on_both "$DATABASE" "CREATE TABLE profile (id integer PRIMARY KEY, name text, city text);"
  at us "SELECT meridian.replicate('profile');"
  at us "INSERT INTO profile VALUES (1, 'Ada', 'London'), (2, 'Bob', 'Oslo'), (3, 'Cy', 'Rome');"
  converged
  cluster break
  at us "UPDATE profile SET city = 'Boston' WHERE id = 1;"
  at eu "UPDATE profile SET city = 'Lyon' WHERE id = 1;"
  cluster heal
  converged
  both "$DATABASE" "SELECT city FROM profile WHERE id = 1;" Lyon
  say "The edit that lost is in the history:"
  figure us "$DATABASE" "SELECT kind, winner, local_row->>'city' AS here, remote_row->>'city' AS there
FROM meridian.conflicts WHERE rel = 'profile'::regclass;" "update_update|incoming|Boston|Lyon"
  echo
  say "An edit that has seen the other is no conflict, wherever it is made:"
  at us "UPDATE profile SET city = 'Paris' WHERE id = 1;"
  converged
  at eu "UPDATE profile SET city = 'Nice' WHERE id = 1;"
  converged
  both "$DATABASE" "SELECT city FROM profile WHERE id = 1;" Nice
  figure us "$DATABASE" "SELECT count(*) FROM meridian.conflicts WHERE rel = 'profile'::regclass;" 1
}

delete_against_update() {
  chapter "4. Deleted in one region, changed in the other"
  say "profile has no rules of its own, so a delete is one more edit, and the later edit wins. Row 2: deleted, then edited. Row 3: edited, then deleted:"
  cluster break
  at us "DELETE FROM profile WHERE id = 2;"
  at eu "UPDATE profile SET city = 'Bergen' WHERE id = 2;"
  at us "UPDATE profile SET city = 'Turin' WHERE id = 3;"
  at eu "DELETE FROM profile WHERE id = 3;"
  echo
  say "account has a counter. There a delete ends this life of the row, and a purchase that it did not see is on record:"
  at us "DELETE FROM account WHERE id = 2;"
  at eu "UPDATE account SET balance = balance - 10 WHERE id = 2;"
  cluster heal
  converged
  both "$DATABASE" "SELECT id, city FROM profile WHERE id IN (2, 3);" '2|Bergen'
  both "$DATABASE" "SELECT count(*) FROM account WHERE id = 2;" 0
  figure eu "$DATABASE" "SELECT kind, local_row->>'balance' AS lost FROM meridian.conflicts
WHERE rel = 'account'::regclass AND key->>'id' = '2';" 'update_delete|90'
}

# refused NODE SQL PATTERN: shows it and its error, and checks that.
refused() {
  local text verdict=ok
  checked=$((checked + 1))
  show "$1" "$DATABASE" "$2"
  text=$(psql_at "$1" "$DATABASE" -v VERBOSITY=verbose -c "$2" 2>&1) && text="no error: $text"
  if ! grep -Eq "$3" <<<"${text//$'\n'/ }"; then
    wrong=$((wrong + 1))
    verdict="WRONG: the story expects $3"
  fi
  grep -v '^LOCATION' <<<"$text" | fold -w 70 | sed 's/^/        /'
  printf '%66s [%s]\n' '' "$verdict"
}

homes() {
  local us_writes eu_writes
  chapter "5. A home for each user: conflicts avoided instead of resolved"
  on_both "$DATABASE" "CREATE TABLE wallet (user_id integer PRIMARY KEY, balance integer NOT NULL);
CREATE TRIGGER home BEFORE INSERT OR UPDATE OR DELETE ON wallet
  FOR EACH ROW EXECUTE FUNCTION meridian.enforce_home('user_id');"
  at us "SELECT meridian.replicate('wallet');"
  at us "SELECT meridian.add_region('us');"
  at us "SELECT meridian.add_region('eu');"
  both "$DATABASE" "SELECT string_agg(u || ' ' || meridian.home_region(u), ', ') FROM generate_series(1, 8) u;" \
    '1 eu, 2 us, 3 us, 4 us, 5 us, 6 eu, 7 eu, 8 us'
  on_both "$DATABASE" "INSERT INTO wallet SELECT u, 0 FROM generate_series(1, 8) u WHERE meridian.home_region(u) = meridian.local_region();"
  converged
  say "A write in the wrong region is refused, and the error says where to write:"
  refused us "UPDATE wallet SET balance = balance + 5 WHERE user_id = 1;" "MD050.*is region \"eu\", and this is \"us\".*\"conninfo\": \"[^\"]*port=$(port_of eu)"
  echo
  say "Or it is executed there, with the login that the user has in that region:"
  on_both "$DATABASE" "CREATE OR REPLACE TRIGGER home BEFORE INSERT OR UPDATE OR DELETE ON wallet
  FOR EACH ROW EXECUTE FUNCTION meridian.enforce_home('user_id', 'mode=forward');"
  at us "CREATE SERVER eu FOREIGN DATA WRAPPER meridian_forward;
CREATE USER MAPPING FOR CURRENT_USER SERVER eu;"
  at us "UPDATE wallet SET balance = balance + 5 WHERE user_id = 1;"
  figure eu "$DATABASE" "SELECT balance FROM wallet WHERE user_id = 1;" 5
  echo
  say "User 2 travels. Both regions keep buying, 2000 times each, and try again whenever the key has its home elsewhere; meanwhile the key moves:"
  on_both "$DATABASE" "CREATE OR REPLACE TRIGGER home BEFORE INSERT OR UPDATE OR DELETE ON wallet
  FOR EACH ROW EXECUTE FUNCTION meridian.enforce_home('user_id');
CREATE PROCEDURE buy(who integer, times integer) LANGUAGE plpgsql AS \$\$
BEGIN
  WHILE times > 0 LOOP
    BEGIN
      UPDATE wallet SET balance = balance + 1 WHERE user_id = who;
      times := times - 1;
    EXCEPTION WHEN SQLSTATE 'MD050' OR SQLSTATE 'MD051' THEN
      PERFORM pg_sleep(0.01);
    END;
    COMMIT;
  END LOOP;
END \$\$;"
  show 'us,eu' "$DATABASE" "CALL buy(2, 2000);"
  psql_at us "$DATABASE" -c "CALL buy(2, 2000)" &
  us_writes=$!
  psql_at eu "$DATABASE" -c "CALL buy(2, 2000)" &
  eu_writes=$!
  wait_for us "$DATABASE" "SELECT balance > 0 FROM wallet WHERE user_id = 2"
  at us "SELECT meridian.rehome('2', 'eu');"
  wait_for eu "$DATABASE" "SELECT count(*) > 0 FROM meridian.home_pin WHERE key = '2' AND region = 'eu'"
  at us "SELECT meridian.rehome('2', 'us');"
  wait "$us_writes"
  at us "SELECT meridian.rehome('2', 'eu');"
  wait "$eu_writes"
  converged
  both "$DATABASE" "SELECT balance FROM wallet WHERE user_id = 2;" 4000
  both "$DATABASE" "SELECT count(*) FROM meridian.conflicts WHERE rel = 'wallet'::regclass;" 0
  say "4000 were bought and 4000 are in the books. No two writes met, so nothing had to be merged."
}

changes() {
  chapter "6. Every change as an event, for search, caches and whoever else wants to know"
  say "The output plugin meridian_cdc writes events in the format of Debezium. A stream of the accounts, read by SQL:"
  at us "SELECT meridian.create_stream('shop', ARRAY['public.account']);"
  at us "UPDATE account SET balance = balance - 5 WHERE id = 1;"
  converged
  say "A purchase in Europe, an account that is opened and one that is closed:"
  at eu "UPDATE account SET balance = balance - 3 WHERE id = 1;"
  converged
  at us "INSERT INTO account VALUES (3, 'Cy', 40);"
  at us "DELETE FROM account WHERE id = 3;"
  figure us "$DATABASE" "SELECT key, value->>'op' AS op, value->'before' AS before, value->'after' AS after
FROM meridian.read_changes('shop');" \
    '{"id": 1}|u|null|{"id": 1, "owner": "Ada", "balance": 15}
{"id": 1}|u|null|{"id": 1, "owner": "Ada", "balance": 12}
{"id": 3}|c|null|{"id": 3, "owner": "Cy", "balance": 40}
{"id": 3}|d|{"id": 3, "owner": null, "balance": null}|null
{"id": 3}|||'
  say "The last one is the tombstone that lets Kafka forget the key. Events come again until they are acknowledged:"
  figure us "$DATABASE" "SELECT count(*) FROM meridian.read_changes('shop');" 5
  at us "SELECT meridian.ack_changes('shop', (array_agg(position))[count(*)])
FROM meridian.read_changes('shop');"
  figure us "$DATABASE" "SELECT count(*) FROM meridian.read_changes('shop');" 0
  at us "SELECT meridian.drop_stream('shop');"
  say "meridian.create_sink() has the same events delivered to Kafka, Redis, Elasticsearch, an HTTP server or a file: docs/cdc.md."
}

standbys_caught_up() {
  local node
  for node in us eu; do
    wait_for "$node-standby" "$DATABASE" \
      "SELECT pg_last_wal_replay_lsn() >= '$(value $node "$DATABASE" "SELECT pg_current_wal_lsn()")'"
  done
}

four_servers() {
  local node
  chapter "7. All four servers"
  standbys_caught_up
  for node in "${NODES[@]}"; do
    figure "$node" "$DATABASE" "SELECT pg_is_in_recovery(), balance FROM account WHERE id = 1;" \
      "$(case $node in *-standby) echo 't|12' ;; *) echo 'f|12' ;; esac)"
  done
  # The standbys of the other region are heard of a little later.
  for node in "${PRIMARIES[@]}"; do
    wait_for "$node" "$DATABASE" "SELECT count(*) = 4 FROM meridian.nodes WHERE state IN ('active', 'streaming', 'up')"
  done
  local query="SELECT node, role, state FROM meridian.nodes ORDER BY node;"
  figure us "$DATABASE" "$query" $'eu|primary|streaming\neu-standby|standby|up\nus|primary|active\nus-standby|standby|streaming'
  figure eu "$DATABASE" "$query" $'eu|primary|active\neu-standby|standby|streaming\nus|primary|streaming\nus-standby|standby|up'
  answer us "SELECT rel, rules FROM meridian.tables ORDER BY rel;"
  figure us "$DATABASE" "SELECT count(*) FROM meridian.check_config() WHERE NOT ok;" 0
  echo
  cluster status
}

choose_server
find_cluster
lost_purchase
counter
profile
delete_against_update
homes
changes
four_servers

chapter "$checked figures checked, $wrong of them wrong."
[ "$wrong" = 0 ]
