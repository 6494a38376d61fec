# Node for building the dashboard, and npm. Sourced by install.sh.

node_folder() {
  local package version
  package=$(<"$here/node/package.json")
  version=${package#*\"version\": \"}
  echo "$engines/node-${version%%\"*}"
}

has_own_node() { cmp -s "$here/node/package-lock.json" "$(node_folder)/package-lock.json"; }

# Whether the machine's own Node is new enough for Vite: 20.19, or 22.12 and newer.
has_new_node() {
  local version major minor
  has node || return 1
  version=$(node --version)
  version=${version#v}
  major=${version%%.*}
  minor=${version#*.}
  minor=${minor%%.*}
  case "$major$minor" in "" | *[!0-9]*) return 1 ;; esac
  [ "$major" -gt 22 ] || { [ "$major" = 22 ] && [ "$minor" -ge 12 ]; } || { [ "$major" = 20 ] && [ "$minor" -ge 19 ]; }
}

has_node() { has_new_node || has_own_node; }

# The npm package of Node is the program alone, and no install script is run. An npm of its own comes along: run by
# an older Node, npm leaves out what only a newer one can use, and a distribution's npm may need its own Node.
install_node() {
  local folder new
  if has_node; then return 0; fi
  folder=$(node_folder)
  say "installing Node to $folder (this machine's own is older than 20.19, and the dashboard needs that)"
  new=$(mktemp -d "$engines/.node.XXXXXX")
  # shellcheck disable=SC2064 # the name as it is now
  trap "rm -rf '$new'" EXIT
  cp "$here/node/package.json" "$here/node/package-lock.json" "$here/node/.npmrc" "$new"
  (cd "$new" && npm ci --silent --ignore-scripts --no-audit --no-fund </dev/null)
  compgen -G "$new/node_modules/node-*/bin/node" >/dev/null || { say "npm has no Node for this machine"; return 1; }
  mkdir "$new/bin"
  (cd "$new/bin" && ln -s ../node_modules/node-*/bin/node node && ln -s ../node_modules/npm/bin/npm-cli.js npm)
  chmod 755 "$new"
  rm -rf "$folder"
  mv -T "$new" "$folder"
  trap - EXIT
}
