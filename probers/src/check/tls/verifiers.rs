//! Which certificates are accepted, and what is wrong with one that is not.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use webpki::EndEntityCert;

use super::MAX_CHAIN;
use crate::check::certificate::{self, Lifetime};

/// What is wrong with a chain of certificates, beyond what the verification itself tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ChainFault {
    /// The server's certificate is its own issuer and is not trusted.
    SelfSigned,
    /// A certificate between the server's own and a trusted one is left out.
    Incomplete,
    /// There are more certificates than are looked at.
    TooLong,
    /// One that the server sends along with its own has expired, or is not valid yet.
    Other(Lifetime, String),
    /// The RSA key of the server's certificate has so many bits, which are too few.
    WeakKey(usize),
}

impl fmt::Display for ChainFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for ChainFault {}

impl From<ChainFault> for Error {
    fn from(fault: ChainFault) -> Self {
        CertificateError::Other(OtherError(Arc::new(fault))).into()
    }
}

/// The server's own certificate and those that come with it must not be too many.
fn limit(intermediates: &[CertificateDer<'_>]) -> Result<(), Error> {
    if intermediates.len() < MAX_CHAIN { Ok(()) } else { Err(ChainFault::TooLong.into()) }
}

/// The usual verification, which also says more closely what is wrong.
#[derive(Debug)]
pub(super) struct Diagnosing {
    usual: Arc<WebPkiServerVerifier>,
    roots: Arc<RootCertStore>,
}

impl Diagnosing {
    pub(super) fn new(
        roots: Arc<RootCertStore>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, Error> {
        let builder =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(provider));
        let usual = builder.build().map_err(|error| Error::General(error.to_string()))?;
        Ok(Self { usual, roots })
    }

    /// Whether a server's certificate is one of the trusted ones itself and good for `name` now. The
    /// usual verification refuses it where it may sign others, as those that `openssl req -x509` makes.
    fn trusts_itself(
        &self,
        shown: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<bool, Error> {
        let Ok(parsed) = EndEntityCert::try_from(shown) else { return Ok(false) };
        let key = parsed.subject_public_key_info();
        let is_trusted = self.roots.roots.iter().any(|root| {
            root.subject.as_ref() == parsed.subject()
                && root.subject_public_key_info.as_ref() == content(&key)
        });
        if !is_trusted {
            return Ok(false);
        }
        match certificate::lifetime(shown, now.as_secs()) {
            Some(Lifetime::Expired) => return Err(CertificateError::Expired.into()),
            Some(Lifetime::Early) => return Err(CertificateError::NotValidYet.into()),
            None => {}
        }
        match parsed.verify_is_valid_for_subject_name(name) {
            Ok(()) => Ok(true),
            Err(_) => Err(CertificateError::NotValidForName.into()),
        }
    }
}

/// The content of a SEQUENCE in DER, without its tag and length.
fn content(bytes: &[u8]) -> &[u8] {
    match bytes {
        [0x30, length, rest @ ..] if *length < 0x80 && rest.len() == usize::from(*length) => rest,
        [0x30, 0x81, length, rest @ ..] if rest.len() == usize::from(*length) => rest,
        [0x30, 0x82, high, low, rest @ ..]
            if rest.len() == usize::from(u16::from_be_bytes([*high, *low])) =>
        {
            rest
        }
        _ => bytes,
    }
}

impl ServerCertVerifier for Diagnosing {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        limit(intermediates)?;
        let usual = &self.usual;
        let verified =
            usual.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let error = match verified {
            Err(Error::InvalidCertificate(error)) => error,
            other => return other,
        };
        Err(match &error {
            // Also of a certificate authority's own certificate, and of one of X.509 version 1.
            CertificateError::UnknownIssuer
            | CertificateError::BadSignature
            | CertificateError::Other(_)
                if certificate::is_self_signed(end_entity) =>
            {
                if self.trusts_itself(end_entity, server_name, now)? {
                    return Ok(ServerCertVerified::assertion());
                }
                ChainFault::SelfSigned.into()
            }
            CertificateError::UnknownIssuer
                if certificate::leaves_one_out(intermediates.last().unwrap_or(end_entity)) =>
            {
                ChainFault::Incomplete.into()
            }
            // Its issuer has the name of a trusted one and another key.
            CertificateError::BadSignature => CertificateError::UnknownIssuer.into(),
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
                if certificate::lifetime(end_entity, now.as_secs()).is_none() =>
            {
                let outdated = intermediates.iter().find_map(|one| {
                    let fault = certificate::lifetime(one, now.as_secs())?;
                    Some(ChainFault::Other(fault, certificate::subject(one)?))
                });
                outdated.map_or_else(|| error.clone().into(), Error::from)
            }
            _ => error.into(),
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self.usual.verify_tls12_signature(message, certificate, signed);
        verified.map_err(|error| weak_key(certificate).unwrap_or(error))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self.usual.verify_tls13_signature(message, certificate, signed);
        verified.map_err(|error| weak_key(certificate).unwrap_or(error))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// The fault of a certificate whose RSA key is too short; none where it is not.
fn weak_key(shown: &CertificateDer<'_>) -> Option<Error> {
    let bits = certificate::rsa_bits(shown).filter(|bits| *bits < 2_048)?;
    Some(ChainFault::WeakKey(bits).into())
}

/// Accepts whatever certificate there is, for monitors that ask for no verification: also one that cannot
/// be read, or whose key is too short to verify a signature with. Who does not know whom the server's
/// certificate is from learns nothing from its signature either.
#[derive(Debug)]
pub(super) struct Accepting(pub(super) Arc<CryptoProvider>);

impl ServerCertVerifier for Accepting {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        limit(intermediates)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.0.signature_verification_algorithms.supported_schemes();
        // What the usual verification has not.
        let more = [
            SignatureScheme::ED448,
            SignatureScheme::RSA_PKCS1_SHA1,
            SignatureScheme::ECDSA_SHA1_Legacy,
        ];
        schemes.extend(more.into_iter().filter(|one| !schemes.contains(one)).collect::<Vec<_>>());
        schemes
    }
}
