use std::future::pending;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Datelike as _;
use pulsetrail_domain::check::WarningCode;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;

use super::super::tls::MAX_CHAIN;
use super::target::{OK, TestTarget, answering, read_head, redirect, serving, write_and_close};
use super::*;

/// An authority of the test's own.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let key = key();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    pub(super) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        roots
    }

    /// Its certificate, for programs that read a file of roots.
    pub(super) fn pem(&self) -> String {
        let text = STANDARD.encode(&self.certificate);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    }

    /// What a server needs that is trusted by whoever trusts this authority.
    pub(super) fn acceptor(&self, protocols: &[&str]) -> TlsAcceptor {
        let key = key();
        let certificate = params("127.0.0.1").signed_by(&key, &self.issuer).unwrap();
        acceptor(vec![certificate.der().clone()], &key, protocols)
    }

    /// A server whose certificate is for `name`, after `change` has had its way with it.
    pub(super) async fn server(
        &self,
        name: &str,
        change: impl Fn(&mut CertificateParams),
    ) -> TestTarget {
        let key = key();
        let mut params = params(name);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        tls_server(vec![certificate.der().clone()], &key, OK.to_owned()).await
    }

    /// A server that answers so.
    pub(super) async fn server_answering(&self, name: &str, answer: String) -> TestTarget {
        let key = key();
        let certificate = params(name).signed_by(&key, &self.issuer).unwrap();
        tls_server(vec![certificate.der().clone()], &key, answer).await
    }

    /// A server that speaks TLS 1.2 and demands a certificate of the client.
    pub(super) async fn demanding_server(&self, name: &str) -> TestTarget {
        let key = key();
        let certificate = params(name).signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(
            Arc::new(self.roots()),
            Arc::clone(&provider),
        );
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        serving(move |stream, _| {
            let acceptor = acceptor.clone();
            async move {
                let _ = acceptor.accept(stream).await;
            }
        })
        .await
    }
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// What a server needs to speak TLS, and one of these protocols.
pub(super) fn acceptor(
    chain: Vec<CertificateDer<'static>>,
    key: &KeyPair,
    protocols: &[&str],
) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

async fn tls_server(
    chain: Vec<CertificateDer<'static>>,
    key: &KeyPair,
    answer: String,
) -> TestTarget {
    let acceptor = acceptor(chain, key, &[]);
    serving(move |stream, _| {
        let (acceptor, answer) = (acceptor.clone(), answer.clone());
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            read_head(&mut stream).await;
            write_and_close(&mut stream, &answer).await;
        }
    })
    .await
}

pub(super) async fn check_trusting(authority: &Authority, server: &TestTarget) -> CheckResult {
    let job = job(get(&url("https", server.address, "/")));
    checker_trusting(authority.roots()).run(&job).await.result
}

#[tokio::test]
async fn a_target_with_a_good_certificate_is_up() {
    let authority = Authority::new("an authority");
    let server = authority.server("127.0.0.1", |_| {}).await;
    let result = check_trusting(&authority, &server).await;
    assert_eq!(result.outcome, Outcome::Up, "{result:?}");
    assert!(result.timings_us.tls > 0);
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_told_apart() {
    let authority = Authority::new("an authority");
    let (past, future) = (2_000, Utc::now().year() + 2);
    let other_host = authority.server("other.example", |_| {}).await;
    let expired = authority
        .server("127.0.0.1", |params| {
            params.not_before = date_time_ymd(past, 1, 1);
            params.not_after = date_time_ymd(past + 1, 1, 1);
        })
        .await;
    let early = authority
        .server("127.0.0.1", |params| params.not_before = date_time_ymd(future, 1, 1))
        .await;
    let stranger = Authority::new("a stranger").server("127.0.0.1", |_| {}).await;
    let cases = [
        (&other_host, FailureCause::TlsWrongHost),
        (&expired, FailureCause::TlsExpired),
        (&early, FailureCause::TlsNotYetValid),
        (&stranger, FailureCause::TlsUnknownIssuer),
    ];
    for (server, cause) in cases {
        let result = check_trusting(&authority, server).await;
        assert_failed(&result, cause);
        let timings = result.timings_us;
        assert!(timings.connect > 0 && timings.tls > 0, "{timings:?}");
    }
}

/// A server whose certificate nobody else signed.
pub(super) async fn self_signed_server(name: &str, authority: IsCa) -> TestTarget {
    let key = key();
    let mut params = params(name);
    params.is_ca = authority;
    let certificate = params.self_signed(&key).unwrap();
    tls_server(vec![certificate.der().clone()], &key, OK.to_owned()).await
}

#[tokio::test]
async fn a_certificate_signed_by_itself_is_told_apart_and_accepted_where_asked() {
    for authority in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let server = self_signed_server("127.0.0.1", authority).await;
        let mut target = get(&url("https", server.address, "/"));
        let result = check(target.clone()).await.result;
        assert_failed(&result, FailureCause::TlsSelfSigned);
        target.verify_tls = false;
        assert_eq!(check(target).await.result.outcome, Outcome::Up);
    }
}

