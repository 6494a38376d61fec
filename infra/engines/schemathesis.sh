# Schemathesis, which tries the HTTP interface out against its OpenAPI document, in a virtual
# environment of its own. Sourced by install.sh.

schemathesis_version=4.32.5

install_schemathesis() {
  local target=${XDG_CACHE_HOME:-$HOME/.cache}/pulsetrail/schemathesis-$schemathesis_version
  [ -x "$target/bin/schemathesis" ] && return
  say "installing Schemathesis $schemathesis_version"
  # A virtual environment knows its own path: it is made in its place, and removed where it is not whole.
  rm -rf "$target"
  python3 -m venv "$target"
  if ! "$target/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$schemathesis_version"; then
    rm -rf "$target"
    say "Schemathesis cannot be installed"
    return 1
  fi
}
