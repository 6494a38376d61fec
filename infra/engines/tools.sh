# The programs that building and running need: sourced by install.sh.

# Whether the newest PostgreSQL of this machine is 15 or newer.
has_postgres() {
  local bin
  for bin in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin "$(dirname "$(command -v postgres || echo /none/x)")" \
    "$(pg_config --bindir 2>/dev/null || echo /none)"; do
    if [ -x "$bin/initdb" ] && [ -x "$bin/postgres" ]; then
      case $("$bin/postgres" --version) in
        *') '1[5-9]* | *') '[2-9][0-9]*) return 0 ;;
      esac
    fi
  done
  return 1
}

# Whether Java 17 or newer is there. The file is read, because starting Java would take 0.1 s.
has_java() {
  local java release version
  java=${JAVA_HOME:+$JAVA_HOME/bin/java}
  [ -n "$java" ] && [ -x "$java" ] || java=$(command -v java) || return 1
  release=$(dirname "$(dirname "$(readlink -f "$java")")")/release
  if [ -r "$release" ]; then
    version=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$release")
  else
    version=$("$java" -version 2>&1 | sed -n '1s/.*"\([0-9]*\).*/\1/p')
  fi
  [ "${version:-0}" -ge 17 ]
}

# Whether cargo is there and new enough for the workspace.
has_cargo() {
  local oldest version
  # rustup puts it there and changes PATH only in new shells.
  PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
  oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$here/../../Cargo.toml")
  version=$(cargo --version 2>/dev/null | cut -d' ' -f2) || return 1
  [ -n "$version" ] && [ "$(printf '%s\n' "$oldest" "$version" | sort -V | head -n1)" = "$oldest" ]
}

# Prints the names of what is missing, as Debian calls the packages.
missing_packages() {
  has_postgres || echo postgresql
  has_java || echo default-jre-headless
  if [ ! -d "$(kafka_folder)" ]; then has mvn || echo maven; fi
  has npm || echo npm
  has node || echo nodejs
  has cmake || echo cmake
  if ! has cc || ! has c++ || ! has make; then echo build-essential; fi
  has pkg-config || echo pkg-config
  has curl || echo curl
  python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || echo python3-venv
  [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ] || [ -e /etc/ssl/cert.pem ] ||
    echo ca-certificates
  # One test has nft read the rules that are made for it; it does without where nft cannot be installed.
  if has apt-get && [ "$(id -u)" = 0 ] && ! has nft; then echo nftables; fi
}

install_tools() {
  local missing
  missing=$(missing_packages)
  if [ -n "$missing" ] && has apt-get && [ "$(id -u)" = 0 ]; then
    # shellcheck disable=SC2086 # one word a package
    apt_install $missing
    missing=$(missing_packages)
  fi
  if ! has_cargo; then
    if has apt-get && [ "$(id -u)" = 0 ]; then install_rust || true; fi
    has_cargo || missing="${missing:+$missing }rustup"
  fi
  if [ -n "$missing" ]; then
    say "missing on this machine:" $missing
    case " $missing " in *rustup*) say "rustup (which brings cargo): https://rustup.rs, then open a new shell" ;; esac
    say "(PostgreSQL must be 15 or newer, Java 17 or newer; as root on Debian or Ubuntu this installs them by itself)"
    return 1
  fi
}

apt_install() {
  say "installing" "$@"
  export DEBIAN_FRONTEND=noninteractive
  case " $* " in
    *" postgresql "*)
      # Only the programs are wanted: without this the package makes a cluster and starts a server.
      mkdir -p /etc/postgresql-common/createcluster.d
      printf 'create_main_cluster = false\n' >/etc/postgresql-common/createcluster.d/pulsetrail.conf
      ;;
  esac
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Debian 13 and Ubuntu 24.04 have rustup; Debian's own cargo is older than the workspace needs.
install_rust() {
  if ! has rustup; then
    say "installing rustup"
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends rustup >/dev/null 2>&1 || return 1
  fi
  rustup toolchain install stable --profile default
  rustup default stable
}
