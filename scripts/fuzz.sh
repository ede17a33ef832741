#!/bin/sh
# npm run fuzz: mutated bytes for everything that reads bytes of somebody else. `npm run fuzz -- --help` says more.
# Exits 0 when nothing was found, 1 with the reproducing input saved when something was, 2 for a wrong command line.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib/setup.sh
ensure_packages
exec node --disable-warning=ExperimentalWarning scripts/fuzz/main.ts "$@"
