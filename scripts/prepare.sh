#!/bin/sh
# npm's "prepare": after one `npm install` in a checkout the programs run. Also builds the package before it is published.
set -eu
cd "$(dirname "$0")/.."
sh scripts/compile.sh
if command -v g++ >/dev/null 2>&1; then
  sh native/build.sh
else
  echo "holdfast: no C++ compiler, so the native addon was not built. Install Debian's g++, then: npm run build:native" >&2
fi
