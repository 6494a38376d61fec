//! What a failed handshake means, in one sentence.

use std::io;

use pulsetrail_domain::check::FailureCause;
use rustls::{AlertDescription, CertificateError, OtherError};

use super::verifiers::ChainFault;
use super::{MAX_CHAIN, Refused};
use crate::check::attempt::Fault;
use crate::check::certificate::Lifetime;

/// Signature algorithms with SHA-1 (RFC 8017; RFC 5758), as object identifiers in DER.
const SHA1: [&[u8]; 2] = [
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05],
    &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01],
];

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())
}

/// Why the handshake with `host` failed.
pub(super) fn fault(error: &io::Error, host: &str, refused: Refused) -> Fault {
    use AlertDescription as Alert;
    use FailureCause as Cause;
    let (cause, detail) = match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(fault)) => return certificate(fault, host),
        Some(rustls::Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::HandshakeFailure
            | Alert::BadCertificate
            | Alert::NoCertificate
            | Alert::CertificateUnknown
            | Alert::AccessDenied
            | Alert::UnknownCA
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::UnsupportedCertificate,
        )) if refused != Refused::Nothing => {
            (Cause::TlsClientCertificate, client_certificate(host, refused))
        }
        Some(rustls::Error::AlertReceived(Alert::NoApplicationProtocol)) => (
            Cause::TlsProtocol,
            format!("{host} speaks none of the versions of HTTP that the check offers."),
        ),
        Some(
            rustls::Error::PeerIncompatible(_)
            | rustls::Error::AlertReceived(
                Alert::ProtocolVersion | Alert::HandshakeFailure | Alert::InsufficientSecurity,
            ),
        ) => (
            Cause::TlsProtocol,
            format!(
                "{host} accepts no TLS version and cipher suite that this prober has: TLS 1.3, and TLS \
                 1.2 with ECDHE and AES-GCM or ChaCha20-Poly1305. The prober has no CBC, no RSA key \
                 exchange and no TLS before 1.2; other clients may get through."
            ),
        ),
        Some(rustls::Error::InvalidMessage(_)) => {
            (Cause::TlsHandshake, format!("{host} does not answer in TLS."))
        }
        Some(rustls::Error::AlertReceived(Alert::UnrecognisedName)) => {
            (Cause::TlsHandshake, format!("The server knows no site with the name {host}."))
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            let detail = format!("{host} broke the TLS handshake off with the alert {alert:?}.");
            (Cause::TlsHandshake, detail)
        }
        Some(_) => (Cause::TlsHandshake, format!("The TLS handshake with {host} failed: {error}.")),
        None => {
            (Cause::TlsHandshake, format!("{host} broke the TLS handshake off: {}.", error.kind()))
        }
    };
    Fault::failed(cause, detail)
}

fn client_certificate(host: &str, refused: Refused) -> String {
    if refused == Refused::Certificate {
        return format!("{host} does not accept the client certificate of this monitor.");
    }
    format!("{host} demands a certificate of the client, and this monitor has none.")
}

/// The fault of a connection that TLS ended after the handshake; none where it was not TLS. With TLS 1.3 a
/// server that demands a certificate says so only then.
pub(in crate::check) fn alert_fault(error: &io::Error) -> Option<Fault> {
    Some(match tls_error(error)? {
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            let detail = client_certificate("The server", Refused::NoCertificate);
            Fault::failed(FailureCause::TlsClientCertificate, detail)
        }
        // A certificate of its own the server has shown before: these are about the client's.
        rustls::Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA,
        ) => {
            let detail = client_certificate("The server", Refused::Certificate);
            Fault::failed(FailureCause::TlsClientCertificate, detail)
        }
        rustls::Error::AlertReceived(alert) => Fault::failed(
            FailureCause::TlsHandshake,
            format!("The server ended the TLS connection with the alert {alert:?}."),
        ),
        _ => Fault::failed(
            FailureCause::TlsHandshake,
            "What the server sent over TLS cannot be decrypted.",
        ),
    })
}

