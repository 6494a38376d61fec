use std::future::pending;
use std::sync::Arc;

use chrono::Datelike as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::target::{OK, TestTarget, answering, read_head, redirect, serving, write_and_close};
use super::*;

/// An authority of the test's own.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = key();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        roots
    }

    /// A server whose certificate is for `name`, after `change` has had its way with it.
    async fn server(&self, name: &str, change: impl Fn(&mut CertificateParams)) -> TestTarget {
        let key = key();
        let mut params = params(name);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        tls_server(certificate.der().clone(), &key, OK.to_owned()).await
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

async fn tls_server(
    certificate: CertificateDer<'static>,
    key: &KeyPair,
    answer: String,
) -> TestTarget {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
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

async fn check_trusting(authority: &Authority, server: &TestTarget) -> CheckResult {
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

#[tokio::test]
async fn a_certificate_signed_by_itself_is_told_apart_and_accepted_where_asked() {
    for authority in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let key = key();
        let mut params = params("127.0.0.1");
        params.is_ca = authority;
        let certificate = params.self_signed(&key).unwrap();
        let server = tls_server(certificate.der().clone(), &key, OK.to_owned()).await;
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
    assert!(result.timings_us.tls >= 140_000, "{:?}", result.timings_us);
}

#[tokio::test]
async fn a_redirect_from_https_down_to_http_is_refused() {
    let authority = Authority::new("an authority");
    let key = key();
    let certificate = params("127.0.0.1").signed_by(&key, &authority.issuer).unwrap();
    let down = answering(OK).await;
    let to = url("http", down.address, "/");
    let server = tls_server(certificate.der().clone(), &key, redirect(301, &to)).await;
    let result = check_trusting(&authority, &server).await;
    assert_failed(&result, FailureCause::HttpDowngrade);
    assert_eq!(down.connections(), 0);
}
