#!/bin/sh
# npm run bench: speed and size, beside SPIRE's programs when they are on PATH. `npm run bench -- --help` says more.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib/setup.sh
want_compiler
want_swtpm
ensure_wanted
ensure_packages
ensure_build
exec node --disable-warning=ExperimentalWarning bench/main.ts "$@"
