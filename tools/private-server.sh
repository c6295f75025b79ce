#!/bin/bash
# Makes a private copy of an installed PostgreSQL, so that an extension can be installed and tried without touching the
# machine's own server.
#
#   tools/private-server.sh DIRECTORY      prints the path of the copy's pg_config
#
# PostgreSQL finds its files relative to its own executable (src/port/path.c), so a tree with the same layout under another
# root is a server of its own. The programs are copied; everything else is a symbolic link to the original. PG_CONFIG names
# the original, by default the newest one of this machine.
set -euo pipefail

target=${1:?usage: tools/private-server.sh DIRECTORY}
pg_config=${PG_CONFIG:-pg_config}
bindir=$("$pg_config" --bindir)
includedir=$("$pg_config" --includedir)

rm -rf "$target"
mkdir -p "$target"
target=$(cd "$target" && pwd)

mkdir -p "$target$bindir" "$(dirname "$target$includedir")"
cp -a "$bindir/." "$target$bindir/"
ln -s "$includedir" "$target$includedir"
for directory in "$("$pg_config" --pkglibdir)" "$("$pg_config" --sharedir)"; do
  mkdir -p "$target$directory"
  cp -as "$directory/." "$target$directory/"
done
# An installed Meridian would otherwise lend this copy what its own build did not install.
find "$target" -name 'meridian*' -delete

echo "$target$bindir/pg_config"
