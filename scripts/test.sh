#!/bin/sh
# npm test: the check, then every test. The last line is "N passed, N failed".
set -u
cd "$(dirname "$0")/.."
. scripts/lib/setup.sh
want_compiler
want_swtpm
ensure_wanted
ensure_packages
ensure_build
if ! sh scripts/check.sh; then
  echo "npm run check failed; no test was run" >&2
  echo "0 passed, 1 failed"
  exit 1
fi
vitest run --reporter=default --reporter=./scripts/count-reporter.ts "$@"
