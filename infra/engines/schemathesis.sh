# Schemathesis, which tries the HTTP interface out against its OpenAPI document, in a virtual
# environment of its own. Sourced by install.sh.

schemathesis_version=4.32.5

schemathesis_folder() { echo "${XDG_CACHE_HOME:-$HOME/.cache}/pulsetrail/schemathesis-$schemathesis_version"; }

has_schemathesis() { [ -x "$(schemathesis_folder)/bin/schemathesis" ]; }

install_schemathesis() {
  local target
  target=$(schemathesis_folder)
  if has_schemathesis; then return 0; fi
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
