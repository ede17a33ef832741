#!/bin/sh
# Compiles src/ to dist/ from scratch, so that nothing stale is left in it.
set -eu
cd "$(dirname "$0")/.."
rm -rf dist
node_modules/.bin/tsc -p tsconfig.build.json
touch dist/.built
