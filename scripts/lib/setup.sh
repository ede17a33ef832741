# Brings a fresh clone to a state in which it can run: npm packages, a C++ compiler, the build.
# Sourced by the other scripts, which run in the project's root. Asks no question.

# Says what takes long, on one line that ends with the outcome.
step() {
  label=$1
  shift
  printf '  %s ... ' "$label"
  log=$(mktemp)
  started=$(date +%s)
  if "$@" >"$log" 2>&1; then
    printf 'done (%s s)\n' "$(($(date +%s) - started))"
    rm -f "$log"
    return 0
  fi
  printf 'FAILED\n'
  cat "$log" >&2
  rm -f "$log"
  return 1
}

need_npm() {
  if ! command -v npm >/dev/null 2>&1; then
    echo "npm is missing. On Debian: apt-get install nodejs npm" >&2
    exit 3
  fi
}

# Installs the npm packages unless the lockfile is already installed.
ensure_packages() {
  need_npm
  if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    step "installing npm packages" npm install --ignore-scripts --no-audit --no-fund --no-progress || exit 1
    touch node_modules/.package-lock.json
  fi
  PATH=$PWD/node_modules/.bin:$PATH
  export PATH
}

# Installs Debian packages, saying so first; where that is not allowed, prints the one command and exits 3.
ensure_debian() {
  missing=$*
  if [ "$(id -u)" = 0 ]; then
    as_root=""
  elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
  else
    echo "Debian packages are missing and this user may not install them. Run:" >&2
    echo "  sudo apt-get install -y $missing" >&2
    exit 3
  fi
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "Missing: $missing (Debian's names). Install them with your system's package manager." >&2
    exit 3
  fi
  echo "  Debian packages are missing: $missing. They are installed now with apt-get."
  step "refreshing the package lists" $as_root apt-get update -q || true
  # shellcheck disable=SC2086 # the list is meant to be split
  step "installing $missing" $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q $missing || exit 3
}

missing_packages=""

# A C++ compiler, for the native addon.
want_compiler() {
  command -v g++ >/dev/null 2>&1 || missing_packages="$missing_packages g++"
  # Headers only: nothing is linked with libtss2, which is loaded when a TPM is used.
  [ -f /usr/include/tss2/tss2_esys.h ] || missing_packages="$missing_packages libtss2-dev"
}

# A software TPM, and the library by which any TPM is used (libtss2-dev brings it, under whatever name it has).
want_swtpm() {
  command -v swtpm >/dev/null 2>&1 || missing_packages="$missing_packages swtpm"
  command -v swtpm_localca >/dev/null 2>&1 || missing_packages="$missing_packages swtpm-tools"
}

# A Python that every user can run, with venv and pip: the demo's SPIFFE client lives in one.
want_python() {
  /usr/bin/python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || missing_packages="$missing_packages python3 python3-venv"
}

# Installs, in one go, what the functions above found missing.
ensure_wanted() {
  [ -z "$missing_packages" ] || ensure_debian $missing_packages
}

# Builds what is older than its sources.
ensure_build() {
  if [ ! -f dist/.built ] || [ -n "$(find src scripts/bundle.ts tsconfig.build.json package-lock.json -newer dist/.built -print -quit)" ]; then
    step "compiling TypeScript" sh scripts/compile.sh || exit 1
  fi
  if [ ! -f native/build/holdfast.node ] || [ -n "$(find native \( -name '*.cc' -o -name '*.h' -o -name build.sh \) -newer native/build/holdfast.node -print -quit)" ]; then
    step "compiling the native addon" sh native/build.sh || exit 1
  fi
}
