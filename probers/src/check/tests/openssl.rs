//! Servers and certificates of OpenSSL, for what rustls and rcgen cannot make.

use std::path::Path;
use std::process::Stdio;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::*;

/// A folder with keys and certificates: `<name>.key` and `<name>.pem`.
pub(super) struct Certificates(TempDir);

impl Certificates {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs `openssl` with these words.
    pub(super) async fn run(&self, words: &str) {
        let mut command = Command::new("openssl");
        command.args(words.split_whitespace()).current_dir(self.path());
        let ended = command.stdin(Stdio::null()).output().await.expect("openssl is installed");
        let errors = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success(), "openssl {words}: {errors}");
    }

    /// A certificate that signs itself.
    pub(super) async fn self_signed(&self, name: &str, key: &str, more: &str) {
        let key = format!("-newkey {key} -nodes -keyout {name}.key");
        self.run(&format!(
            "req -x509 {key} -out {name}.pem -subj /CN={name} -days 3650 {SAN} {more}"
        ))
        .await;
    }

    /// A certificate that the one of `authority` signs; with subjectAltName where `extensions` has it.
    pub(super) async fn signed(
        &self,
        name: &str,
        key: &str,
        authority: &str,
        extensions: &str,
        more: &str,
    ) {
        self.signed_for(("127.0.0.1", name), key, authority, extensions, more).await;
    }

    /// The same, for the subject of that name.
    pub(super) async fn signed_for(
        &self,
        (subject, name): (&str, &str),
        key: &str,
        authority: &str,
        extensions: &str,
        more: &str,
    ) {
        std::fs::write(self.path().join("extensions"), extensions).unwrap();
        let key = format!("-newkey {key} -nodes -keyout {name}.key");
        self.run(&format!("req -new {key} -out {name}.csr -subj /CN={subject}")).await;
        let by = format!("-CA {authority}.pem -CAkey {authority}.key -CAcreateserial");
        let days = if more.contains("-days") { "" } else { "-days 3650" };
        self.run(&format!(
            "x509 -req -in {name}.csr {by} -out {name}.pem {days} -extfile extensions {more}"
        ))
        .await;
    }

    pub(super) fn roots(&self, name: &str) -> RootCertStore {
        let certificate = CertificateDer::from_pem_file(self.path().join(format!("{name}.pem")));
        let mut roots = RootCertStore::empty();
        roots.add(certificate.unwrap()).unwrap();
        roots
    }

    /// A server with the certificate of that name, which answers with a page.
    pub(super) async fn server(&self, name: &str, more: &str) -> OpenSsl {
        let mut command = Command::new("openssl");
        let with = format!("-cert {name}.pem -key {name}.key -www {more}");
        command.args(format!("s_server -accept 127.0.0.1:0 {with}").split_whitespace());
        command.current_dir(self.path()).kill_on_drop(true).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some(address) = line.strip_prefix("ACCEPT ") {
                let address = address.parse().unwrap();
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return OpenSsl { address, _child: child };
            }
        }
        panic!("the server {more:?} did not start");
    }
}

const SAN: &str = "-addext subjectAltName=IP:127.0.0.1";
pub(super) const FOR_LOOPBACK: &str = "subjectAltName=IP:127.0.0.1";
/// Lets OpenSSL take what it finds too weak.
pub(super) const WEAK: &str = "-cipher ALL:@SECLEVEL=0";

/// With TLS 1.2 a key on P-521 is only for clients that offer the curve for the key exchange too (RFC 8422,
/// section 5.1).
fn versions(is_p521: bool) -> &'static [&'static str] {
    if is_p521 { &["-tls1_3"] } else { &["-tls1_2", "-tls1_3"] }
}

pub(super) struct OpenSsl {
    pub(super) address: SocketAddr,
    _child: Child,
}

impl OpenSsl {
    pub(super) async fn check(&self, roots: RootCertStore) -> CheckResult {
        checker_trusting(roots).run(&job(get(&url("https", self.address, "/")))).await.result
    }

    async fn check_unverified(&self) -> CheckResult {
        let mut target = get(&url("https", self.address, "/"));
        target.verify_tls = false;
        check(target).await.result
    }
}

#[track_caller]
fn assert_up(result: &CheckResult) {
    assert_eq!(result.outcome, Outcome::Up, "{result:?}");
}

#[track_caller]
fn assert_says(result: &CheckResult, cause: FailureCause, words: &str) {
    assert_failed(result, cause);
    let detail = &result.failure.as_ref().unwrap().detail;
    assert!(detail.contains(words), "{detail}");
}

#[tokio::test]
async fn without_verification_every_certificate_that_a_handshake_carries_is_accepted() {
    let made = Certificates::new();
    made.self_signed("rsa1024", "rsa:1024", "").await;
    made.self_signed("sha1", "rsa:2048", "-sha1").await;
    made.self_signed("p521", "ec -pkeyopt ec_paramgen_curve:secp521r1", "").await;
    // Of X.509 version 1: what has no extension.
    made.run("req -new -newkey rsa:2048 -nodes -keyout v1.key -out v1.csr -subj /CN=127.0.0.1")
        .await;
    made.run("x509 -req -in v1.csr -signkey v1.key -out v1.pem -days 3650").await;
    for name in ["rsa1024", "sha1", "p521", "v1"] {
        for version in versions(name == "p521") {
            let server = made.server(name, &format!("{version} {WEAK}")).await;
            let result = server.check_unverified().await;
            assert_eq!(result.outcome, Outcome::Up, "{name} {version}: {result:?}");
            // Positive control: verified it is not.
            let result = server.check(made.roots("p521")).await;
            let is_trusted = name == "p521";
            assert_eq!(result.outcome == Outcome::Up, is_trusted, "{name} {version}: {result:?}");
            if !is_trusted {
                assert_failed(&result, FailureCause::TlsSelfSigned);
            }
        }
    }
}

