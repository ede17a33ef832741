#!/bin/sh
# npm run demo: shows the main job with real parts, from nothing but a clone.
# Exits 0 if every step was verified, 1 if one was not, 3 if something is missing that it may not install.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib/setup.sh
echo "Holdfast demo"
want_compiler
want_swtpm
want_python
ensure_wanted
ensure_packages
ensure_build
exec node --disable-warning=ExperimentalWarning scripts/demo/main.ts "$@"
