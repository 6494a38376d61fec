#!/usr/bin/env bash
# Installs what Pulsetrail is built with and what its private engines need. Does nothing, without network
# and in an instant, where all is there.
#
#   install.sh            everything
#   install.sh tools      only the programs (compilers, Java, PostgreSQL, …)
#
# Kafka and libchdb go to ${XDG_CACHE_HOME:-~/.cache}/pulsetrail/engines/<name>-<version>; a folder is put
# there under its name only when it is complete.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
engines=${XDG_CACHE_HOME:-$HOME/.cache}/pulsetrail/engines

say() { printf 'engines: %s\n' "$*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }

# shellcheck source=infra/engines/tools.sh
. "$here/tools.sh"
# shellcheck source=infra/engines/kafka.sh
. "$here/kafka.sh"
# shellcheck source=infra/engines/chdb.sh
. "$here/chdb.sh"
# shellcheck source=infra/engines/schemathesis.sh
. "$here/schemathesis.sh"

install_tools
if [ "${1:-}" != tools ]; then
  mkdir -p "$engines"
  exec 9>"$engines/.lock"
  if has flock; then flock 9; fi # Two installations at once: the second finds all done.
  install_kafka
  install_chdb
  install_schemathesis
fi
