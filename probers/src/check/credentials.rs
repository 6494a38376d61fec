//! Who asks: the secrets of a job, opened for as long as its check takes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use pulsetrail_domain::check::{Failure, FailureCause};
use pulsetrail_domain::monitor::{HttpAuth, HttpTarget, SecretRef, Target};
use pulsetrail_infra::messages::Job;
use pulsetrail_infra::secrets::{Keyring, OpenError, SecretText};
use zeroize::Zeroizing;

use super::attempt::failure;
use super::redact::Redactor;

/// The header fields that say who asks. `Debug` prints none of their values.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    headers: Vec<(HeaderName, HeaderValue)>,
    redactor: Redactor,
}

impl Credentials {
    /// Opens what a job needs.
    ///
    /// # Errors
    /// `secret_unavailable`: a secret is not in the job, or no key here opens it.
    pub(super) fn open(keyring: Option<&Keyring>, job: &Job) -> Result<Self, Failure> {
        let mut opened = Self::default();
        let Target::Http(target) = &job.target else { return Ok(opened) };
        if target.secrets().next().is_some() {
            opened.add_all(target, |secret| open(keyring, job, secret))?;
        }
        Ok(opened)
    }

    /// Adds them to a request to the URL's own origin.
    pub(super) fn add_to(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
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

fn unusable() -> Failure {
    unavailable("it cannot be sent in a header field; give another one")
}

fn unavailable(why: &str) -> Failure {
    let detail =
        format!("A secret of the check cannot be opened: {why}. The target was not asked.");
    failure(FailureCause::SecretUnavailable, detail)
}
