# Rust, by rustup. Sourced by install.sh.

# rustup puts cargo there and changes PATH only in new shells. Before the distribution's cargo, which may be
# older; the Makefile does the same.
PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH

# The oldest Rust that compiles the workspace.
oldest_rust() { sed -n 's/^rust-version = "\(.*\)"/\1/p' "$here/../../Cargo.toml"; }

# Prints the version of cargo; nothing if there is none that works.
cargo_version() { cargo --version 2>/dev/null | cut -d' ' -f2 || true; }

# Whether cargo is there and new enough for the workspace.
has_cargo() {
  local oldest version
  oldest=$(oldest_rust)
  version=$(cargo_version)
  [ -n "$version" ] && [ "$(printf '%s\n' "$oldest" "$version" | sort -V | head -n1)" = "$oldest" ]
}

# Says what is wrong with cargo.
cargo_fault() {
  local version
  version=$(cargo_version)
  if [ -n "$version" ]; then
    echo "cargo $version is older than $(oldest_rust)"
  else
    echo "cargo is missing"
  fi
}

# Installs a Rust that is new enough; fails if it cannot.
install_rust() {
  if ! has rustup; then
    install_rustup || return 1
    hash -r
    # Of a rustup that was just installed nobody has chosen a default.
    rustup default stable >&2 || return 1
  else
    say "$(cargo_fault): installing the stable toolchain with rustup"
    rustup toolchain install stable --profile default >&2 || return 1
  fi
  hash -r
  # The default may be another toolchain; it stays so everywhere but in this folder.
  if ! has_cargo; then rustup override set stable --path "$here/../.." >&2 || return 1; fi
  hash -r
  has_cargo
}

# Debian 13 and Ubuntu 24.04 have a package; elsewhere, and without root, rustup's own installer puts
# everything below the home directory.
install_rustup() {
  if can_apt; then
    say "$(cargo_fault): looking for the distribution's package rustup"
    apt-get update -qq >&2
    if [ -n "$(apt-cache show rustup 2>/dev/null || true)" ]; then
      say "installing the distribution's package rustup"
      # It must not remove a cargo that was installed as a package: that one is the user's.
      if DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends --no-remove rustup >/dev/null; then
        return 0
      fi
    fi
    if ! has curl; then apt_install curl ca-certificates; fi
  fi
  if ! has curl; then
    say "$(cargo_fault), and curl, which gets rustup's installer, is missing too"
    return 1
  fi
  say "$(cargo_fault): installing Rust below ${RUSTUP_HOME:-$HOME/.rustup} and" \
    "${CARGO_HOME:-$HOME/.cargo} with rustup's own installer, from https://sh.rustup.rs"
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
    sh -s -- -y --no-modify-path --default-toolchain stable --profile default >&2
}
