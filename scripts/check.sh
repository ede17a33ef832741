#!/bin/sh
# npm run check: format, lint, types, architecture.
set -eu
cd "$(dirname "$0")/.."
. scripts/lib/setup.sh
ensure_packages
biome check --error-on-warnings .
oxlint --type-aware --deny-warnings src test bench scripts
tsc -p tsconfig.json
vitest run --reporter=dot test/architecture.test.ts
