//! The parts of a body that are secret. They are written and never shown: an answer has a reference in the
//! place of each, which may come back where nothing is to change.

use std::collections::{BTreeMap, HashSet};

use pulsetrail_domain::monitor::{
    ClientCertificate, HttpAuth, MonitorConfig, SecretRef, Target, Violation, header_value_fault,
};
use pulsetrail_domain::{OrganizationId, SecretId};
use pulsetrail_infra::http::Problem;
use pulsetrail_infra::secrets::{Keyring, SealedSecrets, SecretText};
use serde_json::Value;
use url::Origin;
use uuid::Uuid;

use super::super::json_body::escape;
use super::fields::Fields;

const AUTH: &str = "/target/auth";
const SECRET_HEADERS: &str = "/target/secret_headers";
const CLIENT_CERTIFICATE: &str = "/target/client_certificate";
/// Bytes of a private key, at most.
const MAX_KEY_BYTES: usize = 4_096;

/// The secrets in a body.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// Those that are given, with new ids.
    given: Vec<(SecretId, SecretText)>,
    /// References to those that are kept already, and where they stand.
    kept: Vec<(String, SecretId)>,
}

impl Secrets {
    /// Reads `auth`.
    pub(super) fn auth(
        &mut self,
        described: Value,
        violations: &mut Vec<Violation>,
    ) -> Option<HttpAuth> {
        let mut fields = Fields::of(described, AUTH, violations)?;
        let kind = fields.take_raw("type");
        let auth = match kind.as_ref().and_then(Value::as_str) {
            Some("basic") => {
                let username = fields.need("username");
                let password = self.needed(&mut fields, "password");
                username
                    .zip(password)
                    .map(|(username, password)| HttpAuth::Basic { username, password })
            }
            Some("bearer") => {
                self.needed(&mut fields, "token").map(|token| HttpAuth::Bearer { token })
            }
            _ => {
                // What else is there belongs to whichever it should have been.
                fields.refuse("type", "must be basic or bearer");
                return None;
            }
        };
        fields.finish();
        auth
    }

    /// Reads `secret_headers`.
    pub(super) fn headers(
        &mut self,
        described: Value,
        violations: &mut Vec<Violation>,
    ) -> BTreeMap<String, SecretRef> {
        let Value::Object(described) = described else {
            violations.push(Violation::new(SECRET_HEADERS, "must be an object"));
            return BTreeMap::new();
        };
        let mut headers = BTreeMap::new();
        for (name, value) in described {
            let pointer = format!("{SECRET_HEADERS}/{}", escape(&name));
            if let Some(secret) = self.secret(value, pointer, violations) {
                headers.insert(name, secret);
            }
        }
        headers
    }

    /// Reads `client_certificate`.
    pub(super) fn client_certificate(
        &mut self,
        described: Value,
        violations: &mut Vec<Violation>,
    ) -> Option<ClientCertificate> {
        let mut fields = Fields::of(described, CLIENT_CERTIFICATE, violations)?;
        let certificate = fields.need("certificate");
        let key = match fields.take_raw("key") {
            Some(key) => {
                let pointer = format!("{CLIENT_CERTIFICATE}/key");
                self.secret_text(key, pointer, key_fault, fields.violations())
            }
            None => {
                fields.refuse("key", "is needed");
                None
            }
        };
        fields.finish();
        Some(ClientCertificate { certificate: certificate?, key: key? })
    }

    fn needed(&mut self, fields: &mut Fields<'_>, name: &str) -> Option<SecretRef> {
        let Some(value) = fields.take_raw(name) else {
            fields.refuse(name, "is needed");
            return None;
        };
        self.secret(value, format!("{AUTH}/{name}"), fields.violations())
    }

    /// Reads a secret of a header field, or a reference to one.
    fn secret(
        &mut self,
        value: Value,
        pointer: String,
        violations: &mut Vec<Violation>,
    ) -> Option<SecretRef> {
        self.secret_text(value, pointer, fault, violations)
    }

    /// Reads a secret or a reference to one. What is wrong with it is said without saying what it is.
    fn secret_text(
        &mut self,
        value: Value,
        pointer: String,
        fault: fn(&str) -> Option<&'static str>,
        violations: &mut Vec<Violation>,
    ) -> Option<SecretRef> {
        let fault = match value {
            Value::String(text) => match fault(&text) {
                None => {
                    let secret = SecretId(Uuid::now_v7());
                    self.given.push((secret, SecretText::from(text)));
                    return Some(SecretRef { secret });
                }
                Some(fault) => fault,
            },
            reference => match serde_json::from_value::<SecretRef>(reference) {
                Ok(reference) => {
                    self.kept.push((pointer, reference.secret));
                    return Some(reference);
                }
                Err(_) => "must be a text, or the reference that an answer has in its place",
            },
        };
        violations.push(Violation::new(pointer, fault));
        None
    }

    /// What is wrong with the references: a monitor can refer to its own secrets alone, and those stay with
    /// the origin that they were given for. Whoever may change a monitor cannot, with another URL, have
    /// them sent to where they read them.
    pub(super) fn misplaced(
        &self,
        after: &MonitorConfig,
        before: Option<&MonitorConfig>,
    ) -> Vec<Violation> {
        let own: HashSet<SecretId> = before
            .iter()
            .flat_map(|before| before.target.secrets())
            .map(|one| one.secret)
            .collect();
        let moved = before.is_some_and(|before| origin(&before.target) != origin(&after.target));
        let fault = |id: &SecretId| match (own.contains(id), moved) {
            (false, _) => Some("refers to no secret of this monitor: give the secret itself"),
            (true, true) => Some("was given for another origin: give it again with the new URL"),
            (true, false) => None,
        };
        let wrong = |(pointer, id): &(String, SecretId)| Some(Violation::new(pointer, fault(id)?));
        self.kept.iter().filter_map(wrong).collect()
    }

    /// Seals those that are given.
    ///
    /// # Errors
    /// 500 where this machine cannot seal.
    pub(super) fn seal(
        &self,
        keyring: &Keyring,
        organization_id: OrganizationId,
    ) -> Result<SealedSecrets, Problem> {
        let sealed = self.given.iter().map(|(id, secret)| {
            Ok((*id, keyring.seal(organization_id, *id, secret).map_err(Problem::internal)?))
        });
        sealed.collect::<Result<_, _>>().map(SealedSecrets)
    }
}

/// What forbids a text as a secret: it goes out in a header field.
fn fault(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        Some("must have at least one character")
    } else if text.trim_matches([' ', '\t']).len() < text.len() {
        Some("must not begin or end with white space, which no header field carries")
    } else {
        header_value_fault(text)
    }
}

/// What forbids a text as a private key.
fn key_fault(text: &str) -> Option<&'static str> {
    if text.len() > MAX_KEY_BYTES {
        Some("must have at most 4096 bytes")
    } else if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        Some("must not be encrypted: it is sealed when it is stored")
    } else if !(text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----")) {
        Some("must be a private key in PEM, which begins with -----BEGIN PRIVATE KEY-----")
    } else {
        None
    }
}

fn origin(target: &Target) -> Option<Origin> {
    match target {
        Target::Http(http) => Some(http.url.url().origin()),
        Target::Tls(tls) => {
            let host = tls.host.host().to_owned();
            Some(Origin::Tuple("tls".to_owned(), host, tls.port))
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "secrets_tests.rs"]
mod tests;
