#!/bin/sh
# npm's "prepare": after one `npm install` in a checkout the programs run. Also builds the package before it is published.
set -eu
cd "$(dirname "$0")/.."
sh scripts/compile.sh
if command -v g++ >/dev/null 2>&1 && [ -f /usr/include/tss2/tss2_esys.h ]; then
  sh native/build.sh
else
  echo "holdfast: the native addon was not built: it needs Debian's g++ and libtss2-dev. Install them, then: npm run build:native" >&2
fi
