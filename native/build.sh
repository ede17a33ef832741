#!/bin/sh
# Builds the native addon with plain g++: no node-gyp, no download. The Node-API headers come from npm packages.
#
#   sh native/build.sh                   native/build/holdfast.node
#   sh native/build.sh --sanitize        native/build/holdfast-asan.node, with address and undefined sanitizers
#   sh native/build.sh --output FILE     FILE in place of the above
#
# Does nothing when the result is newer than all sources. CXX names another compiler than g++.
# Exits 3, with one line, where the compiler or the headers are missing.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cxx=${CXX:-g++}
sanitize=false
output=

while [ $# -gt 0 ]; do
  case $1 in
    --sanitize) sanitize=true ;;
    --output)
      [ $# -gt 1 ] || { echo "native/build.sh: --output needs a file" >&2; exit 2; }
      shift
      output=$1 ;;
    *) echo "usage: native/build.sh [--sanitize] [--output FILE]" >&2; exit 2 ;;
  esac
  shift
done

# Relative to where we were called from, before we leave.
case $output in
  '' | /*) ;;
  *) output=$(pwd)/$output ;;
esac
cd "$root"

if [ -z "$output" ]; then
  output=native/build/holdfast.node
  if $sanitize; then output=native/build/holdfast-asan.node; fi
fi

if [ -f "$output" ] && [ -z "$(find native/*.cc native/*.h native/build.sh -newer "$output")" ]; then exit 0; fi

headers=node_modules/node-api-headers/include
if ! command -v "$cxx" >/dev/null 2>&1 || [ ! -f "$headers/node_api.h" ]; then
  echo "native/build.sh: cannot build the native addon: it needs $cxx (Debian package g++) and the npm package node-api-headers (run npm install)" >&2
  exit 3
fi

# -U before -D: some distributions' compilers define it already.
if $sanitize; then
  flags='-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all'
else
  flags='-O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2'
fi

mkdir -p "$(dirname -- "$output")"
# Another build may run at the same time, and Node may have the old file loaded: replace it in one step.
partial=$output.$$
trap 'rm -f "$partial"' EXIT
trap 'exit 1' HUP INT TERM
# shellcheck disable=SC2086 # the flags are words
"$cxx" -std=c++20 $flags -fPIC -shared -pthread -fvisibility=hidden -fno-exceptions -fno-rtti \
  -fstack-protector-strong -Wall -Wextra -Werror -Wl,-z,relro,-z,now -Wl,-z,noexecstack \
  -I "$headers" -I node_modules/node-addon-api native/*.cc -o "$partial" -ldl
mv -f "$partial" "$output"
