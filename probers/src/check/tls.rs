//! TLS to a target: whom to trust, and what a failed handshake means.

use std::fmt;
use std::io;
use std::sync::Arc;

use pulsetrail_domain::check::FailureCause;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, OtherError,
    RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::attempt::Fault;
use super::certificate::leaves_one_out;

/// What servers that speak HTTP/2 over TLS agree on (RFC 9113, section 3.2), and the others (RFC 7301).
pub(super) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";
/// Certificates that a server may send. Usual are two or three.
pub(super) const MAX_CHAIN: usize = 10;

/// What is to be spoken over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP, in the version that the server prefers.
    Http,
    /// Whatever the server expects: none is named.
    Any,
}

/// The ways to speak TLS: with certificates verified, and without.
#[derive(Clone)]
pub struct TlsClients {
    verifying: Connectors,
    accepting: Connectors,
}

/// The same, for each [`Protocol`].
#[derive(Clone)]
struct Connectors {
    http: TlsConnector,
    any: TlsConnector,
}

impl TlsClients {
    /// Trusts Mozilla's roots and those that this machine trusts.
    ///
    /// # Errors
    /// When the cryptography is not usable.
    pub fn with_system_roots() -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let native = rustls_native_certs::load_native_certs();
        for error in native.errors {
            tracing::debug!(%error, "some of this machine's trusted certificates cannot be read");
        }
        roots.add_parsable_certificates(native.certs);
        Self::with_roots(roots)
    }

    /// Trusts `roots`.
    ///
    /// # Errors
    /// When there are none, or the cryptography is not usable.
    pub fn with_roots(roots: RootCertStore) -> Result<Self, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let trusted =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?;
        Ok(Self {
            verifying: connectors(&provider, Arc::new(Diagnosing(trusted)))?,
            accepting: connectors(&provider, Arc::new(Accepting(Arc::clone(&provider))))?,
        })
    }

    /// Shakes hands with the server `host` at the other end of `stream`.
    pub(super) async fn handshake(
        &self,
        stream: TcpStream,
        host: &str,
        (verify, protocol): (bool, Protocol),
        deadline: Instant,
    ) -> Result<TlsStream<TcpStream>, Fault> {
        let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| {
            Fault::failed(FailureCause::TlsHandshake, format!("{host} is no name for TLS."))
        })?;
        let connectors = if verify { &self.verifying } else { &self.accepting };
        let connector = match protocol {
            Protocol::Http => &connectors.http,
            Protocol::Any => &connectors.any,
        };
        match timeout_at(deadline, connector.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(explain(&error, host)),
            Err(_elapsed) => Err(Fault::failed(
                FailureCause::TlsTimeout,
                format!("The TLS handshake with {host} did not end in time."),
            )),
        }
    }
}

fn connectors(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<Connectors, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // Every check measures a whole handshake.
    config.resumption = Resumption::disabled();
    let any = TlsConnector::from(Arc::new(config.clone()));
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    Ok(Connectors { http: TlsConnector::from(Arc::new(config)), any })
}

fn explain(error: &io::Error, host: &str) -> Fault {
    use FailureCause as Cause;
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (cause, detail) = match tls {
        Some(rustls::Error::InvalidCertificate(fault)) => return certificate(fault, host),
        Some(
            rustls::Error::PeerIncompatible(_)
            | rustls::Error::AlertReceived(
                AlertDescription::ProtocolVersion
                | AlertDescription::HandshakeFailure
                | AlertDescription::InsufficientSecurity
                | AlertDescription::NoApplicationProtocol,
            ),
        ) => {
            (Cause::TlsProtocol, format!("{host} has no TLS version or cipher in common: {error}."))
        }
        Some(rustls::Error::InvalidMessage(_)) => {
            (Cause::TlsHandshake, format!("{host} does not answer in TLS."))
        }
        Some(_) => (Cause::TlsHandshake, format!("The handshake with {host} failed: {error}.")),
        None => {
            (Cause::TlsHandshake, format!("{host} broke the TLS handshake off: {}.", error.kind()))
        }
    };
    Fault::failed(cause, detail)
}

fn certificate(fault: &CertificateError, host: &str) -> Fault {
    use CertificateError as Error;
    use FailureCause as Cause;
    let (cause, what) = match fault {
        Error::Expired | Error::ExpiredContext { .. } => (Cause::TlsExpired, "has expired"),
        Error::NotValidYet | Error::NotValidYetContext { .. } => {
            (Cause::TlsNotYetValid, "is not valid yet")
        }
        Error::NotValidForName | Error::NotValidForNameContext { .. } => {
            (Cause::TlsWrongHost, "is for another name")
        }
        Error::UnknownIssuer => (Cause::TlsUnknownIssuer, "has an issuer that is not trusted"),
        Error::Other(OtherError(other)) if other.is::<IncompleteChain>() => (
            Cause::TlsIncompleteChain,
            "comes without one that stands between it and a trusted one",
        ),
        Error::Other(OtherError(other)) if other.is::<ChainTooLong>() => {
            let detail = format!("{host} sends more than {MAX_CHAIN} certificates.");
            return Fault::failed(Cause::TlsChainTooLong, detail);
        }
        Error::Other(OtherError(other)) if other.is::<SelfSigned>() => {
            (Cause::TlsSelfSigned, "is signed by itself")
        }
        other => {
            let detail = format!("The certificate of {host} cannot be accepted: {other}.");
            return Fault::failed(Cause::TlsHandshake, detail);
        }
    };
    Fault::failed(cause, format!("The certificate of {host} {what}."))
}

/// A certificate is its own issuer and nobody trusts it.
#[derive(Debug)]
struct SelfSigned;

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate is signed by itself")
    }
}

impl std::error::Error for SelfSigned {}

/// A certificate between the server's own and a trusted one is left out.
#[derive(Debug)]
struct IncompleteChain;

impl fmt::Display for IncompleteChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the chain lacks a certificate")
    }
}

impl std::error::Error for IncompleteChain {}

/// There are more certificates than are looked at.
#[derive(Debug)]
struct ChainTooLong;

impl fmt::Display for ChainTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the chain has too many certificates")
    }
}

impl std::error::Error for ChainTooLong {}

/// The server's own certificate and those that come with it must not be too many.
fn limit(intermediates: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
    if intermediates.len() < MAX_CHAIN {
        return Ok(());
    }
    Err(CertificateError::Other(OtherError(Arc::new(ChainTooLong))).into())
}

/// The usual verification, which also tells a certificate that is signed by itself from others of
/// unknown issuers.
#[derive(Debug)]
struct Diagnosing(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Diagnosing {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        limit(intermediates)?;
        let verified =
            self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        verified.map_err(|error| match error {
            // `Other`: a certificate authority's own certificate, used by a server.
            rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::Other(_),
            ) if is_self_signed(end_entity) => rustls::Error::InvalidCertificate(
                CertificateError::Other(OtherError(Arc::new(SelfSigned))),
            ),
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)
                if leaves_one_out(intermediates.last().unwrap_or(end_entity)) =>
            {
                rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(
                    IncompleteChain,
                ))))
            }
            error => error,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

fn is_self_signed(certificate: &CertificateDer<'_>) -> bool {
    webpki::EndEntityCert::try_from(certificate)
        .is_ok_and(|certificate| certificate.issuer() == certificate.subject())
}

/// Accepts whatever certificate there is, for monitors that ask for no verification.
#[derive(Debug)]
struct Accepting(Arc<CryptoProvider>);

impl ServerCertVerifier for Accepting {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        limit(intermediates)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