#[tokio::test]
async fn a_target_that_does_not_speak_tls_is_told_apart() {
    let server = serving(|mut stream, _| async move {
        // As a web server does to whom TLS is nonsense: it answers at once.
        let _ = stream.readable().await;
        write_and_close(&mut stream, "HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let result = check(get(&url("https", server.address, "/"))).await.result;
    assert_failed(&result, FailureCause::TlsHandshake);
    let silent = serving(|stream, _| async move {
        pending::<()>().await;
        drop(stream);
    })
    .await;
    let result = check_within(get(&url("https", silent.address, "/")), 150).await;
    assert_failed(&result, FailureCause::TlsTimeout);
    assert!(result.timings_us.tls > 0, "{:?}", result.timings_us);
}

#[tokio::test]
async fn a_name_that_a_trusted_certificate_has_makes_nobody_trusted() {
    let authority = Authority::new("an authority");
    let key = key();
    let mut params = params("127.0.0.1");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "an authority");
    let certificate = params.self_signed(&key).unwrap();
    let server = tls_server(vec![certificate.der().clone()], &key, OK.to_owned()).await;
    let result = check_trusting(&authority, &server).await;
    assert_failed(&result, FailureCause::TlsSelfSigned);
    let namesake = Authority::new("an authority").server("127.0.0.1", |_| {}).await;
    let result = check_trusting(&authority, &namesake).await;
    assert_failed(&result, FailureCause::TlsUnknownIssuer);
}

#[tokio::test]
async fn the_certificate_that_has_expired_is_named() {
    let authority = Authority::new("an authority");
    let between_key = key();
    let mut between = CertificateParams::new(Vec::new()).unwrap();
    between.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    between.distinguished_name.push(DnType::CommonName, "an authority between");
    between.not_before = date_time_ymd(2_000, 1, 1);
    between.not_after = date_time_ymd(2_001, 1, 1);
    let shown = between.signed_by(&between_key, &authority.issuer).unwrap().der().clone();
    let issuer = Issuer::new(between, between_key);
    let key = key();
    let leaf = params("127.0.0.1").signed_by(&key, &issuer).unwrap().der().clone();
    let server = tls_server(vec![leaf, shown], &key, OK.to_owned()).await;
    let result = check_trusting(&authority, &server).await;
    assert_failed(&result, FailureCause::TlsExpired);
    let detail = result.failure.unwrap().detail;
    assert!(detail.contains("an authority between"), "{detail}");
}

#[tokio::test]
async fn a_check_of_tls_says_that_it_ends() {
    let authority = Authority::new("an authority");
    let acceptor = authority.acceptor(&[]);
    let (told, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let server = serving(move |stream, _| {
        let (acceptor, told) = (acceptor.clone(), told.clone());
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            // Without close_notify this is an error.
            let end = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 16]).await;
            told.send(end.map_err(|error| error.kind())).unwrap();
        }
    })
    .await;
    assert_eq!(check_tls(&authority, &server, 0).await.outcome, Outcome::Up);
    assert_eq!(ends.recv().await.unwrap(), Ok(0));
}

#[tokio::test]
async fn a_redirect_from_https_down_to_http_is_followed_where_it_may_be() {
    let authority = Authority::new("an authority");
    let down = answering(OK).await;
    let to = redirect(301, &url("http", down.address, "/"));
    let server = authority.server_answering("127.0.0.1", to).await;
    let mut target = get(&url("https", server.address, "/"));
    target.allow_redirects_to_http = true;
    let result = checker_trusting(authority.roots()).run(&job(target)).await.result;
    assert_eq!(result.outcome, Outcome::Up, "{result:?}");
    assert_eq!(down.connections(), 1);
}

#[tokio::test]
async fn a_redirect_from_https_down_to_http_is_refused() {
    let authority = Authority::new("an authority");
    let down = answering(OK).await;
    let to = redirect(301, &url("http", down.address, "/"));
    let server = authority.server_answering("127.0.0.1", to).await;
    let result = check_trusting(&authority, &server).await;
    assert_failed(&result, FailureCause::HttpDowngrade);
    assert_eq!(down.connections(), 0);
}