fn certificate(fault: &CertificateError, host: &str) -> Fault {
    use CertificateError as Error;
    use FailureCause as Cause;
    let other = match fault {
        Error::Other(OtherError(other)) => other.downcast_ref::<ChainFault>(),
        _ => None,
    };
    if let Some(fault) = other {
        return chain(fault, host);
    }
    let (cause, what) = match fault {
        Error::Expired | Error::ExpiredContext { .. } => (Cause::TlsExpired, "has expired"),
        Error::NotValidYet | Error::NotValidYetContext { .. } => {
            (Cause::TlsNotYetValid, "is not valid yet")
        }
        Error::NotValidForNameContext { presented, .. } if presented.is_empty() => (
            Cause::TlsWrongHost,
            "names no host: it has no subjectAltName, and the common name does not count",
        ),
        Error::NotValidForName | Error::NotValidForNameContext { .. } => {
            (Cause::TlsWrongHost, "is for another name")
        }
        Error::UnknownIssuer => (Cause::TlsUnknownIssuer, "has an issuer that is not trusted"),
        Error::UnsupportedSignatureAlgorithmContext { signature_algorithm_id, .. }
            if is_sha1(signature_algorithm_id) =>
        {
            (Cause::TlsHandshake, "is signed with SHA-1, which nobody accepts any more")
        }
        Error::UnsupportedSignatureAlgorithmContext { .. }
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => (
            Cause::TlsHandshake,
            "is signed in a way that this prober does not have; other clients may accept it",
        ),
        Error::BadSignature => (Cause::TlsHandshake, "has another key than the server"),
        Error::BadEncoding => (Cause::TlsHandshake, "cannot be read"),
        Error::Revoked => (Cause::TlsHandshake, "was revoked"),
        Error::UnhandledCriticalExtension => {
            (Cause::TlsHandshake, "has a critical extension that this prober does not know")
        }
        Error::InvalidPurpose | Error::InvalidPurposeContext { .. } => {
            (Cause::TlsHandshake, "is not for servers (extended key usage)")
        }
        Error::Other(OtherError(other)) => {
            let what = match other.downcast_ref::<webpki::Error>() {
                Some(webpki::Error::CaUsedAsEndEntity) => "is that of a certificate authority",
                Some(webpki::Error::UnsupportedCertVersion) => "is not of X.509 version 3",
                Some(webpki::Error::NameConstraintViolation) => {
                    "names a host that its issuer may not sign for"
                }
                Some(webpki::Error::PathLenConstraintViolated) => {
                    "has more authorities above it than they allow"
                }
                _ => "cannot be verified",
            };
            (Cause::TlsHandshake, what)
        }
        _ => (Cause::TlsHandshake, "cannot be verified"),
    };
    Fault::failed(cause, format!("The certificate of {host} {what}."))
}

/// Whether an AlgorithmIdentifier in DER, without its own tag, names an algorithm with SHA-1.
fn is_sha1(algorithm: &[u8]) -> bool {
    SHA1.iter().any(|id| algorithm.windows(id.len()).any(|part| part == *id))
}

fn chain(fault: &ChainFault, host: &str) -> Fault {
    use FailureCause as Cause;
    let (cause, detail) = match fault {
        ChainFault::SelfSigned => {
            (Cause::TlsSelfSigned, format!("The certificate of {host} is signed by itself."))
        }
        ChainFault::Incomplete => (
            Cause::TlsIncompleteChain,
            format!(
                "The certificate of {host} comes without one that stands between it and a trusted one."
            ),
        ),
        ChainFault::TooLong => {
            (Cause::TlsChainTooLong, format!("{host} sends more than {MAX_CHAIN} certificates."))
        }
        ChainFault::Other(Lifetime::Expired, subject) => {
            let detail = "which the server sends along, has expired; its own is good";
            (
                Cause::TlsExpired,
                format!("{host}: the certificate of the authority {subject}, {detail}."),
            )
        }
        ChainFault::Other(Lifetime::Early, subject) => {
            let detail = "which the server sends along, is not valid yet; its own is good";
            (
                Cause::TlsNotYetValid,
                format!("{host}: the certificate of the authority {subject}, {detail}."),
            )
        }
        ChainFault::WeakKey(bits) => (
            Cause::TlsHandshake,
            format!("The certificate of {host} has an RSA key of {bits} bits; 2048 are needed."),
        ),
    };
    Fault::failed(cause, detail)
}
