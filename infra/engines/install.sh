#!/usr/bin/env bash
# Installs what is missing for one purpose, and says so first. Without network, and in an instant, it finds
# that all is there.
#
#   install.sh build      what building needs: Rust, compilers, and Node with npm for the dashboard
#   install.sh run        that, and the private engines: PostgreSQL, Kafka with Java, libchdb
#   install.sh test       that, and what only tests use: Schemathesis, Chromium, nftables, curl
#
# As root on Debian or Ubuntu it uses apt-get. Rust comes as the distribution's package `rustup`, else by
# rustup's own installer, which needs no root. Kafka, libchdb and a newer Node go to
# ${XDG_CACHE_HOME:-~/.cache}/pulsetrail/engines/<name>-<version>; a folder gets its name only when it is
# complete. With PULSETRAIL_INSTALL=no nothing is installed, and what is missing is named.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
engines=${XDG_CACHE_HOME:-$HOME/.cache}/pulsetrail/engines
purpose=${1:-run}

say() { printf 'install: %s\n' "$*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }
may_install() { [ "${PULSETRAIL_INSTALL:-yes}" != no ]; }
can_apt() { may_install && has apt-get && [ "$(id -u)" = 0 ]; }
runs() { [ "$purpose" != build ]; }
tests() { [ "$purpose" = test ]; }

case "$purpose" in
  build | run | test) ;;
  *)
    say "usage: install.sh [build|run|test]"
    exit 2
    ;;
esac
case "${PULSETRAIL_INSTALL:-yes}" in
  yes | no) ;;
  *)
    say "PULSETRAIL_INSTALL must be yes or no (it is \"$PULSETRAIL_INSTALL\")"
    exit 2
    ;;
esac

for part in rust tools node kafka chdb schemathesis; do
  # shellcheck source=/dev/null
  . "$here/$part.sh"
done

install_tools
if may_install && { runs || ! has_node; }; then
  mkdir -p "$engines"
  exec 9>"$engines/.lock"
  if has flock; then flock 9; fi # Two installations at once: the second finds all done.
  install_node
  if needs_kafka; then install_kafka; fi
  if needs_chdb; then install_chdb; fi
  if tests; then install_schemathesis; fi
fi
