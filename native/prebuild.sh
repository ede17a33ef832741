#!/bin/sh
# Puts the addon where a published package has it: prebuilds/linux-<arch>/holdfast.node, for the machine that the
# compiler builds for. A cross compiler makes the others: CXX=aarch64-linux-gnu-g++ sh native/prebuild.sh
set -eu

cd "$(dirname -- "$0")/.."
cxx=${CXX:-g++}

if ! command -v "$cxx" >/dev/null 2>&1; then
  echo "native/prebuild.sh: cannot build the native addon: it needs $cxx (Debian package g++)" >&2
  exit 3
fi

# As Node names it in process.arch.
machine=$("$cxx" -dumpmachine)
case $machine in
  x86_64-linux-gnu* | x86_64-*-linux-gnu) arch=x64 ;;
  aarch64-linux-gnu* | aarch64-*-linux-gnu) arch=arm64 ;;
  *) echo "native/prebuild.sh: no prebuilt addon for $machine; only for x86_64 and aarch64 Linux with glibc" >&2; exit 2 ;;
esac

sh native/build.sh --output "prebuilds/linux-$arch/holdfast.node"
echo "prebuilds/linux-$arch/holdfast.node"
