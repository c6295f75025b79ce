#!/bin/bash
# Do the built libraries export nothing but what PostgreSQL looks up?
#
#   tools/check-exports.sh LIBRARY...
#
# PostgreSQL loads libraries into one global symbol space (RTLD_GLOBAL), so any other symbol could be taken for, or replaced
# by, one of the same name in another extension.
set -euo pipefail

failed=0
for library in "$@"; do
  exported=$(nm -D --defined-only "$library" | awk '{ print $NF }')
  foreign=$(grep -vxE 'Pg_magic_func|_PG_init|_PG_output_plugin_init|(pg_finfo_)?meridian_[a-z0-9_]+' <<< "$exported" || true)
  if [ -n "$foreign" ]; then
    echo "check-exports: $library exports" >&2
    c++filt <<< "$foreign" | sed 's/^/    /' >&2
    failed=1
  elif ! grep -qx Pg_magic_func <<< "$exported"; then
    echo "check-exports: $library exports no Pg_magic_func: PostgreSQL would not load it" >&2
    failed=1
  else
    echo "exports: $(basename "$library"): $(wc -l <<< "$exported") symbols"
  fi
done
exit $failed