#[tokio::test]
async fn keys_on_every_curve_and_hash_that_browsers_take_are_good() {
    let made = Certificates::new();
    let curve = |name: &str| format!("ec -pkeyopt ec_paramgen_curve:{name}");
    let (p256, p384, p521) = (curve("prime256v1"), curve("secp384r1"), curve("secp521r1"));
    for (authority, leaf, hash) in [
        (&p521, &p256, "-sha512"),
        (&p521, &p521, "-sha384"),
        (&p256, &p521, "-sha256"),
        (&p384, &p384, "-sha512"),
        (&p256, &p256, "-sha512"),
    ] {
        made.self_signed("authority", authority, "").await;
        made.signed("leaf", leaf, "authority", FOR_LOOPBACK, hash).await;
        for version in versions(leaf == &p521) {
            let server = made.server("leaf", version).await;
            assert_up(&server.check(made.roots("authority")).await);
            // Positive control: another authority of that kind.
            let other = Certificates::new();
            other.self_signed("authority", authority, "").await;
            let result = server.check(other.roots("authority")).await;
            assert_failed(&result, FailureCause::TlsUnknownIssuer);
        }
    }
}

#[tokio::test]
async fn what_the_prober_lacks_is_said_to_be_its_limit() {
    let made = Certificates::new();
    made.self_signed("leaf", "rsa:2048", "").await;
    for suites in [
        "-tls1_2 -cipher ECDHE-RSA-AES128-SHA",
        "-tls1_2 -cipher AES128-GCM-SHA256",
        "-tls1_1 -cipher ALL:@SECLEVEL=0",
    ] {
        let server = made.server("leaf", suites).await;
        let result = server.check(made.roots("leaf")).await;
        assert_says(&result, FailureCause::TlsProtocol, "this prober has");
    }
    // Positive control.
    let server = made.server("leaf", "-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256").await;
    assert_up(&server.check(made.roots("leaf")).await);
}

#[tokio::test]
async fn a_server_that_demands_a_certificate_of_the_client_is_told_apart() {
    let made = Certificates::new();
    made.self_signed("leaf", "rsa:2048", "").await;
    for version in ["-tls1_2", "-tls1_3"] {
        let server =
            made.server("leaf", &format!("{version} -Verify 1 -verify_return_error")).await;
        let result = server.check(made.roots("leaf")).await;
        assert_says(&result, FailureCause::TlsClientCertificate, "demands a certificate");
        // Positive control: one that asks, and does without.
        let server = made.server("leaf", &format!("{version} -verify 1")).await;
        assert_up(&server.check(made.roots("leaf")).await);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_said_in_words() {
    let made = Certificates::new();
    made.self_signed("authority", "rsa:2048", "").await;
    made.signed("sha1", "rsa:2048", "authority", FOR_LOOPBACK, "-sha1").await;
    made.signed("nameless", "rsa:2048", "authority", "basicConstraints=CA:FALSE", "").await;
    made.signed("rsa1024", "rsa:1024", "authority", FOR_LOOPBACK, "").await;
    let client = format!("{FOR_LOOPBACK}\nextendedKeyUsage=clientAuth");
    made.signed("client", "rsa:2048", "authority", &client, "").await;
    for (name, cause, words) in [
        ("sha1", FailureCause::TlsHandshake, "signed with SHA-1"),
        ("nameless", FailureCause::TlsWrongHost, "no subjectAltName"),
        ("rsa1024", FailureCause::TlsHandshake, "1024 bits"),
        ("client", FailureCause::TlsHandshake, "not for servers"),
    ] {
        let server = made.server(name, WEAK).await;
        assert_says(&server.check(made.roots("authority")).await, cause, words);
    }
}

#[tokio::test]
async fn a_server_whose_own_certificate_is_trusted_is_up() {
    let made = Certificates::new();
    // As `openssl req -x509` makes it: it may sign others.
    made.self_signed("leaf", "rsa:2048", "").await;
    let server = made.server("leaf", "").await;
    assert_up(&server.check(made.roots("leaf")).await);
    made.self_signed("other", "rsa:2048", "").await;
    assert_failed(&server.check(made.roots("other")).await, FailureCause::TlsSelfSigned);
    let other = Certificates::new();
    other
        .run("req -x509 -newkey rsa:2048 -nodes -keyout a.key -out a.pem -subj /CN=a -days 3650 -addext subjectAltName=DNS:a.example")
        .await;
    let server = other.server("a", "").await;
    assert_failed(&server.check(other.roots("a")).await, FailureCause::TlsWrongHost);
}

#[tokio::test]
async fn the_roots_of_a_file_are_trusted_besides_the_usual_ones() {
    let made = Certificates::new();
    made.self_signed("authority", "rsa:2048", "").await;
    made.signed("leaf", "rsa:2048", "authority", FOR_LOOPBACK, "").await;
    let server = made.server("leaf", "").await;
    let checked = async |file: Option<&Path>| {
        let checker = Checker::trusting(shield(), file).unwrap();
        checker.run(&job(get(&url("https", server.address, "/")))).await.result
    };
    assert_up(&checked(Some(&made.path().join("authority.pem"))).await);
    assert_failed(&checked(None).await, FailureCause::TlsUnknownIssuer);
    for unusable in ["authority.key", "gone.pem", "extensions"] {
        assert!(Checker::trusting(shield(), Some(&made.path().join(unusable))).is_err());
    }
}
