#!/bin/bash
# Installs the Debian packages that building and testing need. Quiet, and without network access if nothing is missing.
#
#   tools/install-deps.sh        what `make check` needs
#   tools/install-deps.sh demo   what `make demo` needs: no tests, so no tools for them
#   tools/install-deps.sh root   what `make check` needs on one of the other releases: the browser's test ran on this one
#   tools/install-deps.sh ci     what .ci/run needs as well: clang's tools and debootstrap
#   tools/install-deps.sh bench  what `make bench` needs: valgrind, and pglogical, wal2json and decoderbufs to compare with
#
# The PostgreSQL version is that of PG_CONFIG (or pg_config) if there is one, else the one this Debian release ships.
set -euo pipefail

packages=(g++ make pkg-config libboost-dev libxxhash-dev libpq-dev perl rsync)
if [ "${1:-}" != demo ]; then
  # The clients of the tests. A Node.js that did not come from Debian serves as well.
  packages+=(cmake libgtest-dev libipc-run-perl python3-psycopg pgbouncer redis-server)
  command -v node > /dev/null || packages+=(nodejs)
  # The program for sinks.
  packages+=(librdkafka-dev libhiredis-dev libcurl4-openssl-dev nlohmann-json3-dev zlib1g-dev)
  # A browser for the status page.
  [ "${1:-}" = root ] || packages+=(chromium)
fi
if [ "${1:-}" = ci ]; then
  packages+=(git clang-14 libclang-rt-14-dev clang-format-14 debootstrap)
fi

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

updated=
update_lists() {
  [ -n "$updated" ] || as_root apt-get update -qq
  updated=1
}

is_installed() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

version=$("${PG_CONFIG:-pg_config}" --version 2>/dev/null | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p') || true
if [ -z "$version" ]; then
  update_lists
  version=$(apt-cache depends postgresql | sed -n 's/^ *Depends: postgresql-\([0-9][0-9]*\)$/\1/p')
  [ -n "$version" ] || { echo "install-deps: no PostgreSQL package found" >&2; exit 1; }
fi
packages+=("postgresql-$version" "postgresql-server-dev-$version")
if [ "${1:-}" = bench ]; then packages+=(valgrind "postgresql-$version-pglogical" "postgresql-$version-wal2json" "postgresql-$version-decoderbufs"); fi

missing=()
for package in "${packages[@]}"; do
  is_installed "$package" || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  update_lists
  echo "installing: ${missing[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" \
    < /dev/null > /tmp/install-deps.$$.log 2>&1 || { cat /tmp/install-deps.$$.log >&2; exit 1; }
  rm -f /tmp/install-deps.$$.log
  # Tests start servers of their own; ones that listen on this machine were not asked for.
  for service in pgbouncer redis-server; do
    [[ " ${missing[*]} " == *" $service "* ]] || continue
    { as_root systemctl disable --now "$service" || as_root service "$service" stop; } > /dev/null 2>&1 || true
  done
fi

# node-postgres is JavaScript only, but Debian's package wants Debian's Node.js. So it is unpacked, not installed: into a directory
# that the test looks in.
node_modules=/var/tmp/meridian-node
node_packages=(node-pg node-split2 node-xtend)
has_node_postgres() { NODE_PATH=/usr/share/nodejs:$node_modules/usr/share/nodejs node -e "require('pg')" > /dev/null 2>&1; }
unpack_node_postgres() {
  local directory package
  directory=$(mktemp -d)
  (cd "$directory" && apt-get download -qq "${node_packages[@]}") > "$directory/log" 2>&1 || { cat "$directory/log" >&2; exit 1; }
  for package in "$directory"/*.deb; do as_root dpkg-deb -x "$package" "$node_modules"; done
  rm -rf "$directory"
}
if [ "${1:-}" != demo ] && ! has_node_postgres; then
  update_lists
  echo "unpacking: ${node_packages[*]}"
  unpack_node_postgres
fi

# Clients of Kafka, Redis and Elasticsearch that Debian does not have. Without npm, or without its registry, the one test that
# uses them is skipped.
npm_packages=(kafkajs@2.2.4 ioredis@5.8.2 @elastic/elasticsearch@9.2.0)
if [[ "${1:-}" != demo && "${1:-}" != bench ]] && command -v npm > /dev/null && [ ! -e "$node_modules/npm/ready" ]; then
  echo "installing by npm: ${npm_packages[*]}"
  as_root timeout 120 npm install --prefix "$node_modules/npm" --ignore-scripts --no-audit --no-fund --silent "${npm_packages[@]}" < /dev/null > /dev/null 2>&1 &&
    as_root touch "$node_modules/npm/ready" || echo 'install-deps: npm has failed; test/t/094_sink_consumers.pl is skipped' >&2
fi
