#!/bin/sh
# Makes src/gen again from proto/, offline: code by buf and ts-proto, and the
# descriptors which gRPC reflection serves.
#
# Usage: sh scripts/gen.sh [folder]
# With a folder, writes folder/src/gen and leaves the committed code alone.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
target=${1:-$root}
mkdir -p "$target"
target=$(cd "$target" && pwd)
cd "$root"
PATH="$root/node_modules/.bin:$PATH"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

buf generate --output "$work"
buf build --as-file-descriptor-set --exclude-source-info --output "$work/set.binpb"
node scripts/gen-descriptors.ts "$work/set.binpb" "$work/src/gen/descriptors.ts"

# Only now that everything was made is the old code let go.
rm -rf "$target/src/gen"
mkdir -p "$target/src"
cp -R "$work/src/gen" "$target/src/gen"
