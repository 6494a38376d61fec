//! TLS to a target: whom to trust, what to offer, and what a failed handshake means.

mod explain;
mod signatures;
mod verifiers;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pulsetrail_domain::check::FailureCause;
use pulsetrail_domain::monitor::HttpVersions;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::attempt::Fault;
pub(super) use explain::alert_fault;
use verifiers::{Accepting, Diagnosing};

/// What servers that speak HTTP/2 over TLS agree on (RFC 9113, section 3.2), and the others (RFC 7301).
pub(super) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";
/// Certificates that a server may send. Usual are two or three.
pub(super) const MAX_CHAIN: usize = 10;

/// What is to be spoken over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP, in the version that the server prefers among these.
    Http(HttpVersions),
    /// Whatever the server expects: none is named.
    Any,
}

impl Protocol {
    /// What is offered (RFC 7301).
    fn offered(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http(HttpVersions::Any) => vec![HTTP2.to_vec(), HTTP1.to_vec()],
            Self::Http(HttpVersions::Http11) => vec![HTTP1.to_vec()],
            Self::Http(HttpVersions::Http2) => vec![HTTP2.to_vec()],
            Self::Any => Vec::new(),
        }
    }
}

/// The ways to speak TLS: with certificates verified, and without.
#[derive(Clone)]
pub struct TlsClients {
    verifying: ClientConfig,
    accepting: ClientConfig,
}

impl TlsClients {
    /// Trusts Mozilla's roots, those that this machine trusts, and the ones in a PEM file. Where the
    /// environment names a file or folder of roots (`SSL_CERT_FILE`, `SSL_CERT_DIR`), those stand in place
    /// of the machine's.
    ///
    /// # Errors
    /// When the cryptography is not usable, or the file cannot be read or has no certificate.
    pub fn with_system_roots(file: Option<&Path>) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let native = rustls_native_certs::load_native_certs();
        for error in native.errors {
            tracing::warn!(%error, "cannot read some of the trusted certificates");
        }
        roots.add_parsable_certificates(native.certs);
        if let Some(file) = file {
            let unusable = |what: String| {
                rustls::Error::General(format!("trusted_roots: {}: {what}", file.display()))
            };
            let read = CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| unusable(error.to_string()))?;
            if read.is_empty() {
                return Err(unusable("it has no certificate".to_owned()));
            }
            for certificate in read {
                roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
            }
        }
        Self::with_roots(roots)
    }

    /// Trusts `roots`.
    ///
    /// # Errors
    /// When there are none, or the cryptography is not usable.
    pub fn with_roots(roots: RootCertStore) -> Result<Self, rustls::Error> {
        let provider = signatures::provider();
        let diagnosing = Diagnosing::new(Arc::new(roots), &provider)?;
        let accepting = Accepting(Arc::clone(&provider));
        Ok(Self {
            verifying: client(&provider, Arc::new(diagnosing))?,
            accepting: client(&provider, Arc::new(accepting))?,
        })
    }

    /// Shakes hands with the server `host` at the other end of `stream`.
    pub(super) async fn handshake(
        &self,
        stream: TcpStream,
        host: &str,
        Handshake { verify, protocol, client }: Handshake<'_>,
        deadline: Instant,
    ) -> Result<TlsStream<TcpStream>, Fault> {
        let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| {
            Fault::failed(FailureCause::TlsHandshake, format!("{host} is no name for TLS."))
        })?;
        let asked = Arc::new(OfClient { demanded: AtomicBool::new(false), shown: client.cloned() });
        let mut config = if verify { &self.verifying } else { &self.accepting }.clone();
        config.alpn_protocols = protocol.offered();
        config.client_auth_cert_resolver = Arc::clone(&asked) as Arc<dyn ResolvesClientCert>;
        let connector = TlsConnector::from(Arc::new(config));
        match timeout_at(deadline, connector.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(explain::fault(&error, host, asked.is_refused())),
            Err(_elapsed) => Err(Fault::failed(
                FailureCause::TlsTimeout,
                format!("The TLS handshake with {host} did not end in time."),
            )),
        }
    }
}

/// How a handshake is made.
pub(super) struct Handshake<'a> {
    /// Whether the server's certificate must be good.
    pub(super) verify: bool,
    /// What is to be spoken then.
    pub(super) protocol: Protocol,
    /// What is shown to a server that asks for a certificate.
    pub(super) client: Option<&'a Arc<CertifiedKey>>,
}

/// What a server that asked for a certificate of the client may have objected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The server did not ask.
    Nothing,
    /// The check has none.
    NoCertificate,
    /// The one that the check has.
    Certificate,
}

/// Shows the check's certificate to a server that asks for one, and notes that it asked.
#[derive(Debug)]
struct OfClient {
    demanded: AtomicBool,
    shown: Option<Arc<CertifiedKey>>,
}

impl OfClient {
    fn is_refused(&self) -> Refused {
        match (self.demanded.load(Ordering::Relaxed), &self.shown) {
            (false, _) => Refused::Nothing,
            (true, None) => Refused::NoCertificate,
            (true, Some(_)) => Refused::Certificate,
        }
    }
}

impl ResolvesClientCert for OfClient {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.demanded.store(true, Ordering::Relaxed);
        self.shown.clone()
    }

    /// True, or else the server's request is not passed on.
    fn has_certs(&self) -> bool {
        true
    }
}

fn client(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // Every check measures a whole handshake.
    config.resumption = Resumption::disabled();
    Ok(config)
}
