//! Who asks: the secrets of a job, opened for as long as its check takes.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use pulsetrail_domain::check::{Failure, FailureCause};
use pulsetrail_domain::monitor::{ClientCertificate, HttpAuth, HttpTarget, SecretRef, Target};
use pulsetrail_infra::messages::Job;
use pulsetrail_infra::secrets::{Keyring, OpenError, SecretText};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use super::attempt::failure;
use super::redact::Redactor;
use super::tls::MAX_CHAIN;

/// The header fields that say who asks. `Debug` prints none of their values.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    headers: Vec<(HeaderName, HeaderValue)>,
    client: Option<Arc<CertifiedKey>>,
    redactor: Redactor,
}

impl Credentials {
    /// Opens what a job needs.
    ///
    /// # Errors
    /// `secret_unavailable`: a secret is not in the job, or no key here opens it.
    pub(super) fn open(keyring: Option<&Keyring>, job: &Job) -> Result<Self, Failure> {
        let mut opened = Self::default();
        let client = match &job.target {
            Target::Http(target) => {
                opened.add_all(target, |secret| open(keyring, job, secret))?;
                target.client_certificate.as_ref()
            }
            Target::Tls(target) => target.client_certificate.as_ref(),
            Target::Tcp(_) | Target::Dns(_) | Target::Heartbeat(_) => None,
        };
        if let Some(client) = client {
            let key = open(keyring, job, client.key)?;
            opened.client = Some(Arc::new(certified(client, &key)?));
            opened.redactor.hide(key.expose());
        }
        Ok(opened)
    }

    /// Adds them to a request to the URL's own origin.
    pub(super) fn add_to(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
    }

    /// What is shown to a server of that origin that asks for a certificate.
    pub(super) fn client(&self) -> Option<&Arc<CertifiedKey>> {
        self.client.as_ref()
    }

    /// Takes them out of what is reported, should the target have sent them back.
    pub(super) fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    fn add_all(
        &mut self,
        target: &HttpTarget,
        open: impl Fn(SecretRef) -> Result<SecretText, Failure>,
    ) -> Result<(), Failure> {
        match &target.auth {
            Some(HttpAuth::Basic { username, password }) => {
                let password = open(*password)?;
                let both = Zeroizing::new(format!("{username}:{}", password.expose()));
                let encoded = Zeroizing::new(STANDARD.encode(both.as_bytes()));
                self.redactor.hide(password.expose());
                self.redactor.hide(&encoded);
                self.add(AUTHORIZATION, &Zeroizing::new(format!("Basic {}", encoded.as_str())))?;
            }
            Some(HttpAuth::Bearer { token }) => {
                let token = open(*token)?;
                self.redactor.hide(token.expose());
                self.add(AUTHORIZATION, &Zeroizing::new(format!("Bearer {}", token.expose())))?;
            }
            None => {}
        }
        for (name, secret) in &target.secret_headers {
            let secret = open(*secret)?;
            self.redactor.hide(secret.expose());
            let name = HeaderName::try_from(name).map_err(|_| unusable())?;
            self.add(name, secret.expose())?;
        }
        Ok(())
    }

    fn add(&mut self, name: HeaderName, value: &str) -> Result<(), Failure> {
        let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| unusable())?;
        // Not printed, and not kept in HTTP/2's table of headers (RFC 7541, 7.1.3).
        value.set_sensitive(true);
        self.headers.push((name, value));
        Ok(())
    }
}

fn open(
    keyring: Option<&Keyring>,
    job: &Job,
    SecretRef { secret }: SecretRef,
) -> Result<SecretText, Failure> {
    let keyring = keyring.ok_or_else(|| unavailable("this prober has no key"))?;
    let Some(sealed) = job.secrets.0.get(&secret) else {
        return Err(unavailable("it is not kept any more; give it again"));
    };
    keyring.open(job.organization_id, secret, sealed).map_err(|error| match error {
        OpenError::UnknownKey => unavailable("this prober does not have the key it is sealed with"),
        OpenError::Altered => unavailable("it is not what was sealed; give it again"),
    })
}

/// # Errors
/// `tls_client_certificate`: certificate or key cannot be read, or they do not belong together.
fn certified(client: &ClientCertificate, key: &SecretText) -> Result<CertifiedKey, Failure> {
    let unusable = |why: &str| {
        let detail = format!(
            "The client certificate of the check cannot be used: {why}. The target was not asked."
        );
        failure(FailureCause::TlsClientCertificate, detail)
    };
    let chain = CertificateDer::pem_slice_iter(client.certificate.as_bytes())
        .take(MAX_CHAIN)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| unusable("it is not valid PEM"))?;
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
        .map_err(|_| unusable("its key is not valid PEM"))?;
    let key = ring::sign::any_supported_type(&key)
        .map_err(|_| unusable("its key is neither RSA nor P-256, P-384 or Ed25519"))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(unusable("the key belongs to another certificate"))
        }
        Err(_) => Err(unusable("the certificate cannot be read")),
    }
}

fn unusable() -> Failure {
    unavailable("it cannot be sent in a header field; give another one")
}

fn unavailable(why: &str) -> Failure {
    let detail =
        format!("A secret of the check cannot be opened: {why}. The target was not asked.");
    failure(FailureCause::SecretUnavailable, detail)
}
