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

if [ -f "$output" ] && [ -z "$(find native \( -name '*.cc' -o -name '*.h' -o -name build.sh \) -newer "$output")" ]; then exit 0; fi

headers=node_modules/node-api-headers/include
if ! command -v "$cxx" >/dev/null 2>&1 || [ ! -f "$headers/node_api.h" ]; then
  echo "native/build.sh: cannot build the native addon: it needs $cxx (Debian package g++) and the npm package node-api-headers (run npm install)" >&2
  exit 3
fi
# Only its types: nothing is linked, and the addon loads where libtss2 is not installed.
if ! echo '#include <tss2/tss2_esys.h>' | "$cxx" -E -x c++ - -o /dev/null 2>/dev/null; then
  echo "native/build.sh: cannot build the native addon: it needs the headers of libtss2 (Debian package libtss2-dev)" >&2
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
objects=$partial.objects
trap 'rm -rf "$partial" "$objects"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$objects/native/tpm"
flags="-std=c++20 $flags -fPIC -pthread -fvisibility=hidden -fno-exceptions -fno-rtti -fstack-protector-strong \
  -Wall -Wextra -Werror"
# One file per processor at a time: together they take half a minute.
# shellcheck disable=SC2086 # the flags are words
printf '%s\n' native/*.cc native/tpm/*.cc | xargs -P "$(nproc)" -I '{}' \
  "$cxx" $flags -I "$headers" -I node_modules/node-addon-api -c '{}' -o "$objects/{}.o"
# shellcheck disable=SC2086
"$cxx" $flags -shared -Wl,-z,relro,-z,now -Wl,-z,noexecstack "$objects"/native/*.o "$objects"/native/tpm/*.o -o "$partial" -ldl
mv -f "$partial" "$output"
