#!/usr/bin/env bash
# Builds the dashboard into `dist`, which the program carries, if anything changed since the last time.
#
#   build.sh              with what building needs
#   build.sh check        with what testing needs too; checks the types and runs the unit tests
#   build.sh exec PROGRAM runs a program with the Node and the packages of the dashboard
#
# The packages come from npm, by the lock file, into `node_modules`. With PULSETRAIL_INSTALL=no nothing is installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

say() { printf 'dashboard: %s\n' "$*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }
here=../../infra/engines
engines=${XDG_CACHE_HOME:-$HOME/.cache}/pulsetrail/engines
# shellcheck source=../../infra/engines/node.sh
. "$here/node.sh"
if ! has_new_node && has_own_node; then
  PATH="$(node_folder)/bin:$PATH"
  export PATH
fi
export PATH="$PWD/node_modules/.bin:$PATH"

purpose=${1:-build}
if [ "$purpose" = exec ]; then
  shift
  exec "$@"
fi

# Which packages are there: `node_modules/.purpose` is the lock file that they came from, after a line that says
# whether those for tests came too.
installed() { [ -e node_modules/.purpose ] && cmp -s <(tail -n +2 node_modules/.purpose) package-lock.json; }
installed_for_tests() { installed && [ "$(head -n 1 node_modules/.purpose)" = check ]; }

install_packages() {
  if [ "$purpose" = build ] && installed; then return 0; fi
  if installed_for_tests; then return 0; fi
  if [ "${PULSETRAIL_INSTALL:-yes}" = no ]; then
    say "missing: projections/dashboard/node_modules (PULSETRAIL_INSTALL=no: nothing was installed)"
    return 1
  fi
  say "installing packages from npm"
  local omit=()
  if [ "$purpose" = build ]; then omit=(--omit=dev); fi
  npm ci --loglevel=error --ignore-scripts --no-audit --no-fund "${omit[@]}" </dev/null >&2
  { echo "$purpose"; cat package-lock.json; } >node_modules/.purpose
}

# Whether the built files are those of the sources.
is_built() {
  [ -e dist/index.html ] &&
    [ -z "$(find src public index.html vite.config.ts package-lock.json -newer dist/index.html -print -quit)" ]
}

install_packages
if ! is_built; then
  say "building"
  vite build --logLevel error
fi
if [ "$purpose" = check ]; then
  svelte-check --tsconfig ./tsconfig.json --fail-on-warnings --output human --threshold warning
  vitest run --reporter=dot
fi
