# The programs that building, running and testing need. Sourced by install.sh.

# An engine that the environment names by its URL is not needed here. Tests use private ones in any case.
needs_postgres() { runs && { tests || [ -z "${PULSETRAIL_DATABASE_URL:-}" ]; }; }
needs_kafka() { runs && { tests || [ -z "${PULSETRAIL_KAFKA_BROKERS:-}" ]; }; }
needs_chdb() { runs && { tests || [ -z "${PULSETRAIL_CLICKHOUSE_URL:-}" ]; }; }

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
    version=$("$java" -version 2>&1 | sed -n '1s/[^"]*"\([0-9]*\).*/\1/p')
  fi
  [ "${version:-0}" -ge 17 ]
}

has_chromium() { has chromium || has google-chrome || has chromium-browser; }

# Prints the names of what is missing, as Debian calls the packages.
missing_packages() {
  has cmake || echo cmake
  if ! has cc || ! has c++ || ! has make; then echo build-essential; fi
  has pkg-config || echo pkg-config
  if ! [ -e /etc/ssl/certs/ca-certificates.crt ] && ! [ -e /etc/pki/tls/certs/ca-bundle.crt ] &&
    ! [ -e /etc/ssl/cert.pem ]; then
    echo ca-certificates
  fi
  if needs_postgres; then has_postgres || echo postgresql; fi
  if needs_kafka; then
    has_java || echo default-jre-headless
    has_kafka || has mvn || echo maven
  fi
  # The dashboard is built with npm; a Node that is too old for it still runs npm.
  has npm || echo npm
  has node || echo nodejs
  if tests; then
    has curl || echo curl
    # Tests ask the DNS with dig, and speak TLS with servers of openssl.
    has dig || echo bind9-dnsutils
    has openssl || echo openssl
    # Tests use the dashboard in a browser.
    has_chromium || echo chromium
    has_schemathesis || python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || echo python3-venv
    # One test has nft read the rules that are made for it; it does without if nft cannot be installed.
    if can_apt && ! has nft; then echo nftables; fi
  fi
}

# Prints what is missing and is no package, if nothing may be installed.
missing_downloads() {
  if may_install; then return 0; fi
  if ! has_node; then node_folder; fi
  if needs_kafka && ! has_kafka; then kafka_folder; fi
  if needs_chdb && ! has_chdb && chdb_exists; then chdb_folder; fi
  if tests && ! has_schemathesis; then schemathesis_folder; fi
}

install_tools() {
  local missing
  missing=$(missing_packages)
  if [ -n "$missing" ] && can_apt; then
    # shellcheck disable=SC2086 # one word a package
    apt_install $missing
    missing=$(missing_packages)
  fi
  if ! has_cargo; then
    if ! may_install || ! install_rust; then
      say "$(cargo_fault)"
      missing="${missing:+$missing }rustup"
    fi
  fi
  missing="$missing $(missing_downloads)"
  if [ -n "${missing// /}" ]; then
    # shellcheck disable=SC2086 # one word for each
    say "missing on this machine:" $missing
    may_install || say "PULSETRAIL_INSTALL=no: nothing was installed"
    case " $missing " in *rustup*) say "rustup (which brings cargo): https://rustup.rs" ;; esac
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
