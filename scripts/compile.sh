#!/bin/sh
# Checks the types and makes dist/ from src/, from scratch, so that nothing stale is left in it.
set -eu
cd "$(dirname "$0")/.."
PATH=$PWD/node_modules/.bin:$PATH
tsc -p tsconfig.build.json
rm -rf dist
node scripts/bundle.ts
touch dist/.built
