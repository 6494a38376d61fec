//! What a check needs and the log must not know.

use std::borrow::Cow;

use schemars::generate::Contract;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::SecretId;
use crate::monitor::Violation;

/// Bytes of a client's certificates, at most.
const MAX_CERTIFICATE_BYTES: usize = 16_384;

/// A secret. The log holds its id alone; the value lies encrypted in the table `secrets`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRef {
    /// Which secret.
    pub secret: SecretId,
}

impl JsonSchema for SecretRef {
    fn schema_name() -> Cow<'static, str> {
        "SecretRef".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let reference = json_schema!({
            "type": "object",
            "properties": {"secret": generator.subschema_for::<SecretId>()},
            "required": ["secret"],
            "additionalProperties": false,
            "description": "A secret that is kept: its id. Its value is never shown.",
        });
        if *generator.contract() == Contract::Serialize {
            return reference;
        }
        json_schema!({
            "description": "The secret, which is written and never shown: an answer has its id in \
                its place.",
            "oneOf": [
                {"type": "string", "minLength": 1, "maxLength": 4096, "writeOnly": true},
                reference,
            ],
        })
    }
}

/// How a request says who asks. It goes to the URL's own origin alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum HttpAuth {
    /// A name and a password (RFC 7617).
    Basic {
        /// The name, without a colon: at most 255 bytes.
        username: String,
        /// The password.
        password: SecretRef,
    },
    /// A token (RFC 6750).
    Bearer {
        /// The token.
        token: SecretRef,
    },
}

impl HttpAuth {
    /// The secret in it.
    #[must_use]
    pub fn secret(&self) -> SecretRef {
        match self {
            Self::Basic { password, .. } => *password,
            Self::Bearer { token } => *token,
        }
    }
}

/// With what a check shows who it is when a server asks for a certificate (RFC 8446, section 4.4.2). It is shown to
/// the target's own origin alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificate {
    /// The certificate, and those between it and an authority, in PEM (RFC 7468): at most 16,384 bytes.
    #[schemars(length(max = 16_384))]
    pub certificate: String,
    /// The certificate's private key, in PEM and not encrypted: at most 4,096 bytes.
    pub key: SecretRef,
}

impl ClientCertificate {
    pub(super) fn validate(&self, violations: &mut Vec<Violation>) {
        let detail = if self.certificate.len() > MAX_CERTIFICATE_BYTES {
            "must have at most 16384 bytes"
        } else if !self.certificate.contains("-----BEGIN CERTIFICATE-----") {
            "must be a certificate in PEM, which begins with -----BEGIN CERTIFICATE-----"
        } else {
            return;
        };
        violations.push(Violation::new("/target/client_certificate/certificate", detail));
    }
}
