# libchdb, the ClickHouse engine that chdb-server loads. Sourced by install.sh.

install_chdb() {
  local package version folder new
  package=$(<"$here/chdb/package.json")
  version=${package#*\"version\": \"}
  folder=$engines/chdb-${version%%\"*}
  if cmp -s "$here/chdb/package-lock.json" "$folder/package-lock.json"; then return 0; fi
  case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) ;;
    *)
      say "libchdb is built for Linux on x86-64 only: set PULSETRAIL_CLICKHOUSE_URL to a ClickHouse of yours"
      return 0
      ;;
  esac
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
