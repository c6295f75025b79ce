#!/bin/bash
# Is every C++ file formatted as .clang-format says, and no source file longer than 500 lines?
#   tools/check-format.sh [--fix]
set -euo pipefail
cd "$(dirname "$0")/.."

formatter=clang-format-14
mapfile -t cpp < <(git ls-files '*.cpp' '*.hpp')
mapfile -t sources < <(git ls-files '*.cpp' '*.hpp' '*.sql' '*.sh' '*.pl' '*.pm' '*.py' '*.spec')

if [ "${1:-}" = --fix ]; then
  "$formatter" -i "${cpp[@]}"
else
  "$formatter" --dry-run --Werror "${cpp[@]}" || { echo 'check-format: run "tools/check-format.sh --fix"' >&2; exit 1; }
fi

failed=0
for file in "${sources[@]}"; do
  lines=$(wc -l < "$file")
  if [ "$lines" -gt 500 ]; then
    echo "check-format: $file has $lines lines; split it by topic (500 at most)" >&2
    failed=1
  fi
done
if [ $failed = 0 ]; then echo "format: ${#cpp[@]} C++ files, ${#sources[@]} source files"; fi
exit $failed
