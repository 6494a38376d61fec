# libchdb, the ClickHouse engine that chdb-server loads. Sourced by install.sh.

chdb_folder() {
  local package version
  package=$(<"$here/chdb/package.json")
  version=${package#*\"version\": \"}
  echo "$engines/chdb-${version%%\"*}"
}

has_chdb() { cmp -s "$here/chdb/package-lock.json" "$(chdb_folder)/package-lock.json"; }

# Whether there is a libchdb for this machine.
chdb_exists() { [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ]; }

install_chdb() {
  local folder new
  folder=$(chdb_folder)
  if has_chdb; then return 0; fi
  if ! chdb_exists; then
    say "libchdb is built for Linux on x86-64 only: set PULSETRAIL_CLICKHOUSE_URL to a ClickHouse of yours"
    return 0
  fi
  say "installing libchdb to $folder"
  new=$(mktemp -d "$engines/.chdb.XXXXXX")
  # shellcheck disable=SC2064 # the name as it is now
  trap "rm -rf '$new'" EXIT
  cp "$here/chdb/package.json" "$here/chdb/package-lock.json" "$new"
  if [ -e "$here/chdb/.npmrc" ]; then cp "$here/chdb/.npmrc" "$new"; fi
  (cd "$new" && npm ci --silent --ignore-scripts --no-audit --no-fund </dev/null)
  compgen -G "$new/node_modules/@chdb/*/libchdb.so" >/dev/null || { say "npm left libchdb incomplete"; return 1; }
  chmod 755 "$new"
  rm -rf "$folder"
  mv -T "$new" "$folder"
  trap - EXIT
}
