//! A target that does as little as HTTP allows, on every address of loopback.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio_rustls::TlsAcceptor;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

/// The running target.
pub(super) struct Answering {
    pub(super) port: u16,
    held: Arc<AtomicUsize>,
    tls: Option<Trust>,
}

/// Who is to be trusted to trust the target.
struct Trust {
    _folder: TempDir,
    file: PathBuf,
}

impl Answering {
    pub(super) async fn plain() -> Self {
        Self::listen(None, None, false)
    }

    /// With a certificate for the first `hosts` hosts.
    pub(super) async fn over_tls(hosts: usize) -> Self {
        let (acceptor, trust) = certified(hosts);
        Self::listen(Some(acceptor), Some(trust), false)
    }

    /// Reads requests, and answers none of them.
    pub(super) async fn holding() -> Self {
        Self::listen(None, None, true)
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// A file with the authority, as OpenSSL reads it.
    pub(super) fn authority_file(&self) -> Option<&PathBuf> {
        self.tls.as_ref().map(|trust| &trust.file)
    }

    /// Waits until so many requests are held.
    pub(super) async fn until_held(&self, count: usize) {
        let patience = Duration::from_secs(120);
        let held = async {
            while self.held.load(Ordering::Relaxed) < count {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let held = tokio::time::timeout(patience, held).await;
        held.unwrap_or_else(|_| panic!("{} are held", self.held.load(Ordering::Relaxed)));
    }

    fn listen(acceptor: Option<TlsAcceptor>, tls: Option<Trust>, holds: bool) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((Ipv4Addr::UNSPECIFIED, 0).into()).expect("a port");
        let listener = socket.listen(4_096).expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        let held = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&held);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, counter) = (acceptor.clone(), Arc::clone(&counter));
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, holds, &counter).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, holds, &counter).await;
                            }
                        }
                    }
                });
            }
        });
        Self { port, held, tls }
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, holds: bool, held: &AtomicUsize) {
    let mut head = [0; 1024];
    if !stream.read(&mut head).await.is_ok_and(|read| read > 0) {
        return;
    }
    if holds {
        held.fetch_add(1, Ordering::Relaxed);
        // Until the client is gone.
        let _ = stream.read(&mut head).await;
        return;
    }
    // A client that is gone is its own affair.
    if stream.write_all(ANSWER).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}

fn certified(hosts: usize) -> (TlsAcceptor, Trust) {
    let key = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "an authority");
    let authority_key = key();
    let authority = params.self_signed(&authority_key).expect("a certificate");
    let authority = authority.der().clone();
    let issuer = Issuer::new(params, authority_key);

    let own_key = key();
    let mut own = CertificateParams::new(Vec::new()).expect("parameters");
    let hosts = (0..hosts).map(|host| IpAddr::from([127, 1, 0, host as u8 + 1]));
    own.subject_alt_names = hosts.map(SanType::IpAddress).collect();
    let certificate = own.signed_by(&own_key, &issuer).expect("a certificate").der().clone();
    let own_key = PrivateKeyDer::try_from(own_key.serialize_der()).expect("a key");
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], own_key)
        .expect("a certificate");
    // Nobody resumes: every handshake is whole.
    config.send_tls13_tickets = 0;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("authority.pem");
    let text = STANDARD.encode(&authority);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    let pem = ["-----BEGIN CERTIFICATE-----", &lines.join("\n"), "-----END CERTIFICATE-----", ""];
    std::fs::write(&file, pem.join("\n")).expect("a file");
    (TlsAcceptor::from(Arc::new(config)), Trust { _folder: folder, file })
}