async fn check_tls(authority: &Authority, server: &TestTarget, warn_days: u16) -> CheckResult {
    let target = serde_json::json!({"type": "tls", "host": "127.0.0.1",
        "port": server.address.port(), "warn_days": warn_days});
    let target = serde_json::from_value(target).unwrap();
    let job = Job { target, ..job(get("http://stand-in.invalid")) };
    checker_trusting(authority.roots()).run(&job).await.result
}

#[tokio::test]
async fn a_certificate_is_told_of_and_warned_of_before_it_expires() {
    let authority = Authority::new("an authority");
    let soon = Utc::now() + Duration::from_secs(10 * 86_400 + 3_600);
    let server = authority
        .server("127.0.0.1", |params| {
            params.not_after = date_time_ymd(soon.year(), soon.month() as u8, soon.day() as u8);
        })
        .await;
    let result = check_tls(&authority, &server, 9).await;
    assert_eq!(result.outcome, Outcome::Up, "{result:?}");
    let findings = result.findings.unwrap();
    let shown = findings.certificate.unwrap();
    assert!((9..=10).contains(&shown.days_left), "{shown:?}");
    assert_eq!(shown.expires_at.date_naive(), soon.date_naive());
    assert!(shown.subject.contains("127.0.0.1") && shown.issuer.contains("an authority"));
    assert_eq!((shown.chain_length, findings.warnings.len()), (1, 0));
    for result in
        [check_tls(&authority, &server, 30).await, check_trusting(&authority, &server).await]
    {
        assert_eq!(result.outcome, Outcome::Up, "a warning is no failure");
        let findings = result.findings.unwrap();
        assert_eq!(findings.warnings[0].code, WarningCode::CertificateExpiresSoon);
        assert!(findings.certificate.is_some());
    }
    let fresh = authority.server("127.0.0.1", |_| {}).await;
    assert_eq!(check_trusting(&authority, &fresh).await.findings, None);
    let stranger = Authority::new("a stranger").server("127.0.0.1", |_| {}).await;
    assert_failed(&check_tls(&authority, &stranger, 30).await, FailureCause::TlsUnknownIssuer);
}

/// Has a certificate say where the one of its issuer is to be had:
/// SEQUENCE { SEQUENCE { id-ad-caIssuers, [6] "http://a.example/" } } (RFC 5280, 4.2.2.1).
pub(super) fn incomplete(params: &mut CertificateParams) {
    let access =
        b"\x30\x1f\x30\x1d\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02\x86\x11http://a.example/";
    let oid = [1, 3, 6, 1, 5, 5, 7, 1, 1];
    params.custom_extensions.push(CustomExtension::from_oid_content(&oid, access.to_vec()));
}

#[tokio::test]
async fn a_certificate_that_is_left_out_of_the_chain_is_told_apart() {
    // An authority between that nobody trusts by itself.
    let between = Authority::new("an authority between");
    let server = between.server("127.0.0.1", incomplete).await;
    let result = check_trusting(&Authority::new("an authority"), &server).await;
    assert_failed(&result, FailureCause::TlsIncompleteChain);
    assert!(result.timings_us.tls > 0);
}

/// A server that sends so many certificates: its own, and that of the authority again and again.
pub(super) async fn chain_server(authority: &Authority, name: &str, length: usize) -> TestTarget {
    let key = key();
    let certificate = params(name).signed_by(&key, &authority.issuer).unwrap();
    let mut chain = vec![certificate.der().clone()];
    chain.resize(length, authority.certificate.clone());
    tls_server(chain, &key, OK.to_owned()).await
}

#[tokio::test]
async fn a_chain_has_so_many_certificates_at_most() {
    let authority = Authority::new("an authority");
    let check_of = async |length: usize, verify_tls: bool| {
        let server = chain_server(&authority, "127.0.0.1", length).await;
        let mut target = get(&url("https", server.address, "/"));
        target.verify_tls = verify_tls;
        checker_trusting(authority.roots()).run(&job(target)).await.result
    };
    for verify_tls in [true, false] {
        let result = check_of(MAX_CHAIN, verify_tls).await;
        assert_eq!(result.outcome, Outcome::Up, "{result:?}");
        let result = check_of(MAX_CHAIN + 1, verify_tls).await;
        assert_failed(&result, FailureCause::TlsChainTooLong);
    }
}
